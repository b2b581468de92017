//! What holds for every registration under every boundary, however odd.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

mod support;

use indexmap::IndexMap;
use postern_config::Boundary;
use postern_config::check::{Demand, admit, recheck};
use postern_config::document::{
    AnyOf, Authenticator, Authorization, BodyPolicy, Breaker, IdentityToken, Limit, LimitBy, Mode, PathHandling,
    PolicySet, Registration, Rewrite, RouteId, RouteMatch, RouteTimeouts, SignedFor, Target, Telemetry,
};
use postern_config::route::Route;
use postern_config::value::{
    ByteSize, DestinationUrl, HostName, HostPattern, Period, RootPath, Template, canonical_path,
};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use serde_json::json;

fn of<T>(texts: &'static [&'static str]) -> impl Strategy<Value = T>
where
    T: std::str::FromStr<Err: std::fmt::Debug> + std::fmt::Debug + Clone + 'static,
{
    prop::sample::select(texts).prop_map(|text| text.parse::<T>().unwrap())
}

fn roots() -> impl Strategy<Value = RootPath> {
    of(&["/", "/a", "/a/b", "/pay", "/pay/x", "/pay/admin", "/payx", "/open"])
}

/// Mostly what is fine, so that most of what is made can be admitted.
fn mostly<T: std::fmt::Debug>(
    fine: impl Strategy<Value = T> + 'static,
    odd: impl Strategy<Value = T> + 'static,
) -> impl Strategy<Value = T> {
    prop_oneof![12 => fine, 1 => odd]
}

fn ways() -> impl Strategy<Value = AnyOf> {
    let fine = prop::collection::vec(of(&["jwt:corp"]), 1..2).boxed();
    let other = prop::collection::vec(of(&["jwt:corp", "jwt:other"]), 1..3).boxed();
    let odd =
        prop::collection::vec(of(&["none", "iam", "jwt:corp", "jwt:other", "basic:ops", "jwt:nobody"]), 0..3).boxed();
    let signed_for = prop_oneof![Just(SignedFor::Router), Just(SignedFor::Destination)];
    (prop_oneof![fine, other, odd], modes(), prop::option::weighted(0.1, signed_for))
        .prop_map(|(any_of, mode, signed_for)| AnyOf { any_of, mode, signed_for })
}

fn modes() -> impl Strategy<Value = Mode> {
    mostly(Just(Mode::Enforce), prop::sample::select(&[Mode::Shadow, Mode::Off][..]))
}

fn periods() -> impl Strategy<Value = Option<Period>> {
    prop::option::weighted(0.3, mostly(of(&["1s", "5s", "60s"]), of(&["0s", "90h"])))
}

fn limits() -> impl Strategy<Value = Vec<Limit>> {
    let by = prop::sample::select(&[LimitBy::Caller, LimitBy::Client, LimitBy::Route][..]);
    let burst = prop::option::weighted(0.5, mostly(1..9_u32, Just(0)));
    let limit = (of(&["one", "two"]), of(&["1/s", "60/m"]), burst, by, modes());
    let limit = limit.prop_map(|(name, rate, burst, by, mode)| Limit { name, rate, burst, by, mode });
    prop::collection::vec(limit, 0..3)
}

fn breakers() -> impl Strategy<Value = Breaker> {
    let failures = prop::option::weighted(0.5, mostly(1..9_u32, Just(0)));
    let ratio = prop::option::weighted(0.3, of(&["0%", "50%", "100%"]));
    (failures, ratio, periods(), periods(), modes()).prop_map(|(failures, ratio, within, opens_for, mode)| Breaker {
        failures,
        ratio,
        within,
        opens_for,
        mode,
    })
}

fn policies() -> impl Strategy<Value = PolicySet> {
    let scopes = prop::collection::vec(mostly(prop::sample::select(&["read", "write"][..]), Just("a b")), 0..3);
    let headers = prop::collection::vec(mostly(of(&["x-user", "x-roles"]), of(&["host", "x-forwarded-for"])), 0..2);
    let path = prop::option::weighted(0.2, prop::sample::select(&[PathHandling::Strict, PathHandling::Raw][..]));
    (
        prop::option::weighted(0.4, ways()),
        prop::option::weighted(0.15, (scopes, modes())),
        (prop::option::weighted(0.2, headers), modes()),
        (periods(), periods(), periods(), periods()),
        prop::option::weighted(0.3, 0..9_u64),
        (
            path,
            prop::option::weighted(0.2, any::<bool>()),
            prop::option::weighted(0.2, limits()),
            prop::option::weighted(0.2, breakers()),
        ),
    )
        .prop_map(
            |(
                authentication,
                scopes,
                (headers, identity_headers_mode),
                (connect, first_byte, idle, total),
                max,
                more,
            )| PolicySet {
                authentication,
                authorization: scopes.map(|(scopes, mode)| Authorization {
                    scopes: scopes.into_iter().map(str::to_owned).collect(),
                    mode,
                    ..Authorization::default()
                }),
                identity_headers: headers.map(|headers| {
                    headers.into_iter().map(|name| (name, "sub".to_owned())).collect::<IndexMap<_, _>>()
                }),
                identity_headers_mode,
                identity_token: more.1.map(|_| IdentityToken {
                    header: None,
                    audience: "orders".to_owned(),
                    ttl: None,
                    claims: IndexMap::new(),
                    mode: identity_headers_mode,
                }),
                limits: more.2,
                breaker: more.3,
                timeouts: RouteTimeouts { connect, first_byte, idle, total },
                telemetry: Telemetry::default(),
                body: BodyPolicy { max: max.map(ByteSize::new) },
                path: more.0,
                websocket: more.1,
            },
        )
}

fn targets() -> impl Strategy<Value = Target> {
    let fine = of(&["https://x.apis.internal.example.com", "https://x.apis.internal.example.com/v1"]);
    let odd = of(&[
        "https://one.example.com:8443", "http://plain.internal.example.com:8080", "http://x.apis.internal.example.com",
        "https://evil.example.com", "https://x.apis.internal.example.com:22", "https://apis.internal.example.com",
        "https://localhost",
    ]);
    let hosts = mostly(of(&["y.apis.internal.example.com"]), of(&["one.example.com", "evil.example.com"]));
    (prop_oneof![3 => fine, 1 => odd], prop::option::weighted(0.2, hosts), mostly(1..3_u16, Just(0)))
        .prop_map(|(url, host, weight)| Target { url, host, weight })
}

fn registrations() -> impl Strategy<Value = Registration> {
    let templates = of(&[
        "/a/{id}", "/pay/{id}", "/{any}", "/{any}/{id}", "/{any}/admin/{rest*}", "/{rest*}", "/a/b/{x}/{rest*}",
        "/pay", "/open/x",
    ]);
    let matching = (
        prop::collection::vec(
            mostly(of(&["api.example.com", "*.api.example.com"]), of(&["x.api.example.com", "evil.com"])),
            0..2,
        ),
        prop::option::weighted(0.5, templates),
    );
    let rewrites = prop_oneof![
        of(&["/v1", "/"]).prop_map(|prefix| (Some(prefix), None)),
        of(&["/v1/{id}", "/x"]).prop_map(|path| (None, Some(path))),
    ];
    (
        roots(),
        of(&["default", "other", "a/b"]),
        of(&["team-a", "team-pay", "team-pay"]),
        matching,
        prop_oneof![6 => prop::collection::vec(targets(), 1..3), 1 => Just(Vec::new())],
        prop::option::weighted(0.2, rewrites),
        policies(),
    )
        .prop_map(|(root, name, owner, (hosts, path), destinations, rewrite, policies)| Registration {
            root,
            name,
            owner,
            matching: RouteMatch { hosts, path, ..RouteMatch::default() },
            destinations,
            rewrite: rewrite.map(|(prefix, path)| Rewrite { prefix, path }),
            policies,
            ..support::registration(&json!({"root": "/", "owner": "x"}))
        })
}

/// A boundary with these layers, if they hold.
fn boundary(defaults: &PolicySet, overrides: &PolicySet) -> Option<Boundary> {
    const TEXT: &str = r#"
apiVersion: postern/v1
kind: Boundary
hosts: [api.example.com, "*.api.example.com"]
destinations:
  - {name: wide, hosts: ["*.apis.internal.example.com"]}
  - {name: one, hosts: [one.example.com], ports: [8443]}
  - {name: plain, hosts: [plain.internal.example.com], schemes: [http], ports: [8080]}
identity:
  jwt:
    - {name: corp, issuer: "https://a", audiences: [a], jwks_url: "https://a/keys"}
    - {name: other, issuer: "https://b", audiences: [a], jwks_url: "https://b/keys"}
  basic: [{name: ops, users: []}]
paths:
  - {prefix: /, destinations: [wide, one, plain]}
  - {prefix: /pay, owners: [team-pay], destinations: [wide], require: {authentication: {any_of: ["jwt:corp", "jwt:other"]}}}
  - {prefix: /pay/admin, owners: [team-pay], require: {authentication: {any_of: ["jwt:corp"]}, authorization: {scopes: [admin]}}}
"#;
    let mut document = support::boundary_of(TEXT).document().clone();
    document.defaults.policies = defaults.clone();
    document.overrides.policies = overrides.clone();
    Boundary::check(document).ok()
}

fn lies_within(boundary: &Boundary, route: &Route) -> bool {
    route.destinations.iter().all(|target| {
        let destination = boundary.destination(&target.via).unwrap();
        let lists = |host: &HostName| destination.hosts.iter().any(|pattern| pattern.matches(host));
        let ports: Vec<u16> = match destination.ports.as_slice() {
            [] => destination.schemes.iter().map(|scheme| scheme.default_port()).collect(),
            ports => ports.iter().map(|port| port.get()).collect(),
        };
        lists(&target.url.host)
            && lists(&target.host)
            && destination.schemes.contains(&target.url.scheme)
            && ports.contains(&target.url.port)
    })
}

/// Whether some path of the route lies at or below `prefix`, told by trying it with the prefix's segments.
fn claims_below(route: &Route, prefix: &str) -> bool {
    let wanted: Vec<&str> = prefix.split('/').skip(1).collect();
    let Some(template) = &route.matching.path else {
        return RootPath::covers(&prefix.parse().unwrap(), &route.root);
    };
    use postern_config::value::Segment;
    let mut plain = 0;
    for (index, segment) in template.segments().iter().enumerate() {
        match (segment, wanted.get(index)) {
            (_, None) => return true,
            (Segment::Literal(text), Some(expected)) if text == expected => plain += 1,
            (Segment::Literal(_), _) => return false,
            (Segment::Variable(_), _) => {}
            // A prefix claims as much and gives way to longer ones; behind a variable it reaches past them.
            (Segment::Rest(_), _) => return index > plain,
        }
    }
    template.segments().len() >= wanted.len()
}

fn hold(boundary: &Boundary, registration: &Registration, route: &Route) -> Result<(), TestCaseError> {
    prop_assert!(lies_within(boundary, route), "{:?}", route.destinations);
    let upper = &boundary.document().overrides.policies;
    let policies = &route.policies;
    for (forced, holds) in [
        (upper.timeouts.connect, policies.timeouts.connect),
        (upper.timeouts.first_byte, policies.timeouts.first_byte),
        (upper.timeouts.idle, policies.timeouts.idle),
        (upper.timeouts.total, policies.timeouts.total),
    ] {
        prop_assert!(forced.is_none() || forced == holds);
    }
    prop_assert!(upper.body.max.is_none() || upper.body.max == policies.body.max);
    prop_assert!(upper.path.is_none() || upper.path == policies.path);
    prop_assert!(upper.identity_headers.is_none() || upper.identity_headers == policies.identity_headers);
    prop_assert!(
        upper.identity_headers.is_none() || upper.identity_headers_mode == policies.identity_headers_mode,
        "{route:?}"
    );
    prop_assert!(upper.authentication.is_none() || upper.authentication == policies.authentication);
    // Every layer that says something and is not off makes its demand, as it stands there.
    let demands = boundary.demands(registration);
    for layer in [upper, &registration.policies, &boundary.document().defaults.policies] {
        let demanded = layer.authorization.as_ref().filter(|one| one.mode != Mode::Off);
        prop_assert!(demanded.is_none_or(|one| demands.iter().any(|demand| std::ptr::eq(demand.authorization, one))));
    }
    let again = route.registration();
    prop_assert_eq!(&boundary.demands(&again), &demands);
    let ways = policies.authentication.as_ref().map_or(&[][..], |one| one.any_of.as_slice());
    let rules = [("/pay", &["jwt:corp", "jwt:other"][..], ""), ("/pay/admin", &["jwt:corp"][..], "admin")];
    for (prefix, demanded, scope) in rules {
        if !claims_below(route, prefix) {
            continue;
        }
        prop_assert_eq!(route.owner.as_str(), "team-pay", "{} {:?}", prefix, route);
        // The longest prefix rules what lies wholly below it.
        prop_assert!(
            !ways.is_empty() && ways.iter().all(|way| demanded.contains(&way.to_string().as_str())),
            "{route:?}"
        );
        let insists = |one: &&Demand<'_>| one.authorization.mode == Mode::Enforce;
        let mut enforced = demands.iter().filter(insists).flat_map(|one| &one.authorization.scopes);
        prop_assert!(scope.is_empty() || enforced.any(|one| one == scope));
        prop_assert_eq!(policies.authentication.as_ref().map(|one| one.mode), Some(Mode::Enforce));
    }
    prop_assert_eq!(recheck(boundary, route), Ok(()));
    let line = serde_json::to_string(route).unwrap();
    let again: Route = serde_json::from_str(&line).unwrap();
    prop_assert_eq!(&again, route);
    prop_assert_eq!(recheck(boundary, &again), Ok(()));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn a_route_is_within_its_boundary(registration in registrations(), defaults in policies(), overrides in policies()) {
        let layers = [(PolicySet::default(), PolicySet::default()), (defaults, overrides)];
        for boundary in layers.iter().filter_map(|(lower, upper)| boundary(lower, upper)) {
            match admit(&boundary, &registration) {
                Ok(route) => hold(&boundary, &registration, &route)?,
                Err(refusals) => prop_assert!(!refusals.is_empty()),
            }
        }
    }

    #[test]
    fn what_is_displayed_is_parsed(
        path in "(/[a-z{}*:.%~_-]{1,6}){0,4}/?", host in "(\\*\\.)?[a-zA-Z0-9-]{1,8}(\\.[a-z0-9-]{1,8}){0,3}",
        port in any::<u16>(), name in "[a-z0-9./@_-]{1,8}",
    ) {
        if let Ok(template) = path.parse::<Template>() {
            prop_assert_eq!(template.to_string().parse::<Template>().unwrap(), template);
        }
        if let Ok(pattern) = host.parse::<HostPattern>() {
            prop_assert_eq!(pattern.to_string().parse::<HostPattern>().unwrap(), pattern);
        }
        for url in [format!("https://{host}:{port}{path}"), format!("http://{host}{path}")] {
            if let Ok(url) = url.parse::<DestinationUrl>() {
                prop_assert_eq!(url.to_string().parse::<DestinationUrl>().unwrap(), url);
            }
        }
        if let (Ok(root), Ok(name)) = (path.parse(), name.parse()) {
            let id = RouteId { root, name };
            prop_assert_eq!(id.to_string().parse::<RouteId>().unwrap(), id);
        }
    }

    #[test]
    fn a_canonical_path_has_one_reading(raw in "/([a-z./%;\\\\#]|%2[eEfF5]|%5[cC]|%0[0aA]|\\.\\.|[\u{0}-\u{ff}]){0,12}") {
        if let Ok(canonical) = canonical_path(raw.as_bytes()) {
            prop_assert!(canonical.starts_with('/') && !canonical.contains("//"), "{canonical}");
            prop_assert!(canonical.split('/').all(|segment| segment != ".." && segment != "."), "{canonical}");
            let odd = |c: char| c.is_control() || !c.is_ascii() || matches!(c, '\\' | ';' | '#' | '?' | ' ');
            prop_assert!(!canonical.contains(odd), "{canonical}");
            for escape in ["%2F", "%5C", "%00", "%2E"] {
                prop_assert!(!canonical.contains(escape), "{canonical}");
            }
        }
    }
}

#[test]
fn the_strategies_reach_routes_and_refusals() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut routes, mut ruled) = (0, 0);
    let boundary = boundary(&PolicySet::default(), &PolicySet::default()).unwrap();
    for _ in 0..4_000 {
        let registration = registrations().new_tree(&mut runner).unwrap().current();
        if let Ok(route) = admit(&boundary, &registration) {
            routes += 1;
            ruled += i32::from(
                route
                    .policies
                    .authentication
                    .iter()
                    .any(|one| one.any_of == [Authenticator::Jwt("corp".parse().unwrap())]),
            );
        }
    }
    assert!(routes > 600 && ruled > 60, "{routes} routes, {ruled} under a demand");
}
