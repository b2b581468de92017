//! A reader of metrics that takes nothing but what the two forms allow (Prometheus' text form 0.0.4, OpenMetrics 1.0),
//! so that what it takes every scraper takes.

use std::collections::{BTreeMap, BTreeSet};

/// Which form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Prometheus' text form 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// Everything of one scrape.
#[derive(Debug, Default)]
pub struct Exposition {
    /// By name, in OpenMetrics without the suffix of the kind.
    pub families: BTreeMap<String, MetricFamily>,
}

/// A family.
#[derive(Debug, Default)]
pub struct MetricFamily {
    /// `counter`, `gauge`, `histogram`, …
    pub kind: String,
    /// The unit, where the form has one.
    pub unit: Option<String>,
    /// What it means.
    pub help: String,
    /// In their order.
    pub samples: Vec<Sample>,
}

/// One line with a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// With its suffix.
    pub name: String,
    /// Label names and values, nothing escaped.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

impl Exposition {
    /// Reads a scrape.
    ///
    /// # Panics
    /// When anything of it is not as the form wants it.
    pub fn read(text: &str, form: Form) -> Self {
        let body = match form {
            Form::OpenMetrics => text.strip_suffix("# EOF\n").expect("the end is marked"),
            Form::Text => text,
        };
        assert!(body.is_empty() || body.ends_with('\n'), "the last line has an end");
        let (mut read, mut current) = (Self::default(), String::new());
        for line in body.lines() {
            match line.strip_prefix("# ") {
                Some(comment) => read.comment(comment, form, &mut current),
                None => read.sample(line, form, &current),
            }
        }
        read.families.iter().for_each(|(name, family)| check(name, family));
        read
    }

    /// The samples called `name`, whichever family they are of.
    pub fn samples(&self, name: &str) -> Vec<&Sample> {
        self.families.values().flat_map(|family| &family.samples).filter(|sample| sample.name == name).collect()
    }

    /// The sum of those of them that have all these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |sample: &&&Sample| {
            labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|found| found == value))
        };
        self.samples(name).iter().filter(fits).map(|sample| sample.value).sum()
    }

    /// Names of samples that there may be, also of families that have none yet, with the labels that were seen.
    pub fn names(&self, form: Form) -> BTreeSet<String> {
        let of = |(name, family): (&String, &MetricFamily)| -> Vec<String> {
            let ends: &[&str] = match (&*family.kind, form) {
                ("counter", Form::OpenMetrics) => &["_total"],
                ("info", _) => &["_info"],
                ("histogram", _) => &["_bucket", "_sum", "_count"],
                ("summary", _) => &["", "_sum", "_count"],
                _ => &[""],
            };
            ends.iter().map(|end| format!("{name}{end}")).collect()
        };
        self.families.iter().flat_map(of).collect()
    }

    fn comment(&mut self, comment: &str, form: Form, current: &mut String) {
        let mut words = comment.splitn(3, ' ');
        let (Some(what), Some(name), Some(rest)) = (words.next(), words.next(), words.next()) else {
            panic!("{comment}")
        };
        assert!(is_name(name) && !rest.is_empty(), "{comment}");
        if name != current {
            assert!(!self.families.contains_key(name), "{name} is told of in two places");
            name.clone_into(current);
        }
        let family = self.families.entry(name.to_owned()).or_default();
        assert!(family.samples.is_empty(), "{name}: said behind its samples: {comment}");
        let once = match what {
            "HELP" => std::mem::replace(&mut family.help, unescape(rest, "\\n")).is_empty(),
            "TYPE" => {
                let kinds: &[&str] = match form {
                    Form::Text => &["counter", "gauge", "histogram", "summary"],
                    Form::OpenMetrics => &["counter", "gauge", "histogram", "info"],
                };
                assert!(kinds.contains(&rest), "{comment}");
                std::mem::replace(&mut family.kind, rest.to_owned()).is_empty()
            }
            "UNIT" if form == Form::OpenMetrics => {
                assert!(name.ends_with(&format!("_{rest}")), "{comment}");
                family.unit.replace(rest.to_owned()).is_none()
            }
            _ => panic!("{comment}"),
        };
        assert!(once, "said twice: {comment}");
    }

    fn sample(&mut self, line: &str, form: Form, current: &str) {
        let sample = Sample::read(line);
        let family = self.families.get_mut(current).unwrap_or_else(|| panic!("no family before {line}"));
        let end = sample.name.strip_prefix(current).unwrap_or_else(|| panic!("{line} stands in {current}"));
        let ends: &[&str] = match (&*family.kind, form) {
            ("counter", Form::OpenMetrics) => &["_total"],
            ("info", _) => &["_info"],
            ("histogram", _) => &["_bucket", "_sum", "_count"],
            ("summary", _) => &["", "_sum", "_count"],
            _ => &[""],
        };
        assert!(ends.contains(&end), "{line} is no sample of a {}", family.kind);
        assert!(family.kind != "counter" || sample.name.ends_with("_total"), "{line}");
        assert!(family.kind == "gauge" || sample.value >= 0.0, "{line}");
        assert_eq!(sample.labels.contains_key("le"), end == "_bucket", "{line}");
        family.samples.push(sample);
    }
}

impl Sample {
    fn read(line: &str) -> Self {
        let name = &line[..line.find(['{', ' ']).unwrap_or_else(|| panic!("{line}"))];
        assert!(is_name(name), "{line}");
        let mut rest = &line[name.len()..];
        let mut labels = BTreeMap::new();
        if let Some(inside) = rest.strip_prefix('{') {
            rest = inside;
            loop {
                let (label, behind) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
                assert!(is_name(label) && !label.contains(':'), "{line}");
                let end = end_of_value(behind).unwrap_or_else(|| panic!("{line}"));
                let value = unescape(&behind[..end], "\\\"n");
                assert!(labels.insert(label.to_owned(), value).is_none(), "a label stands twice: {line}");
                rest = &behind[end + 1..];
                match rest.strip_prefix(',') {
                    Some(more) => rest = more,
                    None => break,
                }
            }
            rest = rest.strip_prefix('}').unwrap_or_else(|| panic!("{line}"));
        }
        let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
        assert!(value.bytes().all(|byte| byte.is_ascii_digit() || b".-".contains(&byte)), "{line}");
        Self { name: name.to_owned(), labels, value: value.parse().unwrap_or_else(|_| panic!("{line}")) }
    }
}

/// Where the quote is that no backslash stands before.
fn end_of_value(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}

fn unescape(text: &str, may: &str) -> String {
    let (mut out, mut characters) = (String::new(), text.chars());
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                let next = characters.next().filter(|next| may.contains(*next));
                out.push(match next.unwrap_or_else(|| panic!("an escape that there is not: {text}")) {
                    'n' => '\n',
                    next => next,
                });
            }
            character => out.push(character),
        }
    }
    out
}

fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_:".contains(&byte);
    !text.is_empty() && text.bytes().all(plain) && !text.as_bytes()[0].is_ascii_digit()
}

/// What can only be said of a family as a whole.
fn check(name: &str, family: &MetricFamily) {
    assert!(!family.kind.is_empty() && !family.help.is_empty(), "{name} has no type or no help");
    let mut seen = BTreeSet::new();
    for sample in &family.samples {
        assert!(seen.insert((&sample.name, &sample.labels)), "{sample:?} stands twice");
    }
    if family.kind != "histogram" {
        return;
    }
    let mut buckets: BTreeMap<BTreeMap<String, String>, Vec<(String, f64)>> = BTreeMap::new();
    let (mut counts, mut sums) = (BTreeMap::new(), BTreeSet::new());
    for sample in &family.samples {
        let mut labels = sample.labels.clone();
        match labels.remove("le") {
            Some(bound) => buckets.entry(labels).or_default().push((bound, sample.value)),
            None if sample.name.ends_with("_count") => drop(counts.insert(labels, sample.value)),
            None => drop(sums.insert(labels)),
        }
    }
    assert!(buckets.keys().eq(counts.keys()) && buckets.keys().eq(sums.iter()), "{name}: halves of histograms");
    for (labels, bounds) in buckets {
        let (last, total) = bounds.last().unwrap();
        assert_eq!((&**last, Some(total)), ("+Inf", counts.get(&labels)), "{name} {labels:?}");
        let finite: Vec<f64> = bounds[..bounds.len() - 1].iter().map(|(bound, _)| bound.parse().unwrap()).collect();
        assert!(finite.windows(2).all(|pair| pair[0] < pair[1]), "{name}: bounds do not rise");
        assert!(bounds.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{name}: counts fall");
        assert!(bounds.iter().all(|(bound, _)| bound == "+Inf" || bound.contains('.')), "{name}: a bound like 1");
    }
}
