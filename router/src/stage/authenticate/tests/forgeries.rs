//! Tokens that may not pass: each is refused for the very thing that is wrong with it.

use super::*;

/// The table: what is wrong, the token, the flaw that must be found.
type Cases = Vec<(String, String, Flaw)>;

#[test]
fn every_bad_token_is_refused_for_what_is_wrong_with_it() {
    let tables: [fn(&mut Cases); 11] = [
        unsecured, confused_algorithms, forged_signatures, foreign_keys, odd_headers, odd_times,
        odd_audiences_and_issuers, odd_subjects_and_scopes, odd_forms, odd_json, odd_key_names,
    ];
    let mut cases = Cases::new();
    for table in tables {
        table(&mut cases);
    }
    let mut wrong = Vec::new();
    for (what, token, expected) in &cases {
        match present(corp(), token) {
            Err(flaw) if flaw == *expected => {}
            Err(flaw) => wrong.push(format!("{what}: {flaw:?} instead of {expected:?}")),
            Ok(principal) => wrong.push(format!("{what}: ACCEPTED as {principal:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(cases.len() >= 250, "{} cases", cases.len());
    assert!(present(corp(), &good()).is_ok(), "what the cases are made from passes");
}

#[test]
fn no_single_changed_character_is_accepted() {
    let good = good();
    for index in 0..good.len() {
        for replacement in ["A", "B", "_", "-", ".", "=", "+", ""] {
            if good[index..=index] == *replacement {
                continue;
            }
            let changed = format!("{}{replacement}{}", &good[..index], &good[index + 1..]);
            assert!(present(corp(), &changed).is_err(), "{replacement:?} at {index}");
        }
    }
}

fn unsecured(cases: &mut Cases) {
    let payload = b64(claims(&json!({})).as_bytes());
    let names = ["none", "None", "NONE", "nOnE", "NoNe", "none ", " none", "none\u{0}", "nonе", "", "null", "NULL"];
    for name in names {
        let header = b64(json!({"alg": name, "typ": "JWT", "kid": "p256"}).to_string().as_bytes());
        cases.push((format!("alg {name:?}, no signature"), format!("{header}.{payload}."), Flaw::TokenParts));
        cases.push((format!("alg {name:?}, no last dot"), format!("{header}.{payload}"), Flaw::TokenParts));
        cases.push((format!("alg {name:?}, any signature"), format!("{header}.{payload}.AAAA"), Flaw::Algorithm));
        let signature = &good()[good().rfind('.').unwrap()..];
        cases.push((format!("alg {name:?}, a signature"), format!("{header}.{payload}{signature}"), Flaw::Algorithm));
    }
    for header in
        [r#"{"alg":null}"#, r#"{"alg":["none"]}"#, r#"{"alg":0}"#, r#"{"alg":{}}"#, "{}", r#"{"ALG":"ES256"}"#]
    {
        let header = b64(header.as_bytes());
        cases.push((format!("header {header}"), format!("{header}.{payload}.AAAA"), Flaw::Algorithm));
    }
}

fn confused_algorithms(cases: &mut Cases) {
    let all = signers();
    let payload = claims(&json!({}));
    // The classic: the public key, in any of its spellings, as the shared secret.
    let jwk = &all.rsa.jwk;
    let mut spellings = vec![
        all.rsa.public.clone(),
        b64(&all.rsa.public).into_bytes(),
        jwk.to_string().into_bytes(),
        jwk["n"].as_str().unwrap().as_bytes().to_vec(),
        URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap(),
        all.p256.public.clone(),
        all.ed.public.clone(),
        Vec::new(),
        b"secret".to_vec(),
    ];
    let lines = base64::engine::general_purpose::STANDARD.encode(&all.rsa.public);
    for label in ["PUBLIC KEY", "RSA PUBLIC KEY"] {
        for end in ["", "\n"] {
            spellings.push(format!("-----BEGIN {label}-----\n{lines}\n-----END {label}-----{end}").into_bytes());
        }
    }
    for (index, spelling) in spellings.iter().enumerate() {
        let forger = Signer { private: EncodingKey::from_secret(spelling), public: Vec::new(), jwk: Value::Null };
        for (alg, name) in [(Signing::HS256, "HS256"), (Signing::HS384, "HS384"), (Signing::HS512, "HS512")] {
            for kid in ["rsa", "p256", "ed"] {
                let token = forger.token(alg, &json!({"alg": name, "kid": kid}).to_string(), &payload);
                cases.push((format!("{name} under public key {index}, kid {kid}"), token, Flaw::Algorithm));
            }
            let token = forger.token(alg, &json!({"alg": name}).to_string(), &payload);
            cases.push((format!("{name} under public key {index}"), token, Flaw::Algorithm));
        }
    }
    // Right signatures of the right issuer, by a key that is for something else.
    for (kid, name) in [("p256", "RS256"), ("rsa", "ES256"), ("p384", "ES256"), ("p256", "ES384"), ("ed", "ES256")] {
        let header = json!({"alg": name, "kid": kid}).to_string();
        let (signer, alg) = if name == "RS256" { (&all.rsa, Signing::RS256) } else { (&all.p256, Signing::ES256) };
        cases.push((format!("{name} under kid {kid}"), signer.token(alg, &header, &payload), Flaw::Algorithm));
    }
    for (alg, name) in [(Signing::PS256, "PS256"), (Signing::RS384, "RS384"), (Signing::RS512, "RS512")] {
        let header = json!({"alg": name, "kid": "rsa-only-256"}).to_string();
        let token = all.other_rsa.token(alg, &header, &payload);
        cases.push((format!("{name} by a key for RS256"), token, Flaw::Algorithm));
    }
    // The header says one algorithm, the signature is of another of the same key.
    let token = all.rsa.token(Signing::PS256, r#"{"alg":"RS256","kid":"rsa"}"#, &payload);
    cases.push(("PS256 called RS256".into(), token, Flaw::Signature));
    let token = all.rsa.token(Signing::RS512, r#"{"alg":"RS256","kid":"rsa"}"#, &payload);
    cases.push(("RS512 called RS256".into(), token, Flaw::Signature));
    let unknown = ["es256", "ES256 ", "ES256K", "ES512", "RS1", "HS1", "RSA-OAEP", "dir", "A128KW", "Ed25519", "eddsa"];
    for name in unknown {
        let token = all.p256.token(Signing::ES256, &json!({"alg": name, "kid": "p256"}).to_string(), &payload);
        cases.push((format!("alg {name:?}"), token, Flaw::Algorithm));
    }
}

fn forged_signatures(cases: &mut Cases) {
    let all = signers();
    let header = r#"{"alg":"ES256","kid":"p256"}"#;
    let good = good();
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let raw = URL_SAFE_NO_PAD.decode(signature).unwrap();
    // r = s = 0 verified anything in Java 15 to 18 (CVE-2022-21449); r = s = n is the same number.
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&order[2 * at..2 * at + 2], 16).unwrap()).collect();
    let mut der = vec![0x30, 68, 0x02, 32];
    der.extend(&raw[..32]);
    der.extend([0x02, 32]);
    der.extend(&raw[32..]);
    let forged: [(&str, Vec<u8>); 9] = [
        ("zeros", vec![0; 64]),
        ("the order", [order.clone(), order].concat()),
        ("one byte", vec![0]),
        ("shortened", raw[..63].to_vec()),
        ("lengthened", [&raw[..], &[0]].concat()),
        ("swapped halves", [&raw[32..], &raw[..32]].concat()),
        ("DER", der),
        ("ones", vec![0xff; 64]),
        ("256 bytes", vec![1; 256]),
    ];
    for (what, bytes) in forged {
        cases.push((format!("signature: {what}"), format!("{signed}.{}", b64(&bytes)), Flaw::Signature));
    }
    for text in ["A", "AA==", "====", "+/+/"] {
        cases.push((format!("signature {text:?}"), format!("{signed}.{text}"), Flaw::Signature));
    }
    for text in ["!!!!", "AAAA\u{e9}"] {
        cases.push((format!("signature {text:?}"), format!("{signed}.{text}"), Flaw::Malformed));
    }
    let moved = all.p256.token(Signing::ES256, header, &claims(&json!({"sub": "admin"})));
    let (moved, _) = moved.rsplit_once('.').unwrap();
    cases.push(("another payload's signature".into(), format!("{moved}.{signature}"), Flaw::Signature));
    let other = b64(br#"{"alg":"ES256","kid":"p256","x":1}"#);
    let (_, payload) = signed.split_once('.').unwrap();
    cases.push(("another header's signature".into(), format!("{other}.{payload}.{signature}"), Flaw::Signature));
    // Expired, for others, of another audience: nothing of that is told of a token that nobody signed.
    for members in [json!({"exp": 1}), json!({"aud": "other"}), json!({"nbf": NOW + 9999}), json!({"sub": 1})] {
        let payload = b64(claims(&members).as_bytes());
        let token = format!("{}.{payload}.{signature}", b64(header.as_bytes()));
        cases.push((format!("unsigned {members}"), token, Flaw::Signature));
    }
}

fn foreign_keys(cases: &mut Cases) {
    let payload = claims(&json!({}));
    let forger = elliptic(&rcgen::PKCS_ECDSA_P256_SHA256, "P-256");
    let rsa_forger = &signers().other_rsa;
    let mut jwk = forger.jwk.clone();
    jwk["kid"] = "p256".into();
    let headers = [
        json!({"jwk": jwk}),
        json!({"jku": "https://evil.example/jwks.json"}),
        json!({"jku": "http://169.254.169.254/latest/meta-data/"}),
        json!({"jku": "file:///etc/passwd"}),
        json!({"x5u": "https://evil.example/chain.pem"}),
        json!({"x5c": ["MIIB"]}),
        json!({"x5t": "AAAA", "x5t#S256": "AAAA"}),
        json!({"jwk": jwk, "jku": "https://evil.example/", "x5c": []}),
    ];
    for members in &headers {
        for kid in [None, Some("p256"), Some("forger")] {
            let mut header = members.clone();
            header["alg"] = "ES256".into();
            if let Some(kid) = kid {
                header["kid"] = kid.into();
            }
            let flaw = if kid == Some("forger") { Flaw::UnknownKey } else { Flaw::Signature };
            let token = forger.token(Signing::ES256, &header.to_string(), &payload);
            cases.push((format!("header {header}"), token, flaw));
        }
    }
    let token = rsa_forger.token(Signing::RS256, r#"{"alg":"RS256","kid":"rsa"}"#, &payload);
    cases.push(("another key of the issuer under this kid".into(), token, Flaw::Signature));
}

fn odd_key_names(cases: &mut Cases) {
    let payload = claims(&json!({}));
    let kids = [
        "", "P256", "p256 ", " p256", "p256\u{0}", "p256/", "../p256", "../../dev/null", "/dev/null",
        "p256' UNION SELECT 'AA", "p256|sleep 1", "https://evil.example/key", "*", "%70256",
    ];
    for kid in kids {
        let token = signers().p256.token(Signing::ES256, &json!({"alg": "ES256", "kid": kid}).to_string(), &payload);
        cases.push((format!("kid {kid:?}"), token, Flaw::UnknownKey));
    }
    for kid in [json!(null), json!(1), json!(["p256"]), json!({"kid": "p256"}), json!(true)] {
        let token = signers().p256.token(Signing::ES256, &json!({"alg": "ES256", "kid": kid}).to_string(), &payload);
        cases.push((format!("kid {kid}"), token, Flaw::KeyIdType));
    }
}

fn odd_headers(cases: &mut Cases) {
    let mut case = |members: Value, flaw: Flaw| {
        let mut header = json!({"alg": "ES256", "kid": "p256"});
        header.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let token = signers().p256.token(Signing::ES256, &header.to_string(), &claims(&json!({})));
        cases.push((format!("header {header}"), token, flaw));
    };
    for crit in
        [json!(["exp"]), json!([]), json!(null), json!("b64"), json!(["b64"]), json!({}), json!(["alg"]), json!(0)]
    {
        case(json!({"crit": crit}), Flaw::Critical);
    }
    case(json!({"crit": ["b64"], "b64": true}), Flaw::Critical);
    for b64 in [json!(false), json!(null), json!(0), json!("true"), json!([])] {
        case(json!({"b64": b64}), Flaw::Critical);
    }
    for typ in [
        "", "jwt ", "JOSE", "JWE", "logout+jwt", "secevent+jwt", "dpop+jwt", "application/", "application/json",
        "text/jwt",
    ] {
        case(json!({"typ": typ}), Flaw::TokenType);
    }
    for typ in [json!(null), json!(1), json!(["JWT"]), json!({})] {
        case(json!({"typ": typ}), Flaw::TokenType);
    }
    for cty in ["JWT", "jwt", "application/jwt", "Application/JWT", "at+jwt"] {
        case(json!({"cty": cty}), Flaw::NestedToken);
    }
    for cty in [json!(null), json!(1), json!(["JWT"])] {
        case(json!({"cty": cty}), Flaw::NestedToken);
    }
    case(json!({"enc": "A128GCM"}), Flaw::NestedToken);
    case(json!({"zip": "DEF"}), Flaw::NestedToken);
}

fn signed(cases: &mut Cases, payload: &str, flaw: Flaw) {
    let shown: String = payload.chars().take(160).collect();
    let token = signers().p256.token(Signing::ES256, r#"{"alg":"ES256","kid":"p256"}"#, payload);
    cases.push((format!("claims {shown}"), token, flaw));
}

fn odd_times(cases: &mut Cases) {
    signed(cases, &claims(&json!({"exp": null})), Flaw::Times);
    let odd = ["null", "true", "\"\"", "\"1790000300\"", "[1790000300]", "{}", "\"never\"", "false"];
    for claim in ["exp", "nbf", "iat"] {
        for value in odd {
            let payload = claims(&json!({claim: "MARK"})).replace("\"MARK\"", value);
            signed(cases, &payload, Flaw::Times);
        }
        for value in ["1e999", "NaN", "Infinity", "-Infinity", "0x7fffffff", "01790000300", "1790000300.", "+1"] {
            let payload = claims(&json!({claim: "MARK"})).replace("\"MARK\"", value);
            signed(cases, &payload, Flaw::TokenJson);
        }
    }
    for exp in
        [json!(0), json!(-1), json!(1), json!(NOW - 60), json!(NOW - 61), json!(-1e300), json!(0.5), json!(i64::MIN)]
    {
        signed(cases, &claims(&json!({"exp": exp})), Flaw::Expired);
    }
    for nbf in [json!(NOW + 61), json!(9_999_999_999_i64), json!(1e300), json!(u64::MAX)] {
        signed(cases, &claims(&json!({"nbf": nbf})), Flaw::NotYetValid);
    }
}

fn odd_audiences_and_issuers(cases: &mut Cases) {
    let audiences = [
        json!(null),
        json!(1),
        json!(true),
        json!({"api": "api"}),
        json!([]),
        json!([1]),
        json!(["api", 1]),
        json!([["api"]]),
        json!(["api", null]),
        json!(["other"]),
        json!("API"),
        json!("api "),
        json!(""),
        json!("api,other"),
        json!("api other"),
        json!("*"),
        json!("ap"),
        json!("api-"),
    ];
    for aud in audiences {
        signed(cases, &claims(&json!({"aud": aud})), Flaw::Audience);
    }
    let null = claims(&json!({})).replace("\"aud\":\"api\"", "\"aud\":null");
    signed(cases, &null, Flaw::Audience);
    let issuers = [
        json!(null),
        json!(1),
        json!([ISS]),
        json!([ISS, "https://evil.example/"]),
        json!({}),
        json!(""),
        json!("https://login.example.com"),
        json!("https://login.example.com//"),
        json!("HTTPS://login.example.com/"),
        json!("https://LOGIN.example.com/"),
        json!(" https://login.example.com/"),
        json!("https://login.example.com/\u{0}"),
        json!("https://login.example.com.evil.example/"),
        json!("https://login.example.com/#"),
    ];
    for iss in issuers {
        signed(cases, &claims(&json!({"iss": iss})), Flaw::UnknownIssuer);
    }
}

fn odd_subjects_and_scopes(cases: &mut Cases) {
    let long = "u".repeat(1025);
    let subjects = [
        json!(1),
        json!(true),
        json!(["u-1"]),
        json!({}),
        json!("a\r\nb"),
        json!("a\u{0}"),
        json!("\u{85}"),
        json!(long),
    ];
    for sub in subjects {
        signed(cases, &claims(&json!({"sub": sub})), Flaw::Subject);
    }
    let null = claims(&json!({})).replace("\"sub\":\"u-1\"", "\"sub\":null");
    signed(cases, &null, Flaw::Subject);
    for scope in [json!(1), json!(true), json!({"orders:write": true}), json!(["a", 1]), json!([["a"]]), json!([null])]
    {
        for claim in ["scope", "scp"] {
            signed(cases, &claims(&json!({claim: scope})), Flaw::Scopes);
        }
    }
}

fn odd_forms(cases: &mut Cases) {
    let good = good();
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let mut case = |what: &str, token: String, flaw: Flaw| cases.push((what.to_owned(), token, flaw));
    for (what, token) in [("before", format!(" {good}")), ("inside", format!("{header}. {payload}.{signature}"))] {
        case(&format!("a blank {what}"), token, Flaw::Malformed);
    }
    case("a blank after", format!("{good} "), Flaw::Malformed);
    case("a tab after", format!("{good}\t"), Flaw::Malformed);
    case("a comma and a second", format!("{good},{good}"), Flaw::Malformed);
    case("a comma and another scheme", format!("{good}, Basic YTpi"), Flaw::Malformed);
    case("a semicolon", format!("{good};"), Flaw::Malformed);
    case("quotes", format!("\"{good}\""), Flaw::Malformed);
    case("the scheme again", format!("Bearer {good}"), Flaw::Malformed);
    case("as an attribute", format!("token=\"{good}\""), Flaw::Malformed);
    case("nothing", String::new(), Flaw::Malformed);
    case("a line break after", format!("{good}\n"), Flaw::Signature);
    case("a line break inside", format!("{header}\n.{payload}.{signature}"), Flaw::TokenEncoding);
    case("a NUL after", format!("{good}\u{0}"), Flaw::Signature);
    for (what, token) in [
        ("a dot after", format!("{good}.")),
        ("a dot before", format!(".{good}")),
        ("two dots inside", format!("{header}..{payload}.{signature}")),
        ("dots alone", "..".to_owned()),
        ("one word", "token".to_owned()),
        ("no signature", format!("{header}.{payload}")),
        ("an empty signature", format!("{header}.{payload}.")),
        ("an empty payload", format!("{header}..{signature}")),
        ("an empty header", format!(".{payload}.{signature}")),
        ("four parts", format!("{good}.AAAA")),
        ("five parts, as if encrypted", format!("{header}.AAAA.AAAA.AAAA.AAAA")),
    ] {
        case(what, token, Flaw::TokenParts);
    }
    case("a padded header", format!("{header}=.{payload}.{signature}"), Flaw::Malformed);
    case("a padded payload", format!("{header}.{payload}=.{signature}"), Flaw::Malformed);
    case("a padded signature", format!("{good}=="), Flaw::Signature);
    case("the other base64", format!("{header}.+/+/.{signature}"), Flaw::TokenEncoding);
    case("JSON serialization", format!(r#"{{"payload":"{payload}","signature":"{signature}"}}"#), Flaw::Malformed);
    case("too long", format!("{header}.{}.{signature}", "A".repeat(16 * 1024)), Flaw::TokenTooLong);
    let mut full = format!("{header}.{payload}.");
    full.push_str(&"A".repeat(16 * 1024 - full.len()));
    case("as long as can be", full, Flaw::Signature);
    let many = format!("{}{}", ".".repeat(8000), good);
    case("thousands of dots", many, Flaw::TokenParts);
}

fn odd_json(cases: &mut Cases) {
    let good = good();
    let (_, rest) = good.split_once('.').unwrap();
    for text in
        ["[]", "null", "1", "\"a\"", "{", "{}{}", "{} x", "\u{feff}{}", "{\"alg\":\"ES256\",}", "{'alg':'ES256'}"]
    {
        cases.push((format!("header {text}"), format!("{}.{rest}", b64(text.as_bytes())), Flaw::TokenJson));
    }
    cases.push(("a header that is not UTF-8".into(), format!("{}.{rest}", b64(b"{\"a\":\"\xff\"}")), Flaw::TokenJson));
    let doubled = [
        r#"{"alg":"ES256","alg":"none","kid":"p256"}"#,
        r#"{"alg":"none","alg":"ES256","kid":"p256"}"#,
        r#"{"alg":"ES256","kid":"x","kid":"p256"}"#,
        r#"{"alg":"ES256","\u0061lg":"none","kid":"p256"}"#,
    ];
    for header in doubled {
        let token = signers().p256.token(Signing::ES256, header, &claims(&json!({})));
        cases.push((format!("header {header}"), token, Flaw::TokenJson));
    }
    let body = claims(&json!({}));
    let body = body.trim_end_matches('}');
    for twice in [
        r#""sub":"admin""#, r#""exp":9999999999"#, r#""aud":"other""#, r#""iss":"https://evil.example/""#,
        r#""\u0073ub":"admin""#, r#""nested":{"a":1,"a":2}"#, r#""list":[{"a":1,"a":2}]"#,
    ] {
        signed(cases, &format!("{body},{twice}}}"), Flaw::TokenJson);
    }
    for bad in ["[]", "null", "{}{}", "1", "\"a.b.c\"", "{\"iss\":}", &format!("{body}}} x")] {
        signed(cases, bad, Flaw::TokenJson);
    }
    let nested = format!("{body},\"deep\":{}{}}}", "[".repeat(2000), "]".repeat(2000));
    signed(cases, &nested, Flaw::TokenJson);
    signed(cases, &format!("{body},\"half\":\"\\ud800\"}}"), Flaw::TokenJson);
    // A token inside of a token is a string, not an object.
    signed(cases, &format!("\"{good}\""), Flaw::TokenJson);
    signed(cases, &good, Flaw::TokenJson);
}
