//! Headers whose names have `_` or `.` in them: refused, dropped or passed on as their listener says, and never a way to
//! write what only the router may.

use std::net::SocketAddr;

use postern_tests::frames::Http2;
use postern_tests::hpack::Block;
use postern_tests::{
    Client, Http2Origin, Message, Origin, Received, Reply, Request, Router, Signer, Site, boundary_with, over_http2,
    registration, run, seconds_from_now,
};
use serde_json::{Value, json};

const ISSUER: &str = "https://login.example.com/";

/// One listener of each kind behind the default one, and what it makes of an odd name that nobody else has.
const LISTENERS: [(&str, &str); 4] = [
    ("", "400"),
    ("odd_names = \"refuse\"", "400"),
    ("odd_names = \"drop\"", "absent"),
    ("odd_names = \"pass\"", "present"),
];

struct Scene {
    origin: Origin,
    router: Router,
    token: String,
    site: Site,
}

impl Scene {
    fn new() -> Self {
        let (origin, signer) = (Origin::start(|request| Reply::ok(request.body.len().to_string())), Signer::ec());
        let keys = json!({"keys": [signer.jwk()]});
        let corp = json!({"name": "corp", "issuer": ISSUER, "audiences": ["api"], "jwks": keys});
        let app = json!({
            "name": "app", "issuer": ISSUER, "audiences": ["api"], "jwks": keys, "token": {"header": "x-app-token"},
        });
        let port = origin.port();
        let policies = "policies: {authentication: {any_of: ['jwt:corp']}, identity_headers: {x-user-id: sub}}";
        let site = Site::new(
            &boundary_with(&[port], &format!("identity: {{jwt: [{corp}, {app}]}}")),
            &[
                registration("/proved", port, policies),
                registration("/app", port, "policies: {authentication: {any_of: ['jwt:app']}}"),
                registration("/open", port, ""),
                registration("/narrow", port, "match: {headers: {x-api-version: '2'}}"),
            ],
        );
        let router = listening(&site);
        let claims = json!({"iss": ISSUER, "aud": "api", "sub": "carol", "exp": seconds_from_now(600)});
        let token = signer.token(&claims);
        Self { origin, router, token, site }
    }

    /// The listeners with what each makes of odd names.
    fn listeners(&self) -> Vec<(SocketAddr, &'static str)> {
        let addresses = self.router.addresses().iter().skip(1).copied();
        addresses.zip(LISTENERS.map(|(_, becomes)| becomes)).collect()
    }

    /// What becomes of a proved request with these fields: its status, and what arrived.
    fn send(&self, to: SocketAddr, http2: bool, path: &str, fields: &[(&str, &str)]) -> (u16, Option<Received>) {
        let proof = format!("Bearer {}", self.token);
        let fields: Vec<(&str, &str)> =
            [&[("authorization", &*proof), ("x-first", "1")], fields, &[("x-last", "1")]].concat();
        let before = self.origin.received().len();
        let status = if http2 {
            let block = Block::request("GET", path);
            let block = fields.iter().fold(block, |block, (name, value)| block.field(name.to_lowercase(), value));
            Http2::connect(to).send(&block, None).status()
        } else {
            let request = Request::new("GET", path);
            let request = fields.iter().fold(request, |request, (name, value)| request.header(name, value));
            Client::connect(to).send(&request).status
        };
        let arrived = self.origin.received().into_iter().skip(before).last();
        (status, arrived)
    }
}

/// A router of the site with those listeners.
fn listening(site: &Site) -> Router {
    let more = LISTENERS.map(|(said, _)| format!("[[listeners]]\naddress = \"127.0.0.1:0\"\n{said}\n"));
    let file = site.path().join("settings.toml");
    std::fs::write(&file, more.concat()).unwrap();
    let router = Router::start(&site.merged(), &["--settings", file.to_str().unwrap()], &[]);
    router.until_ready();
    router
}

/// The same name where all spellings are one.
fn folded(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '.'], "-")
}

#[test]
fn an_odd_name_is_refused_dropped_or_passed_on_as_its_listener_says() {
    let scene = Scene::new();
    for (listener, becomes) in scene.listeners() {
        for http2 in [false, true] {
            for name in ["x_a", "x.a", "X_A.b", "_", "a."] {
                let what = format!("{name} where it is {becomes}, over HTTP/2: {http2}");
                // In front of others, behind them and between them.
                let fields = [(name, "odd"), ("x-b", "2"), (name, ""), ("x-c", "3"), (name, "odd")];
                let (status, arrived) = scene.send(listener, http2, "/open", &fields);
                if becomes == "400" {
                    assert!(status == 400 && arrived.is_none(), "{what}: {status}");
                    continue;
                }
                let arrived = arrived.unwrap_or_else(|| panic!("{what}: {status}"));
                let expected = if becomes == "present" { vec!["odd", "", "odd"] } else { vec![] };
                assert_eq!(arrived.all(name), expected, "{what}");
                for (name, value) in [("x-first", "1"), ("x-b", "2"), ("x-c", "3"), ("x-last", "1")] {
                    assert_eq!(arrived.all(name), [value], "{what}: {name}");
                }
                let odd = arrived.headers.iter().filter(|(name, _)| name.contains(['_', '.'])).count();
                assert_eq!(odd, expected.len(), "{what}: {:?}", arrived.headers);
            }
        }
    }
}

#[test]
fn no_listener_passes_on_an_odd_name_that_reads_as_what_the_router_writes_or_takes_off() {
    let scene = Scene::new();
    let names = [
        "x-user-id", "transfer-encoding", "content-length", "x-forwarded-for", "x-forwarded-anything",
        "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "x-request-id", "x-postern-reason", "x-postern-identity",
        "keep-alive", "proxy-connection", "proxy-authorization", "http2-settings", "x-amzn-oidc-data",
        "x-amzn-mtls-clientcert-leaf", "x-apigw-api-id", "x-http-method-override", "x-original-url",
        "x-envoy-original-path", "client-cert",
    ];
    for (listener, becomes) in scene.listeners() {
        for http2 in [false, true] {
            for name in names {
                for odd in [name.replace('-', "_"), name.replace('-', "."), name.to_uppercase().replacen('-', "_", 1)] {
                    let (status, arrived) = scene.send(listener, http2, "/proved", &[(&odd, "forged")]);
                    let what = format!("{odd} where odd names are {becomes}, over HTTP/2: {http2}");
                    assert_eq!(status, if becomes == "400" { 400 } else { 200 }, "{what}");
                    let Some(arrived) = arrived else { continue };
                    assert!(
                        arrived.headers.iter().all(|(_, value)| value != "forged"),
                        "{what}: {:?}",
                        arrived.headers
                    );
                    let told = arrived.headers.iter().filter(|(known, _)| folded(known) == "x-user-id");
                    assert_eq!(told.map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["carol"], "{what}");
                }
            }
        }
    }
}

#[test]
fn what_connection_names_is_taken_off_in_every_spelling() {
    let scene = Scene::new();
    let (listener, _) = *scene.listeners().last().unwrap();
    for (named, name) in [("x_hop", "x_hop"), ("x-hop", "x_hop"), ("x-hop", "X.Hop"), ("x-hop", "x-hop")] {
        let (status, arrived) =
            scene.send(listener, false, "/open", &[("connection", named), (name, "1"), ("x_b", "2")]);
        let arrived = arrived.unwrap_or_else(|| panic!("{named} {name}: {status}"));
        assert_eq!((arrived.header(name), arrived.header("x_b")), (None, Some("2")), "{named} {name}");
    }
}

#[test]
fn an_odd_name_meets_no_condition_and_takes_the_place_of_no_token() {
    let scene = Scene::new();
    for (listener, becomes) in scene.listeners() {
        if becomes == "400" {
            continue;
        }
        let passes = becomes == "present";
        let status = |path: &str, fields: &[(&str, &str)]| scene.send(listener, false, path, fields).0;
        assert_eq!(status("/narrow", &[("x-api-version", "2")]), 200);
        assert_eq!(status("/narrow", &[("x_api_version", "2")]), 404, "{becomes}");
        // A destination might read the other value.
        let both = [("x-api-version", "2"), ("x_api_version", "1")];
        assert_eq!(status("/narrow", &both), if passes { 404 } else { 200 }, "{becomes}");
        assert_eq!(status("/app", &[("x-app-token", &scene.token)]), 200);
        assert_eq!(status("/app", &[("x_app_token", &scene.token)]), 401, "{becomes}");
        let both = [("x-app-token", &*scene.token), ("x_app_token", "another")];
        assert_eq!(status("/app", &both), if passes { 401 } else { 200 }, "{becomes}");
    }
}

#[test]
fn trailers_with_odd_names_never_arrive() {
    let origin = Http2Origin::start(|_| Message::answer(200, "done"));
    let port = origin.port();
    let boundary = boundary_with(&[port], "").replace("addresses:", "protocol: h2c, addresses:");
    let site = Site::new(&boundary, &[registration("/", port, "policies: {identity_headers: {x-user-id: sub}}")]);
    let router = listening(&site);
    for address in router.addresses() {
        let request = Message::request("POST /").body("body").trailer("x-kept", "1");
        let request = request.trailer("x_user_id", "forged").trailer("x.user.id", "forged").trailer("x_a", "1");
        let answer = over_http2(*address, vec![request]).remove(0).unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(origin.last().trailers.keys().collect::<Vec<_>>(), ["x-kept"]);
    }
}

#[test]
fn explain_says_of_odd_names_what_serving_does() {
    let scene = Scene::new();
    let merged = scene.site.merged();
    let names = ["x_a", "x_user_id", "transfer_encoding"];
    for ((listener, _), word) in scene.listeners().into_iter().skip(1).zip(["refuse", "drop", "pass"]) {
        for name in names {
            let (status, arrived) = scene.send(listener, false, "/open", &[(name, "odd")]);
            let header = format!("{name}: odd");
            let words = [
                "explain",
                merged.to_str().unwrap(),
                "GET http://api.example.com/open",
                "-H",
                &header,
                "--odd-names",
                word,
                "--output",
                "json",
            ];
            let told: Value = serde_json::from_str(&run("postern-router", &words).out).unwrap();
            let query = format!("request=GET%20http://api.example.com/open&header={name}:%20odd&odd_names={word}");
            let live = scene.router.admin(&format!("/explain?{query}")).json();
            for told in [told, live] {
                let what = format!("{name}, {word}: {told}");
                assert_eq!(told["status"], if status == 400 { json!(400) } else { Value::Null }, "{what}");
                let field = |name: &str| {
                    let mut headers = told["forwarded"]["headers"].as_array().into_iter().flatten();
                    headers.any(|pair| pair[0] == name)
                };
                assert_eq!(field(name), arrived.as_ref().is_some_and(|seen| seen.header(name).is_some()), "{what}");
            }
        }
    }
    let wrong = run("postern-router", &["explain", merged.to_str().unwrap(), "GET http://a/", "--odd-names", "keep"]);
    assert!(wrong.code == 2 && wrong.err.contains("write refuse, drop or pass"), "{}", wrong.err);

    // Where listeners differ and nobody says which, it is as by default.
    let path = "/explain?request=GET%20http://api.example.com/open&header=x_a:%20odd";
    let told = scene.router.admin(path).json();
    assert_eq!(told["status"], 400);
}
