//! Keys that issuers publish: fetched by the syncer over TLS, rotated, lost and lied about, while tokens pass.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use postern_tests::{
    Answer, Authority, Origin, PublishingIssuer, Reply, Request, Router, Signer, Syncer, Validity, boundary_with,
    eventually, registration, runs, seconds_from_now,
};
use serde_json::{Value, json};

const ISSUER: &str = "https://login.example.com/";

/// Quick enough for a test.
const QUICK: [(&str, &str); 3] = [
    ("POSTERN_SYNCER_ISSUERS__REFRESH_LEAST", "120ms"),
    ("POSTERN_SYNCER_ISSUERS__REFRESH_MOST", "120ms"),
    ("POSTERN_SYNCER_ISSUERS__EARLY_EVERY", "500ms"),
];

/// Never by itself within a test: what comes was asked for.
const SELDOM: [(&str, &str); 3] = [
    ("POSTERN_SYNCER_ISSUERS__REFRESH_LEAST", "1h"),
    ("POSTERN_SYNCER_ISSUERS__REFRESH_MOST", "1h"),
    ("POSTERN_SYNCER_ISSUERS__EARLY_EVERY", "500ms"),
];

/// A boundary with issuers, the stores of a syncer, and a destination behind `/corp`, `/other` and `/open`.
struct Scene {
    place: tempfile::TempDir,
    authority: Authority,
    origin: Origin,
}

impl Scene {
    fn new() -> Self {
        let scene = Self {
            place: tempfile::tempdir().unwrap(),
            authority: Authority::new("issuers"),
            origin: Origin::named("api"),
        };
        scene.authority.write(scene.place.path(), "ca.pem");
        let registrations = scene.place.path().join("registrations");
        std::fs::create_dir(&registrations).unwrap();
        let port = scene.origin.port();
        for (root, policies) in [
            ("corp", "policies: {authentication: {any_of: ['jwt:corp']}}"),
            ("other", "policies: {authentication: {any_of: ['jwt:other']}}"),
            ("open", ""),
        ] {
            std::fs::write(
                registrations.join(format!("{root}.yaml")),
                registration(&format!("/{root}"), port, policies),
            )
            .unwrap();
        }
        scene
    }

    /// The issuer `corp` with what leads to its keys, and `other` whose keys are written out.
    fn boundary(&self, corp: &str, other: &Signer) {
        let roots = self.place.path().join("ca.pem");
        let text = boundary_with(
            &[self.origin.port()],
            &format!(
                "identity: {{jwt: [
                   {{name: corp, issuer: '{ISSUER}', audiences: [api], roots: {{pem_file: '{}'}}, {corp}}},
                   {{name: other, issuer: 'https://other.example.com/', audiences: [api], jwks: {}}}]}}",
                roots.display(),
                json!({"keys": [other.jwk()]}),
            ),
        );
        std::fs::write(self.place.path().join("boundary.yaml"), text).unwrap();
    }

    fn out(&self) -> PathBuf {
        self.place.path().join("out")
    }

    fn merged(&self) -> PathBuf {
        self.out().join("merged.json")
    }

    fn syncer(&self, environment: &[(&str, &str)]) -> Syncer {
        let path = |name: &str| self.place.path().join(name).to_str().unwrap().to_owned();
        Syncer::run(&path("boundary.yaml"), &path("registrations"), &self.out(), environment)
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.merged()).unwrap_or_default()
    }
}

fn claims(issuer: &str) -> Value {
    json!({"iss": issuer, "aud": "api", "sub": "carol", "exp": seconds_from_now(600)})
}

fn corp(signer: &Signer) -> String {
    signer.token(&claims(ISSUER))
}

fn ask(router: &Router, path: &str, token: &str) -> Answer {
    router.send(&Request::new("GET", path).header("authorization", &format!("Bearer {token}")))
}

/// What the syncer shows of `corp`.
fn shown(syncer: &Syncer) -> Value {
    let issuers = syncer.admin("/conditions").json()["issuers"].clone();
    issuers.as_array().into_iter().flatten().find(|one| one["name"] == "corp").cloned().unwrap_or_default()
}

#[test]
fn keys_come_by_their_url_and_by_discovery_and_the_router_needs_no_way_out() {
    for by_discovery in [false, true] {
        let scene = Scene::new();
        let (first, other) = (Signer::ec().called("first"), Signer::ed());
        let issuer = PublishingIssuer::start(&scene.authority, &[&first]);
        issuer.call_itself(ISSUER);
        let from = match by_discovery {
            true => format!("discovery_url: '{}'", issuer.discovery_url()),
            false => format!("jwks_url: '{}'", issuer.keys_url()),
        };
        scene.boundary(&from, &other);
        let syncer = scene.syncer(&QUICK);
        let router = serve(&scene, &syncer);
        eventually("the keys", || (ask(&router, "/corp", &corp(&first)).status == 200).then_some(()));
        assert!(scene.text().contains("\"keys\": ["), "{}", scene.text());
        let shown = shown(&syncer);
        assert_eq!((&shown["keys"], &shown["failing"]), (&json!(1), &Value::Null), "{shown}");
        let generation = router.snapshot()["generation"].clone();

        // An overlap: the next key is published, then used, then the first one goes.
        let next = Signer::rsa().called("next");
        issuer.publish(&[&next, &first]);
        eventually("both keys", || (shown_keys(&syncer) == 2).then_some(()));
        eventually("the next key", || (ask(&router, "/corp", &corp(&next)).status == 200).then_some(()));
        assert_eq!(ask(&router, "/corp", &corp(&first)).status, 200);
        assert_ne!(router.snapshot()["generation"], generation, "a change of keys is a new generation");
        issuer.publish(&[&next]);
        eventually("the end of the first key", || {
            (ask(&router, "/corp", &corp(&first)).reason() == Some("token_invalid")).then_some(())
        });
        assert_eq!(ask(&router, "/corp", &corp(&next)).status, 200);
    }
}

/// A scene whose `corp` publishes these keys, which are live; the syncer asks again only when it is asked to.
fn settled(keys: &[&Signer]) -> (Scene, PublishingIssuer, Syncer, Router) {
    let scene = Scene::new();
    let issuer = PublishingIssuer::start(&scene.authority, keys);
    scene.boundary(&format!("jwks_url: '{}'", issuer.keys_url()), &Signer::ed());
    let syncer = scene.syncer(&SELDOM);
    let router = serve(&scene, &syncer);
    eventually("the keys", || (ask(&router, "/corp", &corp(keys[0])).status == 200).then_some(()));
    (scene, issuer, syncer, router)
}

/// A router that asks that syncer.
fn serve(scene: &Scene, syncer: &Syncer) -> Router {
    let address = syncer.admin_address().to_string();
    let router = Router::start(&scene.merged(), &[], &[("POSTERN_ROUTER_SYNCER", &address)]);
    router.until_ready();
    router
}

#[test]
fn a_hard_swap_of_keys_refuses_no_sound_token() {
    let (first, next) = (Signer::ec().called("first"), Signer::ec().called("next"));
    let (_scene, issuer, _syncer, router) = settled(&[&first]);
    let asked = issuer.asked();
    issuer.publish(&[&next]);
    let mut told_to_wait = 0;
    eventually("the next key", || {
        let answer = ask(&router, "/corp", &corp(&next));
        // Never 401: the token is sound, and only the router does not know that yet.
        match (answer.status, answer.reason()) {
            (200, _) => return Some(()),
            (503, Some("keys_missing")) => assert_eq!(answer.header("retry-after"), Some("1")),
            other => panic!("{other:?}"),
        }
        told_to_wait += 1;
        None
    });
    assert!(told_to_wait > 0, "the key was known before it was asked for: this shows nothing");
    assert_eq!(issuer.asked(), asked + 1, "many who wait are one early fetch");
    // What was signed with the old key is not trusted any more, after its keys were asked for once more.
    eventually("the end of the first key", || {
        (ask(&router, "/corp", &corp(&first)).reason() == Some("token_invalid")).then_some(())
    });
    assert!(issuer.asked() <= asked + 4);
    assert!(router.metric("postern_key_hints_total{result=\"answered\"}") >= 1.0);
}

#[test]
fn a_hard_swap_of_keys_without_names_refuses_no_sound_token() {
    let nameless = |signer: &Signer| {
        let mut key = signer.jwk();
        key.as_object_mut().unwrap().remove("kid");
        Reply::ok(json!({"keys": [key]}).to_string())
    };
    let bare = |signer: &Signer| signer.token_with(&json!({"alg": signer.algorithm()}), &claims(ISSUER));
    for next in [Signer::ec(), Signer::rsa()] {
        let first = Signer::ec();
        let (_scene, issuer, _syncer, router) = settled(&[&first]);
        issuer.answer(nameless(&first));
        // The name is gone from the set, so a token with it asks for the set once more.
        eventually("the key without its name", || {
            let renamed = renamed(&corp(&first), r#"{"alg":"ES256","kid":"x"}"#);
            ask(&router, "/corp", &renamed);
            (ask(&router, "/corp", &bare(&first)).status == 200 && issuer.asked() > 1).then_some(())
        });
        issuer.answer(nameless(&next));
        let token = bare(&next);
        eventually("the next key", || match ask(&router, "/corp", &token).status {
            200 => Some(()),
            503 => None,
            other => panic!("a sound token is refused with {other}"),
        });
        let forged = bare(&Signer::ec());
        eventually("a verdict", || (ask(&router, "/corp", &forged).reason() == Some("token_invalid")).then_some(()));
    }
}

#[test]
fn an_early_fetch_is_asked_for_by_post_and_for_issuers_that_publish() {
    let key = Signer::ec().called("key");
    let (_scene, issuer, syncer, _router) = settled(&[&key]);
    let asked = issuer.asked();
    let ask = |method: &str, target: &str, origin: Option<&str>| {
        let request = Request::to_host(method, "admin", target);
        let request = match origin {
            Some(origin) => request.header("origin", origin),
            None => request,
        };
        postern_tests::Client::connect(syncer.admin_address()).send(&request)
    };
    assert_eq!(ask("GET", "/refresh?issuer=corp", None).status, 405);
    assert_eq!(ask("POST", "/refresh?issuer=corp", Some("https://evil.example")).status, 403);
    for unknown in
        ["/refresh", "/refresh?issuer=", "/refresh?issuer=other", "/refresh?issuer=Corp", "/refresh?name=corp"]
    {
        assert_eq!(ask("POST", unknown, None).status, 404, "{unknown}");
    }
    assert_eq!(issuer.asked(), asked);
    let answer = ask("POST", "/refresh?issuer=corp", None);
    assert_eq!((answer.status, &answer.json()["fetched"]), (200, &json!(true)));
    issuer.answer(Reply::Body(500, Vec::new()));
    let began = Instant::now();
    let answer = ask("POST", "/refresh?issuer=corp", None);
    assert_eq!((answer.status, &answer.json()["fetched"]), (502, &json!(false)));
    assert!(began.elapsed() > Duration::from_millis(100), "an issuer rests between two early fetches");
    assert_eq!(issuer.asked(), asked + 2);
}

#[test]
fn a_hundred_thousand_unknown_keys_are_few_questions_and_disturb_nobody() {
    let count = runs("unknown keys", 10_000, 100_000);
    let first = Signer::ec().called("first");
    let (scene, issuer, syncer, router) = settled(&[&first]);
    let began = Instant::now();
    let asked = issuer.asked();
    let resident = router.resident();
    let sound = corp(&first);
    let claims = claims(ISSUER);
    let mut client = router.client();
    let (mut statuses, mut refused) = (std::collections::BTreeMap::new(), Vec::new());
    for number in 0..count {
        // The name alone decides: no signature is looked at for a key that nobody has.
        let header = json!({"alg": "ES256", "kid": format!("random-{number}-{}", number * 7_919)}).to_string();
        let forged = if number == 0 { first.token_of(&header, &claims.to_string()) } else { renamed(&sound, &header) };
        let request = Request::new("GET", "/corp").header("authorization", &format!("Bearer {forged}"));
        let answer = client.send(&request);
        *statuses.entry(answer.status).or_insert(0) += 1;
        if number % 100 == 0 {
            for (path, token, expected) in [("/corp", Some(&sound), 200), ("/open", None, 200)] {
                let request = Request::new("GET", path);
                let request = match token {
                    Some(token) => request.header("authorization", &format!("Bearer {token}")),
                    None => request,
                };
                let status = client.send(&request).status;
                if status != expected {
                    refused.push((path, status));
                }
            }
        }
    }
    let took = began.elapsed();
    assert!(refused.is_empty(), "{refused:?}");
    assert!(statuses.keys().all(|status| matches!(status, 401 | 503)), "{statuses:?}");
    // Half a second between two early fetches, here; what waits at the end is one more.
    let most = took.as_millis() / 500 + 2;
    let questions = issuer.asked() - asked;
    eprintln!("{count} unknown keys in {took:?}: {questions} questions, answers {statuses:?}");
    assert!((questions as u128) <= most && questions > 0, "{questions} questions in {took:?}");
    let grown = router.resident().saturating_sub(resident);
    assert!(grown < 64 * 1024 * 1024, "{grown} bytes more");
    // One name gets its verdict, though it is not the first.
    let forged = renamed(&sound, r#"{"alg":"ES256","kid":"one of many"}"#);
    eventually("a verdict", || (ask(&router, "/corp", &forged).reason() == Some("token_invalid")).then_some(()));
    assert_eq!(ask(&router, "/corp", &sound).status, 200);
    drop((scene, syncer));
}

#[test]
fn a_hard_swap_in_a_flood_of_unknown_keys_refuses_no_sound_token_either() {
    let (first, next) = (Signer::ec().called("first"), Signer::ec().called("next"));
    let (_scene, issuer, _syncer, router) = settled(&[&first]);
    let (old, new) = (corp(&first), corp(&next));
    let mut client = router.client();
    let mut ask = |token: &str| {
        let request = Request::new("GET", "/corp").header("authorization", &format!("Bearer {token}"));
        client.send(&request).status
    };
    let mut number = 0;
    let mut flood = |ask: &mut dyn FnMut(&str) -> u16| {
        for _ in 0..50 {
            number += 1;
            let header = json!({"alg": "ES256", "kid": format!("random-{number}")}).to_string();
            assert!(matches!(ask(&renamed(&old, &header)), 401 | 503));
        }
    };
    // The early fetch that the flood asks for is over when the keys are swapped, so the next one has to wait.
    let asked = issuer.asked();
    eventually("the flood's own fetch", || {
        flood(&mut ask);
        (issuer.asked() > asked).then_some(())
    });
    assert_eq!(ask(&old), 200);
    issuer.publish(&[&next]);
    eventually("the next key", || {
        flood(&mut ask);
        match ask(&new) {
            200 => Some(()),
            503 => None,
            other => panic!("a sound token is refused with {other}"),
        }
    });
}

/// The same claims and signature under another header.
fn renamed(token: &str, header: &str) -> String {
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", postern_tests::base64url(header.as_bytes()))
}

#[test]
fn an_issuer_that_is_down_at_the_start_touches_its_own_routes_alone() {
    let scene = Scene::new();
    let (key, other) = (Signer::rsa().called("key"), Signer::ed());
    let issuer = PublishingIssuer::start(&scene.authority, &[&key]);
    issuer.answer(Reply::Body(500, b"down".to_vec()));
    scene.boundary(&format!("jwks_url: '{}'", issuer.keys_url()), &other);
    let syncer = scene.syncer(&QUICK);
    let router = serve(&scene, &syncer);
    let waiting = ask(&router, "/corp", &corp(&key));
    assert_eq!((waiting.status, waiting.reason()), (503, Some("keys_missing")));
    assert!(waiting.header("retry-after").is_some() && waiting.header("www-authenticate").is_none());
    let of_other = other.token(&claims("https://other.example.com/"));
    assert_eq!(ask(&router, "/other", &of_other).status, 200);
    assert_eq!(router.get("/open").status, 200);
    eventually("the failure to be shown", || shown(&syncer)["failing"]["message"].as_str().map(str::to_owned));
    issuer.publish(&[&key]);
    eventually("the keys", || (ask(&router, "/corp", &corp(&key)).status == 200).then_some(()));
    eventually("that it is well again", || shown(&syncer)["failing"].is_null().then_some(()));
}

#[test]
fn whatever_an_issuer_answers_its_last_keys_stay() {
    let scene = Scene::new();
    let (key, other) = (Signer::ec().called("key"), Signer::ed());
    let issuer = PublishingIssuer::start(&scene.authority, &[&key]);
    scene.boundary(&format!("jwks_url: '{}'", issuer.keys_url()), &other);
    let syncer = scene.syncer(&QUICK);
    let router = serve(&scene, &syncer);
    eventually("the keys", || (ask(&router, "/corp", &corp(&key)).status == 200).then_some(()));
    let generation = router.snapshot()["generation"].clone();
    let elsewhere = PublishingIssuer::start(&scene.authority, &[&Signer::ec().called("elsewhere")]);
    let redirect = format!("HTTP/1.1 302 x\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", elsewhere.keys_url());
    let many: Vec<Value> = (0..10_000).map(|number| key.jwk_called(&number.to_string())).collect();
    let cut = "HTTP/1.1 200 x\r\ncontent-length: 900\r\n\r\n{\"keys\": [";
    let endless = [
        b"HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n".to_vec(),
        b"100000\r\n".to_vec(),
        vec![b' '; 0x10_0000],
    ]
    .concat();
    let answers = [
        ("500", Reply::Body(500, b"{\"keys\": []}".to_vec()), "unavailable"),
        ("404", Reply::Body(404, Vec::new()), "not_found"),
        ("a page", Reply::ok("<!doctype html><html><body>sign in</body></html>"), "invalid"),
        ("no keys", Reply::ok("{\"keys\": []}"), "invalid"),
        ("another object", Reply::ok("{\"error\": \"try later\"}"), "invalid"),
        ("ten megabytes", Reply::ok(format!("{{\"keys\": [], \"x\": \"{}\"}}", "x".repeat(10 << 20))), "too_large"),
        (
            "no announced length, and no end",
            Reply::RawThenClose([endless, vec![b'\r', b'\n', b'f', b'f', b'\r', b'\n', b' ']].concat()),
            "too_large",
        ),
        ("ten thousand keys", Reply::ok(json!({"keys": many}).to_string()), "too_large"),
        ("a redirect", Reply::Raw(redirect.into_bytes()), "invalid"),
        ("cut short", Reply::RawThenClose(cut.as_bytes().to_vec()), "unavailable"),
        ("no HTTP", Reply::RawThenClose(b"220 smtp.example.com\r\n\r\n".to_vec()), "unavailable"),
        ("a private key", Reply::ok(json!({"keys": [with_private(&key)]}).to_string()), "invalid"),
    ];
    for (what, answer, reason) in answers {
        let asked = issuer.asked();
        issuer.answer(answer);
        // Two questions, so that the answer to the first has been taken in.
        eventually(what, || (issuer.asked() >= asked + 2).then_some(()));
        eventually(&format!("{what} to be told as {reason}"), || {
            (shown(&syncer)["failing"]["reason"] == reason).then_some(())
        });
        assert_eq!(ask(&router, "/corp", &corp(&key)).status, 200, "{what}");
        assert_eq!(router.get("/open").status, 200, "{what}");
    }
    assert_eq!(router.snapshot()["generation"], generation, "nothing of it was news");
    assert_eq!(elsewhere.asked(), 0, "the redirect was followed");

    // A restart of the syncer while the issuer is down costs nobody a key.
    drop(syncer);
    let syncer = scene.syncer(&QUICK);
    eventually("the first failure", || shown(&syncer)["failing"].is_object().then_some(()));
    assert_eq!(ask(&router, "/corp", &corp(&key)).status, 200);
    // One bad key costs no other, and is told.
    issuer.answer(Reply::ok(json!({"keys": [with_private(&key), {"kty": "oct", "k": "AAAA"}, key.jwk()]}).to_string()));
    eventually("two notes", || (shown(&syncer)["notes"].as_array().map(Vec::len) == Some(2)).then_some(()));
    assert_eq!(ask(&router, "/corp", &corp(&key)).status, 200);
    assert!(!scene.text().contains("AAAA\"") && !syncer.diagnostics().contains("AAAA"));
}

fn with_private(signer: &Signer) -> Value {
    let mut key = signer.jwk();
    key["d"] = "c2VjcmV0".into();
    key
}

#[test]
fn keys_end_when_nobody_saw_them_for_too_long() {
    let scene = Scene::new();
    let (key, other) = (Signer::ec().called("key"), Signer::ed());
    let issuer = PublishingIssuer::start(&scene.authority, &[&key]);
    scene.boundary(&format!("jwks_url: '{}'", issuer.keys_url()), &other);
    let environment: Vec<_> = QUICK.into_iter().chain([("POSTERN_SYNCER_ISSUERS__KEEP", "2s")]).collect();
    let syncer = scene.syncer(&environment);
    let router = serve(&scene, &syncer);
    eventually("the keys", || (ask(&router, "/corp", &corp(&key)).status == 200).then_some(()));
    issuer.answer(Reply::Body(500, Vec::new()));
    eventually("the end of the keys", || {
        (ask(&router, "/corp", &corp(&key)).reason() == Some("keys_missing")).then_some(())
    });
    assert_eq!(ask(&router, "/other", &other.token(&claims("https://other.example.com/"))).status, 200);
    issuer.publish(&[&key]);
    eventually("the keys again", || (ask(&router, "/corp", &corp(&key)).status == 200).then_some(()));
}

#[test]
fn a_slow_issuer_delays_nobody_and_a_wrong_one_is_not_believed() {
    let key = Signer::ec().called("key");
    let other = Signer::ed();
    let scene = Scene::new();
    let slow = PublishingIssuer::start(&scene.authority, &[&key]);
    slow.answer(Reply::After(Duration::from_secs(30), Box::new(Reply::ok("{}"))));
    let strange = PublishingIssuer::start(&Authority::new("strangers"), &[&key]);
    let unnamed = PublishingIssuer::showing(&scene.authority.sign(&["elsewhere.example.com"], Validity::Now), &[&key]);
    let expired = PublishingIssuer::showing(&scene.authority.sign(&["localhost"], Validity::Over), &[&key]);
    let pretender = PublishingIssuer::start(&scene.authority, &[&key]);
    pretender.call_itself("https://login.example.com");
    let plain = Origin::start(|_| Reply::ok("{}"));
    let wrong = [
        ("slow", format!("jwks_url: '{}'", slow.keys_url()), "timeout"),
        ("another authority", format!("jwks_url: '{}'", strange.keys_url()), "unavailable"),
        ("another name", format!("jwks_url: '{}'", unnamed.keys_url()), "unavailable"),
        ("expired", format!("jwks_url: '{}'", expired.keys_url()), "unavailable"),
        ("another issuer", format!("discovery_url: '{}'", pretender.discovery_url()), "invalid"),
        ("no TLS", format!("jwks_url: 'https://localhost:{}/'", plain.port()), "unavailable"),
        ("metadata", "jwks_url: 'https://169.254.169.254/latest/meta-data/'".to_owned(), "unavailable"),
    ];
    scene.boundary(&wrong[0].1, &other);
    let environment: Vec<_> = QUICK.into_iter().chain([("POSTERN_SYNCER_ISSUERS__TIMEOUT", "700ms")]).collect();
    let syncer = scene.syncer(&environment);
    let router = serve(&scene, &syncer);
    for (what, from, reason) in wrong {
        scene.boundary(&from, &other);
        eventually(&format!("{what} to be told as {reason}"), || {
            (shown(&syncer)["failing"]["reason"] == reason).then_some(())
        });
        assert_eq!(ask(&router, "/corp", &corp(&key)).reason(), Some("keys_missing"), "{what}");
        assert_eq!(ask(&router, "/other", &other.token(&claims("https://other.example.com/"))).status, 200, "{what}");
    }
}

fn shown_keys(syncer: &Syncer) -> u64 {
    shown(syncer)["keys"].as_u64().unwrap_or(0)
}
