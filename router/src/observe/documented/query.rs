//! Queries about families of the registry, so that none can ask for a name or a label that is not there.
//!
//! The syncer's names are texts here, because the two processes share no code; a scenario holds them against what it
//! exports.

use super::super::registry::{Family, Kind};

/// Over how long rates are taken.
const WINDOW: &str = "5m";

/// A family's samples, with matchers such as `status="5xx"`.
pub(super) fn samples<const N: usize>(family: &Family<N>, matchers: &str) -> String {
    let told = family.told();
    for matcher in matchers.split(',').filter(|matcher| !matcher.is_empty()) {
        let label = matcher.split(['=', '!']).next().unwrap_or_default();
        assert!(told.labels.contains(&label), "{} has no label {label}", told.name);
    }
    let braces = if matchers.is_empty() { String::new() } else { format!("{{{matchers}}}") };
    format!("{}{}{braces}", told.name, told.kind.suffix())
}

/// `sum by (…)`.
fn sum(by: &[&str], what: &str) -> String {
    match by {
        [] => format!("sum({what})"),
        by => format!("sum by ({}) ({what})", by.join(", ")),
    }
}

fn has<const N: usize>(family: &Family<N>, labels: &[&str], kind: Kind) {
    let told = family.told();
    assert!(told.kind == kind, "{} is a {}", told.name, told.kind.word());
    labels.iter().for_each(|label| assert!(told.labels.contains(label), "{} has no label {label}", told.name));
}

/// How much a counter rises in a second.
pub(super) fn rate<const N: usize>(family: &Family<N>, matchers: &str, by: &[&str]) -> String {
    has(family, by, Kind::Counter);
    sum(by, &format!("rate({}[{WINDOW}])", samples(family, matchers)))
}

/// How much a counter rose in `window`.
pub(super) fn increase<const N: usize>(family: &Family<N>, by: &[&str], window: &str) -> String {
    has(family, by, Kind::Counter);
    sum(by, &format!("increase({}[{window}])", samples(family, "")))
}

/// What `share` in a hundred of a histogram's durations stay below.
pub(super) fn percentile<const N: usize>(family: &Family<N>, share: &str, matchers: &str, by: &[&str]) -> String {
    has(family, by, Kind::Histogram);
    let samples = samples(family, matchers).replacen(family.told().name, &format!("{}_bucket", family.told().name), 1);
    let by: Vec<&str> = std::iter::once("le").chain(by.iter().copied()).collect();
    format!("histogram_quantile(0.{share}, {})", sum(&by, &format!("rate({samples}[{WINDOW}])")))
}

/// How many durations a histogram counted in a second.
pub(super) fn count_rate<const N: usize>(family: &Family<N>, matchers: &str, by: &[&str]) -> String {
    has(family, by, Kind::Histogram);
    let samples = samples(family, matchers).replacen(family.told().name, &format!("{}_count", family.told().name), 1);
    sum(by, &format!("rate({samples}[{WINDOW}])"))
}

/// The sum of a gauge over all routers.
pub(super) fn gauge<const N: usize>(family: &Family<N>, matchers: &str, by: &[&str]) -> String {
    has(family, by, Kind::Gauge);
    sum(by, &samples(family, matchers))
}

/// A metric of the syncer.
pub(super) fn syncer(name: &str) -> String {
    format!("postern_syncer_{name}")
}
