//! What would happen to a request, and why: the same stages as serving, asked one by one.
//!
//! Must never decide anything itself, or send a byte anywhere.

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use postern_config::document::Mode;
use serde::Serialize;

use crate::http1::{Framing, RequestHead};
use crate::pipeline::{check_signature, choose, circumstances, outbound};
use crate::principal::Principal;
use crate::reject::{Reason, Rejection};
use crate::rights::Verdict;
use crate::snapshot::table::Passed;
use crate::snapshot::{RoutePlan, Snapshot};
use crate::stage::authenticate::{Outcome, SKEW, authenticate};
use crate::stage::authorize::authorize;
use crate::stage::find::find;
use crate::stage::identify::{Arrival, Request, RequestId, RequestPath, Trust, identify};
use crate::stage::upgrade::upgrade;

/// A request as it is asked about.
pub(crate) struct Asked {
    head: RequestHead,
    tls: bool,
}

/// Why a question is none.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum AskError {
    #[error("\"{0}\" is not a request: write 'GET https://api.example.com/orders/1'")]
    Line(String),
    #[error("\"{0}\" is not a header: write 'name: value'")]
    Header(String),
}

/// What would happen.
#[derive(Debug, Serialize)]
pub(crate) struct Explanation {
    /// The route that answers.
    pub(crate) route: Option<String>,
    /// The reason why the router answers by itself; none when the request is forwarded.
    pub(crate) reason: Option<&'static str>,
    /// The status that goes with the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    /// The boundary's name of the destination.
    pub(crate) destination: Option<String>,
    /// The request as the destination would see it.
    pub(crate) forwarded: Option<Forwarded>,
    /// The generation that was asked.
    pub(crate) generation: u64,
    /// How it came to this.
    pub(crate) steps: Vec<Step>,
}

/// A request as a destination would see it.
#[derive(Debug, Serialize)]
pub(crate) struct Forwarded {
    pub(crate) method: String,
    pub(crate) target: String,
    /// The connection: scheme, name and port that are dialled.
    pub(crate) dialled: String,
    pub(crate) headers: Vec<(String, String)>,
}

/// One decision.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    pub(crate) stage: &'static str,
    pub(crate) verdict: String,
}

impl Asked {
    /// Reads `METHOD URL`, and headers as `name: value`. The URL's path is taken as it is written.
    pub(crate) fn parse(line: &str, headers: &[String]) -> Result<Self, AskError> {
        let bad = || AskError::Line(line.to_owned());
        let (method, url) = line.trim().split_once(' ').ok_or_else(bad)?;
        let url = url.trim();
        let (tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(bad()),
        };
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(at);
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let mut text = format!("{method} {target} HTTP/1.1\r\n");
        let mut host = authority;
        for header in headers {
            let bad = || AskError::Header(header.clone());
            let (name, value) = header.split_once(':').ok_or_else(bad)?;
            let (name, value) = (name.trim(), value.trim());
            if name.is_empty() || value.contains(['\r', '\n']) {
                return Err(bad());
            }
            match name.eq_ignore_ascii_case("host") {
                true => host = value,
                false => text.push_str(&format!("{name}: {value}\r\n")),
            }
        }
        text.push_str(&format!("host: {host}\r\n\r\n"));
        // The same codec as serving; what it refuses of a line that was put together here is the line or a header.
        let head = RequestHead::parse(text.as_bytes()).map_err(|flaw| match (flaw, headers) {
            (crate::http1::Flaw::Field, [header, ..]) => AskError::Header(header.clone()),
            _ => bad(),
        })?;
        Ok(Self { head, tls })
    }
}

/// Explains a request at an instant, in seconds after 1970.
pub(crate) fn explain(snapshot: &Snapshot, asked: Asked, now: i64) -> Explanation {
    let mut explanation = Explanation {
        route: None,
        reason: None,
        status: None,
        destination: None,
        forwarded: None,
        generation: snapshot.header.generation,
        steps: Vec::new(),
    };
    if let Err(rejection) = walk(snapshot, asked, now, &mut explanation) {
        explanation.reason = Some(rejection.reason.code());
        explanation.status = Some(rejection.reason.status().as_u16());
        let detail = if rejection.detail.is_empty() { rejection.reason.public() } else { &*rejection.detail };
        explanation.step("refused", format!("{}: {detail}", rejection.reason.code()));
    }
    explanation
}

/// The order of `pipeline::run`, which a differential test holds it to.
fn walk(snapshot: &Snapshot, asked: Asked, now: i64, explanation: &mut Explanation) -> Result<(), Rejection> {
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let arrival = Arrival { peer, tls: asked.tls };
    let request = identify(Rc::new(asked.head), arrival, &Trust::default(), &snapshot.hosts, RequestId::new(0))?;
    explanation.step("identify", identified(&request));

    let mut passed = Vec::new();
    let found = find(snapshot, &request, now, |route, why| {
        passed.push(format!("{} is passed over: {}", route.id, words(&why)))
    });
    for verdict in passed {
        explanation.step("match", verdict);
    }
    let route = found?;
    explanation.route = Some(route.id.to_string());
    explanation.step("match", format!("{} answers, of {}", route.id, route.owner));

    let principal = prove(&route, &request, now, explanation)?;
    explanation.step("authenticate", format!("{} by {}", principal.name(), principal.via()));
    let count = route.rights.count();
    let decided = authorize(route, principal, &circumstances(&request, now), true);
    for verdict in &decided.verdicts {
        explanation.step("authorize", words_of(verdict));
    }
    let permit = decided.permit?;
    explanation.step("authorize", format!("permitted, with demands of {count} layers"));
    explanation.step("limit", format!("a body of at most {} bytes", permit.route().body_max));

    let route = permit.route();
    let handshake = upgrade(&request.head, route.websocket.is_some())?;
    explanation.step("upgrade", upgrades(route.websocket, handshake.is_some()));

    let targets = &permit.route().targets;
    let target = choose(targets, |_| 0);
    if targets.len() > 1 {
        let shares: Vec<_> = targets.iter().map(|one| format!("{} {}", one.weight, one.destination.name())).collect();
        explanation.step("choose", format!("by weight among {}; the first is shown", shares.join(", ")));
    }
    if permit.principal().has_signed() {
        check_signature(&request, snapshot, &permit, target, now, SKEW)?;
        explanation.step("signature", "can be right for this destination, which checks it".to_owned());
    }
    let destination = &target.destination;
    explanation.destination = Some(destination.name().to_string());
    let written = outbound(&request, peer, snapshot, &permit, target, handshake.is_some()).framed(Framing::None);
    let head = RequestHead::parse(&written)?;
    let scheme = if destination.tls().is_some() { "https" } else { "http" };
    let dialled = format!("{scheme}://{}:{}", destination.dial(), destination.port());
    explanation
        .step("forward", format!("{} {} to {dialled} as {:?}", head.method(), head.target(), destination.host()));
    let fields = head.fields().iter();
    let headers = fields.map(|(name, value)| {
        (String::from_utf8_lossy(name).to_lowercase(), String::from_utf8_lossy(value).into_owned())
    });
    explanation.forwarded = Some(Forwarded {
        method: head.method().to_string(),
        target: head.target().to_owned(),
        dialled,
        headers: headers.collect(),
    });
    Ok(())
}

fn prove(
    route: &RoutePlan,
    request: &Request,
    now: i64,
    explanation: &mut Explanation,
) -> Result<Principal, Rejection> {
    let found = authenticate(&route.ways, request.head.fields(), request.head.query(), now, &Default::default());
    let found = match found {
        // No authorizer is asked about a path with two readings.
        Ok(Outcome::Consult(_)) if circumstances(request, now).path.is_none() => Err(Reason::PathAmbiguous.into()),
        found => found,
    };
    match found {
        Ok(Outcome::Proved(principal)) => Ok(principal),
        Ok(Outcome::Ask(question)) => {
            explanation.step("authenticate", "the password is taken to be right: explain does not check it".to_owned());
            Ok(question.principal())
        }
        Ok(Outcome::Consult(external)) => {
            let words = format!("{} is taken to say yes and no more: explain does not ask it", external.via());
            explanation.step("authenticate", words);
            Ok(external.unasked())
        }
        Err(rejection) if !route.insists => {
            let verdict = Verdict::unproved(rejection.reason.code());
            explanation.step("authenticate", words_of(&verdict));
            Ok(Principal::anonymous())
        }
        Err(rejection) => Err(rejection),
    }
}

/// Which layer and which policy, and what they say.
fn words_of(verdict: &Verdict) -> String {
    let said = match (verdict.allowed, verdict.mode) {
        (true, Mode::Shadow) => "would permit; shadow",
        (true, _) => "permits",
        (false, Mode::Shadow) => "would refuse; shadow",
        (false, _) => "refuses",
    };
    match verdict.why.is_empty() {
        true => format!("{verdict} {said}"),
        false => format!("{verdict} {said}: {}", verdict.why),
    }
}

fn upgrades(idle: Option<Duration>, asked: bool) -> String {
    match (idle, asked) {
        (None, _) => "no WebSocket may be opened".to_owned(),
        (Some(idle), true) => format!("a WebSocket is asked for, which may be silent for {idle:?}"),
        (Some(idle), false) => format!("a WebSocket may be opened and be silent for {idle:?}; none is asked for"),
    }
}

fn identified(request: &Request) -> String {
    match &request.path {
        RequestPath::Ambiguous(front, error) => format!("host {}, path {front}… ({error})", request.host),
        RequestPath::Plain | RequestPath::Canonical(_) => format!("host {}, path {}", request.host, request.path()),
    }
}

impl Explanation {
    fn step(&mut self, stage: &'static str, verdict: String) {
        self.steps.push(Step { stage, verdict });
    }

    /// For a person.
    pub(crate) fn to_text(&self) -> String {
        let mut lines: Vec<String> =
            self.steps.iter().map(|step| format!("{:<12} {}", step.stage, step.verdict)).collect();
        if let Some(forwarded) = &self.forwarded {
            lines.push(String::new());
            lines.push(format!("{} {}", forwarded.method, forwarded.target));
            lines.extend(forwarded.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        }
        lines.join("\n")
    }
}

fn words(why: &Passed) -> String {
    match why {
        Passed::Method => "it does not take this method".to_owned(),
        Passed::Header(name) => format!("the header {name} has not the value it asks for"),
        Passed::QueryParameter(name) => format!("the query parameter {name} has not the value it asks for"),
        Passed::Fence => "a path rule of the boundary lies between its root and this path".to_owned(),
        Passed::Ambiguous => "the path has two readings, and the route is not path: raw".to_owned(),
        Passed::LeaseExpired => "its lease has ended".to_owned(),
    }
}

/// The parameters of a query, decoded.
pub(crate) fn parameters(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    crate::snapshot::table::parameters(query).map(|(name, value)| (name.into_owned(), value.into_owned()))
}
