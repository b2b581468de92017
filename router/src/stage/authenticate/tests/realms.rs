//! Realms: which hashes are taken, and who is asked about.

use argon2::password_hash::CustomizedPasswordHasher as _;
use argon2::{Argon2, Params};
use base64::engine::general_purpose::STANDARD;
use postern_config::document::BasicRealm;

use super::*;

/// The hash of a password at the least cost that argon2id has.
pub(super) fn argon2id(password: &[u8]) -> String {
    let params = Params::new(8, 1, 1, None).unwrap();
    let hash: argon2::password_hash::phc::PasswordHash =
        Argon2::default().hash_password_with_params(password, b"a salt of tests", params).unwrap();
    hash.to_string()
}

fn realm(name: &str, users: &[(&str, &str)]) -> Way {
    let users: Vec<Value> =
        users.iter().map(|(name, hash)| json!({"name": name, "hash": hash, "scopes": ["read"]})).collect();
    let document: BasicRealm = serde_json::from_value(json!({"name": name, "users": users})).unwrap();
    Way::Basic(Arc::new(Realm::compile(&document)))
}

fn ask(ways: &[Way], credentials: &str) -> Result<PasswordQuestion, Flaw> {
    let value = format!("Basic {}", STANDARD.encode(credentials));
    match decide(ways, &authorization(&value), None, Certificates::default(), NOW, &Memory::default())? {
        Outcome::Ask(question) => Ok(question),
        Outcome::Consult(_) => panic!("a password is asked about here"),
        Outcome::Proved(_) => panic!("a password is asked about"),
    }
}

#[test]
fn a_password_is_right_or_not() {
    let bcrypt = bcrypt::hash("secret", 4).unwrap();
    let colon = argon2id(b"a:b");
    let (long, cut) = ("x".repeat(72), bcrypt::hash("x".repeat(73), 4).unwrap());
    let umlaut = argon2id("schlüssel".as_bytes());
    let ways = [realm(
        "ops",
        &[
            ("alice", &argon2id(b"secret")),
            ("bob", &bcrypt),
            ("php", &bcrypt.replace("$2b$", "$2y$")),
            ("colon", &colon),
            ("long", &cut),
            ("jürgen", &umlaut),
            ("empty", &argon2id(b"")),
        ],
    )];
    for (credentials, right) in [
        ("alice:secret", true),
        ("bob:secret", true),
        ("php:secret", true),
        ("colon:a:b", true),
        ("jürgen:schlüssel", true),
        ("empty:", true),
        ("alice:Secret", false),
        ("alice:secret ", false),
        ("alice:", false),
        ("bob:secre", false),
        ("Alice:secret", false),
        ("alice :secret", false),
        ("nobody:secret", false),
        (":secret", false),
        (":", false),
    ] {
        let question = ask(&ways, credentials).unwrap();
        assert_eq!(question.holds(), right, "{credentials}");
        if right {
            let principal = question.principal();
            assert_eq!(principal.name(), credentials.split(':').next().unwrap());
            assert_eq!((principal.via(), principal.holds("read")), ("basic:ops", true));
        }
    }
    // bcrypt would take anything after 72 bytes.
    assert!(ask(&ways, &format!("long:{long}")).unwrap().holds());
    assert!(!ask(&ways, &format!("long:{long}x")).unwrap().holds());
    assert!(!ask(&ways, &format!("long:{long}and so on")).unwrap().holds());
}

/// Of the password "secret", by openssl.
const SHA256: &str = "$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA";
const SHA512: &str =
    "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1";

#[test]
fn sha_crypt_is_verified_and_a_long_password_is_no_way_to_burn_time() {
    let ways = [realm("ops", &[("five", SHA256), ("six", SHA512)])];
    for (credentials, right) in
        [("five:secret", true), ("six:secret", true), ("five:Secret", false), ("six:", false), ("nobody:secret", false)]
    {
        assert_eq!(ask(&ways, credentials).unwrap().holds(), right, "{credentials}");
    }
    let long = "x".repeat(128);
    let ways = [realm("ops", &[("long", "$5$saltsalt$tkkQKovHTk0xathHdSQcjAvdRnJs.gwPYYQDQs5f9VB")])];
    assert!(ask(&ways, &format!("long:{long}")).unwrap().holds());
    assert!(!ask(&ways, &format!("long:{long}x")).unwrap().holds());
}

#[test]
fn an_unknown_user_costs_what_one_of_the_known_costs_and_always_the_same() {
    let (argon, bcrypt) = (argon2id(b"secret"), bcrypt::hash("secret", 4).unwrap());
    let ways = [realm("ops", &[("a", &argon), ("b", &bcrypt), ("c", SHA256), ("d", SHA512)])];
    let hash_of = |name: &str| ask(&ways, &format!("{name}:x")).unwrap().parts()[2].to_vec();
    let mut seen = std::collections::BTreeSet::new();
    for name in (0..400).map(|index| format!("nobody-{index}")) {
        assert_eq!(hash_of(&name), hash_of(&name));
        seen.insert(hash_of(&name));
    }
    assert_eq!(seen.len(), 4, "each of the kinds stands in for somebody");
}

#[test]
fn the_first_realm_that_knows_the_user_is_asked() {
    let (one, two) = (argon2id(b"one"), argon2id(b"two"));
    let ways = [realm("none", &[]), realm("a", &[("alice", &one)]), realm("b", &[("alice", &two), ("bob", &two)])];
    assert_eq!(ask(&ways, "alice:one").unwrap().principal().via(), "basic:a");
    assert!(ask(&ways, "alice:one").unwrap().holds());
    assert!(!ask(&ways, "alice:two").unwrap().holds(), "another realm's password is not tried");
    assert_eq!(ask(&ways, "bob:two").unwrap().principal().via(), "basic:b");
    // The stand-in's own password does not open the door for a name that nobody has.
    assert!(!ask(&ways, "nobody:one").unwrap().holds());
    assert_eq!(ask(&[realm("none", &[])], "alice:one").err(), Some(Flaw::UnknownUser));
}

#[test]
fn wrong_and_unknown_look_the_same() {
    let ways = [realm("ops", &[("alice", &argon2id(b"secret"))]), Way::Iam];
    let refusals = ["alice:wrong", "nobody:wrong"].map(|credentials| ask(&ways, credentials).unwrap().refusal());
    let shown = refusals.each_ref().map(|one| (one.reason, one.headers.clone()));
    assert_eq!(shown[0], shown[1]);
    assert_eq!(refusals[0].headers.len(), 2);
    // The log knows, the client does not.
    assert_ne!(refusals[0].detail, refusals[1].detail);
    for refusal in refusals {
        assert!(!format!("{refusal:?}").contains("alice"));
    }
}

#[test]
fn a_hash_that_costs_too_much_or_protects_too_little_is_left_out() {
    let good = argon2id(b"secret");
    let bcrypt = bcrypt::hash("secret", 4).unwrap();
    let accepted = [
        good.clone(),
        good.replace("m=8,t=1,p=1", "m=262144,t=16,p=16"),
        bcrypt.clone(),
        bcrypt.replace("$04$", "$16$"),
        bcrypt.replace("$2b$", "$2a$"),
        SHA256.to_owned(),
        SHA512.replace("$6$", "$6$rounds=1000000$"),
    ];
    let refused = [
        good.replace("m=8", "m=262145"),
        good.replace("t=1", "t=17"),
        good.replace("m=8,t=1,p=1", "m=1024,t=1,p=17"),
        good.replace("m=8", "m=7"),
        good.replace("m=8", "m=4294967295"),
        good.replace("m=8", "m=99999999999"),
        good.replace("m=8", "x=8"),
        good.replace("$v=19", ""),
        good.replace("v=19", "v=16"),
        good.replace("argon2id", "argon2i"),
        good.replace("argon2id", "argon2d"),
        good[..good.rfind('$').unwrap()].to_owned(),
        good[..good.len() - 25].to_owned(),
        format!("{good}$"),
        bcrypt.replace("$04$", "$17$"),
        bcrypt.replace("$04$", "$31$"),
        bcrypt.replace("$04$", "$03$"),
        bcrypt.replace("$2b$", "$2x$"),
        bcrypt[..59].to_owned(),
        format!("{}é", &bcrypt[..58]),
        format!("{bcrypt}x"),
        SHA512.replace("$6$", "$6$rounds=1000001$"),
        SHA512.replace("$6$", "$6$rounds=999$"),
        SHA512.replace("$6$", "$6$rounds=$"),
        SHA512.replace("$6$", "$5$"),
        SHA256.replace("saltsalt", "saltsaltsaltsalts"),
        "secret".to_owned(),
        String::new(),
        "$apr1$abc$def".to_owned(),
        "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=".to_owned(),
    ];
    for (hash, fits) in accepted.iter().map(|hash| (hash, true)).chain(refused.iter().map(|hash| (hash, false))) {
        let document = json!({"name": "ops", "users": [{"name": "alice", "hash": hash}]});
        let compiled = Realm::compile(&serde_json::from_value(document).unwrap());
        assert_eq!(compiled.notes().is_empty(), fits, "{hash}: {:?}", compiled.notes());
        for note in compiled.notes() {
            assert!(note.contains("alice") && (hash.len() < 10 || !note.contains(hash.as_str())), "{note}");
        }
    }
}
