//! Figures as OTLP has them (opentelemetry-proto 1.x, `metrics.proto`): counters as cumulative sums that only rise,
//! gauges, histograms with the bounds that a scrape shows.
//!
//! Pure. Names are those of OpenMetrics' families, so that a collector that exposes them to Prometheus gives back what
//! a scrape of the router has.

use std::collections::BTreeMap;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum,
};
pub(super) use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

use crate::observe::{Buckets, Figure, Figures, Kind, Point, Told};

/// Samples that stay together; with their labels at the longest they are well below [`BYTES`].
const TOGETHER: usize = 500;
/// A message is sent when it has so much: collectors take 4 MiB.
const BYTES: usize = 1024 * 1024;

/// What the figures are of.
pub(super) fn resource(attributes: BTreeMap<String, String>) -> Resource {
    let attributes = attributes.into_iter().map(|(name, value)| attribute(&name, value)).collect();
    Resource { attributes, ..Resource::default() }
}

/// All figures as messages that a collector takes. `started` is when counting began and `now` when it was looked, both
/// after 1970.
pub(super) fn messages(
    figures: Vec<Figures>,
    resource: &Resource,
    started: Duration,
    now: Duration,
) -> Vec<ExportMetricsServiceRequest> {
    let times = Times { started: nanos(started), now: nanos(now) };
    let mut messages = Vec::new();
    let (mut metrics, mut bytes) = (Vec::new(), 0);
    for Figures { told, points } in figures {
        let mut points = points.into_iter().peekable();
        while points.peek().is_some() {
            let metric = metric(told, points.by_ref().take(TOGETHER), times);
            bytes += metric.encoded_len();
            metrics.push(metric);
            if bytes >= BYTES {
                messages.push(message(std::mem::take(&mut metrics), resource));
                bytes = 0;
            }
        }
    }
    if !metrics.is_empty() {
        messages.push(message(metrics, resource));
    }
    messages
}

fn message(metrics: Vec<Metric>, resource: &Resource) -> ExportMetricsServiceRequest {
    let scope = InstrumentationScope {
        name: "postern-router".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() }];
    let resource = Some(resource.clone());
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { resource, scope_metrics, schema_url: String::new() }],
    }
}

/// In nanoseconds after 1970.
#[derive(Clone, Copy)]
struct Times {
    started: u64,
    now: u64,
}

fn nanos(after: Duration) -> u64 {
    u64::try_from(after.as_nanos()).unwrap_or(u64::MAX)
}

fn metric(told: &Told, points: impl Iterator<Item = Point>, times: Times) -> Metric {
    let cumulative = AggregationTemporality::Cumulative.into();
    let data = match told.kind {
        Kind::Counter => {
            let data_points = points.map(|point| number(told, point, times)).collect();
            Data::Sum(Sum { data_points, aggregation_temporality: cumulative, is_monotonic: true })
        }
        Kind::Gauge | Kind::Info => {
            Data::Gauge(Gauge { data_points: points.map(|point| number(told, point, times)).collect() })
        }
        Kind::Histogram => {
            let data_points = points.map(|point| histogram(told, point, times)).collect();
            Data::Histogram(Histogram { data_points, aggregation_temporality: cumulative })
        }
    };
    // Who writes it for Prometheus puts `_total` behind what rises, and nothing behind the others.
    let suffix = if told.kind == Kind::Info { told.kind.suffix() } else { "" };
    let unit = match told.unit {
        // As UCUM has them, which is what OTLP asks for.
        Some("seconds") => "s",
        Some("bytes") => "By",
        _ => "",
    };
    Metric {
        name: format!("{}{suffix}", told.name),
        description: told.help.to_owned(),
        unit: unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn number(told: &Told, point: Point, times: Times) -> NumberDataPoint {
    let value = match point.figure {
        Figure::Whole(value) => Some(number_data_point::Value::AsInt(value)),
        Figure::Real(value) => Some(number_data_point::Value::AsDouble(value)),
        Figure::Histogram(_) => None,
    };
    // What stands where it stands has not been counted since anything.
    let start_time_unix_nano = if told.kind == Kind::Counter { times.started } else { 0 };
    NumberDataPoint {
        attributes: attributes(told, point.labels),
        start_time_unix_nano,
        time_unix_nano: times.now,
        value,
        ..NumberDataPoint::default()
    }
}

fn histogram(told: &Told, point: Point, times: Times) -> HistogramDataPoint {
    let attributes = attributes(told, point.labels);
    let (start_time_unix_nano, time_unix_nano) = (times.started, times.now);
    let at = HistogramDataPoint { attributes, start_time_unix_nano, time_unix_nano, ..HistogramDataPoint::default() };
    let Figure::Histogram(buckets) = point.figure else { return at };
    let count = buckets.count();
    let Buckets { bounds, counts, sum } = buckets;
    HistogramDataPoint { count, sum: Some(sum), bucket_counts: counts, explicit_bounds: bounds, ..at }
}

fn attributes(told: &Told, values: Vec<String>) -> Vec<KeyValue> {
    told.labels.iter().zip(values).map(|(name, value)| attribute(name, value)).collect()
}

fn attribute(name: &str, value: String) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value)) });
    KeyValue { key: name.to_owned(), value, ..KeyValue::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    static TOLD: Told =
        Told { name: "postern_requests", kind: Kind::Counter, unit: None, help: "Requests.", labels: &["route"] };

    fn figures(points: usize) -> Vec<Figures> {
        let point = |number: usize| Point { labels: vec![format!("{number:>900}")], figure: Figure::Whole(1) };
        vec![Figures { told: &TOLD, points: (0..points).map(point).collect() }]
    }

    #[test]
    fn no_message_is_longer_than_collectors_take_and_nothing_is_lost() {
        let resource = resource(BTreeMap::new());
        for (points, least) in [(1, 1), (500, 1), (20_000, 9)] {
            let messages = messages(figures(points), &resource, Duration::from_secs(1), Duration::from_secs(2));
            assert!(messages.len() >= least, "{} of {points}", messages.len());
            assert!(messages.iter().all(|message| message.encoded_len() < 3 * 1024 * 1024));
            let metrics = messages.iter().flat_map(|message| &message.resource_metrics[0].scope_metrics[0].metrics);
            let count = |metric: &Metric| match &metric.data {
                Some(Data::Sum(sum)) => sum.data_points.len(),
                other => panic!("{other:?}"),
            };
            assert_eq!(metrics.map(count).sum::<usize>(), points);
        }
        assert!(messages(figures(0), &resource, Duration::ZERO, Duration::ZERO).is_empty());
    }
}
