//! What stands after a write, and what a write leaves alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use postern_config::document::BoundaryDocument;
use postern_config::merged::{self, Content, FileKey, Sources};
use postern_config::secrets::Secrets;
use postern_config::value::Timestamp;
use postern_config::{Boundary, check, limits, parse, schema};
use tempfile::TempDir;

use super::*;

fn content(hosts: &str, roots: &[&str]) -> Content {
    let text = format!(
        "apiVersion: postern/v1\nkind: Boundary\nhosts: [{hosts}]\ndestinations: [{{name: d, hosts: [d.example.com]}}]"
    );
    let value = parse::values(&text).unwrap().remove(0);
    let document: BoundaryDocument = parse::document(&value, schema::boundary()).unwrap();
    let boundary = Boundary::check(document).unwrap();
    let route = |root: &&str| {
        let text = format!("{{root: {root}, owner: me, destination: {{url: 'https://d.example.com'}}}}");
        let value = parse::values(&text).unwrap().remove(0);
        check::admit(&boundary, &parse::document(&value, schema::registration()).unwrap()).unwrap()
    };
    Content { routes: roots.iter().map(route).collect(), boundary, refused: Vec::new(), keys: Vec::new() }
}

fn publish(publisher: &mut Publisher, content: Content) -> Published {
    publisher.publish(content, Sources::default(), &Secrets::default(), Timestamp::from_unix(1_000)).unwrap()
}

fn generation(published: Published) -> Option<u64> {
    match published {
        Published::Written { generation, .. } => Some(generation),
        Published::Unchanged => None,
    }
}

fn merged(directory: &TempDir) -> std::path::PathBuf {
    directory.path().join(MERGED)
}

#[test]
fn a_generation_is_written_when_the_content_changed() {
    let directory = tempfile::tempdir().unwrap();
    let mut publisher = Publisher::open(directory.path(), None).unwrap();
    assert_eq!(generation(publish(&mut publisher, content("a.example.com", &["/a"]))), Some(1));
    assert_eq!(generation(publish(&mut publisher, content("a.example.com", &["/a"]))), None);
    assert_eq!(generation(publish(&mut publisher, content("b.example.com", &["/a"]))), Some(2));
    drop(publisher);
    let mut publisher = Publisher::open(directory.path(), None).unwrap();
    assert_eq!(generation(publish(&mut publisher, content("b.example.com", &["/a"]))), None);
    assert_eq!(generation(publish(&mut publisher, content("a.example.com", &["/a"]))), Some(3));
    assert_eq!(fs::metadata(merged(&directory)).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn a_second_syncer_is_kept_out() {
    let directory = tempfile::tempdir().unwrap();
    let first = Publisher::open(directory.path(), None).unwrap();
    assert!(matches!(Publisher::open(directory.path(), None), Err(OpenError::Taken(_))));
    drop(first);
    Publisher::open(directory.path(), None).unwrap();
}

#[test]
fn a_damaged_file_is_replaced_by_a_later_generation() {
    type Damage = fn(&std::path::Path);
    let damages: [Damage; 6] = [
        |path| fs::remove_file(path).unwrap(),
        |path| fs::write(path, "").unwrap(),
        |path| fs::write(path, "{}").unwrap(),
        |path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        },
        |path| {
            let text = fs::read_to_string(path).unwrap().replace("/a", "/x");
            fs::write(path, text).unwrap();
        },
        |path| {
            fs::remove_file(path).unwrap();
            let status = std::process::Command::new("mkfifo").arg(path).status().unwrap();
            assert!(status.success());
        },
    ];
    for (index, damage) in damages.iter().enumerate() {
        for restarts in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let mut publisher = Publisher::open(directory.path(), None).unwrap();
            publish(&mut publisher, content("a.example.com", &["/a"]));
            publish(&mut publisher, content("a.example.com", &["/a", "/b"]));
            damage(&merged(&directory));
            if restarts {
                drop(publisher);
                publisher = Publisher::open(directory.path(), None).unwrap();
            }
            assert!(!publisher.is_intact());
            // What was granted is still known, so incumbents and older forms are as well.
            assert_eq!(publisher.standing().unwrap().content.routes.len(), 2, "{index}");
            assert_eq!(
                generation(publish(&mut publisher, content("a.example.com", &["/a", "/b"]))),
                Some(3),
                "{index}"
            );
            assert!(publisher.is_intact());
            merged::read(&fs::read(merged(&directory)).unwrap(), None).unwrap();
        }
    }
}

#[test]
fn the_generation_never_goes_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut publisher = Publisher::open(directory.path(), None).unwrap();
    for number in 0..5 {
        publish(&mut publisher, content("a.example.com", &[&format!("/r{number}")]));
    }
    let old = fs::read(directory.path().join(HISTORY).join("0000000002.json")).unwrap();
    fs::write(merged(&directory), old).unwrap();
    assert_eq!(generation(publish(&mut publisher, content("a.example.com", &["/r4"]))), Some(6));
    // A file that tells its number although it is cut short.
    let bytes = fs::read(merged(&directory)).unwrap();
    let text = String::from_utf8(bytes).unwrap().replace("\"generation\": 6", "\"generation\": 40");
    fs::write(merged(&directory), &text[..200]).unwrap();
    drop(publisher);
    let mut publisher = Publisher::open(directory.path(), None).unwrap();
    assert_eq!(generation(publish(&mut publisher, content("a.example.com", &["/r4"]))), Some(41));
    // A wild number is no reason to lock every later file out.
    fs::write(merged(&directory), "{\"generation\": 18446744073709551615,").unwrap();
    assert_eq!(generation(publish(&mut publisher, content("a.example.com", &["/r4"]))), Some(42));
}

#[test]
fn the_history_is_bounded_and_complete() {
    let directory = tempfile::tempdir().unwrap();
    let mut publisher = Publisher::open(directory.path(), None).unwrap();
    let count = limits::HISTORY as u64 + 3;
    for number in 1..=count {
        publish(&mut publisher, content("a.example.com", &[&format!("/r{number}")]));
    }
    let history = directory.path().join(HISTORY);
    let mut kept: Vec<u64> = standing::generations(&history).into_iter().map(|(generation, _)| generation).collect();
    kept.sort_unstable();
    assert_eq!((kept.len(), kept[0], kept[kept.len() - 1]), (limits::HISTORY, 4, count));
    // Killed between the file and its copy.
    fs::remove_file(history.join(format!("{count:010}.json"))).unwrap();
    fs::write(history.join(".0000000009.json.77.tmp"), "half").unwrap();
    drop(publisher);
    Publisher::open(directory.path(), None).unwrap();
    assert_eq!(fs::read(history.join(format!("{count:010}.json"))).unwrap(), fs::read(merged(&directory)).unwrap());
    assert!(!history.join(".0000000009.json.77.tmp").exists());
}

#[test]
fn secrets_go_beside_the_file_and_never_into_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(postern_config::secrets::FILE_NAME);
    let mut publisher = Publisher::open(directory.path(), None).unwrap();
    let secrets = |text: &str| Secrets::from_bytes(format!("{{\"jwt/a/0\": \"{text}\"}}").as_bytes()).unwrap();
    let mut go = |secrets: &Secrets| {
        let content = content("a.example.com", &["/a"]);
        generation(publisher.publish(content, Sources::default(), secrets, Timestamp::from_unix(1)).unwrap())
    };
    assert_eq!(go(&secrets("hunter2")), Some(1));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(!fs::read_to_string(merged(&directory)).unwrap().contains("hunter2"));
    assert_eq!(go(&secrets("hunter2")), None);
    // Another secret under the same name must reach the routers too.
    assert_eq!(go(&secrets("hunter3")), Some(2));
    assert!(fs::read_to_string(&path).unwrap().contains("hunter3"));
    assert_eq!(go(&Secrets::default()), Some(3));
    // A router may be about to read the generation before.
    let at = |seconds| Timestamp::from_unix(1 + seconds);
    publisher.forget_superseded(at(SUPERSEDED_FOR - 1));
    assert!(path.exists());
    publisher.forget_superseded(at(SUPERSEDED_FOR));
    assert!(!path.exists());
}

#[test]
fn what_either_generation_names_stands_beside_the_file_while_it_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(postern_config::secrets::FILE_NAME);
    let secrets = |name: &str| Secrets::from_bytes(format!("{{\"{name}\": \"s\"}}").as_bytes()).unwrap();
    let stands = || Secrets::from_bytes(&fs::read(&path).unwrap()).unwrap().names().collect::<Vec<_>>().join(" ");
    let mut publisher = Publisher::open(directory.path(), None).unwrap();
    let content = || content("a.example.com", &["/a"]);
    let mut go =
        |secrets: &Secrets| publisher.publish(content(), Sources::default(), secrets, Timestamp::from_unix(1)).is_ok();
    assert!(go(&secrets("a#1")));
    // Between the two files: the second cannot be written.
    let blocked = directory.path().join(format!(".{MERGED}.{}.tmp", std::process::id()));
    fs::create_dir(&blocked).unwrap();
    assert!(!go(&secrets("a#2")));
    assert_eq!(stands(), "a#1 a#2");
    fs::remove_dir(&blocked).unwrap();
    assert!(go(&secrets("a#2")));
    assert_eq!(stands(), "a#1 a#2");
    assert!(go(&secrets("a#3")));
    assert_eq!(stands(), "a#2 a#3");
    // Somebody took them away.
    fs::remove_file(&path).unwrap();
    assert!(go(&secrets("a#3")));
    assert_eq!(stands(), "a#3");
}

#[test]
fn with_a_key_the_file_carries_its_code() {
    let directory = tempfile::tempdir().unwrap();
    let key = FileKey::new("0123456789abcdef").unwrap();
    let mut publisher = Publisher::open(directory.path(), Some(key.clone())).unwrap();
    publish(&mut publisher, content("a.example.com", &["/a"]));
    let bytes = fs::read(merged(&directory)).unwrap();
    merged::read(&bytes, Some(&key)).unwrap();
    assert!(merged::read(&bytes, FileKey::new("another key of 16").as_ref()).is_err());
}

#[test]
fn a_line_that_does_not_read_back_is_refused_alone() {
    let directory = tempfile::tempdir().unwrap();
    let mut publisher = Publisher::open(directory.path(), None).unwrap();
    let mut content = content("a.example.com", &["/a", "/b"]);
    // As a defect of ours would leave it: a route that the boundary does not allow.
    content.routes[0].destinations[0].host = "evil.example.net".parse().unwrap();
    assert_eq!(generation(publish(&mut publisher, content)), Some(1));
    let content = &publisher.standing().unwrap().content;
    assert_eq!((content.routes.len(), content.routes[0].id.as_str()), (1, "/b#default"));
    assert_eq!(content.refused[0].id, "/a#default");
}

#[test]
fn a_disk_that_refuses_leaves_what_stands() {
    let directory = tempfile::tempdir().unwrap();
    let mut publisher = Publisher::open(directory.path(), None).unwrap();
    publish(&mut publisher, content("a.example.com", &["/a"]));
    let before = fs::read(merged(&directory)).unwrap();
    // A directory where the temporary file would be: works as root too, unlike permissions.
    let blocked = directory.path().join(format!(".{MERGED}.{}.tmp", std::process::id()));
    fs::create_dir(&blocked).unwrap();
    let next = content("a.example.com", &["/a", "/b"]);
    let result = publisher.publish(next.clone(), Sources::default(), &Secrets::default(), Timestamp::from_unix(1));
    assert!(matches!(result, Err(PublishError::Io { .. })));
    assert_eq!(fs::read(merged(&directory)).unwrap(), before);
    fs::remove_dir(&blocked).unwrap();
    assert_eq!(generation(publish(&mut publisher, next)), Some(2));
}
