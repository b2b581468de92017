//! Tokens that are taken back: by whatever they are known, with the next generation, and no others.

use postern_config::revocation::{Entry, Kind, to_text};
use postern_tests::{
    Answer, Origin, Request, Router, Signer, Site, boundary_with, registration, run, seconds_from_now,
};
use serde_json::{Value, json};

const ISSUER: &str = "https://login.example.com/";

/// An issuer with two keys, of which one is named `old`.
struct Scene {
    origin: Origin,
    old: Signer,
    new: Signer,
    router: Router,
    site: Site,
}

impl Scene {
    fn new() -> Self {
        let (origin, old, new) = (Origin::named("orders"), Signer::ec().called("old"), Signer::ec().called("new"));
        let mut site = Site::empty();
        publish(&mut site, origin.port(), [&old, &new], &json!({}));
        let router = Router::serve(&site.merged());
        Self { origin, old, new, router, site }
    }

    /// The next generation takes these back.
    fn revoke(&mut self, revoked: &Value) {
        publish(&mut self.site, self.origin.port(), [&self.old, &self.new], revoked);
        self.router.until_generation(self.site.generation());
    }

    fn ask(&self, token: &str) -> Answer {
        self.router.send(&Request::new("GET", "/orders").header("authorization", &format!("Bearer {token}")))
    }

    fn outcome(&self, token: &str) -> (u16, Option<String>) {
        let answer = self.ask(token);
        (answer.status, answer.reason().map(str::to_owned))
    }
}

fn publish(site: &mut Site, port: u16, signers: [&Signer; 2], revoked: &Value) {
    let keys = json!({"keys": signers.map(Signer::jwk)});
    let issuer = json!({"name": "corp", "issuer": ISSUER, "audiences": ["api"], "jwks": keys, "revoked": revoked});
    let policies = "policies: {authentication: {any_of: ['jwt:corp']}}";
    let identity = format!("identity: {{jwt: [{issuer}]}}");
    site.publish(&boundary_with(&[port], &identity), &[registration("/orders", port, policies)]);
}

fn claims(members: &Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "aud": "api", "sub": "carol", "jti": "j-1", "exp": seconds_from_now(600), "iat": seconds_from_now(-60),
    });
    claims.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    claims
}

fn passes() -> (u16, Option<String>) {
    (200, None)
}

fn taken_back() -> (u16, Option<String>) {
    (401, Some("token_revoked".to_owned()))
}

fn instant(seconds: i64) -> String {
    postern_config::value::Timestamp::from_unix(seconds_from_now(seconds)).to_string()
}

#[test]
fn a_token_that_passed_is_taken_back_by_the_next_generation_by_each_of_its_names() {
    let mut scene = Scene::new();
    let one = scene.old.token(&claims(&json!({})));
    let other = scene.new.token(&claims(&json!({"sub": "dave", "jti": "j-2", "iat": seconds_from_now(-5)})));
    for revoked in [
        json!({"jti": ["j-1"]}),
        json!({"sub": ["carol"]}),
        json!({"kid": ["old"]}),
        json!({"issued_before": instant(-30)}),
        json!({"digests": [to_text(&[Kind::Jti.entry("j-9"), Kind::Jti.entry("j-1")])]}),
        json!({"digests": [to_text(&[Kind::Sub.entry("carol")])]}),
        json!({"digests": [to_text(&[Kind::Kid.entry("old")])]}),
    ] {
        scene.revoke(&json!({}));
        // Twice: verified, then remembered.
        for token in [&one, &one, &other, &other] {
            assert_eq!(scene.outcome(token), passes(), "before {revoked}");
        }
        scene.revoke(&revoked);
        for _ in 0..2 {
            assert_eq!((scene.outcome(&one), scene.outcome(&other)), (taken_back(), passes()), "{revoked}");
        }
    }
    let answer = scene.ask(&one);
    let challenge = r#"Bearer realm="postern", error="invalid_token", error_description="the token was revoked""#;
    assert_eq!(answer.header("www-authenticate"), Some(challenge));
}

#[test]
fn what_is_only_tried_out_is_told_of_each_request_and_refuses_nobody() {
    let mut scene = Scene::new();
    let one = scene.old.token(&claims(&json!({})));
    let other = scene.new.token(&claims(&json!({"sub": "dave", "jti": "j-2"})));
    scene.revoke(&json!({"sub": ["carol"], "mode": "shadow"}));
    // Verified, then remembered, on every core: each time it is told.
    let answers: Vec<Answer> = (0..6).map(|_| scene.ask(&one)).collect();
    for answer in answers {
        assert_eq!((answer.status, answer.reason()), (200, None));
        let line = scene.router.logged(answer.header("x-request-id").unwrap());
        assert_eq!((&line["shadow_denied"], &line["principal"]), (&json!("revocation:token_revoked"), &json!("carol")));
    }
    let fine = scene.ask(&other);
    let line = scene.router.logged(fine.header("x-request-id").unwrap());
    assert_eq!((fine.status, &line["shadow_denied"]), (200, &Value::Null));
    let told =
        "postern_policy_decisions_total{layer=\"registration\",kind=\"revocation\",mode=\"shadow\",verdict=\"denied\"}";
    let denials = "postern_shadow_denials_total{route=\"/orders#default\",owner=\"team\"}";
    assert_eq!((scene.router.metric(told), scene.router.metric(denials)), (6.0, 6.0));

    let (merged, header) = (scene.site.merged(), format!("authorization: Bearer {one}"));
    let explained = run(
        "postern-router",
        &["explain", merged.to_str().unwrap(), "GET http://api.example.com/orders", "-H", &header],
    );
    assert!(
        explained.out.contains("revocation:token_revoked would refuse; shadow"),
        "{}{}",
        explained.out,
        explained.err
    );

    scene.revoke(&json!({"sub": ["carol"], "mode": "off"}));
    assert_eq!(scene.outcome(&one), passes());
    scene.revoke(&json!({"sub": ["carol"], "mode": "enforce"}));
    assert_eq!((scene.outcome(&one), scene.outcome(&other)), (taken_back(), passes()));
    assert_eq!(scene.router.metric(denials), 6.0);
}

#[test]
fn only_who_has_a_sound_token_learns_that_it_was_taken_back() {
    let mut scene = Scene::new();
    scene.revoke(&json!({"sub": ["carol"], "issued_before": instant(-30)}));
    let forged = Signer::ec().called("old").token(&claims(&json!({})));
    assert_eq!(scene.outcome(&forged), (401, Some("token_invalid".to_owned())));
    let expired = scene.old.token(&claims(&json!({"exp": seconds_from_now(-100)})));
    assert_eq!(scene.outcome(&expired), (401, Some("token_expired".to_owned())));
    let mut undated = claims(&json!({"sub": "dave"}));
    undated.as_object_mut().unwrap().remove("iat");
    assert_eq!(scene.outcome(&scene.new.token(&undated)), taken_back());
}

#[test]
fn what_the_command_makes_of_ids_takes_their_tokens_back() {
    let mut scene = Scene::new();
    let file = scene.site.path().join("ids");
    let ids: Vec<String> = (0..100).map(|index| format!("j-{index}")).collect();
    std::fs::write(&file, ids.join("\n") + "\n").unwrap();
    let made = run("postern-syncer", &["token", "digests", "--kind", "jti", file.to_str().unwrap()]);
    assert_eq!(made.code, 0, "{}", made.err);
    let texts: Vec<&str> = made.out.lines().map(|line| line.trim_start_matches("- \"").trim_end_matches('"')).collect();
    assert_eq!(texts.len(), 3);
    scene.revoke(&json!({"digests": texts}));
    let of = |jti: &str| scene.new.token(&claims(&json!({"jti": jti})));
    for jti in ["j-0", "j-47", "j-48", "j-99"] {
        assert_eq!(scene.outcome(&of(jti)), taken_back(), "{jti}");
    }
    for jti in ["j-100", "j-", "J-0", "jti:j-0"] {
        assert_eq!(scene.outcome(&of(jti)), passes(), "{jti}");
    }
    std::fs::write(&file, "").unwrap();
    assert_eq!(run("postern-syncer", &["token", "digests", "--kind", "sub", file.to_str().unwrap()]).code, 1);
}

#[test]
fn a_million_are_served_and_searched() {
    let many = u32::try_from(postern_tests::runs("revoked tokens", 100_000, 1_000_000)).unwrap();
    let mut scene = Scene::new();
    let of = |jti: &str| scene.new.token(&claims(&json!({"jti": jti})));
    assert_eq!(scene.outcome(&of("a")), passes());
    let before = scene.router.resident();
    let entries: Vec<Entry> = (0..many).map(|index| Kind::Jti.entry(&index.to_string())).collect();
    let texts: Vec<String> = entries.chunks(48).map(to_text).collect();
    let revoked = json!({"digests": texts});
    publish(&mut scene.site, scene.origin.port(), [&scene.old, &scene.new], &revoked);
    scene.router.until_generation(scene.site.generation());
    for (jti, expected) in [
        ("0".to_owned(), taken_back()),
        ((many - 1).to_string(), taken_back()),
        (many.to_string(), passes()),
        ("a".to_owned(), passes()),
    ] {
        assert_eq!(scene.outcome(&of(&jti)), expected, "{jti}");
    }
    let after = scene.router.resident();
    eprintln!("resident: {} KiB before, {} KiB with {many} revoked tokens", before / 1024, after / 1024);
}
