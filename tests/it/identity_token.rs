//! Tokens that tell destinations who calls: what is in them, who can verify them, and that nobody else's arrives.

use std::collections::BTreeSet;
use std::path::Path;

use postern_tests::frames::Http2;
use postern_tests::hpack::Block;
use postern_tests::{
    Origin, Received, Request, Router, Signer, Site, base64url, basic, boundary_with, eventually, registration, run,
    seconds_from_now,
};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const ISSUER: &str = "https://login.example.com/";
const OURS: &str = "https://api.example.com";
const HEADER: &str = "x-postern-identity";
const PATH: &str = "/.well-known/postern/jwks.json";

/// A router that signs, a destination behind routes that ask for tokens in many ways, and callers of every kind.
struct Scene {
    origin: Origin,
    signer: Signer,
    router: Router,
    site: Site,
}

impl Scene {
    fn new(key: Option<&KeyPair>) -> Self {
        let (origin, signer, site) = (Origin::named("orders"), Signer::ec(), Site::empty());
        let mut scene = Self { router: start(&site, key), origin, signer, site };
        scene.publish("60s");
        scene.router.until_ready();
        scene
    }

    /// Who can be proved.
    fn identity(&self) -> String {
        format!(
            "identity:
  jwt: [{{name: corp, issuer: '{ISSUER}', audiences: [api], jwks: {}}}]
  basic: [{{name: ops, users: [{{name: carol, hash: '{BCRYPT}', scopes: [read]}}]}}]",
            json!({"keys": [self.signer.jwk()]})
        )
    }

    fn publish(&mut self, ttl: &str) {
        let identity = self.identity();
        let asks = format!(
            "identity_token: {{audience: orders, ttl: {ttl}, claims: {{roles: realm.roles, team: team, none: absent}}}}"
        );
        let any = "authentication: {any_of: ['jwt:corp', 'basic:ops', none]}";
        let port = self.origin.port();
        let registrations = [
            registration("/orders", port, &format!("policies: {{{any}, {asks}}}")),
            registration("/again", port, &format!("policies: {{{any}, {asks}}}")),
            registration(
                "/own",
                port,
                &format!("policies: {{{any}, identity_token: {{audience: own, header: x-caller}}}}"),
            ),
            registration("/open", port, ""),
        ];
        self.site.publish(&boundary_with(&[port], &identity), &registrations);
    }

    fn claims(&self) -> Value {
        json!({"iss": ISSUER, "aud": "api", "sub": "carol", "exp": seconds_from_now(600), "team": "a\nb", "realm": {"roles": ["r1", "r2"]}})
    }

    fn by(&self, path: &str, claims: &Value) -> Received {
        let bearer = format!("Bearer {}", self.signer.token(claims));
        self.router.passes(&self.origin, &Request::new("GET", path).header("authorization", &bearer))
    }

    fn set(&self) -> Value {
        // A key may change between the two looks.
        eventually("both listeners to show the same keys", || {
            let answer = self.router.send(&Request::to_host("GET", "any.example.net", PATH));
            assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/jwk-set+json")));
            (self.router.admin("/jwks").json() == answer.json()).then(|| answer.json())
        })
    }

    fn key_file(&self) -> std::path::PathBuf {
        self.site.path().join("identity.pem")
    }
}

/// Of the password "correct horse".
const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";

fn start(site: &Site, key: Option<&KeyPair>) -> Router {
    let file = site.path().join("identity.pem");
    let mut environment = Vec::new();
    if let Some(key) = key {
        std::fs::write(&file, key.serialize_pem()).unwrap();
        environment.push(("POSTERN_ROUTER_IDENTITY_TOKEN__KEY_FILE", file.to_str().unwrap()));
        environment.push(("POSTERN_ROUTER_IDENTITY_TOKEN__ISSUER", OURS));
        environment.push(("POSTERN_ROUTER_IDENTITY_TOKEN__JWKS_PATH", PATH));
    }
    Router::start(&site.merged(), &[], &environment)
}

fn ed() -> KeyPair {
    KeyPair::generate_for(&PKCS_ED25519).unwrap()
}

fn decode(text: &str) -> Vec<u8> {
    base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text).unwrap()
}

/// Header and claims of a token that a key of the set signed: RFC 7515 and RFC 7517 by hand, over the primitives of another
/// library than the one that signs.
fn verified(token: &str, set: &Value) -> (Value, Value) {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, claims, signature] = parts[..] else { panic!("{token}") };
    let (signed, signature) = (format!("{header}.{claims}"), decode(signature));
    let header: Value = serde_json::from_slice(&decode(header)).unwrap();
    let keys = set["keys"].as_array().unwrap();
    let key = keys.iter().find(|key| key["kid"] == header["kid"]).unwrap_or_else(|| panic!("{header} {set}"));
    assert_eq!(key["alg"], header["alg"]);
    assert!(key.get("d").is_none());
    let member = |name: &str| decode(key[name].as_str().unwrap());
    let text = |name: &str| key[name].as_str().unwrap();
    let (public, signature, canonical) = match text("kty") {
        "EC" => {
            let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, text("x"), text("y"));
            ([vec![4], member("x"), member("y")].concat(), der(&signature), canonical)
        }
        _ => {
            let canonical = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text("x"));
            (member("x"), signature, canonical)
        }
    };
    assert_eq!(text("kid"), base64url(&Sha256::digest(canonical.as_bytes())), "RFC 7638");
    let known = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.all;
    assert!(known.iter().any(|one| one.verify_signature(&public, signed.as_bytes(), &signature).is_ok()), "{token}");
    (header, serde_json::from_slice(&decode(claims)).unwrap())
}

/// Two integers of 32 bytes as a DER sequence.
fn der(signature: &[u8]) -> Vec<u8> {
    assert_eq!(signature.len(), 64);
    let integer = |half: &[u8]| {
        let mut bytes: Vec<u8> = half.iter().copied().skip_while(|byte| *byte == 0).collect();
        if bytes.first().is_none_or(|byte| *byte > 0x7f) {
            bytes.insert(0, 0);
        }
        [vec![2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    };
    let both = [integer(&signature[..32]), integer(&signature[32..])].concat();
    [vec![0x30, u8::try_from(both.len()).unwrap()], both].concat()
}

#[test]
fn a_destination_learns_who_calls_from_a_token_that_it_can_verify() {
    for (kind, name) in [(&PKCS_ECDSA_P256_SHA256, "ES256"), (&PKCS_ED25519, "EdDSA")] {
        let scene = Scene::new(Some(&KeyPair::generate_for(kind).unwrap()));
        let received = scene.by("/orders/1", &scene.claims());
        let (header, claims) = verified(received.header(HEADER).unwrap(), &scene.set());
        assert_eq!((&header["alg"], &header["typ"]), (&json!(name), &json!("JWT")));
        let now = seconds_from_now(0);
        let times = ["iat", "nbf", "exp"].map(|one| claims[one].as_i64().unwrap());
        assert!((now - 5..=now).contains(&times[0]) && times[1] == times[0] && times[2] == times[0] + 60, "{claims}");
        assert_eq!(claims["jti"].as_str().unwrap().len(), 32);
        let mut rest = claims.clone();
        ["iat", "nbf", "exp", "jti"].iter().for_each(|one| _ = rest.as_object_mut().unwrap().remove(*one));
        let expected = json!({
            "iss": OURS, "sub": "carol", "aud": "orders", "via": "jwt:corp", "route": "/orders#default",
            "roles": ["r1", "r2"], "team": "a\nb",
        });
        assert_eq!(rest, expected);

        let own = scene.by("/own", &scene.claims());
        assert_eq!(own.header(HEADER), None);
        let (_, claims) = verified(own.header("x-caller").unwrap(), &scene.set());
        assert_eq!((&claims["aud"], claims.get("roles")), (&json!("own"), None));
    }
}

#[test]
fn who_is_not_proved_gets_no_token_and_a_user_gets_one_that_says_so() {
    let scene = Scene::new(Some(&ed()));
    let nobody = scene.router.passes(&scene.origin, &Request::new("GET", "/orders"));
    assert_eq!((nobody.header(HEADER), scene.by("/open", &scene.claims()).header(HEADER)), (None, None));
    let user = Request::new("GET", "/orders").header("authorization", &basic("carol", "correct horse"));
    let received = scene.router.passes(&scene.origin, &user);
    let (_, claims) = verified(received.header(HEADER).unwrap(), &scene.set());
    assert_eq!((&claims["sub"], &claims["via"]), (&json!("carol"), &json!("basic:ops")));
}

#[test]
fn nobody_but_the_router_says_who_calls_in_any_spelling() {
    let scene = Scene::new(Some(&ed()));
    let forged = "forged.by.client";
    let bearer = format!("Bearer {}", scene.signer.token(&scene.claims()));
    for name in ["x-postern-identity", "X-Postern-Identity", "x-caller", "X-CALLER"] {
        for path in ["/orders", "/own", "/open"] {
            for proof in [None, Some(&bearer)] {
                for named in [false, true] {
                    let mut request = Request::new("GET", path).header(name, forged).header(name, forged);
                    if let Some(bearer) = proof {
                        request = request.header("authorization", bearer);
                    }
                    if named {
                        request = request.header("connection", name);
                    }
                    let received = scene.router.passes(&scene.origin, &request);
                    let text = format!("{:?}", received.headers);
                    assert!(!text.contains(forged), "{name} {path} {text}");
                    let tokens = [HEADER, "x-caller"].map(|one| received.all(one).len()).iter().sum::<usize>();
                    assert_eq!(tokens, usize::from(proof.is_some() && path != "/open"), "{name} {path} {text}");
                }
            }
        }
    }
    for name in ["x_postern_identity", "x.postern.identity", "x_caller"] {
        let answer = scene.router.send(&Request::new("GET", "/orders").header(name, forged));
        assert_eq!(answer.reason(), Some("header_invalid"), "{name}");
    }
}

#[test]
fn the_header_is_the_routers_also_where_no_route_asks_for_a_token() {
    let origin = Origin::named("orders");
    let site = Site::new(&boundary_with(&[origin.port()], ""), &[registration("/", origin.port(), "")]);
    let router = Router::serve(&site.merged());
    for name in [HEADER, "X-POSTERN-Identity"] {
        let received = router.passes(&origin, &Request::new("GET", "/").header(name, "forged"));
        assert_eq!(received.header(HEADER), None);
    }
}

#[test]
fn a_caller_that_comes_again_costs_no_signature_and_has_no_other_callers_token() {
    let mut scene = Scene::new(Some(&ed()));
    let token = |received: &Received| received.header(HEADER).unwrap().to_owned();
    let claims = scene.claims();
    let bearer = format!("Bearer {}", scene.signer.token(&claims));
    let ask = |path: &str| {
        let request = Request::new("GET", path).header("authorization", &bearer);
        token(&scene.router.passes(&scene.origin, &request))
    };
    // Each core remembers for itself.
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let seen: BTreeSet<String> = (0..20).map(|_| ask("/orders")).collect();
    assert!(seen.len() <= cores, "{} tokens on {cores} cores", seen.len());
    assert!(!seen.contains(&ask("/again")), "another route's");
    let mut other = claims.clone();
    other["sub"] = "dave".into();
    let theirs = token(&scene.by("/orders", &other));
    assert_eq!(verified(&theirs, &scene.set()).1["sub"], "dave");
    let mut more = claims.clone();
    more["realm"]["roles"] = json!(["admin"]);
    assert_eq!(verified(&token(&scene.by("/orders", &more)), &scene.set()).1["roles"], json!(["admin"]));

    // Not after the caller's own.
    let mut late = claims.clone();
    late["exp"] = seconds_from_now(20).into();
    let exp = verified(&token(&scene.by("/orders", &late)), &scene.set()).1["exp"].clone();
    assert_eq!(exp, late["exp"]);

    let generation = scene.site.generation();
    scene.publish("600s");
    scene.router.until_generation(generation + 1);
    let (_, claims) = verified(&token(&scene.by("/orders", &claims)), &scene.set());
    let lasts = claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap();
    assert!((590..=600).contains(&lasts), "the plan of the generation in use: {claims}");
}

#[test]
fn a_key_rotates_without_a_restart_and_what_the_old_one_signed_stays_good() {
    let first = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let scene = Scene::new(Some(&first));
    let ask = || scene.by("/orders", &scene.claims()).header(HEADER).unwrap().to_owned();
    let before = ask();
    let (old, _) = verified(&before, &scene.set());
    for (number, bad) in ["", "no key", &first.serialize_pem()[..100]].into_iter().enumerate() {
        write(&scene.key_file(), bad);
        eventually("the bad file", || {
            let told = scene.router.diagnostics().matches("the older key stays in use").count();
            (told > number).then_some(())
        });
        assert_eq!(verified(&ask(), &scene.set()).0["kid"], old["kid"]);
    }
    let next = ed();
    write(&scene.key_file(), &next.serialize_pem());
    let new = eventually("the next key", || {
        let (header, _) = verified(&ask(), &scene.set());
        (header["kid"] != old["kid"]).then_some(header)
    });
    assert_eq!(new["alg"], "EdDSA");
    let set = scene.set();
    assert_eq!(set["keys"].as_array().unwrap().len(), 2);
    verified(&before, &set);
    for secret in [&first, &next] {
        let key = secret.serialize_pem();
        let lines = key.lines().filter(|line| !line.starts_with('-')).collect::<Vec<_>>();
        assert!(lines.iter().all(|line| !scene.router.diagnostics().contains(line)));
    }
}

fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, path).unwrap();
}

#[test]
fn without_a_key_the_routes_that_ask_for_tokens_refuse_and_no_other() {
    let scene = Scene::new(None);
    let bearer = format!("Bearer {}", scene.signer.token(&scene.claims()));
    let before = scene.origin.received().len();
    for request in [Request::new("GET", "/orders"), Request::new("GET", "/own").header("authorization", &bearer)] {
        let answer = scene.router.send(&request);
        assert_eq!((answer.status, answer.reason()), (503, Some("identity_token_unavailable")));
        assert!(answer.header("retry-after").is_some());
    }
    assert_eq!(scene.origin.received().len(), before);
    assert_eq!((scene.router.get("/open").status, scene.router.admin("/readyz").status), (200, 200));
    let notes = scene.router.snapshot()["notes"].to_string();
    assert!(notes.contains("/orders#default asks for an identity token, and the router has no key"), "{notes}");
    assert_eq!(scene.router.admin("/jwks").json(), json!({"keys": []}));
    assert_eq!(scene.router.get(PATH).reason(), Some("route_not_found"));
}

#[test]
fn a_token_that_is_only_tried_out_is_told_and_kept_back_and_refuses_nobody() {
    let decided = |verdict: &str| {
        format!(
            "postern_policy_decisions_total{{layer=\"registration\",kind=\"identity_token\",mode=\"shadow\",verdict=\"{verdict}\"}}"
        )
    };
    let denials = "postern_shadow_denials_total{route=\"/tried#default\",owner=\"team\"}";
    let unavailable = json!("identity_token:identity_token_unavailable");
    for (key, denied, set, counts) in [
        (Some(ed()), Value::Null, json!("x-caller"), [1.0, 0.0, 0.0]),
        (None, unavailable, Value::Null, [0.0, 2.0, 2.0]),
    ] {
        let mut scene = Scene::new(key.as_ref());
        let (port, identity) = (scene.origin.port(), scene.identity());
        let policies = "policies: {authentication: {any_of: ['jwt:corp', none]}, \
             identity_token: {audience: orders, header: x-caller, mode: shadow}}";
        scene.site.publish(&boundary_with(&[port], &identity), &[registration("/tried", port, policies)]);
        scene.router.until_generation(scene.site.generation());
        let bearer = format!("Bearer {}", scene.signer.token(&scene.claims()));
        let forged = Request::new("GET", "/tried").header("x-caller", "forged").header(HEADER, "forged");
        for (request, proved) in
            [(forged.header("authorization", &bearer), true), (Request::new("GET", "/tried"), false)]
        {
            let answer = scene.router.send(&request);
            let line = scene.router.logged(answer.header("x-request-id").unwrap());
            let expected = if proved { &set } else { &Value::Null };
            assert_eq!(
                (answer.status, &line["shadow_denied"], &line["shadow_set"]),
                (200, &denied, expected),
                "{line}"
            );
            let received = scene.origin.last();
            assert_eq!((received.header("x-caller"), received.header(HEADER)), (None, None));
        }
        let metric = |name: &str| scene.router.metric(name);
        assert_eq!([metric(&decided("allowed")), metric(&decided("denied")), metric(denials)], counts);
        let notes = scene.router.snapshot()["notes"].to_string();
        let noted =
            notes.contains("/tried#default asks for an identity token, and the router has no key: it would answer 503");
        assert_eq!(noted, key.is_none(), "{notes}");
        let (merged, header) = (scene.site.merged(), format!("authorization: {bearer}"));
        let words = ["explain", merged.to_str().unwrap(), "GET http://api.example.com/tried", "-H", &header];
        let explained = run("postern-router", &words);
        assert!(explained.out.contains("identity_token would set; shadow: x-caller"), "{}", explained.out);
    }
}

#[test]
fn settings_that_could_sign_nothing_are_refused_with_a_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("key.pem");
    std::fs::write(&key, KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap().serialize_pem()).unwrap();
    let serve = |settings: &str| {
        let file = directory.path().join("router.toml");
        std::fs::write(&file, settings).unwrap();
        let merged = directory.path().join("merged.json");
        let flags = ["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--settings"];
        let more = [file.to_str().unwrap(), "--config", merged.to_str().unwrap()];
        run("postern-router", &[&flags[..], &more[..]].concat())
    };
    let table = |rest: &str| format!("[identity_token]\n{rest}\n");
    let key = format!("key_file = {:?}", key.to_str().unwrap());
    for (settings, expected) in [
        (table(&key), "identity_token.issuer: is not set"),
        (table("issuer = 'https://a'"), "identity_token.key_file: is not set"),
        (table(&format!("{key}\nissuer = 'a'\njwks_path = 'jwks'")), "identity_token.jwks_path: is no path"),
        (table(&format!("{key}\nissuer = 'a'\njwks_path = '/healthz'")), "is health_path as well"),
        (table(&format!("{key}\nissuer = 'a'")), "neither P-256 nor Ed25519"),
        (table("key_file = '/nowhere/key.pem'\nissuer = 'a'"), "/nowhere/key.pem"),
    ] {
        let output = serve(&settings);
        assert!(output.code > 0 && output.err.contains(expected), "{settings}: {} {}", output.code, output.err);
    }
}

#[test]
fn over_http2_the_token_is_the_routers_as_well() {
    let scene = Scene::new(Some(&ed()));
    let bearer = format!("Bearer {}", scene.signer.token(&scene.claims()));
    for (path, proof) in [("/orders", true), ("/orders", false), ("/open", false)] {
        let mut block = Block::request("GET", path).field(HEADER, "forged").field("x-caller", "forged");
        if proof {
            block = block.field("authorization", &bearer);
        }
        assert_eq!(Http2::connect(scene.router.address()).send(&block, None).status(), 200);
        let received = scene.origin.last();
        assert_eq!((received.all(HEADER).len(), received.header("x-caller")), (usize::from(proof), None));
        if proof {
            verified(received.header(HEADER).unwrap(), &scene.set());
        }
    }
}
