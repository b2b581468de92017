//! A header that tells who calls holds the router's word or is not there, whatever a client writes and however.

use postern_tests::frames::Http2;
use postern_tests::hpack::Block;
use postern_tests::{Origin, Request, Router, Signer, Site, boundary_with, registration, run, seconds_from_now};
use serde_json::json;

const ISSUER: &str = "https://login.example.com/";

/// Names that policies give, for what destinations commonly believe.
const NAMES: [&str; 25] = [
    "x-user-id", "x-user-roles", "x-user-name", "x-user-email", "x-user-groups", "x-user", "x-username", "x-auth-user",
    "x-auth-request-user", "x-auth-request-email", "x-authenticated-user", "x-authenticated-userid", "x-remote-user",
    "x-account-id", "x-tenant-id", "x-org-id", "x-role", "x-scopes", "x-permissions", "x-consumer-id", "x-client-id",
    "x-subject", "x-principal", "remote-user", "from",
];

/// One way to write a header that is not the client's to write.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Spelling {
    Plain,
    Upper,
    Title,
    Mixed,
    Underscores,
    Dots,
    Twice,
    Empty,
    NamedByConnection,
    Trailer,
    BlankBeforeColon,
    OverHttp2,
}

const SPELLINGS: [Spelling; 12] = [
    Spelling::Plain,
    Spelling::Upper,
    Spelling::Title,
    Spelling::Mixed,
    Spelling::Underscores,
    Spelling::Dots,
    Spelling::Twice,
    Spelling::Empty,
    Spelling::NamedByConnection,
    Spelling::Trailer,
    Spelling::BlankBeforeColon,
    Spelling::OverHttp2,
];

/// What authentication comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Caller {
    /// Nobody was asked.
    Anonymous,
    /// Proved, and the token says what the header is made from.
    Known,
    /// Proved, and it does not.
    Unsaid,
}

fn capitals(name: &str) -> String {
    let parts = name.split('-').map(|part| part[..1].to_uppercase() + &part[1..]);
    parts.collect::<Vec<_>>().join("-")
}

fn alternating(name: &str) -> String {
    let change = |(at, letter): (usize, char)| if at % 2 == 0 { letter.to_ascii_uppercase() } else { letter };
    name.chars().enumerate().map(change).collect()
}

/// The lines that a client adds to its head.
fn lines(name: &str, spelling: Spelling) -> String {
    match spelling {
        Spelling::Plain | Spelling::OverHttp2 => format!("{name}: forged\r\n"),
        Spelling::Upper => format!("{}: forged\r\n", name.to_uppercase()),
        Spelling::Title => format!("{}: forged\r\n", capitals(name)),
        Spelling::Mixed => format!("{}: forged\r\n", alternating(name)),
        Spelling::Underscores => format!("{}: forged\r\n", name.replace('-', "_")),
        Spelling::Dots => format!("{}: forged\r\n", name.replace('-', ".")),
        Spelling::Twice => format!("{name}: forged\r\n{}: forged\r\n", capitals(name)),
        Spelling::Empty => format!("{name}:\r\n{name}: forged\r\n"),
        Spelling::NamedByConnection => format!("connection: {name}\r\n{name}: forged\r\n"),
        Spelling::Trailer => format!("trailer: {name}\r\ntransfer-encoding: chunked\r\n"),
        Spelling::BlankBeforeColon => format!("{name} : forged\r\n"),
    }
}

struct Scene {
    origin: Origin,
    router: Router,
    signer: Signer,
    _site: Site,
}

impl Scene {
    fn new() -> Self {
        let (origin, signer) = (Origin::named("orders"), Signer::ec());
        let issuer = format!(
            "identity: {{jwt: [{{name: corp, issuer: '{ISSUER}', audiences: [api], jwks: {}}}]}}",
            json!({"keys": [signer.jwk()]})
        );
        let headers: Vec<String> =
            NAMES.iter().map(|name| format!("{name}: said.{}", name.replace('-', "_"))).collect();
        let policies = format!(
            "policies: {{authentication: {{any_of: ['jwt:corp']}}, identity_headers: {{{}}}}}",
            headers.join(", ")
        );
        let site = Site::new(
            &boundary_with(&[origin.port()], &issuer),
            &[registration("/proved", origin.port(), &policies), registration("/open", origin.port(), "")],
        );
        let router = Router::serve(&site.merged());
        Self { origin, router, signer, _site: site }
    }

    fn token(&self, caller: Caller) -> String {
        let mut claims = json!({"iss": ISSUER, "aud": "api", "sub": "carol", "exp": seconds_from_now(600)});
        if caller == Caller::Known {
            claims["said"] = NAMES.iter().map(|name| (name.replace('-', "_"), json!(format!("true {name}")))).collect();
        }
        self.signer.token(&claims)
    }

    /// Sends the forgery; gives the status.
    fn send(&self, name: &str, spelling: Spelling, caller: Caller, token: &str) -> u16 {
        let path = if caller == Caller::Anonymous { "/open" } else { "/proved" };
        let proof = if caller == Caller::Anonymous { String::new() } else { format!("Bearer {token}") };
        if spelling == Spelling::OverHttp2 {
            let mut block = Block::request("GET", path).field(name, "forged");
            if !proof.is_empty() {
                block = block.field("authorization", &proof);
            }
            return Http2::connect(self.router.address()).send(&block, None).status();
        }
        let method = if spelling == Spelling::Trailer { "POST" } else { "GET" };
        let mut request = Request::new(method, path);
        if !proof.is_empty() {
            request = request.header("authorization", &proof);
        }
        let mut bytes = request.bytes();
        bytes.truncate(bytes.len() - 2);
        bytes.extend_from_slice(lines(name, spelling).as_bytes());
        bytes.extend_from_slice(b"\r\n");
        if spelling == Spelling::Trailer {
            bytes.extend_from_slice(format!("0\r\n{name}: forged\r\n\r\n").as_bytes());
        }
        let mut client = self.router.client();
        client.write(&bytes).unwrap();
        client.read(false).unwrap().status
    }
}

/// The same name for a destination that folds `-`, `_`, `.` and case.
fn folded(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '.'], "-")
}

#[test]
fn headers_that_are_only_tried_out_are_told_by_name_and_no_client_writes_them() {
    let (origin, signer) = (Origin::named("orders"), Signer::ec());
    let jwks = json!({"keys": [signer.jwk()]});
    let boundary = format!("identity: {{jwt: [{{name: corp, issuer: '{ISSUER}', audiences: [api], jwks: {jwks}}}]}}");
    let proof = "authentication: {any_of: ['jwt:corp', none]}";
    let headers = "identity_headers: {x-user: sub, x-team: team, x-none: absent}";
    let port = origin.port();
    let mut site = Site::new(
        &boundary_with(&[port], &boundary),
        &[
            registration("/told", port, &format!("policies: {{{proof}, {headers}}}")),
            registration("/tried", port, &format!("policies: {{{proof}, {headers}, identity_headers_mode: shadow}}")),
            registration("/off", port, &format!("policies: {{{proof}, {headers}, identity_headers_mode: 'off'}}")),
        ],
    );
    let router = Router::serve(&site.merged());
    let claims = json!({"iss": ISSUER, "aud": "api", "sub": "carol", "team": "red", "exp": seconds_from_now(600)});
    let bearer = format!("Bearer {}", signer.token(&claims));
    // What arrives of three headers that the client wrote as well, and what the log says.
    let ask = |path: &str, proved: bool| {
        let mut request = Request::new("GET", path);
        for name in ["X-User", "x-team", "x-none"] {
            request = request.header(name, "forged");
        }
        if proved {
            request = request.header("authorization", &bearer);
        }
        let answer = router.send(&request);
        assert_eq!(answer.status, 200, "{path}");
        let arrived = ["x-user", "x-team", "x-none"].map(|name| origin.last().header(name).map(str::to_owned));
        (arrived, router.logged(answer.header("x-request-id").unwrap())["shadow_set"].clone())
    };
    let nothing = [None, None, None];
    let all = [Some("carol".to_owned()), Some("red".to_owned()), None];
    assert_eq!(ask("/told", true), (all.clone(), json!(null)));
    assert_eq!(ask("/tried", true), (nothing.clone(), json!("x-user, x-team")));
    assert_eq!(ask("/tried", false), (nothing.clone(), json!(null)));
    assert_eq!(ask("/off", true), (nothing, json!(null)));
    let told = "postern_policy_decisions_total{layer=\"registration\",kind=\"identity_headers\",mode=\"shadow\",verdict=\"allowed\"}";
    assert_eq!(router.metric(told), 1.0);
    assert_eq!(router.metric("postern_shadow_denials_total{route=\"/tried#default\",owner=\"team\"}"), 0.0);

    let (merged, header) = (site.merged(), format!("authorization: {bearer}"));
    let words = ["explain", merged.to_str().unwrap(), "GET http://api.example.com/tried", "-H", &header];
    let explained = run("postern-router", &words);
    assert!(explained.out.contains("identity_headers would set; shadow: x-user, x-team"), "{}", explained.out);

    // What an override names, no registration's mode turns down.
    let overrides = "overrides: {policies: {identity_headers: {x-user: sub, x-team: team, x-none: absent}}}";
    let tried = format!("policies: {{{proof}, {headers}, identity_headers_mode: shadow}}");
    site.publish(&boundary_with(&[port], &format!("{boundary}\n{overrides}")), &[registration("/tried", port, &tried)]);
    router.until_generation(site.generation());
    assert_eq!(ask("/tried", true), (all, json!(null)));
}

#[test]
fn a_destination_sees_the_routers_value_or_none_in_every_spelling_and_for_every_caller() {
    let scene = Scene::new();
    let mut forwarded = 0;
    for caller in [Caller::Anonymous, Caller::Known, Caller::Unsaid] {
        let token = scene.token(caller);
        for name in NAMES {
            for spelling in SPELLINGS {
                let before = scene.origin.received().len();
                let status = scene.send(name, spelling, caller, &token);
                let refused = matches!(spelling, Spelling::BlankBeforeColon)
                    || (matches!(spelling, Spelling::Underscores | Spelling::Dots) && name.contains('-'));
                let what = format!("{name} {spelling:?} {caller:?}");
                assert_eq!(status, if refused { 400 } else { 200 }, "{what}");
                if refused {
                    assert_eq!(scene.origin.received().len(), before, "{what}");
                    continue;
                }
                forwarded += 1;
                let seen = scene.origin.last();
                let told: Vec<&str> = seen
                    .headers
                    .iter()
                    .filter(|(known, _)| folded(known) == name)
                    .map(|(_, value)| value.as_str())
                    .collect();
                let expected = format!("true {name}");
                match caller {
                    Caller::Known => assert_eq!(told, [expected.as_str()], "{what}"),
                    Caller::Anonymous | Caller::Unsaid => assert!(told.is_empty(), "{what}: {told:?}"),
                }
                assert!(seen.headers.iter().all(|(_, value)| value != "forged"), "{what}: {:?}", seen.headers);
            }
        }
    }
    assert!(forwarded > 650, "{forwarded}");
}
