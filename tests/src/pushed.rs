//! Metrics as a collector gets them, told in the words of a scrape, so that both can be compared.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, NumberDataPoint};

use crate::collector::attributes;
use crate::exposition::Exposition;

/// Everything that was pushed of one moment.
#[derive(Debug, Clone, Default)]
pub struct Push {
    /// When, in nanoseconds after 1970.
    pub at: u64,
    /// Values by the names and labels that a scrape of OpenMetrics has.
    pub samples: BTreeMap<String, f64>,
    /// Kind, unit and help by the family's name.
    pub families: BTreeMap<String, (&'static str, String, String)>,
    /// What they are of.
    pub resource: BTreeMap<String, String>,
    /// When counting began, as counters and histograms say, in nanoseconds after 1970.
    pub began: u64,
    /// How many messages it came in, and how long the longest was.
    pub messages: (usize, usize),
}

impl Push {
    /// Adds what a message has.
    ///
    /// # Panics
    /// When anything in it is not as OTLP wants it.
    pub(crate) fn add(&mut self, message: &ExportMetricsServiceRequest) {
        let length = prost::Message::encoded_len(message);
        self.messages = (self.messages.0 + 1, self.messages.1.max(length));
        for of_resource in &message.resource_metrics {
            self.resource = attributes(&of_resource.resource.as_ref().unwrap().attributes);
            for metric in of_resource.scope_metrics.iter().flat_map(|scope| &scope.metrics) {
                let (kind, name) = (self.data(&metric.name, metric.data.as_ref().unwrap()), metric.name.clone());
                self.families.insert(name, (kind, metric.unit.clone(), metric.description.clone()));
            }
        }
    }

    fn data(&mut self, name: &str, data: &Data) -> &'static str {
        match data {
            Data::Sum(sum) => {
                assert!(
                    sum.is_monotonic && sum.aggregation_temporality == 2,
                    "{name}: only ever rises, from the start"
                );
                for point in &sum.data_points {
                    self.began(point.start_time_unix_nano);
                    self.number(&format!("{name}_total"), point);
                }
                "counter"
            }
            Data::Gauge(gauge) => {
                gauge.data_points.iter().for_each(|point| self.number(name, point));
                "gauge"
            }
            Data::Histogram(histogram) => {
                assert_eq!(histogram.aggregation_temporality, 2, "{name}");
                histogram.data_points.iter().for_each(|point| self.histogram(name, point));
                "histogram"
            }
            other => panic!("{name}: {other:?}"),
        }
    }

    fn began(&mut self, at: u64) {
        assert!(at > 0 && (self.began == 0 || self.began == at), "{at} and {}", self.began);
        self.began = at;
    }

    fn number(&mut self, name: &str, point: &NumberDataPoint) {
        let value = match point.value.unwrap() {
            Value::AsInt(value) => value as f64,
            Value::AsDouble(value) => value,
        };
        self.put(point.time_unix_nano, name, &attributes(&point.attributes), value);
    }

    fn histogram(&mut self, name: &str, point: &HistogramDataPoint) {
        self.began(point.start_time_unix_nano);
        assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1, "{name}");
        assert_eq!(point.bucket_counts.iter().sum::<u64>(), point.count, "{name}");
        let (at, labels) = (point.time_unix_nano, attributes(&point.attributes));
        let mut up_to = 0;
        for (bound, count) in point.explicit_bounds.iter().chain([&f64::INFINITY]).zip(&point.bucket_counts) {
            up_to += count;
            let mut labels = labels.clone();
            labels.insert("le".to_owned(), bound.to_string());
            self.put(at, &format!("{name}_bucket"), &labels, up_to as f64);
        }
        self.put(at, &format!("{name}_sum"), &labels, point.sum.unwrap());
        self.put(at, &format!("{name}_count"), &labels, point.count as f64);
    }

    fn put(&mut self, at: u64, name: &str, labels: &BTreeMap<String, String>, value: f64) {
        assert!(at == self.at, "{name}: all figures are of one moment");
        let before = self.samples.insert(key(name, labels), value);
        assert!(before.is_none(), "{name}{labels:?} came twice");
    }

    /// When a message's figures were looked at.
    pub(crate) fn moment(message: &ExportMetricsServiceRequest) -> u64 {
        let scopes = message.resource_metrics.iter().flat_map(|of_resource| &of_resource.scope_metrics);
        let data = scopes.flat_map(|scope| &scope.metrics).filter_map(|metric| metric.data.as_ref());
        let at = |data: &Data| match data {
            Data::Sum(sum) => sum.data_points.first().map(|point| point.time_unix_nano),
            Data::Gauge(gauge) => gauge.data_points.first().map(|point| point.time_unix_nano),
            Data::Histogram(histogram) => histogram.data_points.first().map(|point| point.time_unix_nano),
            other => panic!("{other:?}"),
        };
        data.filter_map(at).next().unwrap()
    }

    /// The sum of the samples of that name whose labels are told with all of `parts`.
    pub fn sum(&self, name: &str, parts: &[&str]) -> f64 {
        let fits = |key: &str| key.starts_with(&format!("{name}{{")) && parts.iter().all(|part| key.contains(part));
        self.samples.iter().filter(|(key, _)| fits(key)).map(|(_, value)| value).sum()
    }
}

impl Exposition {
    /// Values by name and labels, as of [`Push::samples`].
    pub fn values(&self) -> BTreeMap<String, f64> {
        let samples = self.families.values().flat_map(|family| &family.samples);
        let told = samples.map(|sample| {
            let mut labels = sample.labels.clone();
            if let Some(bound) = labels.get_mut("le") {
                *bound = bound.trim_start_matches('+').parse::<f64>().unwrap().to_string();
            }
            (key(&sample.name, &labels), sample.value)
        });
        told.collect()
    }
}

fn key(name: &str, labels: &BTreeMap<String, String>) -> String {
    let mut key = format!("{name}{{");
    labels.iter().for_each(|(label, value)| write!(key, "{label}={value:?},").unwrap());
    key + "}"
}
