//! The merged file: what is written is read, and nothing else is.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

mod support;

use postern_config::Boundary;
use postern_config::merged::{FileKey, MergedError, Reading, read, write};
use serde_json::{Value, json};
use support::{boundary, content, file, header, redigested};

fn text(routes: usize) -> String {
    String::from_utf8(file(routes, None)).unwrap()
}

/// The file with one route line edited as JSON, under a digest that fits.
fn edited(id: &str, edit: impl FnOnce(&mut Value)) -> Reading {
    let text = text(8);
    let line = text.lines().find(|line| line.contains(&format!("\"id\": \"{id}\""))).unwrap().trim_end_matches(',');
    let mut value: Value = serde_json::from_str(line).unwrap();
    edit(&mut value);
    read(&redigested(&text.replace(line, &value.to_string())), None).unwrap()
}

const SOME: &str = "/team-2/service-000002#default";

#[track_caller]
fn is_put_aside(reading: &Reading, id: &str, why: &str) {
    assert_eq!(reading.content.routes.len(), 7, "{:?}", reading.quarantined);
    let [aside] = reading.quarantined.as_slice() else { panic!("{:?}", reading.quarantined) };
    assert_eq!(aside.id, id);
    assert!(aside.why.contains(why), "{}", aside.why);
}

#[test]
fn what_is_written_is_read() {
    let (header, content) = (header(), content(boundary(), 20));
    let (bytes, digest) = write(&header, &content, None);
    let reading = read(&bytes, None).unwrap();
    assert_eq!((reading.header, reading.digest), (header.clone(), digest));
    assert_eq!(reading.content, content);
    assert_eq!((reading.quarantined.len(), reading.ignored), (0, Vec::<String>::new()));
    assert_eq!(write(&header, &reading.content, None).0, bytes);
}

#[test]
fn one_grep_shows_all_that_is_known_of_a_route() {
    let text = text(20);
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["counts"]["routes"], 20);
    let found: Vec<&str> = text.lines().filter(|line| line.contains("\"/team-2/service-000002\"")).collect();
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("{\"id\": \"/team-2/service-000002#default\", \"root\": "), "{}", found[0]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "{");
    assert_eq!(lines[1], "\"apiVersion\": \"postern/v1\", \"kind\": \"MergedConfig\",");
    assert!(lines[2].starts_with("\"generation\": 42, \"previous\": \"sha256:"));
    assert!(lines[lines.len() - 2].starts_with("\"digest\": \"sha256:"));
    let ids: Vec<&&str> = lines.iter().filter(|line| line.starts_with("{\"id\": \"/team")).collect();
    assert!(ids.len() == 20 && ids.is_sorted());
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let whole = file(20, None);
    let key = FileKey::new(*b"0123456789abcdef").unwrap();
    let signed = file(20, Some(&key));
    for (bytes, key) in [(&whole, None), (&signed, Some(&key))] {
        assert!(read(bytes, key).is_ok());
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length], key).is_err(), "{length} of {}", bytes.len());
        }
        assert!(read(&[bytes.as_slice(), b"\n"].concat(), key).is_err());
        assert!(read(&[bytes.as_slice(), bytes].concat(), key).is_err());
    }
}

#[test]
fn a_flipped_bit_is_refused() {
    let key = FileKey::new(*b"0123456789abcdef").unwrap();
    for (bytes, key) in [(file(2, None), None), (file(2, Some(&key)), Some(&key))] {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut damaged = bytes.clone();
        for _ in 0..50_000 {
            // xorshift64: the same flips in every run.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let bit = usize::try_from(state % (bytes.len() as u64 * 8)).unwrap();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&damaged, key).is_err(), "bit {bit}");
            damaged[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(read(&damaged, key).is_ok());
    }
}

#[test]
fn other_bytes_are_refused() {
    let digest = |text: &str| redigested(&format!("{text}\n\"digest\": \"\"\n}}\n"));
    for bytes in [
        b"".to_vec(),
        vec![0; 4_096],
        b"{}".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"\n\"digest\": \"\n}\n".to_vec(),
        digest("{"),
        digest("{\"apiVersion\": \"postern/v1\", \"kind\": \"MergedConfig\","),
        digest("\u{fffd}"),
        digest(&"[".repeat(100_000)),
        digest(&format!("{{\"routes\": {}", "[".repeat(100_000))),
    ] {
        assert!(read(&bytes, None).is_err());
    }
}

#[test]
fn only_the_right_kind_is_taken() {
    let text = text(2);
    for (from, to, reason) in [
        ("\"kind\": \"MergedConfig\"", "\"kind\": \"Boundary\"", "wrong_kind"),
        ("\"apiVersion\": \"postern/v1\"", "\"apiVersion\": \"postern/v2\"", "wrong_kind"),
        ("\"kind\": \"MergedConfig\",", "\"kind\": \"MergedConfig\", \"kind\": \"MergedConfig\",", "syntax"),
        ("\"routes\": [", "\"lines\": [", "syntax"),
        ("\"generation\": 42", "\"generation\": -1", "syntax"),
        ("\"generation\": 42", "\"generation\": 1e3", "syntax"),
        ("\"generation\": 42", "\"generation\": 99999999999999999999", "syntax"),
        ("\"hosts\": [\"api.example.com\"", "\"hosts\": [\"*\"", "syntax"),
        ("\"hosts\": [\"api.example.com\", \"*.api.example.com\"]", "\"hosts\": []", "boundary_invalid"),
    ] {
        assert!(text.contains(from), "{from}");
        let error = read(&redigested(&text.replacen(from, to, 1)), None).unwrap_err();
        assert_eq!(error.reason(), reason, "{to}: {error}");
    }
    let other = text.replace("\"generation\": 42, ", "").replace("MergedConfig", "Something");
    assert!(matches!(read(&redigested(&other), None), Err(MergedError::WrongKind(_))));
}

#[test]
fn with_a_key_only_its_holder_writes() {
    let key = FileKey::new(*b"0123456789abcdef").unwrap();
    let other = FileKey::new(*b"fedcba9876543210").unwrap();
    assert!(FileKey::new(*b"short").is_none());
    let (plain, signed) = (file(2, None), file(2, Some(&key)));
    assert!(read(&signed, Some(&key)).is_ok());
    assert!(read(&signed, None).is_ok(), "a router without the key reads a file with a code");
    assert!(matches!(read(&signed, Some(&other)), Err(MergedError::MacMismatch)));
    assert!(matches!(read(&plain, Some(&key)), Err(MergedError::MacMissing)));
    let text = String::from_utf8(signed).unwrap();
    assert!(matches!(read(text.replace("hmac-sha256:", "hmac-sha1:").as_bytes(), None), Err(MergedError::MacMismatch)));
    // A code over other bytes.
    let resigned = text.replacen("\"generation\": 42", "\"generation\": 43", 1);
    let code = &text[text.rfind(", \"mac\"").unwrap()..];
    let moved = String::from_utf8(redigested(&resigned)).unwrap().replace("\"\n}\n", &format!("\"{code}"));
    assert!(matches!(read(moved.as_bytes(), Some(&key)), Err(MergedError::MacMismatch)), "{moved}");
}

#[test]
fn an_edited_line_is_held_against_the_boundary_again() {
    for (field, value, why) in [
        ("/destinations/0/url", json!("https://evil.example.com/prod"), "no destination of the boundary lists"),
        ("/destinations/0/url", json!("https://169.254.169.254/"), "is an address, not a name"),
        ("/destinations/0/host", json!("evil.example.com"), "does not list the host"),
        ("/destinations/0/via", json!("plain"), "was changed after it was written"),
        ("/policies/authentication/any_of", json!(["none"]), "was changed after it was written"),
        ("/policies/timeouts/connect", json!("1h"), "was changed after it was written"),
        ("/policies/authorization/scopes", json!([]), "was changed after it was written"),
        ("/id", json!("/team-2/service-000002#other"), "was changed after it was written"),
        ("/root", json!("/payments"), ""),
        ("/rewrite/prefix", json!("/../x"), "dot segment"),
        ("/match", json!([]), "is not a mapping"),
        ("/owner", json!(7), "is not a text"),
    ] {
        let mut id = SOME.to_owned();
        let reading = edited(SOME, |line| {
            let place = line.pointer_mut(field).unwrap_or_else(|| panic!("{field}"));
            *place = value.clone();
            id = line["id"].as_str().unwrap().to_owned();
        });
        // A root alone that is changed no longer fits its id; "#other" is a name like any other.
        if field == "/id" {
            assert_eq!((reading.content.routes.len(), reading.quarantined.len()), (8, 0));
            continue;
        }
        is_put_aside(&reading, &id, why);
    }
}

/// A boundary whose issuer `corp` publishes its keys, and a file with these lines of keys.
fn with_keys(lines: &[Value]) -> Reading {
    let mut document = boundary().document().clone();
    let corp = &mut document.identity.jwt[0];
    (corp.jwks, corp.jwks_url) = (None, Some("https://login.example.com/keys".to_owned()));
    let content = content(Boundary::check(document).unwrap(), 1);
    let text = String::from_utf8(write(&header(), &content, None).0).unwrap();
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    read(
        &redigested(&text.replace("\"paths\": [", &format!("\"keys\": [\n{}\n],\n\"paths\": [", lines.join(",\n")))),
        None,
    )
    .unwrap()
}

#[test]
fn keys_that_were_fetched_are_held_against_their_issuer_and_against_what_a_key_may_be() {
    let issuer = boundary().document().identity.jwt[0].issuer.clone();
    let key = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "a"});
    let good = json!({"name": "corp", "issuer": issuer, "from": "https://login.example.com/keys", "keys": [key]});
    let reading = with_keys(std::slice::from_ref(&good));
    assert_eq!((reading.content.keys.len(), reading.quarantined.len()), (1, 0), "{:?}", reading.quarantined);
    let written = write(&header(), &reading.content, None).0;
    assert_eq!(read(&written, None).unwrap().content, reading.content);
    for (field, value) in [
        ("/name", json!("nobody")),
        ("/issuer", json!("https://evil.example.com/")),
        ("/from", json!("https://evil.example.com/keys")),
        ("/keys/0/x", json!("AA")),
        ("/keys/0/kty", json!("oct")),
        ("/keys/0", json!({"kty": "oct", "k": "secret:jwt/corp/0"})),
        ("/keys/0/d", json!("AA")),
        ("/keys", json!(vec![key; 101])),
        ("/keys", json!("none")),
    ] {
        let mut bad = good.clone();
        match field {
            "/keys/0/d" => bad["keys"][0]["d"] = value,
            _ => *bad.pointer_mut(field).unwrap() = value,
        }
        let reading = with_keys(&[bad]);
        assert!(reading.content.keys.is_empty(), "{field}");
        assert_eq!(
            (reading.quarantined.len(), reading.content.routes.len()),
            (1, 1),
            "{field}: {:?}",
            reading.quarantined
        );
    }
    let twice = with_keys(&[good.clone(), good]);
    assert_eq!(twice.content.keys.len(), 1);
}

#[test]
fn what_is_registered_cannot_be_less_than_what_is_demanded() {
    let reading = edited(SOME, |line| {
        line["origin"]["policies"] = json!({});
        line["policies"] = json!({"timeouts": {"connect": "2s"}});
    });
    // The defaults of the boundary are missing from it.
    is_put_aside(&reading, SOME, "was changed after it was written");
}

#[test]
fn what_a_newer_syncer_adds_is_ignored_and_named() {
    for (field, value, ignored) in [
        ("/colour", json!("blue"), "/colour"),
        ("/policies/cors", json!({"origins": ["*"]}), "/policies/cors"),
        ("/policies/timeouts/dns", json!("1s"), "/policies/timeouts/dns"),
        ("/origin/pipeline", json!("x"), "/origin/pipeline"),
        ("/conditions/0", json!({"type": "Accepted", "status": "True", "reason": "NewReason"}), "/conditions/0"),
    ] {
        let reading = edited(SOME, |line| insert(line, field, value.clone()));
        assert_eq!(
            (reading.content.routes.len(), reading.quarantined.len()),
            (8, 0),
            "{field} {:?}",
            reading.quarantined
        );
        let [named] = reading.ignored.as_slice() else { panic!("{field}: {:?}", reading.ignored) };
        assert!(named.starts_with("/routes/") && named.ends_with(ignored), "{named}");
    }
    let text = text(2);
    for (from, to, ignored) in [
        ("\"generation\"", "\"region\": {}, \"generation\"", "/region"),
        ("\"identity\": {", "\"identity\": {\"saml\": [{\"name\": \"x\"}], ", "/identity/saml"),
        ("\"defaults\": {\"policies\": {", "\"defaults\": {\"policies\": {\"cors\": {}, ", "/defaults/policies/cors"),
        ("\"reason\": \"DestinationNotAllowed\"", "\"reason\": \"NewReason\"", "/refused/0/conditions/0"),
    ] {
        let reading = read(&redigested(&text.replacen(from, to, 1)), None).unwrap();
        assert_eq!(reading.ignored, [ignored]);
        assert_eq!((reading.content.routes.len(), reading.content.refused.len()), (2, 1));
    }
}

#[test]
fn an_unknown_field_that_could_narrow_costs_its_route_alone() {
    for field in [
        "/policies/authentication/all_of", "/policies/authorization/relations", "/destinations/0/only_from",
        "/match/tls", "/rewrite/query", "/require",
    ] {
        is_put_aside(&edited(SOME, |line| insert(line, field, json!(["x"]))), SOME, "could open something");
    }
}

fn insert(line: &mut Value, at: &str, value: Value) {
    let (parent, field) = at.rsplit_once('/').unwrap();
    match line.pointer_mut(parent).unwrap_or_else(|| panic!("{parent}")) {
        Value::Object(fields) => drop(fields.insert(field.to_owned(), value)),
        Value::Array(items) => items.push(value),
        _ => panic!("{parent}"),
    }
}

#[test]
fn a_destination_or_issuer_that_is_not_understood_takes_its_routes_with_it() {
    let text = text(8);
    let with = |from: &str, to: &str| read(&redigested(&text.replacen(from, to, 1)), None);
    let reading = with("{\"name\": \"plain\",", "{\"name\": \"plain\", \"only_from\": [\"x\"],").unwrap();
    assert_eq!((reading.content.routes.len(), reading.quarantined.len()), (8, 1));
    assert_eq!(reading.quarantined[0].id, "plain");
    // A path rule demands this issuer: nothing may be served as if it did not.
    let issuer = with("{\"name\": \"corp\",", "{\"name\": \"corp\", \"required_claims\": {},");
    assert_eq!(issuer.unwrap_err().reason(), "boundary_invalid");
    let rule = with("{\"prefix\": \"/payments\",", "{\"prefix\": \"/payments\", \"methods\": [\"GET\"],");
    assert_eq!(rule.unwrap_err().reason(), "unknown_security_field");
    let layer = with(
        "\"overrides\": {\"policies\": {",
        "\"overrides\": {\"policies\": {\"authorization\": {\"relations\": []}, ",
    );
    assert_eq!(layer.unwrap_err().reason(), "unknown_security_field");
}

#[test]
fn certificates_under_a_rule_that_is_not_understood_are_nobodys() {
    let text = text(8);
    let line = text.lines().find(|line| line.contains(SOME)).unwrap().trim_end_matches(',');
    let text = text.replace(line, &line.replace("jwt:corp", "mtls:partners"));
    let with = |more: &str| {
        let realm =
            format!("{{\"name\": \"partners\", \"clients\": [{{\"name\": \"acme\", \"uri\": [\"urn:a\"]{more}}}]}}");
        let identity = format!("\"identity\": {{\"mtls\": [{realm}], ");
        read(&redigested(&text.replacen("\"identity\": {", &identity, 1)), None).unwrap()
    };
    let known = with("");
    assert_eq!((known.content.routes.len(), known.quarantined.len()), (8, 0), "{:?}", known.quarantined);
    let reading = with(", \"issuers\": [\"urn:b\"]");
    let aside: Vec<&str> = reading.quarantined.iter().map(|one| &*one.id).collect();
    assert_eq!((reading.content.routes.len(), aside), (7, vec!["partners", SOME]));
}

#[test]
fn one_id_is_one_route() {
    let text = text(8);
    let line = text.lines().find(|line| line.contains(SOME)).unwrap().trim_end_matches(',');
    let twice = text.replacen("\"routes\": [\n", &format!("\"routes\": [\n{line},\n"), 1);
    let reading = read(&redigested(&twice), None).unwrap();
    assert_eq!((reading.content.routes.len(), reading.quarantined.len()), (8, 1));
    let owner = line.replacen("\"owner\": \"team-2\"", "\"owner\": \"team-2\", \"owner\": \"other\"", 1);
    is_put_aside(
        &read(&redigested(&text.replace(line, &owner)), None).unwrap(),
        reading_place(&text, line),
        "readable",
    );
    let header = line.replacen("\"identity_headers\": {", "\"identity_headers\": {\"x-user-id\": \"aud\", ", 1);
    assert_ne!(header, line);
    is_put_aside(
        &read(&redigested(&text.replace(line, &header)), None).unwrap(),
        reading_place(&text, line),
        "readable",
    );
}

/// What names a line whose id cannot be trusted: its place.
fn reading_place(text: &str, line: &str) -> &'static str {
    let routes: Vec<&str> = text.lines().filter(|line| line.starts_with("{\"id\": \"/team")).collect();
    let index = routes.iter().position(|route| route.starts_with(line)).unwrap();
    ["/routes/0", "/routes/1", "/routes/2", "/routes/3", "/routes/4", "/routes/5", "/routes/6", "/routes/7"][index]
}

#[test]
fn more_lines_than_a_table_has_are_refused_unread() {
    let text = text(2);
    let many = "{},\n".repeat(postern_config::limits::REGISTRATIONS);
    let error = read(&redigested(&text.replacen("\"routes\": [\n", &format!("\"routes\": [\n{many}"), 1)), None);
    assert!(matches!(error, Err(MergedError::TooMany(_))));
}

#[test]
fn two_outlines_tell_what_changed_and_hold_no_value() {
    use postern_config::merged::Outline;
    let before = content(boundary(), 8);
    let mut after = before.clone();
    let gone = after.routes.remove(1);
    after.routes[0].origin.version += 1;
    after.routes[2].lease_until = Some("2030-01-01T00:00:00Z".parse().unwrap());
    let (old, new) = (Outline::of(&before), Outline::of(&after));
    let difference = new.since(&old);
    assert!(difference.boundary.is_empty() && difference.added.is_empty(), "{difference:?}");
    assert_eq!(difference.removed.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), [gone.id.as_str()]);
    // A new version of a registration that asks for the same is no change of what is served.
    let [changed] = difference.changed.as_slice() else { panic!("{difference:?}") };
    assert_eq!(
        (changed.id.as_str(), changed.fields.as_slice()),
        (after.routes[2].id.as_str(), &["lease_until".to_owned()][..])
    );
    assert_eq!(old.since(&new).added.len(), 1);
    assert_eq!(new.since(&new), postern_config::merged::Difference::default());
}
