//! Tokens by the right key that say something odd: of their extensions, times, audience, issuer, or in odd JSON.

use serde_json::json;

use postern_tests::seconds_from_now;

use super::forge::{Forge, HEADER, ISSUER, LEEWAY, claims, claims_saying, claims_with, claims_without};
use super::{Cases, Verdict};

pub(super) fn table(forge: &Forge, cases: &mut Cases) {
    extensions(forge, cases);
    times(forge, cases);
    audiences(forge, cases);
    issuers(forge, cases);
    members(forge, cases);
    json_texts(forge, cases);
}

fn extensions(forge: &Forge, cases: &mut Cases) {
    for members in [
        r#""crit":["exp"],"exp":1"#, r#""crit":["b64"],"b64":true"#, r#""crit":["b64"],"b64":false"#, r#""crit":[]"#,
        r#""crit":null"#, r#""crit":"exp""#, r#""crit":{}"#, r#""crit":["crit"]"#, r#""crit":["unknown"],"unknown":1"#,
        r#""crit":["alg"]"#, r#""crit":[""]"#, r#""crit":[1]"#, r#""\u0063rit":["x"],"x":1"#, r#""b64":false"#,
        r#""b64":"false""#, r#""b64":0"#, r#""b64":null"#, r#""zip":"DEF""#, r#""enc":"A128GCM""#, r#""cty":"JWT""#,
        r#""cty":"jwt""#, r#""cty":"application/jwt""#, r#""cty":7"#, r#""typ":"logout+jwt""#,
        r#""typ":"secevent+jwt""#, r#""typ":"dpop+jwt""#, r#""typ":"JOSE""#, r#""typ":"JWE""#, r#""typ":"""#,
        r#""typ":null"#, r#""typ":["JWT"]"#, r#""typ":1"#, r#""typ":"JWT ""#, r#""typ":"application/application/jwt""#,
        r#""typ":"at + jwt""#,
    ] {
        cases.refused(
            format!("header with {members}"),
            forge.with_header(&format!(r#"{{"alg":"ES256","kid":"p256",{members}}}"#)),
        );
    }
}

fn times(forge: &Forge, cases: &mut Cases) {
    let now = seconds_from_now;
    let future = now(600);
    for member in ["exp", "nbf", "iat"] {
        for text in [
            "null", "true", "[]", "{}", "\"\"", "\"soon\"", "NaN", "Infinity", "-Infinity", "1e999", "-1e999",
            "0x7fffffff", "+1", "01", ".5", "1.", "[4102444800]", "{\"$date\":1}", "\"2100-01-01T00:00:00Z\"",
            "\"4102444800\"", "1_000",
        ] {
            cases.refused(format!("{member} {text}"), forge.with_claims(&claims_saying(member, text)));
        }
    }
    cases.refused("no exp", forge.with_claims(&claims_without("exp")));
    for text in ["0", "-1", "-4102444800", "1", "1.5", "-0.0", "-1e300", "1e-300"] {
        cases.add(Verdict::Expired, format!("exp {text}"), forge.with_claims(&claims_saying("exp", text)));
    }
    for ago in [LEEWAY, LEEWAY + 1, LEEWAY + 60, 86_400, 1_000_000_000] {
        cases.add(
            Verdict::Expired,
            format!("expired {ago} s ago"),
            forge.with_claims(&claims_with(&json!({"exp": now(-ago)}))),
        );
    }
    // One second past the bound, and room for a machine that is slow to send it.
    for ahead in [LEEWAY + 120, 3_600, 1_000_000_000] {
        for member in ["nbf", "iat"] {
            let claims = claims_with(&json!({member: now(ahead), "exp": now(ahead + 3_600)}));
            cases.refused(format!("{member} {ahead} s ahead"), forge.with_claims(&claims));
        }
    }
    for member in ["nbf", "iat"] {
        for text in ["1e300", "99999999999999999999", "9007199254740993"] {
            cases.refused(format!("{member} {text}"), forge.with_claims(&claims_saying(member, text)));
        }
    }
    let twice = format!("{{\"exp\":{future},{}", &claims().to_string()[1..]);
    cases.refused("exp twice", forge.with_claims(&twice));
    let renamed = claims_without("exp").replace("\"iat\"", "\"EXP\"");
    cases.refused("EXP for exp", forge.with_claims(&renamed));
}

fn audiences(forge: &Forge, cases: &mut Cases) {
    cases.refused("no aud", forge.with_claims(&claims_without("aud")));
    for text in [
        "null", "true", "0", "{}", "[]", "\"\"", "[\"\"]", "\"API\"", "\"api \"", "\" api\"", "\"api/\"",
        "\"api\\u0000\"", "\"api,api-2\"", "\"api api-2\"", "\"ap\"", "\"apis\"", "\"*\"", "[null]", "[\"other\"]",
        "[[\"api\"]]", "{\"api\":1}", "[{\"api\":1}]", "[\"other\",[\"api\"]]", "[1,\"api\"]", "[\"api\",null]",
        "\"аpi\"", "\"api\\u200b\"", "\"https://api\"",
    ] {
        cases.refused(format!("aud {text}"), forge.with_claims(&claims_saying("aud", text)));
    }
}

fn issuers(forge: &Forge, cases: &mut Cases) {
    cases.refused("no iss", forge.with_claims(&claims_without("iss")));
    let bare = ISSUER.trim_end_matches('/');
    for iss in [
        bare.to_owned(),
        format!("{ISSUER}/"),
        format!("{ISSUER} "),
        format!(" {ISSUER}"),
        format!("{ISSUER}?a"),
        format!("{ISSUER}#a"),
        ISSUER.to_uppercase(),
        ISSUER.replace("https", "http"),
        ISSUER.replace("login", "Login"),
        format!("{bare}.evil.example/"),
        ISSUER.replace("login", "l\u{43e}gin"),
        format!("{bare}:443/"),
        format!("{ISSUER}\u{0}"),
        format!("{ISSUER}\n"),
        String::new(),
        "corp".to_owned(),
        "jwt:corp".to_owned(),
        "*".to_owned(),
        ISSUER.replace("login.", "user@login."),
        format!("{ISSUER}../"),
    ] {
        cases.refused(format!("iss {iss:?}"), forge.with_claims(&claims_with(&json!({"iss": iss}))));
    }
    for text in ["null", "true", "0", "{}", "[]", &format!("[\"{ISSUER}\"]"), &format!("{{\"{ISSUER}\":1}}")] {
        cases.refused(format!("iss {text}"), forge.with_claims(&claims_saying("iss", text)));
    }
}

fn members(forge: &Forge, cases: &mut Cases) {
    let long = json!("s".repeat(1_025));
    for sub in [
        json!(null),
        json!(0),
        json!(["carol"]),
        json!({"a": 1}),
        json!(true),
        json!("a\nb"),
        json!("a\u{0}"),
        json!("\u{7f}"),
        long,
    ] {
        cases.refused(format!("sub {sub:.30}"), forge.with_claims(&claims_with(&json!({"sub": sub}))));
    }
    for member in ["scope", "scp"] {
        for value in [json!(null), json!(0), json!({}), json!([1]), json!([["a"]]), json!([null]), json!(true)] {
            cases.refused(format!("{member} {value}"), forge.with_claims(&claims_with(&json!({member: value}))));
        }
    }
}

fn json_texts(forge: &Forge, cases: &mut Cases) {
    let claims = claims().to_string();
    let inside = claims.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap();
    let deep = |open: &str, close: &str, depth: usize| {
        format!("{{{inside},\"x\":{}1{}}}", open.repeat(depth), close.repeat(depth))
    };
    for (name, text) in [
        ("sub twice", format!("{{{inside},\"sub\":\"admin\"}}")),
        ("sub twice, once escaped", format!("{{{inside},\"\\u0073ub\":\"admin\"}}")),
        ("iss twice", format!("{{\"iss\":\"{ISSUER}\",{inside}}}")),
        ("aud twice", format!("{{{inside},\"aud\":\"api\"}}")),
        ("twice further in", format!("{{{inside},\"x\":{{\"a\":1,\"a\":2}}}}")),
        ("twice in a list", format!("{{{inside},\"x\":[{{\"a\":1,\"a\":1}}]}}")),
        ("lists 200 deep", deep("[", "]", 200)),
        ("objects 200 deep", deep("{\"a\":", "}", 200)),
        ("lists 2000 deep", deep("[", "]", 2_000)),
        ("a list", format!("[{claims}]")),
        ("a text", json!(claims).to_string()),
        ("nothing", String::new()),
        ("null", "null".to_owned()),
        ("a number", "1".to_owned()),
        ("cut", claims[..claims.len() - 1].to_owned()),
        ("something behind", format!("{claims} {{}}")),
        ("a letter behind", format!("{claims}x")),
        ("a byte order mark", format!("\u{feff}{claims}")),
        ("a comma at the end", format!("{{{inside},}}")),
        ("a comment", format!("{{{inside}/* */}}")),
        ("single quotes", claims.replace('"', "'")),
        ("names without quotes", claims.replace("\"sub\"", "sub")),
        ("half a surrogate", format!("{{{inside},\"x\":\"\\ud800\"}}")),
        ("a bare control character", format!("{{{inside},\"x\":\"a\u{1}\"}}")),
        ("a zero byte behind", format!("{claims}\u{0}")),
    ] {
        cases.refused(format!("claims: {name}"), forge.with_claims(&text));
    }
    for (name, text) in [
        ("alg twice", r#"{"alg":"ES256","alg":"ES256","kid":"p256"}"#),
        ("alg twice, none last", r#"{"alg":"ES256","kid":"p256","alg":"none"}"#),
        ("alg twice, none first", r#"{"alg":"none","kid":"p256","alg":"ES256"}"#),
        ("alg twice, once escaped", r#"{"alg":"ES256","kid":"p256","\u0061lg":"none"}"#),
        ("kid twice", r#"{"alg":"ES256","kid":"p256","kid":"rsa"}"#),
        ("a list", r#"[{"alg":"ES256","kid":"p256"}]"#),
        ("nothing", ""),
        ("null", "null"),
        ("cut", r#"{"alg":"ES256","kid":"p256""#),
        ("something behind", r#"{"alg":"ES256","kid":"p256"}{}"#),
        ("single quotes", "{'alg':'ES256','kid':'p256'}"),
        ("ALG", r#"{"ALG":"ES256","kid":"p256"}"#),
        ("Kid besides", r#"{"alg":"HS256","kid":"p256","Kid":"hs"}"#),
    ] {
        cases.refused(format!("header: {name}"), forge.with_header(text));
    }
    let huge = format!("{{{inside},\"x\":\"{}\"}}", "x".repeat(16 * 1024));
    cases.refused("more than 16 KiB", forge.with_claims(&huge));
    let head = format!("{}{}", HEADER.trim_end_matches('}'), format_args!(",\"x\":\"{}\"}}", "x".repeat(16 * 1024)));
    cases.refused("a header of more than 16 KiB", forge.with_header(&head));
}
