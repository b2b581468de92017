//! The pages of `docs/` that follow from the code: every reason has its section, and `docs/config.md` is made
//! from the doc comments of the document types. `POSTERN_UPDATE_GOLDEN=1` rewrites it.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use postern_config::check::admit;
use postern_config::condition::Reason;
use postern_config::document::{BoundaryDocument, Registration};
use postern_config::schema::schema_of;
use postern_config::{Boundary, parse, schema};
use serde_json::{Map, Value, json};

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

#[test]
fn every_reason_has_its_section_and_no_section_is_left_over() {
    let page = std::fs::read_to_string(page("conditions.md")).unwrap();
    let sections: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let reasons: Vec<String> = Reason::ALL.iter().map(|reason| format!("{reason:?}")).collect();
    assert_eq!(sections, reasons, "the sections follow Reason::ALL");
    for (reason, text) in Reason::ALL.iter().zip(page.split("\n## ").skip(1)) {
        let states = ["True", "False", "Unknown"].map(|status| format!("`{:?}={status}`", reason.condition()));
        assert!(states.iter().any(|state| text.contains(state)), "{reason:?} does not name its condition");
        assert!(text.contains(" move"), "{reason:?} does not say whose move it is");
    }
}

#[test]
fn all_is_all() {
    let schema = schema_of::<Reason>();
    let variants: BTreeSet<&str> =
        schema["oneOf"].as_array().unwrap().iter().map(|one| one["const"].as_str().unwrap()).collect();
    let all: Vec<String> = Reason::ALL.iter().map(|reason| format!("{reason:?}")).collect();
    assert_eq!(variants, all.iter().map(String::as_str).collect());
}

#[test]
fn the_reference_follows_the_types() {
    let mut text = String::from(
        "# Documents, field by field\n\n\
         Made from the doc comments of `config/src/document/` by a test; `POSTERN_UPDATE_GOLDEN=1 cargo test -p \
         postern-config --test docs` rewrites it. The same as JSON Schema: `config/schema/`.\n\n\
         Documents are YAML or JSON. A field that nobody knows is refused, a field without a value too: leave out what \
         is not wanted. Fields with a `*` must be there.\n",
    );
    let mut told = BTreeSet::new();
    for (schema, intro) in [
        (schema_of::<BoundaryDocument>(), "Kept by operations, in S3 or a file."),
        (schema_of::<Registration>(), "Written by a service's pipeline, as a DynamoDB item or a file."),
    ] {
        let title = schema["title"].as_str().unwrap();
        writeln!(text, "\n## {title}\n\n{intro} {}\n", schema["description"].as_str().unwrap()).unwrap();
        let mut named = Vec::new();
        fields(&mut text, &schema, &mut named);
        let mut next = 0;
        while next < named.len() {
            let name = named[next].clone();
            next += 1;
            if told.insert(name.clone()) {
                section(&mut text, &name, &schema["$defs"][&name], &mut named);
            }
        }
    }
    hold(&page("config.md"), &text);
}

/// The YAML blocks of a page, each read by itself.
fn blocks(name: &str) -> Vec<Value> {
    let page = std::fs::read_to_string(page(name)).unwrap();
    let blocks = page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    blocks.map(|text| parse::values(text).unwrap_or_else(|error| panic!("{error}\n{text}")).remove(0)).collect()
}

#[test]
fn the_examples_of_authorization_are_accepted() {
    let blocks = blocks("authorization.md");
    let mut boundary = json!({
        "apiVersion": "postern/v1", "kind": "Boundary", "hosts": ["api.example.com"],
        "destinations": [{"name": "apis", "hosts": ["a.example.com"]}], "authorization": {},
        "identity": {
            "jwt": [{"name": "corp", "issuer": "https://a/", "audiences": ["a"], "jwks_url": "https://a/keys"}],
            "basic": [{"name": "ops", "users": []}],
        },
    });
    let (own, theirs): (Vec<_>, Vec<_>) = blocks.iter().partition(|block| block.get("policies").is_some());
    assert!(own.len() >= 2 && theirs.len() >= 2, "{} and {} examples", own.len(), theirs.len());
    for (field, value) in theirs.iter().flat_map(|block| block.as_object().unwrap()) {
        if field == "authorization" {
            for (list, items) in value.as_object().unwrap() {
                let all = boundary["authorization"].as_object_mut().unwrap().entry(list).or_insert(json!([]));
                all.as_array_mut().unwrap().extend(items.as_array().unwrap().iter().cloned());
            }
        } else {
            boundary[field] = value.clone();
        }
    }
    let document = parse::document(&boundary, schema::boundary()).unwrap_or_else(|error| panic!("{error}"));
    let boundary = Boundary::check(document).unwrap_or_else(|error| panic!("{error}"));
    for block in own {
        let mut value = json!({"root": "/orders", "owner": "team", "destination": {"url": "https://a.example.com"}});
        value["policies"] = block["policies"].clone();
        // A default demands roles, and who has any must be known.
        value["policies"]["authentication"]["mode"] = json!("enforce");
        let registration = parse::document(&value, schema::registration()).unwrap_or_else(|error| panic!("{error}"));
        admit(&boundary, &registration).unwrap_or_else(|refusals| panic!("{refusals:?}"));
    }
}

fn section(text: &mut String, name: &str, schema: &Value, named: &mut Vec<String>) {
    let description = schema["description"].as_str().unwrap_or_else(|| panic!("{name} has no description"));
    writeln!(text, "\n### {name}\n\n{description}\n").unwrap();
    if let Some(options) = schema["oneOf"].as_array() {
        for option in options {
            let word = match option["const"].as_str() {
                Some(word) => format!("`{word}`"),
                None => {
                    let (field, inner) = option["properties"].as_object().unwrap().iter().next().unwrap();
                    format!("`{{{field}: {}}}`", inner["type"].as_str().unwrap())
                }
            };
            writeln!(text, "- {word}: {}", option["description"].as_str().unwrap()).unwrap();
        }
    } else if schema["properties"].is_object() {
        fields(text, schema, named);
    } else if let Some(example) = schema["examples"][0].as_str() {
        writeln!(text, "For example `{example}`.").unwrap();
    }
}

fn fields(text: &mut String, schema: &Value, named: &mut Vec<String>) {
    let required: Vec<&Value> = schema["required"].as_array().into_iter().flatten().collect();
    text.push_str("| field | holds | meaning |\n|---|---|---|\n");
    let properties: &Map<String, Value> = schema["properties"].as_object().unwrap();
    for (name, field) in properties {
        let star = if required.contains(&&Value::from(name.as_str())) { "\\*" } else { "" };
        let meaning = field["description"].as_str().unwrap_or_else(|| panic!("{name} has no description"));
        writeln!(
            text,
            "| `{name}`{star} | {} | {} |",
            kind(field, named),
            meaning.replace('|', "\\|").replace('\n', " ")
        )
        .unwrap();
    }
}

fn kind(field: &Value, named: &mut Vec<String>) -> String {
    if let Some(name) = field["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/$defs/")) {
        named.push(name.to_owned());
        return format!("[{name}](#{})", name.to_lowercase());
    }
    match field["type"].as_str() {
        Some("array") => format!("list of {}", kind(&field["items"], named)),
        Some("object") => format!("mapping to {}", kind(&field["additionalProperties"], named)),
        Some("string") => "text".to_owned(),
        Some("integer") => "number".to_owned(),
        Some("boolean") => "`true` or `false`".to_owned(),
        other => panic!("a kind without a word: {other:?}"),
    }
}

/// Compares, or rewrites when asked to.
fn hold(path: &Path, expected: &str) {
    if std::env::var_os("POSTERN_UPDATE_GOLDEN").is_some() {
        return std::fs::write(path, expected).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(found == expected, "{} is not what the types say; POSTERN_UPDATE_GOLDEN=1 rewrites it", path.display());
}
