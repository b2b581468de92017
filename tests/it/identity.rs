//! Who may pass, what those are told who may not, and what a destination learns of the caller.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use argon2::Argon2;
use argon2::password_hash::PasswordHasher as _;
use postern_tests::{
    Answer, Load, Origin, Request, Router, Signer, Site, Syncer, basic, boundary_with, eventually, registration,
    seconds_from_now,
};
use serde_json::{Value, json};

/// Of the password "correct horse".
const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";
const ISSUER: &str = "https://login.example.com/";

/// At the cost that argon2 has where nobody says another: some tens of milliseconds.
fn argon2id(password: &str) -> String {
    Argon2::default().hash_password_with_salt(password.as_bytes(), b"sixteen bytes ok").unwrap().to_string()
}

fn realm() -> String {
    format!(
        "identity: {{basic: [{{name: ops, users: [
           {{name: alice, hash: '{}', scopes: [read, write]}}, {{name: bob, hash: '{BCRYPT}', scopes: [read]}}]}}]}}",
        argon2id("pässword: with colon")
    )
}

fn issuer(signers: &[&Signer]) -> String {
    let keys: Vec<Value> = signers.iter().map(|signer| signer.jwk()).collect();
    format!(
        "identity: {{jwt: [{{name: corp, issuer: '{ISSUER}', audiences: [api], jwks: {}}}]}}",
        json!({"keys": keys})
    )
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "api", "sub": "carol", "exp": seconds_from_now(600), "scope": "read write"})
}

fn with(authorization: &str) -> Request {
    Request::new("GET", "/orders").header("authorization", authorization)
}

fn bearer(token: &str) -> Request {
    with(&format!("Bearer {token}"))
}

fn challenges(answer: &Answer) -> Vec<&str> {
    let all = answer.headers.iter().filter(|(name, _)| name == "www-authenticate");
    all.map(|(_, value)| value.as_str()).collect()
}

fn scene(origin: &Origin, identity: &str, policies: &str) -> Site {
    Site::new(
        &boundary_with(&[origin.port()], identity),
        &[
            registration("/orders", origin.port(), &format!("policies: {{{policies}}}")),
            registration("/open", origin.port(), ""),
        ],
    )
}

#[test]
fn users_pass_with_their_password_and_with_no_other() {
    let origin = Origin::named("orders");
    let site = scene(&origin, &realm(), "authentication: {any_of: ['basic:ops']}");
    let router = Router::serve(&site.merged());
    // Twice: verified, then remembered.
    for _ in 0..2 {
        assert_eq!(router.send(&with(&basic("alice", "pässword: with colon"))).status, 200);
        assert_eq!(router.send(&with(&basic("bob", "correct horse"))).status, 200);
    }
    let seen = origin.received().len();
    let challenge = r#"Basic realm="ops", charset="UTF-8""#;
    let wrong = [
        (basic("alice", "correct horse"), "credentials_invalid"),
        (basic("bob", "pässword: with colon"), "credentials_invalid"),
        (basic("alice", ""), "credentials_invalid"),
        (basic("alice", "pässword: with colon "), "credentials_invalid"),
        (basic("Alice", "pässword: with colon"), "credentials_invalid"),
        (basic("nobody", "correct horse"), "credentials_invalid"),
        (basic("", ""), "credentials_invalid"),
        ("Basic".to_owned(), "credentials_invalid"),
        ("Basic !!!".to_owned(), "credentials_invalid"),
        (format!("{}, {}", basic("bob", "correct horse"), basic("x", "y")), "credentials_invalid"),
        ("Digest username=bob".to_owned(), "credentials_invalid"),
        ("Bearer a.b.c".to_owned(), "credentials_invalid"),
    ];
    for (authorization, reason) in &wrong {
        let answer = router.send(&with(authorization));
        assert_eq!((answer.status, answer.reason()), (401, Some(*reason)), "{authorization}");
        assert_eq!(challenges(&answer), [challenge], "{authorization}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        assert_eq!(answer.json()["request_id"].as_str(), answer.header("x-request-id"));
    }
    let missing = router.get("/orders");
    assert_eq!((missing.status, missing.reason()), (401, Some("credentials_missing")));
    assert_eq!(challenges(&missing), [challenge]);
    let twice = with(&basic("bob", "correct horse")).header("authorization", &basic("bob", "correct horse"));
    assert_eq!(router.send(&twice).status, 401);
    assert_eq!(origin.received().len(), seen);
    assert_eq!(router.get("/open").status, 200);
}

#[test]
fn tokens_pass_under_every_kind_of_public_key() {
    let origin = Origin::named("orders");
    let signers = [Signer::rsa(), Signer::ec(), Signer::ed()];
    let site = scene(&origin, &issuer(&signers.each_ref()), "authentication: {any_of: ['jwt:corp']}");
    let router = Router::serve(&site.merged());
    for signer in &signers {
        let answer = router.send(&bearer(&signer.token(&claims())));
        assert_eq!(answer.status, 200, "{}: {}", signer.algorithm(), answer.text());
        let line = router.logged(answer.header("x-request-id").unwrap());
        assert_eq!((&line["principal"], &line["authenticated_by"]), (&"carol".into(), &"jwt:corp".into()));
    }
    let missing = router.get("/orders");
    assert_eq!((missing.status, challenges(&missing)), (401, vec![r#"Bearer realm="postern""#]));
}

#[test]
fn a_shared_key_travels_beside_the_merged_file_and_never_in_it() {
    let origin = Origin::named("orders");
    let signer = Signer::shared(b"a shared secret of thirty-two bytes!");
    let place = tempfile::tempdir().unwrap();
    let (boundary, registrations) = (place.path().join("boundary.yaml"), place.path().join("registrations"));
    std::fs::create_dir(&registrations).unwrap();
    std::fs::write(&boundary, boundary_with(&[origin.port()], &issuer(&[&signer]))).unwrap();
    let route = registration("/orders", origin.port(), "policies: {authentication: {any_of: ['jwt:corp']}}");
    std::fs::write(registrations.join("orders.yaml"), route).unwrap();
    let out = place.path().join("out");
    let syncer = Syncer::run(boundary.to_str().unwrap(), registrations.to_str().unwrap(), &out, &[]);
    let router = Router::serve(&out.join("merged.json"));
    assert_eq!(router.send(&bearer(&signer.token(&claims()))).status, 200);
    let forged = Signer::shared(b"another secret of thirty-two bytes!!").token(&claims());
    assert_eq!(router.send(&bearer(&forged)).reason(), Some("token_invalid"));

    let secret = signer.jwk()["k"].as_str().unwrap().to_owned();
    let merged = std::fs::read_to_string(out.join("merged.json")).unwrap();
    assert!(!merged.contains(&secret));
    let mode = std::os::unix::fs::PermissionsExt::mode(&out.join("secrets.json").metadata().unwrap().permissions());
    assert_eq!(mode & 0o077, 0, "others can read the secrets: {mode:o}");

    // A changed secret is live without a restart, and the old one is worth nothing.
    let next = Signer::shared(b"the next secret of thirty-two bytes!");
    std::fs::write(&boundary, boundary_with(&[origin.port()], &issuer(&[&next]))).unwrap();
    eventually("the next secret", || (router.send(&bearer(&next.token(&claims()))).status == 200).then_some(()));
    assert_eq!(router.send(&bearer(&signer.token(&claims()))).status, 401);
    drop(syncer);
}

#[test]
fn hostile_tokens_do_not_pass() {
    let origin = Origin::named("orders");
    let (rsa, ec, stranger) = (Signer::rsa(), Signer::ec(), Signer::ec());
    let site = scene(&origin, &issuer(&[&rsa, &ec]), "authentication: {any_of: ['jwt:corp']}");
    let router = Router::serve(&site.merged());
    let good = ec.token(&claims());
    assert_eq!(router.send(&bearer(&good)).status, 200, "the token that the others are made of");
    let parts: Vec<&str> = good.split('.').collect();
    let changed = |field: &str, value: Value| {
        let mut claims = claims();
        claims[field] = value;
        ec.token(&claims)
    };
    let without = |field: &str| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(field);
        ec.token(&claims)
    };
    let header = |header: Value| ec.token_with(&header, &claims());
    let unsigned = |algorithm: &str| {
        let token = ec.token_with(&json!({"alg": algorithm}), &claims());
        token.rsplit_once('.').unwrap().0.to_owned()
    };
    let confusion = Signer::shared(&rsa.public_bytes());
    let past = seconds_from_now(-3_600);
    let rows = [
        ("alg none, no signature", format!("{}.", unsigned("none"))),
        ("alg None, no signature", format!("{}.", unsigned("None"))),
        ("alg none, a signature", format!("{}.{}", unsigned("none"), parts[2])),
        ("two parts", unsigned("ES256")),
        ("the RSA key as a shared secret", confusion.token_with(&json!({"alg": "HS256", "kid": "RS256"}), &claims())),
        ("the same without a key id", confusion.token_with(&json!({"alg": "HS256"}), &claims())),
        ("another's key", stranger.token(&claims())),
        (
            "another's key, brought along",
            stranger.token_with(&json!({"alg": "ES256", "jwk": stranger.jwk()}), &claims()),
        ),
        (
            "another's key by URL",
            stranger.token_with(&json!({"alg": "ES256", "jku": "https://evil.example/"}), &claims()),
        ),
        ("an algorithm that is not the key's", header(json!({"alg": "RS256", "kid": "ES256"}))),
        ("an unknown key id", header(json!({"alg": "ES256", "kid": "../../etc/passwd"}))),
        ("a key id that is no text", header(json!({"alg": "ES256", "kid": 1}))),
        (
            "an extension that must be understood",
            header(json!({"alg": "ES256", "kid": "ES256", "crit": ["x"], "x": 1})),
        ),
        ("an unencoded payload", header(json!({"alg": "ES256", "kid": "ES256", "b64": false, "crit": ["b64"]}))),
        ("a token for logging out", header(json!({"alg": "ES256", "kid": "ES256", "typ": "logout+jwt"}))),
        ("a token in a token", header(json!({"alg": "ES256", "kid": "ES256", "cty": "JWT"}))),
        (
            "a changed payload",
            format!(
                "{}.{}.{}",
                parts[0],
                stranger
                    .token(&json!({"iss": ISSUER, "aud": "api", "sub": "root", "exp": seconds_from_now(600)}))
                    .split('.')
                    .nth(1)
                    .unwrap(),
                parts[2]
            ),
        ),
        ("a signature of zeros", format!("{}.{}.{}", parts[0], parts[1], "A".repeat(86))),
        ("five parts", format!("{good}.a.b")),
        ("padding", format!("{}=.{}.{}", parts[0], parts[1], parts[2])),
        ("blanks", format!("{} {}", parts[0], parts[1])),
        ("another issuer", changed("iss", json!("https://login.example.com"))),
        ("no issuer", without("iss")),
        ("a list of issuers", changed("iss", json!([ISSUER]))),
        ("another audience", changed("aud", json!("billing"))),
        ("no audience", without("aud")),
        ("an audience that only begins so", changed("aud", json!("api2"))),
        ("no end", without("exp")),
        ("an end that is a text", changed("exp", json!("9999999999"))),
        ("not yet valid", changed("nbf", json!(seconds_from_now(3_600)))),
        ("a subject that is a list", changed("sub", json!(["carol"]))),
        ("a subject with a line end", changed("sub", json!("carol\nroot"))),
        (
            "two issuers",
            ec.token_of(
                r#"{"alg":"ES256","kid":"ES256"}"#,
                &claims().to_string().replacen('{', r#"{"iss":"https://evil.example/","#, 1),
            ),
        ),
        ("two algorithms", ec.token_of(r#"{"alg":"none","alg":"ES256","kid":"ES256"}"#, &claims().to_string())),
        ("no JSON", ec.token_of(r#"{"alg":"ES256","kid":"ES256"}"#, "carol")),
    ];
    for (what, token) in &rows {
        let answer = router.send(&bearer(token));
        assert_eq!(answer.status, 401, "{what} passed");
        assert!(["token_invalid", "credentials_invalid"].contains(&answer.reason().unwrap()), "{what}");
        assert!(challenges(&answer)[0].starts_with(r#"Bearer realm="postern""#), "{what}");
        assert!(
            !answer.text().contains("issuer") && !answer.text().contains("audience"),
            "a forger is told: {}",
            answer.text()
        );
    }
    let expired = router.send(&bearer(&changed("exp", json!(past))));
    assert_eq!((expired.status, expired.reason()), (401, Some("token_expired")));
    assert!(challenges(&expired)[0].contains(r#"error="invalid_token""#));
    // Only a true token is told that it has expired.
    let forged = stranger.token(&json!({"iss": ISSUER, "aud": "api", "exp": past}));
    assert_eq!(router.send(&bearer(&forged)).reason(), Some("token_invalid"));
    for request in [
        Request::new("GET", &format!("/orders?access_token={good}")),
        Request::new("GET", "/orders").header("cookie", &format!("token={good}")),
        Request::new("GET", "/orders").header("x-authorization", &format!("Bearer {good}")),
        Request::new("GET", "/orders").header("proxy-authorization", &format!("Bearer {good}")),
    ] {
        assert_eq!(router.send(&request).reason(), Some("credentials_missing"));
    }
    assert_eq!(router.send(&bearer(&good).header("authorization", "Bearer x")).status, 401);
    assert_eq!(origin.received().len(), 1, "one of them reached the destination");
    eprintln!("{} hostile tokens", rows.len());
}

#[test]
fn clocks_may_differ_by_the_leeway_and_no_more() {
    let origin = Origin::named("orders");
    let ec = Signer::ec();
    let site = scene(&origin, &issuer(&[&ec]), "authentication: {any_of: ['jwt:corp']}");
    let router = Router::serve(&site.merged());
    for (exp, nbf, status) in [(-30, -600, 200), (-90, -600, 401), (600, 30, 200), (600, 90, 401)] {
        let mut claims = claims();
        claims["exp"] = seconds_from_now(exp).into();
        claims["nbf"] = seconds_from_now(nbf).into();
        assert_eq!(router.send(&bearer(&ec.token(&claims))).status, status, "exp {exp}, nbf {nbf}");
    }
}

#[test]
fn scopes_are_all_demanded_of_users_and_tokens_alike() {
    let origin = Origin::named("orders");
    let ec = Signer::ec();
    let identity = realm().trim_end_matches('}').to_owned()
        + &format!(
            ", jwt: [{{name: corp, issuer: '{ISSUER}', audiences: [api], jwks: {}}}]}}",
            json!({"keys": [ec.jwk()]})
        );
    let identity = identity.replacen("}]}, jwt", "}]}], jwt", 1);
    let policies = "authentication: {any_of: ['basic:ops', 'jwt:corp']}, authorization: {scopes: [read, write]}";
    let site = scene(&origin, &identity, policies);
    let router = Router::serve(&site.merged());
    assert_eq!(router.send(&with(&basic("alice", "pässword: with colon"))).status, 200);
    let bob = router.send(&with(&basic("bob", "correct horse")));
    assert_eq!((bob.status, bob.reason(), challenges(&bob).len()), (403, Some("scope_missing"), 0));
    for (scope, status) in [
        (json!("read write"), 200),
        (json!("write read more"), 200),
        (json!(["read", "write"]), 200),
        (json!("read"), 403),
        (json!(""), 403),
        (json!("readwrite"), 403),
        (json!("read,write"), 403),
        (json!("READ WRITE"), 403),
    ] {
        let mut claims = claims();
        claims["scope"] = scope.clone();
        let answer = router.send(&bearer(&ec.token(&claims)));
        assert_eq!(answer.status, status, "{scope}");
        if status == 403 {
            let told = r#"Bearer realm="postern", error="insufficient_scope", scope="read write""#;
            assert_eq!((answer.reason(), challenges(&answer)), (Some("scope_missing"), vec![told]));
        }
    }
}

#[test]
fn a_destination_learns_of_the_caller_only_what_the_router_proved() {
    let origin = Origin::named("orders");
    let ec = Signer::ec();
    let policies = "authentication: {any_of: ['jwt:corp']}, \
                    identity_headers: {x-user-id: sub, x-user-roles: realm.roles, x-user-team: team}";
    let site = scene(&origin, &issuer(&[&ec]), policies);
    let router = Router::serve(&site.merged());
    let mut claims = claims();
    claims["realm"] = json!({"roles": ["admin", "ops"]});
    let forged = |mut request: Request| {
        for name in ["x-user-id", "X-User-Roles", "x-USER-team"] {
            request = request.header(name, "forged").header(name, "twice");
        }
        request.header("connection", "x-user-id, x-user-roles")
    };
    assert_eq!(router.send(&forged(bearer(&ec.token(&claims)))).status, 200);
    let seen = origin.last();
    assert_eq!(seen.all("x-user-id"), ["carol"]);
    assert_eq!(seen.all("x-user-roles"), ["admin,ops"]);
    assert!(seen.all("x-user-team").is_empty(), "the token says nothing of a team");
    // Nor on a route that sets none of them: behind it may be the same service.
    assert_eq!(router.send(&forged(Request::new("GET", "/open"))).status, 200);
    let seen = origin.last();
    for name in ["x-user-id", "x-user-roles", "x-user-team"] {
        assert!(seen.all(name).is_empty(), "{name}: {:?}", seen.all(name));
    }
    // A value with two readings is left out rather than cut.
    claims["sub"] = json!("carol ");
    assert_eq!(router.send(&bearer(&ec.token(&claims))).status, 200);
    assert!(origin.last().all("x-user-id").is_empty());
}

#[test]
fn an_issuer_without_keys_is_nobodys_fault_but_its_own() {
    let origin = Origin::named("orders");
    let ec = Signer::ec();
    let identity = format!(
        "identity: {{jwt: [{{name: corp, issuer: '{ISSUER}', audiences: [api], jwks_url: 'https://login.example.com/keys'}}]}}"
    );
    let site = scene(&origin, &identity, "authentication: {any_of: ['jwt:corp']}");
    let router = Router::serve(&site.merged());
    let answer = router.send(&bearer(&ec.token(&claims())));
    assert_eq!((answer.status, answer.reason()), (503, Some("keys_missing")));
    assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    assert_eq!(router.get("/orders").status, 401);
    assert_eq!(router.get("/open").status, 200);
    assert_eq!(origin.received().len(), 1);
}

#[test]
fn what_the_boundary_demands_below_a_path_holds_for_routes_that_ask_for_nothing() {
    let origin = Origin::named("orders");
    let boundary = boundary_with(&[origin.port()], &realm())
        + "\npaths: [{prefix: /}, {prefix: /orders, require: {authentication: {any_of: ['basic:ops']}, authorization: {scopes: [write]}}}]\n";
    let site =
        Site::new(&boundary, &[registration("/orders", origin.port(), ""), registration("/", origin.port(), "")]);
    let router = Router::serve(&site.merged());
    assert_eq!(router.get("/orders/1").status, 401);
    assert_eq!(router.send(&with(&basic("bob", "correct horse"))).status, 403);
    assert_eq!(router.send(&with(&basic("alice", "pässword: with colon"))).status, 200);
    assert_eq!(router.get("/other").status, 200);
}

#[test]
fn a_bad_token_is_refused_also_where_nobody_need_be_proved() {
    let origin = Origin::named("orders");
    let ec = Signer::ec();
    let site = scene(&origin, &issuer(&[&ec]), "authentication: {any_of: [none, 'jwt:corp']}");
    let router = Router::serve(&site.merged());
    assert_eq!(router.get("/orders").status, 200);
    assert_eq!(router.send(&bearer(&ec.token(&claims()))).status, 200);
    assert_eq!(router.send(&bearer(&Signer::ec().token(&claims()))).status, 401);
}

#[test]
fn a_flood_of_wrong_passwords_stalls_nobody_else() {
    let origin = Origin::named("orders");
    let site = scene(&origin, &realm(), "authentication: {any_of: ['basic:ops']}");
    let router = Router::start(&site.merged(), &["--access-log", "off"], &[]);
    router.until_ready();
    let known = with(&basic("alice", "pässword: with colon"));
    assert_eq!(router.send(&known).status, 200);
    let guesses = std::sync::Arc::new(AtomicU64::new(0));
    let counted = std::sync::Arc::clone(&guesses);
    let flood = Load::start(router.address(), 32, move |number| {
        counted.fetch_add(1, Ordering::Relaxed);
        // Another name each time: one name would be told to wait.
        with(&basic(&format!("guess {number}"), "guess"))
    });
    eventually("guesses", || (guesses.load(Ordering::Relaxed) > 64).then_some(()));
    let (mut open, mut remembered) = (Vec::new(), Vec::new());
    let mut client = router.client();
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        for (request, times) in [(&Request::new("GET", "/open"), &mut open), (&known, &mut remembered)] {
            let began = Instant::now();
            assert_eq!(client.send(request).status, 200, "during a flood");
            times.push(began.elapsed());
        }
    }
    let tally = flood.stop();
    assert_eq!((tally.good, tally.broken), (0, 0), "a guess passed, or a connection broke");
    let refusals = router.metric("postern_rejections_total{reason=\"credentials_invalid\",fault=\"client\"}");
    open.sort();
    remembered.sort();
    let p99 = |times: &[Duration]| times[times.len() * 99 / 100];
    eprintln!(
        "{} guesses ({refusals} checked); {} other requests, p99 {:?}; {} of a remembered user, p99 {:?}",
        tally.bad,
        open.len(),
        p99(&open),
        remembered.len(),
        p99(&remembered)
    );
    // One check alone takes longer than any of these may.
    assert!(p99(&open) < Duration::from_millis(250) && p99(&remembered) < Duration::from_millis(250));
    assert!(origin.received().iter().all(|request| request.target == "/open" || request.target == "/orders"));
}
