//! The boundary's layers around a registration's policies: defaults below, overrides above.

use crate::cedar::Vocabulary;
use crate::document::{
    AnyOf, Authorization, BodyPolicy, Identity, Mode, PathRule, PolicySet, Registration, RouteTimeouts, Telemetry,
};
use crate::limits;
use crate::problem::{Problem, ProblemKind, pointer_token};

use super::{Boundary, Layer, breaker, identity, identity_token, limit, rights};

/// What holds for a registration: field by field the override, else its own, else the default; then what
/// its path rules demand. What callers must be allowed adds up, so that no layer can take another's demand away.
pub(super) fn effective(boundary: &Boundary, registered: &PolicySet, rules: &[&PathRule]) -> PolicySet {
    Choice::among(boundary, registered).make(rules)
}

impl Boundary {
    /// Which layer each policy of a registration's route comes from, for whoever asks why it is so. What callers must be
    /// allowed adds up over layers: see [`Boundary::demands`].
    pub fn origins<'b>(&'b self, registration: &'b Registration) -> Vec<(&'static str, Layer<'b>)> {
        let mut choice = Choice::among(self, &registration.policies);
        choice.make(&self.governing(registration).claimed);
        choice.origins
    }
}

/// The layers, from the strongest on, and which of them decided about what.
struct Choice<'b> {
    layers: [(Layer<'b>, &'b PolicySet); 3],
    origins: Vec<(&'static str, Layer<'b>)>,
}

impl<'b> Choice<'b> {
    fn among(boundary: &'b Boundary, registered: &'b PolicySet) -> Self {
        let document = boundary.document();
        let layers = [
            (Layer::Override, &document.overrides.policies),
            (Layer::Registration, registered),
            (Layer::Default, &document.defaults.policies),
        ];
        Self { layers, origins: Vec::new() }
    }

    fn make(&mut self, rules: &[&'b PathRule]) -> PolicySet {
        let [(_, upper), (_, own), (_, lower)] = self.layers;
        let demands = [&upper.authorization, &lower.authorization];
        let required = rules.iter().map(|rule| &rule.require.authorization);
        // Written out without `..`, so that a new policy cannot be forgotten here.
        PolicySet {
            authentication: self.authentication(rules),
            authorization: together(own.authorization.as_ref(), demands.into_iter().chain(required)),
            identity_headers: self.first("identity_headers", |one| one.identity_headers.as_ref()),
            identity_headers_mode: self.headers_mode(),
            identity_token: self.first("identity_token", |one| one.identity_token.as_ref()),
            limits: self.first("limits", |one| one.limits.as_ref()),
            timeouts: RouteTimeouts {
                connect: self.first("timeouts.connect", |one| one.timeouts.connect.as_ref()),
                first_byte: self.first("timeouts.first_byte", |one| one.timeouts.first_byte.as_ref()),
                idle: self.first("timeouts.idle", |one| one.timeouts.idle.as_ref()),
                total: self.first("timeouts.total", |one| one.timeouts.total.as_ref()),
            },
            breaker: self.first("breaker", |one| one.breaker.as_ref()),
            body: BodyPolicy { max: self.first("body.max", |one| one.body.max.as_ref()) },
            telemetry: Telemetry {
                access_log: self.first("telemetry.access_log", |one| one.telemetry.access_log.as_ref()),
                audit: self.first("telemetry.audit", |one| one.telemetry.audit.as_ref()),
                traces: self.first("telemetry.traces", |one| one.telemetry.traces.as_ref()),
            },
            path: self.first("path", |one| one.path.as_ref()),
            websocket: self.first("websocket", |one| one.websocket.as_ref()),
        }
    }

    /// What the strongest layer says that says anything.
    fn first<T: Clone + 'b>(&mut self, policy: &'static str, of: impl Fn(&'b PolicySet) -> Option<&'b T>) -> Option<T> {
        let (layer, value) = self.layers.iter().find_map(|(layer, set)| Some((*layer, of(set)?)))?;
        self.origins.push((policy, layer));
        Some(value.clone())
    }

    /// The mode that stands beside the headers that hold, so that no other layer's turns them down.
    fn headers_mode(&self) -> Mode {
        let named = self.layers.iter().find(|(_, set)| set.identity_headers.is_some());
        named.map_or(Mode::Enforce, |(_, set)| set.identity_headers_mode)
    }

    /// The same for proofs, but for a default that is not enough under the rules, which is not what anybody asked for; and
    /// where nobody says anything, what the rules demand.
    fn authentication(&mut self, rules: &[&'b PathRule]) -> Option<AnyOf> {
        let demanded = rules.iter().find_map(|rule| Some((*rule, rule.require.authentication.as_ref()?)));
        let fits = |layer, one: &AnyOf| layer != Layer::Default || demanded.is_none_or(|(_, all)| satisfies(one, all));
        let said = self.layers.iter().filter_map(|(layer, set)| Some((*layer, set.authentication.as_ref()?)));
        let rule = demanded.map(|(rule, one)| (Layer::Rule(&rule.prefix), one));
        let (layer, any_of) = said.filter(|(layer, one)| fits(*layer, one)).chain(rule).next()?;
        self.origins.push(("authentication", layer));
        Some(any_of.clone())
    }
}

/// Whether whoever passes `one` has passed `demanded`.
pub(crate) fn satisfies(one: &AnyOf, demanded: &AnyOf) -> bool {
    one.mode <= demanded.mode && one.any_of.iter().all(|way| demanded.any_of.contains(way))
}

/// What a route shows of all that its layers demand: its own demand, and with it the scopes of the others. Decided is
/// by [`Boundary::demands`].
fn together<'a>(
    own: Option<&Authorization>,
    layers: impl Iterator<Item = &'a Option<Authorization>>,
) -> Option<Authorization> {
    let mut all = own.cloned();
    // Where its own is not enforced, others' scopes in it would read as if they were not either.
    if own.is_some_and(|own| own.mode != Mode::Enforce) {
        return all;
    }
    for part in layers.flatten().filter(|part| part.mode == Mode::Enforce && !part.scopes.is_empty()) {
        all.get_or_insert_default().scopes.extend(part.scopes.iter().cloned());
    }
    if let Some(all) = &mut all {
        all.scopes.sort();
        all.scopes.dedup();
    }
    all
}

/// What can be said of a set of policies on its own. `variables` are those of the route's template, where it is known.
pub(super) fn check_policies(
    problems: &mut Vec<Problem>,
    at: &str,
    policies: &PolicySet,
    known: &Identity,
    words: &Vocabulary,
    variables: Option<&[&str]>,
) {
    if let Some(any_of) = &policies.authentication {
        identity::check_any_of(problems, &format!("{at}/authentication"), any_of, known);
    }
    if let Some(demand) = &policies.authorization {
        rights::check_demand(problems, &format!("{at}/authorization"), demand, words, variables);
    }
    for (header, claim) in policies.identity_headers.iter().flatten() {
        let name = header.as_str();
        let at = format!("{at}/identity_headers/{}", pointer_token(name));
        if is_never_set(name) {
            problems.push(
                Problem::new(at, ProblemKind::Invalid, "is a header that the router or the protocol needs itself")
                    .hint("choose another name, e.g. x-user-id"),
            );
        } else if !rights::is_claim_path(claim) {
            problems
                .push(Problem::new(at, ProblemKind::Invalid, "names no claim").hint("e.g. sub, or realm_access.roles"));
        }
    }
    if policies.identity_headers.is_none() && policies.identity_headers_mode != Mode::Enforce {
        problems.push(
            Problem::new(
                format!("{at}/identity_headers_mode"),
                ProblemKind::Contradiction,
                "has no identity_headers beside it",
            )
            .hint("it is said by whoever names the headers: name them here, or take it out"),
        );
    }
    identity_token::check(problems, at, policies);
    limit::check(problems, &format!("{at}/limits"), policies.limits.as_deref().unwrap_or_default().iter());
    breaker::check(problems, at, policies);
    let timeouts = &policies.timeouts;
    for (field, period) in [
        ("connect", timeouts.connect),
        ("first_byte", timeouts.first_byte),
        ("idle", timeouts.idle),
        ("total", timeouts.total),
    ] {
        let Some(period) = period else { continue };
        let at = format!("{at}/timeouts/{field}");
        if period.duration().is_zero() {
            problems.push(
                Problem::new(at, ProblemKind::Invalid, "is zero, so every request would fail")
                    .hint("leave it out for the default"),
            );
        } else if period.duration().as_secs() > limits::TIMEOUT_SECONDS {
            problems.push(
                Problem::new(at, ProblemKind::Limit, format!("\"{period}\" is longer than a day"))
                    .hint("what takes longer is better asked for again"),
            );
        }
    }
}

/// Whether no policy may set a header.
pub(super) fn is_never_set(name: &str) -> bool {
    NEVER_SET.contains(&name) || NEVER_BEGIN.iter().any(|prefix| name.starts_with(prefix))
}

/// Headers that frame a message, name a host, carry credentials, or that the router writes itself; and those
/// by which frameworks let a client change the method or the path behind a gateway's back.
const NEVER_SET: [&str; 25] = [
    "host", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "via", "forwarded",
    "authorization", "cookie", "set-cookie", "date", "max-forwards", "x-request-id", "x-real-ip", "x-method-override",
    "x-original-url", "x-original-uri", "x-original-host", "x-rewrite-url", "traceparent", "tracestate", "baggage",
];

/// The same, by how they begin.
const NEVER_BEGIN: [&str; 8] =
    ["content-", "proxy-", "sec-", "x-amz", "x-apigw-", "x-forwarded-", "x-http-method", "x-postern-"];
