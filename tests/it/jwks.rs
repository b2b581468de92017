//! Keys that issuers publish: fetched by the syncer over TLS, rotated, lost and lied about, while tokens pass.

use std::path::PathBuf;
use std::time::Duration;

use postern_tests::{
    Answer, Authority, Origin, PublishingIssuer, Reply, Request, Router, Signer, Syncer, boundary_with, eventually,
    registration, seconds_from_now,
};
use serde_json::{Value, json};

const ISSUER: &str = "https://login.example.com/";

/// Quick enough for a test: an hour is a second.
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
        let router = Router::serve(&scene.merged());
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

fn shown_keys(syncer: &Syncer) -> u64 {
    shown(syncer)["keys"].as_u64().unwrap_or(0)
}
