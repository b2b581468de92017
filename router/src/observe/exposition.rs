//! How metrics are written: Prometheus' text form 0.0.4 and OpenMetrics 1.0.
//!
//! Only families of the registry can be written, each with as many labels as it has. What is written as text for who
//! asks is gathered as [figures](Figures) for who pushes, so both tell the same. Must never know where figures come
//! from.

use std::borrow::Cow;
use std::fmt::Write;

use super::figures::{Buckets, Figure, Figures, Point};
use super::histogram::{Bound, Sum};
use super::registry::{Family, Kind};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus' text form 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// Which of the two a client rather has, by its `Accept` (RFC 9110 §12.5.1); the older one when it does not say.
    pub(crate) fn wanted(accept: &str) -> Self {
        let (mut open, mut text) = (0.0_f32, 0.0_f32);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
            let parameter = |name: &str| {
                let found = parameters.iter().find(|(key, _)| key.trim().eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.trim().trim_matches('"'))
            };
            let quality = parameter("q").map_or(1.0, |quality| quality.parse().unwrap_or(0.0));
            match &*kind {
                "application/openmetrics-text" if parameter("version").is_none_or(|version| version == "1.0.0") => {
                    open = open.max(quality);
                }
                "text/plain" | "text/*" | "*/*" => text = text.max(quality),
                _ => {}
            }
        }
        if open > 0.0 && open >= text { Self::OpenMetrics } else { Self::Text }
    }

    /// The media type.
    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What is being written.
pub(super) struct Exposition {
    out: String,
    /// None where figures are gathered and nothing is written.
    format: Option<Format>,
    figures: Vec<Figures>,
    /// Name and labels of the histogram that is being written.
    scratch: String,
}

impl Exposition {
    /// To be about `expected` bytes long.
    pub(super) fn new(format: Format, expected: usize) -> Self {
        let out = String::with_capacity(expected);
        Self { out, format: Some(format), figures: Vec::new(), scratch: String::new() }
    }

    /// One that gathers figures.
    pub(super) fn gathering() -> Self {
        Self { out: String::new(), format: None, figures: Vec::new(), scratch: String::new() }
    }

    /// Begins a family; its samples follow. Each once.
    pub(super) fn family<const N: usize>(&mut self, family: &'static Family<N>) -> Samples<'_, N> {
        let told = family.told();
        let (name, suffix) = (told.name, told.kind.suffix());
        // Writing into memory does not fail, here and below.
        let _ = match self.format {
            None => {
                self.figures.push(Figures { told, points: Vec::new() });
                Ok(())
            }
            Some(Format::Text) => {
                let kind = if told.kind == Kind::Info { Kind::Gauge } else { told.kind };
                writeln!(self.out, "# HELP {name}{suffix} {}\n# TYPE {name}{suffix} {}", told.help, kind.word())
            }
            Some(Format::OpenMetrics) => {
                let _ = writeln!(self.out, "# TYPE {name} {}", told.kind.word());
                if let Some(unit) = told.unit {
                    let _ = writeln!(self.out, "# UNIT {name} {unit}");
                }
                writeln!(self.out, "# HELP {name} {}", told.help)
            }
        };
        Samples { exposition: self, family }
    }

    /// A family of one sample without labels.
    pub(super) fn single(&mut self, family: &'static Family<0>, value: impl Value) {
        self.family(family).value([], value);
    }

    /// The whole text.
    pub(super) fn finish(mut self) -> String {
        if self.format == Some(Format::OpenMetrics) {
            self.out.push_str("# EOF\n");
        }
        self.out
    }

    /// What was gathered.
    pub(super) fn into_figures(self) -> Vec<Figures> {
        self.figures
    }
}

/// The samples of one family.
pub(super) struct Samples<'e, const N: usize> {
    exposition: &'e mut Exposition,
    family: &'static Family<N>,
}

impl<const N: usize> Samples<'_, N> {
    /// One sample, its labels in the order in which the registry has them.
    pub(super) fn value(&mut self, labels: [&str; N], value: impl Value) {
        if self.exposition.format.is_none() {
            return self.gather(labels, value.figure());
        }
        let out = &mut self.exposition.out;
        out.push_str(self.family.told().name);
        out.push_str(self.family.told().kind.suffix());
        if N > 0 {
            out.push('{');
            self.family.write_labels(out, labels);
            out.push('}');
        }
        out.push(' ');
        value.write(out);
        out.push('\n');
    }

    /// The samples of a histogram.
    pub(super) fn histogram(&mut self, labels: [&str; N], sum: &Sum, bounds: &[Bound]) {
        if self.exposition.format.is_none() {
            return self.gather(labels, Figure::Histogram(Buckets::of(sum, bounds)));
        }
        let Exposition { out, scratch, .. } = &mut *self.exposition;
        let name = self.family.told().name;
        scratch.clear();
        self.family.write_labels(scratch, labels);
        let comma = if N > 0 { "," } else { "" };
        for (bound, count) in sum.up_to(bounds).chain([("+Inf", sum.total())]) {
            for part in [name, "_bucket{", scratch, comma, "le=\"", bound, "\"} "] {
                out.push_str(part);
            }
            count.write(out);
            out.push('\n');
        }
        let (open, close) = if N > 0 { ("{", "}") } else { ("", "") };
        let _ = writeln!(out, "{name}_sum{open}{scratch}{close} {}", sum.seconds());
        let _ = writeln!(out, "{name}_count{open}{scratch}{close} {}", sum.total());
    }

    fn gather(&mut self, labels: [&str; N], figure: Figure) {
        if let Some(family) = self.exposition.figures.last_mut() {
            family.points.push(Point { labels: labels.map(str::to_owned).into(), figure });
        }
    }
}

/// A number as a sample has it.
pub(super) trait Value {
    /// Appends it.
    fn write(self, out: &mut String);
    /// As it is gathered.
    fn figure(self) -> Figure;
}

impl Value for u64 {
    fn write(self, out: &mut String) {
        out.push_str(itoa::Buffer::new().format(self));
    }

    fn figure(self) -> Figure {
        Figure::Whole(i64::try_from(self).unwrap_or(i64::MAX))
    }
}

impl Value for i64 {
    fn write(self, out: &mut String) {
        out.push_str(itoa::Buffer::new().format(self));
    }

    fn figure(self) -> Figure {
        Figure::Whole(self)
    }
}

impl Value for bool {
    fn write(self, out: &mut String) {
        out.push(if self { '1' } else { '0' });
    }

    fn figure(self) -> Figure {
        Figure::Whole(self.into())
    }
}

impl Value for f64 {
    fn write(self, out: &mut String) {
        let _ = write!(out, "{self}");
    }

    fn figure(self) -> Figure {
        Figure::Real(self)
    }
}

/// The value of a label as it stands between its quotes; both forms escape the same three characters.
pub(super) fn escaped(value: &str) -> Cow<'_, str> {
    if !value.contains(['\\', '"', '\n']) {
        return Cow::Borrowed(value);
    }
    Cow::Owned(value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_what_the_client_rather_has() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;\
                          q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, wanted) in [
            (prometheus, Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"", Format::OpenMetrics),
            ("application/openmetrics-text;q=0", Format::Text),
            ("application/openmetrics-text;version=2.0.0", Format::Text),
            ("application/openmetrics-text;q=0.1, text/plain;q=0.9", Format::Text),
            ("application/openmetrics-text;q=x", Format::Text),
            ("text/plain", Format::Text),
            ("*/*", Format::Text),
            ("", Format::Text),
            (";;,,=;q", Format::Text),
        ] {
            assert_eq!(Format::wanted(accept), wanted, "{accept}");
        }
    }

    #[test]
    fn no_value_of_a_label_ends_it() {
        assert_eq!(escaped("plain {},="), "plain {},=");
        assert_eq!(escaped("a\\b\"c\nd"), "a\\\\b\\\"c\\nd");
        assert_eq!(escaped("\\\""), "\\\\\\\"");
    }
}
