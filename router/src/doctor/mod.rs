//! Why a destination does not answer, or answers 403: the usual causes told apart, one line each.
//!
//! Owns what the facts mean: [`network`] for the way there, [`answer`] for what came back. [`visit`] alone does I/O, over
//! the same dialer as serving. Facts of AWS behind the verdicts: "Private REST APIs", "Gateway response types" and
//! "Troubleshoot 403 errors" of API Gateway's documentation. Must never loosen anything to find out more: an address that may
//! not be dialled is not, and a certificate that is not believed ends the visit.

pub(crate) mod answer;
pub(crate) mod names;
pub(crate) mod network;
pub(crate) mod question;
#[cfg(test)]
mod tests;
pub(crate) mod visit;
pub(crate) mod word;

use serde::Serialize;

/// What became of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// As it should be.
    Ok,
    /// This is wrong.
    Failed,
    /// There was nothing to look at.
    Skipped,
    /// It may be this, or not.
    Unclear,
}

impl Verdict {
    /// As it is printed.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Unclear => "unclear",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Step {
    /// What was looked at.
    pub(crate) step: &'static str,
    pub(crate) verdict: Verdict,
    /// What was found.
    pub(crate) found: String,
    /// What to do, where there is something.
    #[serde(rename = "do", skip_serializing_if = "Option::is_none")]
    pub(crate) remedy: Option<String>,
}

impl Step {
    pub(crate) fn ok(step: &'static str, found: impl Into<String>) -> Self {
        Self { step, verdict: Verdict::Ok, found: found.into(), remedy: None }
    }

    pub(crate) fn skipped(step: &'static str, found: impl Into<String>) -> Self {
        Self { step, verdict: Verdict::Skipped, found: found.into(), remedy: None }
    }

    pub(crate) fn failed(step: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { step, verdict: Verdict::Failed, found: found.into(), remedy: Some(remedy.into()) }
    }

    pub(crate) fn unclear(step: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { step, verdict: Verdict::Unclear, found: found.into(), remedy: Some(remedy.into()) }
    }

    /// In one line.
    pub(crate) fn to_text(&self) -> String {
        let remedy = self.remedy.as_ref().map_or_else(String::new, |remedy| format!("; do: {remedy}"));
        format!("{:<8} {:<8} {}{remedy}", self.verdict.word(), self.step, self.found)
    }
}

/// What is wrong first, or may be.
pub(crate) fn first_found<'s>(steps: &[&'s Step]) -> Option<&'s Step> {
    let first = |verdict| steps.iter().copied().find(|step| step.verdict == verdict);
    first(Verdict::Failed).or_else(|| first(Verdict::Unclear))
}

/// The names of the steps, in their order.
pub(crate) const ROUTE: &str = "route";
pub(crate) const NAME: &str = "name";
pub(crate) const ADDRESS: &str = "address";
pub(crate) const CONNECT: &str = "connect";
pub(crate) const TLS: &str = "tls";
pub(crate) const SNI: &str = "sni";
pub(crate) const API_ID: &str = "api-id";
pub(crate) const STAGE: &str = "stage";
pub(crate) const POLICY: &str = "policy";
pub(crate) const IAM: &str = "iam";
pub(crate) const ANSWER: &str = "answer";

/// Where a request is to go: what the boundary and the registration made of it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The boundary's name of the destination.
    pub(crate) destination: String,
    /// The name that is resolved.
    pub(crate) dial: String,
    pub(crate) port: u16,
    /// The `Host` that is sent, and the name that TLS asks for.
    pub(crate) host: String,
    pub(crate) tls: Option<Trust>,
    /// The networks that may be dialled, as the boundary has them.
    pub(crate) networks: Vec<String>,
    /// What the target's URL puts in front of the path; empty, or `/…`.
    pub(crate) prefix: String,
    /// The request as it is forwarded.
    pub(crate) method: String,
    pub(crate) target: String,
    /// Whether the route asks its callers for AWS signatures.
    pub(crate) iam: bool,
}

/// How a certificate is judged.
#[derive(Debug, Clone)]
pub(crate) struct Trust {
    /// The name that it must carry.
    pub(crate) name: String,
    /// Whose signature it must have, in the words of the boundary.
    pub(crate) roots: String,
}

impl Place {
    /// In one line.
    pub(crate) fn to_text(&self) -> String {
        let Self { destination, dial, port, host, method, target, tls, .. } = self;
        let scheme = if tls.is_some() { "https" } else { "http" };
        format!("{method} {target} to {scheme}://{dial}:{port} as Host {host}, destination {destination}")
    }
}
