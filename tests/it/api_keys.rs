//! Keys of consumers: which pass, what becomes of them behind the router, and where they are never found.

use std::path::{Path, PathBuf};

use postern_config::api_key::{Pepper, id_of};
use postern_tests::{
    Answer, Origin, Received, Request, Router, Signer, Syncer, base64url, basic, boundary_with, eventually,
    registration, run, seconds_from_now,
};
use serde_json::{Value, json};

const SECRET: &str = "canary0123456789abcdefABCDEF";

/// Keys that a scene knows, by what is said of them.
fn key(id: &str) -> String {
    format!("pk_{id}_{SECRET}")
}

/// A pepper, by its letter.
fn pepper(letter: u8) -> String {
    base64url(&[letter; 32])
}

fn entry(letter: u8, id: &str, more: &str) -> String {
    let digest = Pepper::parse(&pepper(letter)).unwrap().digest(&key(id)).to_hex();
    format!("{{id: {id}, digest: '{digest}'{more}}}")
}

fn at(seconds: i64) -> String {
    postern_config::value::Timestamp::from_unix(seconds_from_now(seconds)).to_string()
}

/// Two realms, an issuer and users, and routes that take them in many ways.
struct Scene {
    origin: Origin,
    signer: Signer,
    router: Router,
    syncer: Syncer,
    directory: tempfile::TempDir,
}

impl Scene {
    fn new(location: &str) -> Self {
        let (origin, signer) = (Origin::named("orders"), Signer::ec());
        let directory = tempfile::tempdir().unwrap();
        let registrations = directory.path().join("registrations");
        std::fs::create_dir(&registrations).unwrap();
        let port = origin.port();
        for (root, policies) in [
            (
                "/orders",
                "{authentication: {any_of: ['api_key:partners']}, identity_headers: {x-user: sub, x-scope: scope, x-roles: roles}}",
            ),
            ("/scoped", "{authentication: {any_of: ['api_key:partners']}, authorization: {scopes: [write]}}"),
            ("/either", "{authentication: {any_of: ['jwt:corp', 'basic:ops', 'api_key:partners', none]}}"),
            ("/both", "{authentication: {any_of: ['api_key:partners', 'api_key:machines']}}"),
            ("/machines", "{authentication: {any_of: ['api_key:machines']}}"),
            ("/tried", "{authentication: {any_of: ['api_key:partners'], mode: shadow}}"),
            ("/open", "{}"),
        ] {
            let text = registration(root, port, &format!("policies: {policies}"));
            std::fs::write(registrations.join(format!("{}.yaml", &root[1..])), text).unwrap();
        }
        write(&directory.path().join("boundary.yaml"), &boundary(port, &signer, location, ""));
        let out = directory.path().join("out");
        let source = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        let syncer = Syncer::run(&source("boundary.yaml"), &source("registrations"), &out, &[]);
        eventually("a file", || out.join("merged.json").exists().then_some(()));
        let router = Router::serve(&out.join("merged.json"));
        Self { origin, signer, router, syncer, directory }
    }

    fn boundary(&self) -> PathBuf {
        self.directory.path().join("boundary.yaml")
    }

    /// Replaces the boundary, and waits until it is served.
    fn change(&self, location: &str, more: &str) {
        let before = self.router.snapshot()["generation"].as_u64().unwrap();
        write(&self.boundary(), &boundary(self.origin.port(), &self.signer, location, more));
        self.router.until_generation(before + 1);
    }

    fn with(&self, path: &str, key: &str) -> Answer {
        self.router.send(&Request::new("GET", path).header("x-api-key", key))
    }

    fn arrives(&self, request: &Request) -> Received {
        self.router.passes(&self.origin, request)
    }

    fn refused(&self, request: &Request) -> String {
        self.router.refuses(&self.origin, request)
    }
}

fn boundary(port: u16, signer: &Signer, location: &str, revoked: &str) -> String {
    let keys = json!({"keys": [signer.jwk()]});
    boundary_with(
        &[port],
        &format!(
            "identity:
  jwt: [{{name: corp, issuer: 'https://a/', audiences: [api], jwks: {keys}}}]
  basic: [{{name: ops, users: []}}]
  api_key:
    - name: partners
      pepper: {}
      {location}
      consumers:
        - {{name: acme, keys: [{}, {}], scopes: [read, write], roles: [buyer, seller]}}
        - {{name: late, keys: [{}, {}], scopes: [read]}}
      revoked: [{revoked}]
    - name: machines
      pepper: {}
      {location}
      consumers: [{{name: press, keys: [{}]}}]
",
            pepper(b'p'),
            entry(b'p', "one", ""),
            entry(b'p', "two", &format!(", expires: '{}'", at(3_600))),
            entry(b'p', "ended", &format!(", expires: '{}'", at(-1))),
            entry(b'p', "late", ""),
            pepper(b'm'),
            entry(b'm', "press", ""),
        ),
    )
}

fn write(path: &Path, text: &str) {
    postern_config::file::replace(path, text.as_bytes(), 0o600).unwrap();
}

#[test]
fn a_key_passes_as_it_was_given_and_in_no_other_form() {
    let scene = Scene::new("");
    for id in ["one", "two"] {
        let arrived =
            scene.arrives(&Request::new("GET", "/orders?a=%20").header("X-Api-Key", &key(id)).header("b", "c"));
        let seen = ["x-api-key", "x-user", "x-scope", "x-roles", "b"].map(|name| arrived.header(name));
        assert_eq!(seen, [None, Some("acme"), Some("read write"), Some("buyer,seller"), Some("c")]);
        assert_eq!(arrived.target, "/orders?a=%20");
    }
    let missing = scene.router.get("/orders");
    let challenge = missing.header("www-authenticate");
    assert_eq!((missing.status, missing.reason()), (401, Some("credentials_missing")));
    assert_eq!(challenge, Some("ApiKey realm=\"partners\""));
    let good = key("one");
    for (what, text) in [
        ("nothing", String::new()),
        ("a wrong secret", good.replace("canary", "Canary")),
        ("another's secret", good.replace("one", "two") + "x"),
        ("an unknown id", key("three")),
        ("a truncated one", good[..good.len() - 1].to_owned()),
        ("one more letter", format!("{good}0")),
        ("its id alone", "pk_one_".to_owned()),
        ("its digest", entry(b'p', "one", "")),
        ("a huge one", format!("pk_one_{}", "a".repeat(15_000))),
        ("a huge id", format!("pk_{}_{SECRET}", "a".repeat(15_000))),
        ("another case", good.to_uppercase()),
        ("a scheme before it", format!("Bearer {good}")),
        ("a blank inside", good.replacen('_', " ", 1)),
        ("quotes", format!("\"{good}\"")),
        ("two in one", format!("{good}, {}", key("two"))),
        ("the key of another realm", key("press")),
    ] {
        let reason = scene.refused(&Request::new("GET", "/orders").header("x-api-key", &text));
        assert_eq!(reason, "credentials_invalid", "{what}");
    }
    let twice = Request::new("GET", "/orders").header("x-api-key", &good);
    assert_eq!(scene.refused(&twice.header("x-api-key", &good)), "credentials_invalid");
    assert_eq!(scene.refused(&Request::new("GET", "/orders").header("x-api-key", &key("ended"))), "key_expired");
    // Of an expired key nobody learns anything who has not got it.
    let guessed = key("ended").replace("canary", "Canary");
    assert_eq!(scene.refused(&Request::new("GET", "/orders").header("x-api-key", &guessed)), "credentials_invalid");
    for elsewhere in [
        Request::new("GET", &format!("/orders?api_key={good}")),
        Request::new("GET", "/orders").header("cookie", &format!("x-api-key={good}")),
        Request::new("GET", "/orders").header("authorization", &format!("Bearer {good}")),
        Request::new("GET", "/orders").header("authorization", &format!("ApiKey {good}")),
    ] {
        assert_eq!(scene.refused(&elsewhere), "credentials_missing");
    }
}

#[test]
fn each_realm_knows_its_own_keys_and_scopes_are_asked_for() {
    let scene = Scene::new("");
    assert_eq!(scene.with("/both", &key("one")).status, 200);
    assert_eq!(scene.with("/both", &key("press")).status, 200);
    assert_eq!(scene.with("/machines", &key("press")).status, 200);
    assert_eq!(scene.with("/machines", &key("one")).reason(), Some("credentials_invalid"));
    assert_eq!(scene.with("/both", &key("nobody")).reason(), Some("credentials_invalid"));
    assert_eq!(scene.with("/scoped", &key("one")).status, 200);
    let lacking = scene.with("/scoped", &key("late"));
    assert_eq!((lacking.status, lacking.reason()), (403, Some("scope_missing")));
}

#[test]
fn a_key_beside_another_credential_is_refused_and_alone_it_is_enough() {
    let scene = Scene::new("");
    let token =
        scene.signer.token(&json!({"iss": "https://a/", "aud": "api", "sub": "carol", "exp": seconds_from_now(600)}));
    let bearer = format!("Bearer {token}");
    let either = || Request::new("GET", "/either");
    assert_eq!(scene.arrives(&either().header("x-api-key", &key("one"))).header("x-api-key"), None);
    assert_eq!(scene.router.send(&either().header("authorization", &bearer)).status, 200);
    assert_eq!(scene.router.send(&either()).status, 200);
    for other in [&bearer, &basic("alice", "x")] {
        let two = either().header("x-api-key", &key("one")).header("authorization", other);
        assert_eq!(scene.refused(&two), "credentials_invalid");
    }
    // A bad one is refused also where nobody need be proved.
    assert_eq!(scene.refused(&either().header("x-api-key", "x")), "credentials_invalid");
    // Where no realm is asked for, the header is the destination's.
    assert_eq!(scene.arrives(&Request::new("GET", "/open").header("x-api-key", "x")).header("x-api-key"), Some("x"));
}

#[test]
fn a_key_is_taken_out_of_the_query_or_the_cookie_it_stood_in() {
    let scene = Scene::new("location: {query: key}");
    let good = key("one");
    let arrived = scene.arrives(&Request::new("GET", &format!("/orders/%7e?a=%2F&key={good}&&b=+%20")));
    assert_eq!(arrived.target, "/orders/%7e?a=%2F&&b=+%20");
    assert_eq!(scene.refused(&Request::new("GET", &format!("/orders?key={good}&k%65y=x"))), "credentials_invalid");
    assert_eq!(scene.refused(&Request::new("GET", "/orders").header("x-api-key", &good)), "credentials_missing");
    scene.change("location: {cookie: key}", "");
    let arrived = scene.arrives(&Request::new("GET", "/orders").header("cookie", &format!("a=1; key={good}; b=2")));
    assert_eq!(arrived.all("cookie"), ["a=1; b=2"]);
}

#[test]
fn a_key_that_proves_nothing_is_not_passed_on_where_proof_is_only_tried_out() {
    let scene = Scene::new("");
    for text in [key("one"), key("three"), "no key at all".to_owned()] {
        let arrived = scene.arrives(&Request::new("GET", "/tried").header("x-api-key", &text));
        assert_eq!(arrived.header("x-api-key"), None, "{text}");
    }
}

#[test]
fn a_revoked_key_ends_with_the_next_generation_and_no_other_does() {
    let scene = Scene::new("");
    for id in ["one", "two"] {
        assert_eq!(scene.with("/orders", &key(id)).status, 200);
    }
    scene.change("", "one");
    assert_eq!(scene.with("/orders", &key("one")).reason(), Some("credentials_invalid"));
    assert_eq!(scene.with("/orders", &key("two")).status, 200);
    scene.change("", "one, two");
    assert_eq!(scene.with("/orders", &key("two")).reason(), Some("credentials_invalid"));
    scene.change("", "");
    assert_eq!(scene.with("/orders", &key("one")).status, 200);
}

#[test]
fn a_revoked_key_passes_and_is_told_where_that_is_only_tried_out() {
    let scene = Scene::new("");
    scene.change("revoked_mode: shadow", "one");
    for (id, told) in [("one", json!("revocation:credentials_invalid")), ("two", Value::Null)] {
        let answer = scene.with("/orders", &key(id));
        let line = scene.router.logged(answer.header("x-request-id").unwrap());
        assert_eq!((answer.status, &line["shadow_denied"]), (200, &told), "{id}");
    }
    let denials = "postern_shadow_denials_total{route=\"/orders#default\",owner=\"team\"}";
    assert_eq!(scene.router.metric(denials), 1.0);
    scene.change("", "one");
    assert_eq!(scene.with("/orders", &key("one")).reason(), Some("credentials_invalid"));
}

#[test]
fn a_key_that_was_made_passes_once_its_entry_is_in_the_boundary() {
    let scene = Scene::new("");
    let file = scene.boundary();
    let file = file.to_str().unwrap();
    let new = |more: &[&str]| {
        run("postern-syncer", &[&["key", "new", "--boundary", file, "--realm", "partners"], more].concat())
    };
    let made = new(&["--consumer", "fresh", "--expires", "90d", "--output", "json"]);
    assert_eq!(made.code, 0, "{}", made.err);
    let made: Value = serde_json::from_str(&made.out).unwrap();
    let key = made["key"].as_str().unwrap();
    assert_eq!(id_of(key), made["entry"]["id"].as_str());
    assert_eq!(scene.with("/orders", key).reason(), Some("credentials_invalid"));
    let text = std::fs::read_to_string(file).unwrap();
    let with =
        text.replace("consumers:\n", &format!("consumers:\n        - {{name: fresh, keys: [{}]}}\n", made["entry"]));
    let before = scene.router.snapshot()["generation"].as_u64().unwrap();
    write(Path::new(file), &with);
    scene.router.until_generation(before + 1);
    assert_eq!(scene.with("/orders", key).status, 200);
    let other = new(&["--consumer", "other"]);
    assert!(other.out.starts_with("pk_") && other.out.contains("- {name: other, keys: [{"), "{}", other.out);
    let full = new(&["--consumer", "acme"]);
    assert_eq!((full.code, full.out.as_str()), (1, ""));
    assert!(full.err.contains("acme has 2 keys already"), "{}", full.err);
    let nowhere = run("postern-syncer", &["key", "new", "--boundary", file, "--realm", "nope", "--consumer", "a"]);
    assert!(nowhere.code == 1 && nowhere.err.contains("known: partners, machines"), "{}", nowhere.err);
    let revoke = |id: &str| run("postern-syncer", &["key", "revoke", id, "--boundary", file]);
    assert!(revoke(key).out.contains("is a key of fresh"), "{}", revoke(key).out);
    assert!(!revoke(key).out.contains(key));
    assert_eq!(revoke("nobody").code, 1);
}

#[test]
fn a_key_is_found_nowhere_but_where_it_was_sent() {
    let good = key("one");
    for (location, target, header) in [
        ("", "/orders?a=1".to_owned(), ("x-api-key", good.clone())),
        ("location: {query: key}", format!("/orders?a=1&key={good}"), ("a", "b".to_owned())),
        ("location: {cookie: key}", "/orders?a=1".to_owned(), ("cookie", format!("key={good}"))),
    ] {
        let scene = Scene::new(location);
        let request = Request::new("GET", &target).header(header.0, &header.1);
        let arrived = scene.arrives(&request);
        let line = scene.router.send(&request);
        let logged = scene.router.logged(line.header("x-request-id").unwrap());
        let who = ["principal", "authenticated_by"].map(|member| logged[member].as_str());
        assert_eq!(who, [Some("acme"), Some("api_key:partners")]);
        let refused = scene.with("/orders", &key("ended"));
        let merged = scene.directory.path().join("out/merged.json");
        let (url, header) = (format!("GET https://api.example.com{target}"), format!("{}: {}", header.0, header.1));
        let explained = run("postern-router", &["explain", merged.to_str().unwrap(), &url, "-H", &header]);
        assert!(explained.code == 0 && explained.out.contains("acme by api_key:partners"), "{}", explained.out);
        let merged = std::fs::read_to_string(merged).unwrap();
        let everywhere = [
            format!("{arrived:?}"),
            line.text(),
            refused.text(),
            format!("{:?}", refused.headers),
            format!("{:?}", scene.router.access_log()),
            scene.router.diagnostics(),
            scene.router.admin("/metrics").text(),
            scene.router.admin("/routes").text(),
            scene.syncer.diagnostics(),
            scene.syncer.admin("/conditions").text(),
            explained.out,
            merged.clone(),
        ];
        assert!(everywhere.iter().all(|text| !text.contains("canary0123")), "{location}: {everywhere:?}");
        // Nor is the pepper in the file, or readable for others beside it.
        assert!(!merged.contains(&pepper(b'p')) && merged.contains("secret:api_key/partners"));
        let secrets = scene.directory.path().join("out/secrets.json");
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&secrets.metadata().unwrap().permissions()) & 0o777, 0o600);
    }
}
