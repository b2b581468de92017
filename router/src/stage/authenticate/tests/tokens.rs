//! Tokens that pass, what they prove, and which keys an issuer takes.

use super::*;
use crate::reject::Reason;
use crate::snapshot::ClaimPath;

#[test]
fn every_algorithm_passes_by_its_own_key() {
    let all = signers();
    let table: [(&Signer, Signing, &str); 12] = [
        (&all.rsa, Signing::RS256, "RS256"),
        (&all.rsa, Signing::RS384, "RS384"),
        (&all.rsa, Signing::RS512, "RS512"),
        (&all.rsa, Signing::PS256, "PS256"),
        (&all.rsa, Signing::PS384, "PS384"),
        (&all.rsa, Signing::PS512, "PS512"),
        (&all.p256, Signing::ES256, "ES256"),
        (&all.p384, Signing::ES384, "ES384"),
        (&all.ed, Signing::EdDSA, "EdDSA"),
        (&all.hs, Signing::HS256, "HS256"),
        (&all.hs, Signing::HS384, "HS384"),
        (&all.hs, Signing::HS512, "HS512"),
    ];
    for (signer, algorithm, name) in table {
        let keyed = json!({"alg": name, "kid": "k"}).to_string();
        let unkeyed = json!({"alg": name}).to_string();
        let named = [issuer(&[signer.key(&json!({"kid": "k"})), all.other_rsa.key(&json!({"kid": "o"}))])];
        let only = [issuer(&[signer.key(&json!({"alg": name, "use": "sig"}))])];
        let nameless = [issuer(&[signer.key(&json!({})), all.other_rsa.key(&json!({}))])];
        for (ways, header, passes) in [
            (&named, &keyed, true),
            // Where keys have names, a token without one fits only when no choice is left.
            (&named, &unkeyed, signer.jwk["kty"] != "RSA"),
            (&only, &keyed, true),
            (&only, &unkeyed, true),
            (&nameless, &unkeyed, true),
            // With more than one key, a name that none of them has is unknown.
            (&nameless, &keyed, false),
        ] {
            let found = present(ways, &signer.token(algorithm, header, &claims(&json!({}))));
            assert_eq!(found.as_ref().err(), if passes { None } else { Some(&Flaw::UnknownKey) }, "{name} {header}");
        }
    }
}

#[test]
fn what_tokens_may_say() {
    let header = r#"{"alg":"ES256","kid":"p256"}"#;
    let headers = [
        r#"{"alg":"ES256"}"#,
        r#"{"alg":"ES256","typ":"JWT"}"#,
        r#"{"alg":"ES256","typ":"jwt"}"#,
        r#"{"alg":"ES256","typ":"at+jwt"}"#,
        r#"{"alg":"ES256","typ":"application/at+JWT"}"#,
        r#"{"alg":"ES256","typ":"Application/JWT"}"#,
        r#"{"alg":"ES256","b64":true}"#,
        r#"{"alg":"ES256","cty":"application/json"}"#,
        r#" { "kid" : "p256" , "alg" : "ES256" } "#,
        r#"{"alg":"ES256","jku":"https://login.example.com/keys","x5t":"AAAA","nonce":"n"}"#,
    ];
    for header in headers {
        let found = present(corp(), &signers().p256.token(Signing::ES256, header, &claims(&json!({}))));
        assert_eq!(found.err(), None, "{header}");
    }
    let payloads = [
        json!({"aud": ["other", "api-2"]}),
        json!({"exp": NOW - 59}),
        json!({"exp": 1_790_000_000.25}),
        json!({"exp": 1e300}),
        json!({"nbf": NOW + 60}),
        json!({"nbf": 0, "iat": NOW + 30}),
        json!({"nbf": -1.5}),
        json!({"iat": null}),
        json!({"sub": null}),
        json!({"scope": null}),
        json!({"sub": "u".repeat(1024)}),
        json!({"groups": ["a"], "nested": {"deep": [{"a": 1}]}}),
    ];
    for members in payloads {
        let found = present(corp(), &signers().p256.token(Signing::ES256, header, &claims(&members)));
        assert_eq!(found.err(), None, "{members}");
    }
}

#[test]
fn a_principal_is_what_the_token_says() {
    let header = r#"{"alg":"ES256","kid":"p256"}"#;
    let cases = [
        (json!({"scope": "a b"}), vec!["a", "b"]),
        (json!({"scope": " a  b "}), vec!["a", "b"]),
        (json!({"scope": null, "scp": "a b"}), vec!["a", "b"]),
        (json!({"scope": null, "scp": ["a", "b"]}), vec!["a", "b"]),
        (json!({"scope": ["a"], "scp": ["b"]}), vec!["a", "b"]),
        (json!({"scope": ""}), vec![]),
        (json!({"scope": null}), vec![]),
    ];
    for (members, scopes) in cases {
        let principal = present(corp(), &signers().p256.token(Signing::ES256, header, &claims(&members))).unwrap();
        let held = ["", " ", "a", "b", "a b", "orders:read"].into_iter().filter(|scope| principal.holds(scope));
        assert_eq!(held.collect::<Vec<_>>(), scopes, "{members}");
        assert_eq!((principal.name(), principal.via()), ("u-1", "jwt:corp"));
        assert_eq!(principal.claim(&ClaimPath(smallvec::smallvec!["aud".into()])).as_deref(), Some("api"));
    }
    let nobody =
        present(corp(), &signers().p256.token(Signing::ES256, header, &claims(&json!({"sub": null})))).unwrap();
    assert_eq!(nobody.name(), "");
}

#[test]
fn keys_of_no_use_are_left_out_and_said() {
    let all = signers();
    let weak = |bytes: usize| json!({"n": b64(&vec![0xff; bytes])});
    let cases = [
        (all.hs.key(&json!({"k": "secret:absent"})), "a secret that is not there"),
        (all.hs.key(&json!({"k": b64(&[7; 64])})), "a secret that is not there"),
        (all.hs.key(&json!({"k": "secret:short"})), "shorter than the hash"),
        (all.hs.key(&json!({"k": "secret:middle", "alg": "HS512"})), "shorter than the hash"),
        (all.hs.key(&json!({"k": "secret:broken"})), "not base64url"),
        (all.rsa.key(&weak(128)), "fewer than 2048"),
        (all.rsa.key(&weak(1025)), "more than 8192"),
        (all.rsa.key(&json!({"e": b64(&[1])})), "not a sound RSA key"),
        (all.rsa.key(&json!({"e": b64(&[2])})), "not a sound RSA key"),
        (all.rsa.key(&json!({"e": b64(&[1; 64])})), "not a sound RSA key"),
        (all.rsa.key(&json!({"e": ""})), "not a sound RSA key"),
        (all.rsa.key(&json!({"use": "enc"})), "not for signatures"),
        (all.rsa.key(&json!({"alg": "ES256"})), "no algorithm that is accepted"),
        (all.p256.key(&json!({"crv": "P-384"})), "wrong length"),
        (all.p256.key(&json!({"crv": "secp256k1"})), "no algorithm that is accepted"),
        (all.p256.key(&json!({"x": b64(&[1; 31])})), "wrong length"),
        (all.p256.key(&json!({"y": null})), "lacks a member"),
        (all.p256.key(&json!({"y": b64(&[1; 32])})), "no point of its curve"),
        (all.ed.key(&json!({"crv": "Ed448"})), "no algorithm that is accepted"),
        (all.ed.key(&json!({"x": "*"})), "not base64url"),
        (all.ed.key(&json!({"kty": "XYZ"})), "no algorithm that is accepted"),
    ];
    for (key, words) in cases {
        let compiled = Issuer::compile(&document(&json!({}), std::slice::from_ref(&key)), &secrets()).unwrap();
        assert!(!compiled.has_keys(), "{words}");
        assert!(compiled.notes()[0].contains(words), "{:?} says not: {words}", compiled.notes());
        assert!(compiled.notes()[1].contains("503"));
        // The others go on.
        let two = Issuer::compile(&document(&json!({}), &[key, all.p256.key(&json!({}))]), &secrets()).unwrap();
        assert!(two.has_keys() && two.notes().len() == 1, "{:?}", two.notes());
    }
    // A shared key of 48 bytes does for HS384 and no more.
    let ways = [issuer(&[all.hs.key(&json!({"k": "secret:middle"}))])];
    let signer = Signer { private: EncodingKey::from_secret(&[7; 48]), public: Vec::new(), jwk: Value::Null };
    assert!(present(&ways, &signer.token(Signing::HS384, r#"{"alg":"HS384"}"#, &claims(&json!({})))).is_ok());
    let found = present(&ways, &signer.token(Signing::HS512, r#"{"alg":"HS512"}"#, &claims(&json!({}))));
    assert_eq!(found.err(), Some(Flaw::Algorithm));
}

#[test]
fn an_issuer_may_take_fewer_algorithms_than_its_keys_could() {
    let all = signers();
    let document = document(&json!({"algorithms": ["PS256"]}), &[all.rsa.key(&json!({})), all.p256.key(&json!({}))]);
    let compiled = Issuer::compile(&document, &secrets()).unwrap();
    assert_eq!(compiled.notes().len(), 1, "{:?}", compiled.notes());
    let ways = [Way::Jwt(Arc::new(compiled))];
    let payload = claims(&json!({}));
    assert!(present(&ways, &all.rsa.token(Signing::PS256, r#"{"alg":"PS256"}"#, &payload)).is_ok());
    let rs = present(&ways, &all.rsa.token(Signing::RS256, r#"{"alg":"RS256"}"#, &payload));
    assert_eq!(rs.err(), Some(Flaw::Algorithm));
    let es = present(&ways, &all.p256.token(Signing::ES256, r#"{"alg":"ES256"}"#, &payload));
    assert_eq!(es.err(), Some(Flaw::Algorithm));
}

#[test]
fn an_issuer_without_a_name_or_an_audience_is_refused() {
    for members in [json!({"issuer": ""}), json!({"audiences": []}), json!({"audiences": ["api", ""]})] {
        assert!(Issuer::compile(&document(&members, &[]), &secrets()).is_err(), "{members}");
    }
}

#[test]
fn at_most_eight_keys_are_tried_and_at_most_a_hundred_are_held() {
    let all = signers();
    let other = elliptic(&rcgen::PKCS_ECDSA_P256_SHA256, "P-256");
    let token = all.p256.token(Signing::ES256, r#"{"alg":"ES256"}"#, &claims(&json!({})));
    for (before, passes) in [(7, true), (8, false)] {
        let mut keys = vec![other.key(&json!({})); before];
        keys.push(all.p256.key(&json!({})));
        // Keys of other types are no tries.
        keys.insert(0, all.rsa.key(&json!({})));
        assert_eq!(present(&[issuer(&keys)], &token).is_ok(), passes, "{before} keys before");
    }
    let many = vec![all.ed.key(&json!({})); 101];
    let compiled = Issuer::compile(&document(&json!({}), &many), &secrets()).unwrap();
    assert!(compiled.notes()[0].contains("first 100 of 101"), "{:?}", compiled.notes());
}

#[test]
fn a_token_that_is_only_spared_is_told_of_also_once_it_is_remembered() {
    let all = signers();
    let header = r#"{"alg":"ES256","kid":"p256"}"#;
    let token = all.p256.token(Signing::ES256, header, &claims(&json!({"nbf": NOW})));
    for (revoked, expected) in [
        (json!({"sub": ["u-1"], "mode": "shadow"}), Some(Reason::TokenRevoked)),
        (json!({"sub": ["u-1"], "mode": "off"}), None),
        (json!({"sub": ["u-2"], "mode": "shadow"}), None),
    ] {
        let document = document(&json!({"revoked": revoked}), &[all.p256.key(&json!({"kid": "p256"}))]);
        let ways = [Way::Jwt(Arc::new(Issuer::compile(&document, &secrets()).unwrap()))];
        let memory = Memory::default();
        for _ in 0..3 {
            let principal = by_token(&ways, &token, &header_alone(), NOW, &memory).unwrap();
            assert_eq!(principal.spared(), expected, "{revoked}");
        }
    }
}

#[test]
fn a_remembered_token_expires_all_the_same_and_counts_for_its_issuer_alone() {
    let all = signers();
    let ways = [issuer(&[all.p256.key(&json!({"kid": "p256"}))])];
    let header = r#"{"alg":"ES256","kid":"p256"}"#;
    let token = all.p256.token(Signing::ES256, header, &claims(&json!({"nbf": NOW})));
    let verified = Memory::default();
    let at = |ways: &[Way], now| {
        by_token(ways, &token, &header_alone(), now, &verified).map(|principal| principal.name().to_owned())
    };
    for now in [NOW, NOW, NOW + 359] {
        assert_eq!(at(&ways, now).as_deref(), Ok("u-1"));
    }
    // Leeway is 60 s; the clock may also go back.
    assert_eq!(at(&ways, NOW + 360).err(), Some(Flaw::Expired));
    assert_eq!(at(&ways, NOW - 61).err(), Some(Flaw::NotYetValid));
    // The same issuer after its keys have changed is another one.
    let rotated = [issuer(&[all.other_rsa.key(&json!({"kid": "p256"}))])];
    assert!(at(&rotated, NOW).is_err());
    assert_eq!(at(&ways, NOW).as_deref(), Ok("u-1"));
    // A byte more or less is another token.
    let forged = format!("{}A", &token[..token.len() - 1]);
    assert!(by_token(&ways, &forged, &header_alone(), NOW, &verified).is_err() || forged == token);
    verified.forget_verified();
    assert_eq!(at(&ways, NOW + 360).err(), Some(Flaw::Expired));
}
