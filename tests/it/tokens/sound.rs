//! Tokens that must pass, in all the forms that issuers give them.

use serde_json::json;

use postern_tests::seconds_from_now;

use super::Cases;
use super::forge::{ALGORITHMS, Forge, LEEWAY, claims, claims_saying, claims_with, claims_without, signed};

pub(super) fn table(forge: &Forge, cases: &mut Cases) {
    for (algorithm, kid) in ALGORITHMS {
        for typ in [None, Some("JWT"), Some("jwt"), Some("at+jwt"), Some("application/at+jwt"), Some("application/JWT")]
        {
            let mut header = json!({"alg": algorithm, "kid": kid});
            if let Some(typ) = typ {
                header["typ"] = typ.into();
            }
            cases.passes(
                format!("{algorithm} {typ:?}"),
                forge.of_texts(algorithm, &header.to_string(), &claims().to_string()),
            );
        }
    }
    let only = json!({"alg": "RS256", "kid": "only-rs256"}).to_string();
    cases
        .passes("a key for one algorithm", signed(&only, &claims().to_string(), |m| forge.only_rs256.sign("RS256", m)));
    // No choice is left: one key fits.
    for algorithm in ["ES256", "ES384", "EdDSA", "HS256", "PS256"] {
        let header = json!({"alg": algorithm}).to_string();
        cases.passes(format!("{algorithm} without a kid"), forge.of_texts(algorithm, &header, &claims().to_string()));
    }
    // What names or brings a key is not looked at, so it does no harm either.
    for (member, value) in [
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/c")),
        ("x5c", json!(["AA"])),
        ("jwk", forge.strange_p256.jwk("p256")),
        ("x5t", json!("AA")),
        ("x5t#S256", json!("AA")),
        ("other", json!({})),
    ] {
        let mut header = json!({"alg": "ES256", "kid": "p256"});
        header[member] = value;
        cases.passes(format!("with {member}"), forge.with_header(&header.to_string()));
    }
    let now = seconds_from_now;
    for (name, text) in [
        ("audience in a list", claims_with(&json!({"aud": ["other", "api"]}))),
        ("the other audience", claims_with(&json!({"aud": "api-2"}))),
        ("no iat", claims_without("iat")),
        ("no sub", claims_without("sub")),
        ("seconds with a fraction", claims_saying("exp", &format!("{}.75", now(600)))),
        ("seconds with an exponent", claims_saying("exp", "9e9")),
        ("within the leeway of exp", claims_with(&json!({"exp": now(-LEEWAY + 20)}))),
        ("within the leeway of nbf", claims_with(&json!({"nbf": now(LEEWAY - 5)}))),
        ("within the leeway of iat", claims_with(&json!({"iat": now(LEEWAY - 5)}))),
        ("nbf long ago", claims_with(&json!({"nbf": 0}))),
        ("scopes in a text", claims_with(&json!({"scope": "a b"}))),
        ("scopes in a list", claims_with(&json!({"scp": ["a", "b"]}))),
        ("claims that nobody knows", claims_with(&json!({"x": {"y": [1, 2.5, null, true, {"z": "ä"}]}}))),
        ("a claim of 8 KiB", claims_with(&json!({"groups": "g".repeat(8_000)}))),
        ("a subject of other letters", claims_with(&json!({"sub": "Жанна 漢字 🙂"}))),
        ("an escaped slash", claims_saying("iss", r#""https:\/\/login.example.com\/""#)),
        ("blanks between members", claims().to_string().replace("\":", "\" :\n\t ")),
        ("depth of 40", claims_saying("deep", &format!("{}1{}", "[".repeat(40), "]".repeat(40)))),
    ] {
        cases.passes(name, forge.with_claims(&text));
    }
}
