//! One bad registration is one line: it changes itself and no other, however many there are and however bad it is.

use std::collections::BTreeMap;
use std::path::Path;

use postern_tests::{Origin, Router, boundary_with, registration, run};
use serde_json::{Value, json};

const ROUTES: usize = 10_000;
const FILES: usize = 100;

#[test]
fn one_bad_registration_among_ten_thousand_changes_exactly_its_own_line() {
    let origin = Origin::named("api");
    let place = Place::new(&boundary_with(&[origin.port()], ""));
    let good = |number: usize| {
        json!({"root": format!("/r{number:05}"), "owner": "team", "version": 1,
               "destination": {"url": format!("http://localhost:{}", origin.port())}})
    };
    let fill = |file: usize, change: &dyn Fn(usize, &mut Value)| {
        let list: Vec<Value> = (0..ROUTES / FILES)
            .map(|index| {
                let number = file * (ROUTES / FILES) + index;
                let mut one = good(number);
                change(number, &mut one);
                one
            })
            .collect();
        place.write(&format!("{file:03}.json"), &serde_json::to_vec(&list).unwrap());
    };
    (0..FILES).for_each(|file| fill(file, &|_, _| ()));
    place.once();
    let router = Router::serve(&place.merged());
    let first = place.lines();
    assert_eq!(first.len(), ROUTES);

    // It turns bad: its last good form is served, and says so.
    fill(42, &|number, one| {
        if number == 4_217 {
            one["version"] = json!(2);
            one["destination"]["url"] = json!(7);
        }
    });
    place.once();
    let second = place.lines();
    assert_eq!(second.len(), ROUTES, "no line came or went");
    assert_eq!(changed(&first, &second), ["/r04217#default"]);
    let stale: Value = serde_json::from_str(&second["/r04217#default"]).unwrap();
    let condition = stale["conditions"].as_array().unwrap().iter().find(|one| one["type"] == "Stale").unwrap();
    assert_eq!((condition["status"].as_str(), condition["reason"].as_str()), (Some("True"), Some("ServingLastGood")));
    assert!(stale["conditions"].as_array().unwrap().iter().any(|one| one["at"] == "/destination/url"), "{stale}");
    router.until_generation(place.generation());
    assert_eq!(router.get("/r04217/x").text(), "api GET /r04217/x");

    // A new one that was never good has no older form.
    place.write("new.yaml", b"root: /new\nowner: team\ndestination: {url: 7}\n");
    place.once();
    let third = place.lines();
    assert_eq!(changed(&second, &third), ["/new#default"]);
    let refused: Value = serde_json::from_str(&third["/new#default"]).unwrap();
    assert_eq!(refused["conditions"][0]["reason"], "SchemaInvalid");
    router.until_generation(place.generation());
    assert_eq!((router.get("/new").status, router.get("/r09999").status), (404, 200));

    // A whole file that nobody can read: its hundred stay as they were last, the others never notice.
    place.write("077.json", b"[{\"root\": \"/r07700\", ");
    place.once();
    let fourth = place.lines();
    let moved = changed(&third, &fourth);
    assert_eq!(moved.len(), 101, "{moved:?}");
    assert!(moved.iter().all(|id| id.starts_with("/r077") || id.contains("077.json")), "{moved:?}");
    router.until_generation(place.generation());
    assert_eq!(router.get("/r07742").status, 200);

    // Mended, everything is as it was at first.
    (0..FILES).for_each(|file| fill(file, &|_, _| ()));
    place.remove("new.yaml");
    place.once();
    let last = place.lines();
    // The one that was bad has been good since now only, as have the hundred that nobody could read.
    for id in changed(&first, &last) {
        assert!(id == "/r04217#default" || id.starts_with("/r077"), "{id}");
        assert_eq!(without_times(&first[&id]), without_times(&last[&id]));
    }
}

#[test]
fn every_hostile_registration_is_one_line_and_moves_nothing_else() {
    let place = Place::new(&boundary_with(&[1], ""));
    for number in 0..20 {
        place.write(&format!("good{number:02}.yaml"), registration(&format!("/good{number:02}"), 1, "").as_bytes());
    }
    place.once();
    let good = place.lines();
    assert_eq!(good.len(), 20);
    let mut wrong = Vec::new();
    let cases = hostile();
    for (what, bytes) in &cases {
        place.write("hostile.yaml", bytes);
        let out = place.once();
        let lines = place.lines();
        let moved: Vec<String> = changed(&good, &lines);
        let refused = lines.len() == 21 && moved.len() == 1 && !good.contains_key(&moved[0]);
        // The line is for people: it may not carry a megabyte, nor a second line.
        let bounded = moved.iter().all(|id| lines.get(id).is_some_and(|line| line.len() < 16_384));
        if !refused || !bounded || place.routes() != 20 {
            wrong.push(format!("{what}: {moved:?}: {}", out.chars().take(300).collect::<String>()));
            place.remove("hostile.yaml");
            place.once();
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(cases.len() >= 100);
    // All of them at once, beside each other: as many lines, and the same good ones.
    place.remove("hostile.yaml");
    for (number, (_, bytes)) in cases.iter().enumerate() {
        place.write(&format!("hostile{number:03}.yaml"), bytes);
    }
    place.once();
    assert_eq!(place.routes(), 20);
    let text = place.text();
    assert!(good.values().all(|line| text.contains(line)));
    let file = place.file();
    assert_eq!(file["refused"].as_array().unwrap().len(), cases.len());
    assert_eq!(run("postern-router", &["check", place.merged().to_str().unwrap()]).code, 0);
}

/// One registration each that must not become a route.
fn hostile() -> Vec<(String, Vec<u8>)> {
    let mut cases: Vec<(String, Vec<u8>)> = Vec::new();
    // A good one with one field that is not.
    for (field, values) in FIELDS {
        for value in *values {
            let mut text = String::new();
            for (name, good) in [("root", "/h"), ("owner", "team"), ("destination", "{url: 'http://localhost:1'}")] {
                if name != *field {
                    text.push_str(&format!("{name}: {good}\n"));
                }
            }
            if *value != "ABSENT" {
                text.push_str(&format!("{field}: {value}\n"));
            }
            cases.push((format!("{field}: {value}"), text.into_bytes()));
        }
    }
    let good = "root: /h\nowner: team\ndestination: {url: 'http://localhost:1'}\n";
    let mut add = |what: &str, bytes: Vec<u8>| cases.push((what.to_owned(), bytes));
    let megabyte = "m".repeat(1 << 20);
    add(
        "a root of a megabyte",
        format!("root: /{megabyte}\nowner: team\ndestination: {{url: 'http://localhost:1'}}").into(),
    );
    add("an owner of a megabyte", good.replace("team", &megabyte).into());
    add("a field of a megabyte", format!("{good}junk: {megabyte}").into());
    add("a field's name of a megabyte", format!("{good}? {megabyte}\n: 1\n").into());
    let many: String = (0..50_000).map(|number| format!("f{number}: 1\n")).collect();
    add("fifty thousand fields", format!("{good}{many}").into());
    let methods = vec!["GET"; 100_000].join(",");
    add("a hundred thousand methods", format!("{good}match: {{methods: [{methods}]}}").into());
    let headers: String = (0..17).map(|number| format!("x-{number}: a, ")).collect();
    add("seventeen headers", format!("{good}match: {{headers: {{{headers}}}}}").into());
    let targets = vec!["{url: 'http://localhost:1', weight: 1}"; 65].join(",");
    add("sixty-five destinations", format!("root: /h\nowner: team\ndestinations: [{targets}]").into());
    add(
        "a deep path",
        format!("root: {}\nowner: team\ndestination: {{url: 'http://localhost:1'}}", "/a".repeat(65)).into(),
    );
    add("brackets without end", "[".repeat(100_000).into());
    add("braces without end", "{a: ".repeat(100_000).into());
    add("deep maps", format!("{good}x: {}1{}", "{a: ".repeat(200), "}".repeat(200)).into());
    add("a list of lists", format!("[[[{}]]]", "{root: /h, owner: team}").into());
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let before = vec![format!("*a{}", level - 1); 10].join(",");
        bomb.push_str(&format!("a{level}: &a{level} [{before}]\n"));
    }
    add("a bomb of references", format!("{good}{bomb}").into());
    add("a reference to itself", format!("{good}x: &x [*x]").into());
    add("a reference to nothing", format!("{good}x: *nothing").into());
    add("a tag of another language", format!("{good}x: !!python/object/apply:os.system ['id']").into());
    add("the same field twice", format!("{good}root: /other\n").into());
    add(
        "the same field twice in JSON",
        br#"{"root": "/h", "owner": "team", "owner": "you", "destination": {"url": "http://localhost:1"}}"#.to_vec(),
    );
    add(
        "the same field twice, escaped",
        br#"{"root": "/h", "owner": "team", "o\u0077ner": "you", "destination": {"url": "http://localhost:1"}}"#
            .to_vec(),
    );
    add("no UTF-8", [good.as_bytes(), b"x: \xff\xfe\n"].concat());
    add("UTF-16", good.encode_utf16().flat_map(u16::to_le_bytes).collect());
    add("NULs", vec![0; 4_096]);
    add("a program", b"\x7fELF\x02\x01\x01".to_vec());
    add("a text", b"please route me".to_vec());
    add("a number", b"7".to_vec());
    add("a truth", b"true".to_vec());
    add("an open quote", format!("{good}x: 'open").into());
    add("tabs", b"root: /h\n\towner: team\n".to_vec());
    add("another version of YAML", format!("%YAML 9.9\n---\n{good}").into());
    add("half of JSON", br#"{"root": "/h", "owner": "te"#.to_vec());
    add("two of JSON", br#"{"root": "/h"}{"root": "/i"}"#.to_vec());
    cases
}

/// Fields and what they must not say.
const FIELDS: &[(&str, &[&str])] = &[
    (
        "root",
        &[
            "ABSENT", "null", "7", "[]", "{}", "true", "''", "orders", "'/a//b'", "/a/../b", "/a/./b", "'/a%2fb'",
            "'/a%2Fb'", "'/a%5cb'", "'/a;b'", "'/a?b'", "'/a#b'", "'#registry'", "'/a%zz'", "'/a%'", r#""/a\0b""#,
            r#""/a\r\nb""#, r#""/a\u202eb""#, "'/a b'", "'/{id}'", "/h/", r"'/a\b'", "'//'", "'https://x/y'",
        ],
    ),
    ("name", &["null", "7", "[1]", "''", "'a b'", "'a#b'", r#""a\nb""#, r#""a\0""#, "'é'"]),
    ("owner", &["ABSENT", "null", "7", "{}", "[team]", "''", "'a b'", r#""team\n""#, "'../x'"]),
    ("version", &["-1", "'7'", "1.5", "1e400", "18446744073709551616", ".nan", ".inf", "[]", "0x1G"]),
    (
        "destination",
        &[
            "ABSENT",
            "null",
            "[]",
            "''",
            "'http://localhost:1'",
            "{}",
            "{url: 7}",
            "{url: ''}",
            "{url: localhost}",
            "{url: [a]}",
            "{url: 'javascript:alert(1)'}",
            "{url: 'file:///etc/passwd'}",
            "{url: 'http://u:p@localhost:1'}",
            "{url: 'http://localhost:99999'}",
            "{url: 'http://localhost:0'}",
            "{url: 'http://localhost:2'}",
            "{url: 'https://localhost:1'}",
            "{url: 'http://169.254.169.254/latest'}",
            "{url: 'http://[::1]:1'}",
            "{url: 'http://127.1:1'}",
            "{url: 'http://localhost:1/a?b'}",
            "{url: 'http://localhost:1#x'}",
            "{url: 'http://localhost:1/../x'}",
            r#"{url: "http://localhost:1/\r\nx: y"}"#,
            "{url: 'http://localhost:1', host: evil.example.net}",
            "{url: 'http://localhost:1', hots: localhost}",
            "{url: 'http://lоcalhost:1'}",
            "{url: 'http://localhost.evil.example.net:1'}",
        ],
    ),
    ("destinations", &["[{url: 'http://localhost:1', weight: 1}]", "7"]),
    (
        "match",
        &[
            "7", "[]", "{hots: [api.example.com]}", "{hosts: api.example.com}", "{hosts: [evil.example.net]}",
            "{hosts: ['*']}", "{methods: GET}", "{methods: ['GE T']}", "{methods: ['']}", "{path: /other}",
            "{path: '/h/{id'}", "{path: '/h/{rest*}/x'}", "{path: '/h/{a}/{a}'}", "{path: '/hx'}",
            r#"{headers: {x: "a\r\nb"}}"#, "{headers: {'x y': '1'}}", "{headers: {':authority': x}}", "{headers: [x]}",
            "{headers: {x: [1]}}", "{query: 7}",
        ],
    ),
    (
        "rewrite",
        &["7", "{}", "{prefix: x}", "{prefix: /a, path: /b}", "{path: '/v1/{unknown}'}", r#"{prefix: "/a\r\nb"}"#],
    ),
    ("lease_until", &["yesterday", "7", "2001-01-01T00:00:00Z", "9999-99-99T00:00:00Z"]),
    (
        "policies",
        &[
            "7",
            "[]",
            "{authenticaton: {}}",
            "{authentication: {any_of: ['jwt:nobody']}}",
            "{authentication: {any_of: 7}}",
            "{authentication: {any_of: [iam]}, path: 7}",
            "{timeouts: {total: 5}}",
            "{timeouts: {total: '-1s'}}",
            "{timeouts: {total: 9999999h}}",
            "{timeouts: {totl: 5s}}",
            "{body: {max: lots}}",
            "{body: {max: -1}}",
            "{identity_headers: {host: sub}}",
            r#"{identity_headers: {"x\r\ny": sub}}"#,
        ],
    ),
    ("destinatoin", &["{url: 'http://localhost:1'}"]),
    ("apiVersion", &["postern/v9"]),
    ("kind", &["Boundary"]),
];

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new(boundary: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("registrations")).unwrap();
        std::fs::write(directory.path().join("boundary.yaml"), boundary).unwrap();
        Self { directory }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    fn merged(&self) -> std::path::PathBuf {
        self.directory.path().join("out/merged.json")
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(Path::new(&self.path("registrations")).join(name), bytes).unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(Path::new(&self.path("registrations")).join(name)).unwrap();
    }

    /// Makes the file current, and gives what was printed.
    fn once(&self) -> String {
        let (boundary, registrations, out) = (self.path("boundary.yaml"), self.path("registrations"), self.path("out"));
        let output = run(
            "postern-syncer",
            &[
                "run", "--once", "--allow-loopback-destinations", "--boundary", &boundary, "--registrations",
                &registrations, "--out", &out,
            ],
        );
        assert_eq!(output.code, 0, "{output:?}");
        output.out
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.merged()).unwrap()
    }

    /// The lines of routes and refusals, by their ids.
    fn lines(&self) -> BTreeMap<String, String> {
        let text = self.text();
        let lines = text
            .lines()
            .map(|line| line.strip_suffix(',').unwrap_or(line))
            .filter(|line| line.starts_with("{\"id\": "));
        let by_id: Vec<(String, String)> = lines
            .map(|line| {
                let value: Value = serde_json::from_str(line).unwrap();
                (value["id"].as_str().unwrap().to_owned(), line.to_owned())
            })
            .collect();
        let count = by_id.len();
        let map: BTreeMap<String, String> = by_id.into_iter().collect();
        assert_eq!(map.len(), count, "two lines have the same id");
        map
    }

    fn file(&self) -> Value {
        serde_json::from_str(&self.text()).unwrap()
    }

    fn routes(&self) -> usize {
        self.file()["routes"].as_array().unwrap().len()
    }

    fn generation(&self) -> u64 {
        self.file()["generation"].as_u64().unwrap()
    }
}

/// Ids whose lines are not the same in both.
fn changed(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let mut ids: Vec<String> =
        after.iter().filter(|(id, line)| before.get(*id) != Some(line)).map(|(id, _)| id.clone()).collect();
    ids.extend(before.keys().filter(|id| !after.contains_key(*id)).cloned());
    ids
}

fn without_times(line: &str) -> Value {
    let mut value: Value = serde_json::from_str(line).unwrap();
    for condition in value["conditions"].as_array_mut().unwrap() {
        condition.as_object_mut().unwrap().remove("since");
    }
    value
}
