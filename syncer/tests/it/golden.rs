//! Golden pairs: `golden/NAME.in.yaml` holds a boundary and steps of items, `golden/NAME.out.json` the merged file
//! after each step. `POSTERN_UPDATE_GOLDEN=1` writes the latter anew; read the difference before committing it.

use std::path::Path;

use postern_config::merged::{self, Content, Digest};
use postern_config::value::Timestamp;

use crate::scene;

fn render(text: &str) -> String {
    let input = scene::value(text);
    let mut boundary = scene::boundary(&input["boundary"]);
    let mut previous: Option<(Content, Digest)> = None;
    let mut files = Vec::new();
    for (generation, step) in (1..).zip(input["steps"].as_array().unwrap()) {
        if let Some(value) = step.get("boundary") {
            boundary = scene::boundary(value);
        }
        let at: Timestamp = step["at"].as_str().unwrap().parse().unwrap();
        let items = scene::items(step["items"].as_array().unwrap().iter().cloned());
        let content =
            scene::step(&boundary, &items, previous.as_ref().map(|(content, _)| content), at.unix(), generation);
        let (text, digest) = scene::text(&content, generation, previous.map(|(_, digest)| digest), at);
        let reading = merged::read(text.as_bytes(), None).unwrap();
        assert_eq!(reading.quarantined, [], "a line that no router would take");
        assert_eq!(reading.content, content, "a file that reads back as something else");
        files.push(text);
        previous = Some((content, digest));
    }
    format!("[\n{}]\n", files.join(",\n"))
}

#[test]
fn translations_are_as_they_were() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut inputs: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.retain(|path| path.to_string_lossy().ends_with(".in.yaml"));
    inputs.sort();
    assert!(inputs.len() >= 3);
    for input in inputs {
        let expected = input.to_string_lossy().replace(".in.yaml", ".out.json");
        let text = render(&std::fs::read_to_string(&input).unwrap());
        if std::env::var_os("POSTERN_UPDATE_GOLDEN").is_some() {
            std::fs::write(&expected, text).unwrap();
            continue;
        }
        let standing = std::fs::read_to_string(&expected).unwrap_or_default();
        let first = standing.lines().zip(text.lines()).find(|(old, new)| old != new);
        assert!(standing == text, "{expected} differs, first in {first:#?}; POSTERN_UPDATE_GOLDEN=1 writes it anew");
    }
}
