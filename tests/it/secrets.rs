//! Secrets that the boundary refers to: read, rotated, lost and denied while tokens pass, and where they are never found.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postern_tests::{
    Answer, Emulator, Front, Origin, Request, Router, Signer, Syncer, aws_error, base64url, boundary_with, eventually,
    eventually_within, is_call, registration, run, run_in, runs, seconds_from_now,
};
use serde_json::{Value, json};

const ISSUER: &str = "https://login.example.com/";

/// Quick enough for a test.
const QUICK: (&str, &str) = ("POSTERN_SYNCER_SECRETS__REFRESH", "150ms");

/// A place for documents, `out`, and a destination behind `/corp`, `/other`, `/keys` and `/open`.
struct Scene {
    place: tempfile::TempDir,
    origin: Origin,
}

impl Scene {
    fn new() -> Self {
        let scene = Self { place: tempfile::tempdir().unwrap(), origin: Origin::named("api") };
        let registrations = scene.path("registrations");
        std::fs::create_dir(&registrations).unwrap();
        for (root, policies) in [
            ("corp", "policies: {authentication: {any_of: ['jwt:corp']}}"),
            ("other", "policies: {authentication: {any_of: ['jwt:other']}}"),
            ("keys", "policies: {authentication: {any_of: ['api_key:partners']}}"),
            ("open", ""),
        ] {
            let text = registration(&format!("/{root}"), scene.origin.port(), policies);
            std::fs::write(registrations.join(format!("{root}.yaml")), text).unwrap();
        }
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    /// The issuer `corp` with these keys (name, and what stands for the secret), `other` with a key of its own, and a realm.
    fn boundary(&self, keys: &[(&str, &str)], pepper: &str) {
        let keys: Vec<Value> =
            keys.iter().map(|(kid, k)| json!({"kty": "oct", "alg": "HS256", "kid": kid, "k": k})).collect();
        let text = boundary_with(
            &[self.origin.port()],
            &format!(
                "identity:
  jwt:
    - {{name: corp, issuer: '{ISSUER}', audiences: [api], jwks: {}}}
    - {{name: other, issuer: 'https://other.example.com/', audiences: [api], jwks: {}}}
  api_key: [{{name: partners, pepper: '{pepper}', consumers: []}}]
",
                json!({"keys": keys}),
                json!({"keys": [other().jwk()]}),
            ),
        );
        postern_config::file::replace(&self.path("boundary.yaml"), text.as_bytes(), 0o600).unwrap();
    }

    fn arguments(&self) -> [String; 6] {
        let path = |name: &str| self.path(name).to_str().unwrap().to_owned();
        let [boundary, registrations, out] = ["--boundary", "--registrations", "--out"].map(str::to_owned);
        [boundary, path("boundary.yaml"), registrations, path("registrations"), out, path("out")]
    }

    fn syncer(&self, environment: &[(&str, &str)]) -> Syncer {
        let path = |name: &str| self.path(name).to_str().unwrap().to_owned();
        let environment: Vec<(&str, &str)> = environment.iter().copied().chain([QUICK]).collect();
        Syncer::run(&path("boundary.yaml"), &path("registrations"), &self.path("out"), &environment)
    }

    fn serve(&self) -> Router {
        eventually("a file", || self.path("out/merged.json").exists().then_some(()));
        Router::serve(&self.path("out/merged.json"))
    }

    /// Puts a file in the place of another, as tools that rotate do.
    fn file(&self, name: &str, text: &str) {
        postern_config::file::replace(&self.path(name), text.as_bytes(), 0o600).unwrap();
    }

    fn reference(&self, name: &str) -> String {
        format!("file:{}", self.path(name).display())
    }
}

/// A key of 32 bytes under a name, by its letter.
fn signer(letter: u8, kid: &str) -> Signer {
    Signer::shared(&[letter; 32]).called(kid)
}

/// That key as it stands in a store.
fn text(letter: u8) -> String {
    base64url(&[letter; 32])
}

fn other() -> Signer {
    signer(b'o', "other")
}

fn claims(issuer: &str) -> Value {
    json!({"iss": issuer, "aud": "api", "sub": "carol", "exp": seconds_from_now(600)})
}

fn ask(router: &Router, signer: &Signer) -> Answer {
    let token = signer.token(&claims(ISSUER));
    router.send(&Request::new("GET", "/corp").header("authorization", &format!("Bearer {token}")))
}

fn ask_other(router: &Router) -> Answer {
    let token = other().token(&claims("https://other.example.com/"));
    router.send(&Request::new("GET", "/other").header("authorization", &format!("Bearer {token}")))
}

fn until_passes(router: &Router, signer: &Signer) {
    eventually_within(Duration::from_secs(60), "the key", || (ask(router, signer).status == 200).then_some(()));
}

/// What the syncer shows of a place.
fn shown(syncer: &Syncer, place: &str) -> Value {
    let secrets = syncer.admin("/conditions").json()["secrets"].clone();
    secrets.as_array().into_iter().flatten().find(|one| one["place"] == place).cloned().unwrap_or_default()
}

fn until_failing(syncer: &Syncer, place: &str, reason: &str) -> Value {
    eventually_within(Duration::from_secs(60), reason, || {
        let shown = shown(syncer, place);
        (shown["failing"]["reason"] == reason).then_some(shown)
    })
}

fn environment(emulator: &[(String, String)]) -> Vec<(&str, &str)> {
    emulator.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

/// Puts the key of a letter into a store; whether it is the first one there.
type Put<'a> = Box<dyn Fn(u8, bool) + 'a>;

#[test]
fn a_secret_in_aws_rotates_without_a_restart_and_the_old_key_ends() {
    let emulator = Emulator::shared();
    let id = format!("postern/rotates-{}", std::process::id());
    let stores: [(&str, String, Put<'_>); 3] = [
        (
            "secretsmanager",
            format!("secretsmanager:{id}-whole"),
            Box::new(|letter, first| put_secret(&format!("{id}-whole"), &text(letter), first)),
        ),
        (
            "secretsmanager with a member",
            format!("secretsmanager:{id}-json#hs"),
            Box::new(|letter, first| {
                put_secret(&format!("{id}-json"), &json!({"hs": text(letter), "x": 1}).to_string(), first);
            }),
        ),
        (
            "ssm",
            format!("ssm:/{id}"),
            Box::new(|letter, _| put_parameter(&format!("/{id}"), &text(letter), "SecureString")),
        ),
    ];
    for (what, reference, put) in stores {
        put(b'1', true);
        let scene = Scene::new();
        scene.boundary(&[("hs", &reference)], &text(b'p'));
        let syncer = scene.syncer(&environment(&emulator.environment()));
        let router = scene.serve();
        until_passes(&router, &signer(b'1', "hs"));
        let generation = router.snapshot()["generation"].as_u64().unwrap();
        assert_eq!(generation, 1, "{what}: the first generation waits for its secrets");
        put(b'2', false);
        until_passes(&router, &signer(b'2', "hs"));
        assert_eq!(ask(&router, &signer(b'1', "hs")).reason(), Some("token_invalid"), "{what}");
        assert_eq!(router.snapshot()["generation"].as_u64(), Some(generation + 1));
        let shown = shown(&syncer, "jwt/corp/0");
        assert_eq!(
            (&shown["uri"], &shown["known"], &shown["failing"]),
            (&json!(reference), &json!(true), &Value::Null)
        );
    }
}

#[test]
fn a_secret_is_looked_for_in_the_region_of_its_arn() {
    let emulator = Emulator::shared();
    let id = format!("postern/elsewhere-{}", std::process::id());
    let made = emulator.python(&[
        "-c",
        &format!(
            "import boto3\nelsewhere = boto3.client('secretsmanager', region_name='ap-south-1')\n\
             print(elsewhere.create_secret(Name={id:?}, SecretString={:?})['ARN'])",
            text(b'1')
        ),
    ]);
    let arn = made.out.trim();
    assert!(arn.starts_with("arn:aws:secretsmanager:ap-south-1:"), "{made:?}");
    let scene = Scene::new();
    scene.boundary(&[("hs", &format!("secretsmanager:{arn}"))], &text(b'p'));
    let _syncer = scene.syncer(&environment(&emulator.environment()));
    until_passes(&scene.serve(), &signer(b'1', "hs"));
}

fn put_secret(id: &str, text: &str, first: bool) {
    let text = json!(text);
    Emulator::shared().secrets(&match first {
        true => format!("secrets.create_secret(Name={id:?}, SecretString={text})"),
        false => format!("secrets.put_secret_value(SecretId={id:?}, SecretString={text})"),
    });
}

fn put_parameter(name: &str, text: &str, kind: &str) {
    Emulator::shared()
        .secrets(&format!("ssm.put_parameter(Name={name:?}, Value={text:?}, Type={kind:?}, Overwrite=True)"));
}

#[test]
fn a_store_that_denies_throttles_or_lost_it_costs_nobody_the_last_secret_also_across_a_restart() {
    let (emulator, front) = (Emulator::shared(), Front::new());
    let id = format!("postern/denied-{}", std::process::id());
    put_secret(&id, &text(b'1'), true);
    put_parameter(&format!("/{id}"), &text(b'2'), "SecureString");
    let scene = Scene::new();
    scene.boundary(&[("one", &format!("secretsmanager:{id}")), ("two", &format!("ssm:/{id}"))], &text(b'p'));
    let mut through = emulator.environment();
    through.retain(|(name, _)| name != "AWS_ENDPOINT_URL");
    through.push(("AWS_ENDPOINT_URL".to_owned(), front.endpoint()));
    through.push(("AWS_MAX_ATTEMPTS".to_owned(), "1".to_owned()));
    let syncer = scene.syncer(&environment(&through));
    let router = scene.serve();
    let both = [signer(b'1', "one"), signer(b'2', "two")];
    both.iter().for_each(|one| until_passes(&router, one));

    for (kind, reason) in [("AccessDeniedException", "forbidden"), ("ThrottlingException", "throttled")] {
        front.fail(move |request| {
            let is_secret = is_call(request, "GetSecretValue") || is_call(request, "GetParameter");
            is_secret.then(|| aws_error(400, kind))
        });
        for place in ["jwt/corp/0", "jwt/corp/1"] {
            let shown = until_failing(&syncer, place, reason);
            assert_eq!(shown["known"], true);
            assert!(shown["failing"]["message"].as_str().unwrap().contains(&id), "{shown}");
        }
        both.iter().for_each(|one| assert_eq!(ask(&router, one).status, 200, "{kind}"));
    }
    let metrics = syncer.admin("/metrics").text();
    assert!(metrics.contains("_secret_up{place=\"jwt/corp/0\"} 0"), "{metrics}");
    assert!(metrics.contains("_secret_known{place=\"jwt/corp/0\"} 1"), "{metrics}");
    assert!(metrics.contains("source_failures_total{source=\"secret\",reason=\"forbidden\"}"), "{metrics}");

    // A restart while nobody may read them.
    drop(syncer);
    let syncer = scene.syncer(&environment(&through));
    until_failing(&syncer, "jwt/corp/0", "throttled");
    both.iter().for_each(|one| assert_eq!(ask(&router, one).status, 200));
    let again = scene.serve();
    both.iter().for_each(|one| assert_eq!(ask(&again, one).status, 200));

    front.heal();
    emulator
        .secrets(&format!("secrets.delete_secret(SecretId={id:?})\nssm.delete_parameter(Name={:?})", format!("/{id}")));
    for place in ["jwt/corp/0", "jwt/corp/1"] {
        until_failing(&syncer, place, "not_found");
    }
    both.iter().for_each(|one| assert_eq!(ask(&router, one).status, 200));
}

#[test]
fn a_secret_that_never_came_costs_its_issuer_alone() {
    let scene = Scene::new();
    put_parameter("/postern/plain", &text(b'1'), "String");
    scene.boundary(&[("hs", "ssm:/postern/plain")], "env:NOT_SET_ANYWHERE");
    let syncer = scene.syncer(&environment(&Emulator::shared().environment()));
    let router = scene.serve();
    let refused =
        |answer: Answer| (answer.status, answer.reason().map(str::to_owned), answer.header("retry-after").is_some());
    let missing = (503, Some("keys_missing".to_owned()), true);
    assert_eq!(refused(ask(&router, &signer(b'1', "hs"))), missing);
    let key = format!("pk_one_{}", "a".repeat(22));
    assert_eq!(refused(router.send(&Request::new("GET", "/keys").header("x-api-key", &key))), missing);
    assert_eq!((ask_other(&router).status, router.get("/open").status), (200, 200));
    assert_eq!(router.get("/keys").status, 401, "who shows nothing is asked for a key");
    let plain = until_failing(&syncer, "jwt/corp/0", "invalid");
    assert!(plain["failing"]["message"].as_str().unwrap().contains("no SecureString"), "{plain}");
    assert_eq!(plain["known"], false);
    until_failing(&syncer, "api_key/partners", "not_found");

    put_parameter("/postern/plain-no-more", &text(b'1'), "SecureString");
    scene.boundary(&[("hs", "ssm:/postern/plain-no-more")], &text(b'p'));
    until_passes(&router, &signer(b'1', "hs"));
}

#[test]
fn a_variable_of_the_syncers_environment_is_a_secret() {
    let scene = Scene::new();
    scene.boundary(&[("hs", "env:CORP_KEY")], "env:PEPPER");
    let key = format!("{}=\n", text(b'1'));
    let _syncer = scene.syncer(&[("CORP_KEY", &key), ("PEPPER", &text(b'p'))]);
    let router = scene.serve();
    until_passes(&router, &signer(b'1', "hs"));
    assert_eq!(ask_other(&router).status, 200);

    // Keys of consumers are made under the same pepper.
    let [_, boundary, ..] = scene.arguments();
    let made = run_in(
        "postern-syncer",
        &["key", "new", "--realm", "partners", "--consumer", "acme", "--boundary", &boundary, "--output", "json"],
        &[("PEPPER", &text(b'p'))],
    );
    let made: Value = serde_json::from_str(&made.out).unwrap_or_else(|_| panic!("{}", made.err));
    let pepper = postern_config::api_key::Pepper::parse(&text(b'p')).unwrap();
    assert_eq!(made["entry"]["digest"], pepper.digest(made["key"].as_str().unwrap()).to_hex());
}

#[test]
fn a_file_is_a_secret_when_it_is_whole_and_nothing_else_replaces_it() {
    let scene = Scene::new();
    scene.file("key", &format!("{}\n", text(b'1')));
    scene.boundary(&[("hs", &scene.reference("key"))], &text(b'p'));
    let syncer = scene.syncer(&[]);
    let router = scene.serve();
    until_passes(&router, &signer(b'1', "hs"));

    scene.file("key", &text(b'2'));
    until_passes(&router, &signer(b'2', "hs"));
    assert_eq!(ask(&router, &signer(b'1', "hs")).reason(), Some("token_invalid"));

    let path = scene.path("key");
    let spoilt: [(&str, &dyn Fn(), &str); 6] = [
        ("nothing in it", &|| std::fs::write(&path, "").unwrap(), "invalid"),
        ("ten megabytes", &|| std::fs::write(&path, "A".repeat(10 << 20)).unwrap(), "too_large"),
        ("another form", &|| std::fs::write(&path, "not base64url, but hunter2").unwrap(), "invalid"),
        ("too short", &|| std::fs::write(&path, "aHVudGVyMg").unwrap(), "invalid"),
        ("no text", &|| std::fs::write(&path, [0xff; 64]).unwrap(), "invalid"),
        ("absent", &|| std::fs::remove_file(&path).unwrap(), "not_found"),
    ];
    for (what, spoil, reason) in spoilt {
        spoil();
        let shown = until_failing(&syncer, "jwt/corp/0", reason);
        assert_eq!((ask(&router, &signer(b'2', "hs")).status, &shown["known"]), (200, &json!(true)), "{what}");
        assert!(!shown.to_string().contains("hunter2") && !syncer.diagnostics().contains("aHVudGVyMg"));
        scene.file("key", &text(b'2'));
        eventually("the file again", || shown_failing(&syncer).is_null().then_some(()));
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    until_failing(&syncer, "jwt/corp/0", "invalid");
    assert_eq!(ask(&router, &signer(b'2', "hs")).status, 200);

    // As orchestrators mount secrets: a link to a directory that is swapped.
    std::fs::remove_dir(&path).unwrap();
    for (name, letter) in [("v1", b'2'), ("v2", b'3')] {
        std::fs::create_dir(scene.path(name)).unwrap();
        std::fs::write(scene.path(name).join("key"), text(letter)).unwrap();
    }
    link(&scene.path("v1"), &scene.path("current"));
    link(Path::new("current/key"), &path);
    eventually("the link", || shown_failing(&syncer).is_null().then_some(()));
    link(&scene.path("v2"), &scene.path("current"));
    until_passes(&router, &signer(b'3', "hs"));
    assert_eq!(router.snapshot()["generation"], 3, "of all this, two rotations are news");
}

fn shown_failing(syncer: &Syncer) -> Value {
    shown(syncer, "jwt/corp/0")["failing"].clone()
}

fn link(to: &Path, at: &Path) {
    let new = at.with_extension("new");
    std::os::unix::fs::symlink(to, &new).unwrap();
    std::fs::rename(&new, at).unwrap();
}

#[test]
fn a_file_that_is_written_in_its_place_is_never_read_in_halves() {
    let scene = Scene::new();
    // Each half is a key by itself.
    let long = |letter: u8| base64url(&[letter; 96]);
    let key = |letter: u8| Signer::shared(&[letter; 96]).called("hs");
    scene.file("key", &long(b'1'));
    scene.boundary(&[("hs", &scene.reference("key"))], &text(b'p'));
    let _syncer = scene.syncer(&[]);
    let router = scene.serve();
    until_passes(&router, &key(b'1'));
    for letter in [b'2', b'3', b'4'] {
        let whole = long(letter);
        for end in (64..=whole.len()).step_by(8) {
            std::fs::write(scene.path("key"), &whole[..end]).unwrap();
            std::thread::sleep(Duration::from_millis(50));
        }
        until_passes(&router, &key(letter));
    }
    assert_eq!(router.snapshot()["generation"], 4, "three rotations, and nothing between them");
}

#[test]
fn keys_rotate_and_change_places_while_tokens_of_the_others_pass() {
    let scene = Scene::new();
    scene.file("a", &text(b'a'));
    scene.file("b", &text(b'1'));
    let (a, b) = (scene.reference("a"), scene.reference("b"));
    let written = text(b'c');
    let orders: [&[(&str, &str)]; 3] = [
        &[("a", &a), ("b", &b), ("c", &written)],
        &[("c", &written), ("a", &a), ("b", &b)],
        &[("b", &b), ("c", &written), ("a", &a)],
    ];
    scene.boundary(orders[0], &text(b'p'));
    let _syncer = scene.syncer(&[]);
    let router = scene.serve();
    until_passes(&router, &signer(b'1', "b"));
    let ended = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        for kept in [signer(b'a', "a"), signer(b'c', "c")] {
            let (router, ended) = (&router, Arc::clone(&ended));
            scope.spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    let answer = ask(router, &kept);
                    if answer.status != 200 {
                        ended.store(true, Ordering::Relaxed);
                        panic!("{}: {}", kept.kid(), answer.text());
                    }
                }
            });
        }
        for turn in 0..runs("rotations under load", 6, 60) {
            let letter = b'2' + u8::try_from(turn % 8).unwrap();
            scene.file("b", &text(letter));
            scene.boundary(orders[turn % 3], &text(b'p'));
            until_passes(&router, &signer(letter, "b"));
            assert!(!ended.load(Ordering::Relaxed));
        }
        ended.store(true, Ordering::Relaxed);
    });
    assert_eq!(ask(&router, &signer(b'1', "b")).reason(), Some("token_invalid"));
}

#[test]
fn a_reference_that_names_nothing_is_a_problem_with_a_remedy_and_a_literal_is_not_shown() {
    let scene = Scene::new();
    let literal = "c2VjcmV0LWNhbmFyeS1vZi10aGUtYm91bmRhcnk";
    scene.boundary(&[("a", "file:relative"), ("b", "ssm:name"), ("c", &format!("vault:{literal}"))], "env:A-B");
    let out = run("postern-syncer", &scene.arguments_for("plan"));
    assert_eq!(out.code, 1);
    for expected in [
        "/identity/jwt/0/jwks/keys/0/k: \"file:relative\" is a reference that names nothing (write file:/PATH",
        "/identity/jwt/0/jwks/keys/1/k: \"ssm:name\" is a reference that names nothing (write ssm:/NAME",
        "/identity/jwt/0/jwks/keys/2/k: is neither base64url nor a reference (a reference begins with one of env,",
        "/identity/api_key/0/pepper: \"env:A-B\" is a reference that names nothing (write env:NAME",
    ] {
        assert!(out.err.contains(expected), "{expected}\n{}", out.err);
    }
    assert!(!out.err.contains(literal) && !out.out.contains(literal));
}

impl Scene {
    fn arguments_for(&self, command: &'static str) -> Vec<&'static str> {
        let arguments = std::iter::once(command.to_owned()).chain(self.arguments());
        arguments.map(|one| &*Box::leak(one.into_boxed_str())).collect()
    }
}

#[test]
fn a_secret_is_found_in_secrets_json_and_nowhere_else() {
    let emulator = Emulator::shared();
    let id = format!("postern/canary-{}", std::process::id());
    put_secret(&id, &json!({"hs": text(b'1')}).to_string(), true);
    put_parameter(&format!("/{id}"), &text(b'2'), "SecureString");
    let scene = Scene::new();
    scene.file("key", &text(b'3'));
    let references = [format!("secretsmanager:{id}#hs"), format!("ssm:/{id}"), scene.reference("key"), text(b'4')];
    let keys: Vec<(&str, &str)> =
        ["k1", "k2", "k3", "k4"].into_iter().zip(references.iter().map(String::as_str)).collect();
    scene.boundary(&keys, "env:PEPPER");
    let mut variables = emulator.environment();
    variables.push(("POSTERN_SYNCER_LOG__LEVEL".to_owned(), "trace".to_owned()));
    variables.push(("PEPPER".to_owned(), text(b'5')));
    let syncer = scene.syncer(&environment(&variables));
    let router = scene.serve();
    for (kid, letter) in [("k1", b'1'), ("k2", b'2'), ("k3", b'3'), ("k4", b'4')] {
        until_passes(&router, &signer(letter, kid));
    }
    put_secret(&id, &json!({"hs": text(b'6')}).to_string(), false);
    until_passes(&router, &signer(b'6', "k1"));
    put_secret(&id, &text(b'7'), false);
    until_failing(&syncer, "jwt/corp/0", "invalid");
    // Shorter than its hash, and yet not to be shown.
    scene.file("key", "Y2FuYXJ5LXRoYXQtaXMtc2hvcnQ");
    until_failing(&syncer, "jwt/corp/2", "invalid");

    // It reads no secrets, so it cannot tell that this one is another.
    let plan = run_in(
        "postern-syncer",
        &scene.arguments_for("plan"),
        &[("POSTERN_SYNCER_ALLOW_LOOPBACK_DESTINATIONS", "true"), ("PEPPER", &text(b'8'))],
    );
    assert!(plan.out.contains("nothing would change"), "{}{}", plan.out, plan.err);
    let explained = run(
        "postern-router",
        &["explain", scene.path("out/merged.json").to_str().unwrap(), "GET http://api.example.com/corp"],
    );
    let canaries: Vec<String> = (b'1'..=b'7').map(text).chain(["Y2FuYXJ5LXRoYXQtaXMtc2hvcnQ".to_owned()]).collect();
    let pages = ["/conditions", "/metrics", "/healthz"].map(|path| syncer.admin(path).text());
    let theirs = ["/snapshot", "/metrics", "/routes", "/"].map(|path| router.admin(path).text());
    let (out, err) = (syncer.output(), syncer.diagnostics());
    assert!(err.contains("\"TRACE\""), "the log was to say all that it can");
    let told = [out, err, router.diagnostics(), plan.out, plan.err, explained.out, explained.err];
    for canary in &canaries {
        for text in pages.iter().chain(&theirs).chain(&told) {
            assert!(!text.contains(canary), "{canary} in {}", &text[..text.len().min(2_000)]);
        }
    }
    let mut seen = 0;
    for path in files_below(&scene.path("out")) {
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        let holds = canaries.iter().any(|canary| text.contains(canary));
        assert_eq!(holds, path.ends_with("secrets.json"), "{}", path.display());
        seen += 1;
    }
    assert!(seen >= 4, "merged file, secrets, history, heartbeat");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&scene.path("out/secrets.json").metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}
