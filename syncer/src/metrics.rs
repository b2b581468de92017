//! What only ever counts up, and how everything reads in Prometheus' text form.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use postern_config::condition::{ConditionType, Status as ConditionStatus};
use postern_config::merged::is_stale;

use crate::source::FailureReason;
use crate::status::View;

/// Counters since the process began.
#[derive(Debug, Default)]
pub struct Metrics {
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    passes: BTreeMap<&'static str, u64>,
    failures: BTreeMap<(&'static str, FailureReason), u64>,
    phases: BTreeMap<&'static str, (u64, Duration)>,
}

impl Metrics {
    /// A pass came to an end: `written`, `unchanged`, `failed`.
    pub fn pass(&self, result: &'static str) {
        self.with(|counted| *counted.passes.entry(result).or_default() += 1);
    }

    /// A store could not be read.
    pub fn failure(&self, source: &'static str, reason: FailureReason) {
        self.with(|counted| *counted.failures.entry((source, reason)).or_default() += 1);
    }

    /// A phase of a pass took that long.
    pub fn phase(&self, phase: &'static str, took: Duration) {
        self.with(|counted| {
            let (count, sum) = counted.phases.entry(phase).or_default();
            *count += 1;
            *sum += took;
        });
    }

    fn with<T>(&self, change: impl FnOnce(&mut Counted) -> T) -> T {
        change(&mut self.counted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Everything, in Prometheus' text form.
    pub fn render(&self, view: &View) -> String {
        let mut out = String::with_capacity(8_192);
        self.with(|counted| {
            head(&mut out, "passes_total", "counter", "Passes by what they led to.");
            for (result, count) in &counted.passes {
                line(&mut out, "passes_total", &[("result", result)], count);
            }
            head(&mut out, "source_failures_total", "counter", "Reads of a store that failed; what was known stayed.");
            for ((source, reason), count) in &counted.failures {
                line(&mut out, "source_failures_total", &[("source", source), ("reason", reason.as_str())], count);
            }
            head(&mut out, "phase_seconds", "summary", "Time spent in each phase of a pass.");
            for (phase, (count, sum)) in &counted.phases {
                line(&mut out, "phase_seconds_sum", &[("phase", phase)], sum.as_secs_f64());
                line(&mut out, "phase_seconds_count", &[("phase", phase)], count);
            }
        });
        gauges(&mut out, view);
        out
    }
}

fn gauges(out: &mut String, view: &View) {
    let mut gauge = |name: &str, help: &str, lines: &[(Vec<(&str, &str)>, String)]| {
        head(out, name, "gauge", help);
        lines.iter().for_each(|(labels, value)| line(out, name, labels, value));
    };
    let one = |value: String| vec![(Vec::new(), value)];
    gauge("generation", "The generation that stands.", &one(view.generation.to_string()));
    let routes = view.content.as_ref().map_or(0, |content| content.routes.len());
    gauge("routes", "Routes that stand.", &one(routes.to_string()));
    let stale = view.content.iter().flat_map(|content| &content.routes).filter(|route| is_stale(route)).count();
    gauge("stale_routes", "Routes served in an older form, because the new one is bad.", &one(stale.to_string()));
    let held = view.hold.as_ref().map_or(0, |hold| hold.ids.len());
    gauge("held_routes", "Routes that the shrink guard keeps.", &one(held.to_string()));
    let pinned = view.pinned.map_or(0, |pinned| pinned.generation);
    gauge("pinned_generation", "The generation whose routes stay; 0 when none is pinned.", &one(pinned.to_string()));
    let reasons = refused_by_reason(view);
    let reasons: Vec<_> =
        reasons.iter().map(|(reason, count)| (vec![("reason", reason.as_str())], count.to_string())).collect();
    gauge("refused", "Refused registrations by reason; one may have several.", &reasons);
    let seconds = |instant: Option<postern_config::value::Timestamp>| {
        instant.map_or_else(|| "0".to_owned(), |instant| instant.unix().to_string())
    };
    let sources = [("boundary", &view.boundary), ("registrations", &view.registrations)];
    let read: Vec<_> =
        sources.iter().map(|(name, source)| (vec![("source", *name)], seconds(source.last_success))).collect();
    gauge("source_last_success_timestamp_seconds", "When a store was last read.", &read);
    let up: Vec<_> = sources
        .iter()
        .map(|(name, source)| (vec![("source", *name)], u8::from(source.failing.is_none()).to_string()))
        .collect();
    gauge("source_up", "Whether the last look at a store succeeded.", &up);
    gauge("last_success_timestamp_seconds", "When a pass last came to its end.", &one(seconds(view.last_pass)));
    gauge("written_timestamp_seconds", "When the generation that stands was written.", &one(seconds(view.written_at)));
    issuers(&mut gauge, view);
    secrets(&mut gauge, view);
    let posted: Vec<_> = view
        .board
        .iter()
        .map(|(what, one)| (vec![("what", *what)], u8::from(one.failing.is_none()).to_string()))
        .collect();
    gauge("status_up", "Whether the last posting to the status table succeeded.", &posted);
    let programmed = u8::from(view.programmed().status == ConditionStatus::True);
    gauge("programmed", "Whether every router that was asked serves the generation.", &one(programmed.to_string()));
}

/// One gauge: its name, its help, its lines of labels and values.
type Gauge<'a> = dyn FnMut(&str, &str, &[(Vec<(&str, &str)>, String)]) + 'a;

fn issuers(gauge: &mut Gauge<'_>, view: &View) {
    let each = |value: &dyn Fn(&crate::status::IssuerStatus) -> String| -> Vec<_> {
        view.issuers.iter().map(|(name, one)| (vec![("issuer", name.as_str())], value(one))).collect()
    };
    gauge("issuer_keys", "Keys of an issuer that are used.", &each(&|one| one.keys.to_string()));
    let up = |one: &crate::status::IssuerStatus| u8::from(one.source.failing.is_none()).to_string();
    gauge("issuer_up", "Whether the last look at an issuer's keys succeeded.", &each(&up));
    let until = |one: &crate::status::IssuerStatus| one.until.map_or(0, |until| until.unix()).to_string();
    gauge(
        "issuer_keys_until_timestamp_seconds",
        "Until when its keys are used, if they are not seen again.",
        &each(&until),
    );
    gauge(
        "issuer_fetches",
        "How often its keys were asked for since the start.",
        &each(&|one| one.fetches.to_string()),
    );
}

fn secrets(gauge: &mut Gauge<'_>, view: &View) {
    let each = |value: &dyn Fn(&crate::status::SecretStatus) -> String| -> Vec<_> {
        view.secrets.iter().map(|(place, one)| (vec![("place", place.as_str())], value(one))).collect()
    };
    let up = |one: &crate::status::SecretStatus| u8::from(one.source.failing.is_none()).to_string();
    gauge("secret_up", "Whether the last look at a secret that the boundary refers to succeeded.", &each(&up));
    let known = |one: &crate::status::SecretStatus| u8::from(one.known).to_string();
    gauge("secret_known", "Whether one is in force, be it the last that could be read.", &each(&known));
    let read = |one: &crate::status::SecretStatus| one.source.last_success.map_or(0, |at| at.unix()).to_string();
    gauge("secret_last_success_timestamp_seconds", "When it was last read.", &each(&read));
}

fn refused_by_reason(view: &View) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for refused in view.content.iter().flat_map(|content| &content.refused) {
        let mut reasons: Vec<String> = refused
            .conditions
            .iter()
            .filter(|one| one.status == ConditionStatus::False || one.kind == ConditionType::Conflicted)
            .map(|one| format!("{:?}", one.reason))
            .collect();
        reasons.sort();
        reasons.dedup();
        for reason in reasons {
            *counts.entry(reason).or_default() += 1;
        }
    }
    counts
}

const PREFIX: &str = "postern_syncer_";

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} {kind}");
}

fn line(out: &mut String, name: &str, labels: &[(&str, &str)], value: impl fmt::Display) {
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    let _ = writeln!(out, "{PREFIX}{name}{labels} {value}");
}
