//! One bad registration among ten thousand changes exactly that one.

use postern_config::value::Timestamp;

use crate::scene;

const COUNT: usize = 10_000;

fn lines(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.starts_with("{\"id\"")).map(|line| line.trim_end_matches(',')).collect()
}

#[test]
fn one_bad_registration_changes_one_line() {
    let boundary = scene::boundary(&scene::value(scene::BOUNDARY));
    let mut values: Vec<_> = (0..COUNT).map(|index| scene::good(&format!("/r{index:05}"))).collect();
    let before = scene::step(&boundary, &scene::items(values.clone()), None, 1_000, 1);
    let (before_text, _) = scene::text(&before, 1, None, Timestamp::from_unix(1_000));
    assert_eq!(before.routes.len(), COUNT);

    for (bad, remains) in [
        // Its last good form stays, and the line says so.
        (serde_json::json!({"root": "/r05000", "owner": "team", "policies": {"authentication": null}}), true),
        (
            serde_json::json!({"root": "/r05000", "owner": "team", "destination": {"url": "https://evil.example.net"}}),
            true,
        ),
        // It claims what another holds.
        (
            serde_json::json!({"root": "/r05000", "name": "again", "owner": "x", "destination": {"url": "https://a.internal.example.com"}}),
            false,
        ),
        (serde_json::json!([[[[["deep"]]]]]), false),
    ] {
        let untouched = values[5_000].clone();
        if remains {
            values[5_000] = bad.clone();
        } else {
            values.push(bad.clone());
        }
        let after = scene::step(&boundary, &scene::items(values.clone()), Some(&before), 2_000, 2);
        let (after_text, _) = scene::text(&after, 2, None, Timestamp::from_unix(2_000));
        let (old, new) = (lines(&before_text), lines(&after_text));
        let kept = new.iter().filter(|line| old.binary_search(line).is_ok()).count();
        assert_eq!(after.routes.len(), COUNT, "{bad}");
        assert_eq!(kept, if remains { COUNT - 1 } else { COUNT }, "{bad}");
        assert_eq!(new.len() - kept, 1, "{bad}");
        if remains {
            values[5_000] = untouched;
        } else {
            values.pop();
        }
    }
}
