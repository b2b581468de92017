//! The main job against the real wire protocols of both stores: seeded by the script that docker-compose runs,
//! merged by the syncer's binary, served by the router's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use postern_tests::{
    Emulator, Front, Origin, Output, Request, Router, Stores, Syncer, aws_error, boundary_with, eventually,
    eventually_within, is_call, registration, run,
};
use serde_json::Value;

/// After a failure the syncer waits before it asks again, longer each time.
const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn a_seeded_registration_is_served_and_a_new_item_too_without_a_restart() {
    let origin = Origin::named("api");
    let world = World::new(&boundary_with(&[origin.port()], ""), &[registration("/orders", origin.port(), "")]);
    assert_eq!(world.router.get("/orders/1?a=b").text(), "api GET /orders/1?a=b");
    assert_eq!(world.router.get("/new/1").reason(), Some("route_not_found"));

    let applied = world.stores.apply(&registration("/new", origin.port(), ""));
    assert_eq!((applied.code, applied.out.trim()), (0, "applied /new#default version 1"), "{}", applied.err);
    eventually("the new route", || (world.router.get("/new/1").status == 200).then_some(()));
    assert_eq!(world.router.get("/orders/1").status, 200);
}

#[test]
fn the_script_may_be_run_again_and_writes_only_what_was_edited() {
    let stores = Emulator::shared().stores();
    let boundary = boundary_with(&[1], "");
    let registrations = [registration("/a", 1, ""), registration("/b", 1, "")];
    assert_eq!(stores.seed(&boundary, &registrations).code, 0);
    let again = stores.seed(&boundary, &registrations);
    assert_eq!(again.out.matches("unchanged").count(), 3, "{}", again.out);
    let edited = stores.seed(&boundary, &[registration("/a", 1, "match: {methods: [GET]}"), registration("/b", 1, "")]);
    assert!(edited.out.contains("/a#default: changed (version 2)"), "{}", edited.out);
    assert_eq!(edited.out.matches("unchanged").count(), 2, "{}", edited.out);
}

#[test]
fn taking_a_destination_from_the_boundary_cuts_its_routes_at_once() {
    let (kept, cut) = (Origin::named("kept"), Origin::named("cut"));
    let both = boundary_with(&[kept.port(), cut.port()], "");
    // More than five routes and more than a third: a removal from the boundary is never held.
    let mut registrations = vec![registration("/kept", kept.port(), "")];
    registrations.extend((0..20).map(|number| registration(&format!("/cut{number}"), cut.port(), "")));
    let world = World::new(&both, &registrations);
    let mut client = world.router.client();
    assert_eq!(client.send(&Request::new("GET", "/cut7/1")).text(), "cut GET /cut7/1");

    world.stores.put_boundary(&boundary_with(&[kept.port()], ""));
    // The same connection, under way all the time.
    let answer = eventually("the route to end", || {
        let answer = client.send(&Request::new("GET", "/cut7/1"));
        (answer.status != 200).then_some(answer)
    });
    assert_eq!((answer.status, answer.reason()), (404, Some("route_not_found")));
    let before = cut.received().len();
    for number in 0..20 {
        assert_eq!(client.send(&Request::new("GET", &format!("/cut{number}"))).status, 404);
    }
    assert_eq!(cut.received().len(), before, "a request came after the boundary took the destination away");
    assert_eq!(client.send(&Request::new("GET", "/kept")).status, 200);
    let file = world.file();
    assert_eq!((file["counts"]["routes"].as_u64(), file["counts"]["refused"].as_u64()), (Some(1), Some(20)));
    assert_eq!(reasons(&file["refused"][0]), ["DestinationNotAllowed"]);

    // And back again: the registrations never went away.
    world.stores.put_boundary(&both);
    eventually("the routes again", || (world.router.get("/cut19").status == 200).then_some(()));
}

#[test]
fn taking_a_host_from_the_boundary_ends_its_answers() {
    let origin = Origin::named("api");
    let two = boundary_with(&[origin.port()], "")
        .replace("hosts: [api.example.com,", "hosts: [api.example.com, b.example.org,");
    let world = World::new(&two, &[registration("/orders", origin.port(), "")]);
    let asked = Request::to_host("GET", "b.example.org", "/orders");
    let mut client = world.router.client();
    assert_eq!(client.send(&asked).status, 200);
    world.stores.put_boundary(&boundary_with(&[origin.port()], ""));
    eventually("the host to be unknown", || (client.send(&asked).status == 421).then_some(()));
    assert_eq!(client.send(&Request::new("GET", "/orders")).status, 200);
}

#[test]
fn an_item_to_a_destination_that_is_not_allowed_is_refused_in_the_file_on_conditions_and_in_the_plan() {
    let origin = Origin::named("api");
    let world = World::new(&boundary_with(&[origin.port()], ""), &[registration("/orders", origin.port(), "")]);
    let elsewhere = "root: /pay\nowner: team\ndestination: {url: 'https://evil.example.net'}";
    assert_eq!(world.stores.apply(elsewhere).code, 0);

    let refused = eventually("the refusal in the file", || {
        world.file()["refused"].as_array().unwrap().iter().find(|one| one["id"] == "/pay#default").cloned()
    });
    assert_eq!(reasons(&refused), ["DestinationNotAllowed"]);
    assert_eq!(refused["conditions"][0]["at"], "/destination/url");
    let told = eventually("the refusal on /conditions", || {
        world.syncer.admin("/conditions?id=/pay").json()["registrations"].get(0).cloned()
    });
    assert_eq!((told["state"].as_str(), reasons(&told)), (Some("refused"), vec!["DestinationNotAllowed".to_owned()]));
    let out = tempfile::tempdir().unwrap();
    let plan = world.stores.syncer(&[
        "plan",
        "--output",
        "json",
        "--allow-loopback-destinations",
        "--boundary",
        &world.stores.boundary(),
        "--registrations",
        &world.stores.registrations(),
        "--out",
        out.path().to_str().unwrap(),
    ]);
    let plan: Value = serde_json::from_str(&plan.out).unwrap_or_else(|_| panic!("{plan:?}"));
    let change = plan["changes"].as_array().unwrap().iter().find(|one| one["id"] == "/pay#default").unwrap();
    assert_eq!(
        (change["action"].as_str(), change["reasons"][0]["reason"].as_str()),
        (Some("refused"), Some("DestinationNotAllowed"))
    );
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0, "a plan writes nothing");
    let got = world.stores.syncer(&[
        "route",
        "get",
        "/pay",
        "--registrations",
        &world.stores.registrations(),
        "--conditions-from",
        &world.syncer.admin_address().to_string(),
    ]);
    assert!(got.out.contains("ResolvedRefs=False DestinationNotAllowed"), "{got:?}");
    assert_eq!(world.router.get("/pay").reason(), Some("route_not_found"));
    assert_eq!(world.router.get("/orders").status, 200);
}

#[test]
fn hostile_items_each_become_one_line_and_move_nothing_else() {
    let origin = Origin::named("api");
    let world = World::new(&boundary_with(&[origin.port()], ""), &[registration("/orders", origin.port(), "")]);
    let line = world.line("/orders#default").unwrap();
    // What no document can hold: binary values, sets, numbers beyond JSON, an empty key's neighbours, 300 KB.
    world.stores.python(
        "items = [\n\
           {'x': {'B': b'\\xff\\x00'}}, {'x': {'SS': ['a', 'b']}}, {'x': {'NS': ['1', '2']}}, {'owner': {'N': '1E+125'}},\n\
           {'owner': {'NULL': True}}, {'destination': {'L': []}}, {'destination': {'M': {'url': {'B': b'u'}}}},\n\
           {'junk': {'S': 'j' * 300_000}}, {'version': {'N': '-1'}}, {'version': {'S': '7'}}, {'\\u0000': {'S': '\\u0000'}},\n\
           {'match': {'M': {'hosts': {'M': {}}}}}, {'destination': {'S': 'http://localhost'}}]\n\
         deep = {'S': 'x'}\nfor _ in range(28): deep = {'L': [deep]}\nitems.append({'deep': deep})\n\
         for n, item in enumerate(items):\n\
         \x20   base = {'root': {'S': f'/h{n:02}'}, 'name': {'S': 'default'}, 'owner': {'S': 'team'}}\n\
         \x20   dynamodb.put_item(TableName=table, Item={**base, **item})\n\
         dynamodb.update_item(TableName=table, Key={'root': {'S': '#registry'}, 'name': {'S': '#'}},\n\
         \x20   UpdateExpression='ADD version :one', ExpressionAttributeValues={':one': {'N': '1'}})",
    );
    let file = eventually("the refusals", || {
        let file = world.file();
        (file["counts"]["refused"].as_u64() == Some(14)).then_some(file)
    });
    for (number, refused) in file["refused"].as_array().unwrap().iter().enumerate() {
        assert_eq!(refused["id"], format!("/h{number:02}#default"));
        assert_eq!(refused["conditions"][0]["reason"], "SchemaInvalid", "{refused}");
    }
    assert_eq!(world.line("/orders#default").unwrap(), line);
    assert_eq!(world.router.get("/orders").status, 200);
}

#[test]
fn a_boundary_that_is_gone_or_torn_changes_nothing_and_is_reported() {
    let origin = Origin::named("api");
    let boundary = boundary_with(&[origin.port()], "");
    let world = World::new(&boundary, &[registration("/orders", origin.port(), "")]);
    let half = &boundary[..boundary.len() / 2];
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    let put = |body: &str| format!("s3.put_object(Bucket=bucket, Key=key, Body={body})");
    for (what, does, reason) in [
        ("a delete marker", "s3.delete_object(Bucket=bucket, Key=key)".to_owned(), "not_found"),
        ("half of it", put(&format!("{}.encode()", quoted(half))), "invalid"),
        ("nothing", put("b''"), "invalid"),
        ("no UTF-8", put("b'\\xff\\xfe\\x00'"), "invalid"),
        ("it twice", put(&format!("{}.encode()", quoted(&format!("{boundary}---\n{boundary}")))), "invalid"),
        (
            "another kind",
            put(&format!("{}.encode()", quoted(&boundary.replace("kind: Boundary", "kind: Border")))),
            "invalid",
        ),
        ("too much", put("b'#' * (33 << 20)"), "too_large"),
    ] {
        let before = world.bytes();
        world.stores.python(&does);
        let failing = world.until_failing("boundary", reason);
        assert!(failing.contains(&world.stores.boundary()), "{what}: {failing}");
        assert_eq!(world.router.get("/orders").status, 200, "{what}");
        assert!(world.bytes() == before, "{what}: the file changed");
        world.stores.put_boundary(&boundary);
        world.until_well("boundary");
        assert!(world.bytes() == before, "{what}: the file changed afterwards");
    }
    // The object was never there: as seen after a slip of the pen in another bucket's name.
    world.stores.python(
        "for one in s3.list_object_versions(Bucket=bucket).get('Versions', []) + s3.list_object_versions(Bucket=bucket).get('DeleteMarkers', []):\n\
         \x20   s3.delete_object(Bucket=bucket, Key=key, VersionId=one['VersionId'])",
    );
    world.until_failing("boundary", "not_found");
    assert_eq!(world.router.get("/orders").status, 200);
}

#[test]
fn a_table_that_is_gone_changes_nothing_and_comes_back_by_itself() {
    let origin = Origin::named("api");
    let boundary = boundary_with(&[origin.port()], "");
    let registrations = [registration("/orders", origin.port(), ""), registration("/more", origin.port(), "")];
    let world = World::new(&boundary, &registrations);
    let before = world.bytes();
    world.stores.python("dynamodb.delete_table(TableName=table)");
    world.until_failing("registrations", "not_found");
    assert_eq!(world.router.get("/orders").status, 200);
    assert!(world.bytes() == before);
    assert_eq!(world.stores.seed(&boundary, &registrations).code, 0);
    world.until_well("registrations");
    // The table was made anew, so its versions are; what it says is the same.
    assert!(world.bytes() == before);
}

#[test]
fn stores_that_vanish_or_hang_change_nothing_and_come_back_by_themselves() {
    let origin = Origin::named("api");
    let boundary = boundary_with(&[origin.port()], "");
    let registrations = [registration("/orders", origin.port(), "")];
    let mut emulator = Emulator::start();
    let world = World::on(emulator.stores(), &boundary, &registrations);
    let before = world.bytes();

    // It takes connections and never answers.
    emulator.signal("STOP");
    world.until_failing("boundary", "timeout");
    world.until_failing("registrations", "timeout");
    assert_eq!(world.router.get("/orders").status, 200);
    emulator.signal("CONT");
    world.until_well("boundary");
    world.until_well("registrations");

    emulator.kill();
    world.until_failing("boundary", "unavailable");
    world.until_failing("registrations", "unavailable");
    // A router and a syncer that start meanwhile go on from what stands.
    let other = Router::serve(&world.out.path().join("merged.json"));
    assert_eq!(other.get("/orders").status, 200);
    assert!(world.bytes() == before);

    // It comes back empty, which says as little as its absence.
    let emulator = Emulator::start_at(emulator.address());
    world.until_failing("registrations", "not_found");
    world.until_failing("boundary", "not_found");
    assert!(world.bytes() == before);
    assert_eq!(world.router.get("/orders").status, 200);
    assert_eq!(world.stores.seed(&boundary, &registrations).code, 0);
    world.until_well("boundary");
    world.until_well("registrations");
    assert_eq!(world.stores.apply(&registration("/late", origin.port(), "")).code, 0);
    eventually_within(PATIENCE, "a route after it all", || (world.router.get("/late").status == 200).then_some(()));
    drop(emulator);
}

#[test]
fn a_syncer_that_starts_without_its_stores_goes_on_from_the_file() {
    let origin = Origin::named("api");
    let mut world = World::new(&boundary_with(&[origin.port()], ""), &[registration("/orders", origin.port(), "")]);
    let before = world.bytes();
    world.syncer.signal("KILL");
    world.syncer.wait(Duration::from_secs(5));
    let nowhere = world.stores.through("http://127.0.0.1:9");
    world.syncer = start(&nowhere, &world.out);
    world.until_failing("boundary", "unavailable");
    world.until_failing("registrations", "unavailable");
    assert_eq!(world.syncer.admin("/conditions").json()["registrations"][0]["id"], "/orders#default");
    assert!(world.bytes() == before);
    assert_eq!(world.router.get("/orders").status, 200);
}

#[test]
fn the_table_is_scanned_only_when_its_version_moved() {
    let origin = Origin::named("api");
    let front = Front::new();
    let stores = Emulator::shared().stores();
    let boundary = boundary_with(&[origin.port()], "");
    assert_eq!(stores.seed(&boundary, &[registration("/orders", origin.port(), "")]).code, 0);
    let world = World::started(stores.through(&front.endpoint()));
    let scans = front.calls("Scan");
    // Written without raising the version: nobody can know.
    stores.python(&format!(
        "dynamodb.put_item(TableName=table, Item={{'root': {{'S': '/quiet'}}, 'name': {{'S': 'default'}}, 'owner': \
         {{'S': 'team'}}, 'destination': {{'M': {{'url': {{'S': 'http://localhost:{}'}}}}}}}})",
        origin.port()
    ));
    let polls = front.calls("GetItem");
    eventually("ten more looks", || (front.calls("GetItem") >= polls + 10).then_some(()));
    assert_eq!((front.calls("Scan"), world.router.get("/quiet").status), (scans, 404));
    assert_eq!(stores.apply(&registration("/loud", origin.port(), "")).code, 0);
    eventually("both routes", || (world.router.get("/loud").status == 200).then_some(()));
    assert_eq!(world.router.get("/quiet").status, 200);
    assert_eq!(front.calls("Scan"), scans + 1);
    // The boundary is asked for by its tag: after the first time it is not sent again.
    let (gets, unchanged) = (front.calls("GET"), front.calls("304"));
    assert!(unchanged + 1 >= gets, "{unchanged} of {gets} answers were 304");
}

#[test]
fn a_scan_of_several_pages_counts_whole_or_not_at_all() {
    let origin = Origin::named("api");
    let front = Front::new();
    let stores = Emulator::shared().stores();
    assert_eq!(
        stores.seed(&boundary_with(&[origin.port()], ""), &[registration("/orders", origin.port(), "")]).code,
        0
    );
    fill(&stores, origin.port(), 120, "a");
    let world = World::started(stores.through(&front.endpoint()));
    assert!(front.calls("Scan") >= 2, "1.9 MB are more than one page");
    assert_eq!(world.file()["counts"]["routes"], 121);
    let before = world.bytes();

    for (what, code, kind, reason) in [
        ("a page that fails", 500, "InternalServerError", "unavailable"),
        ("a page that is refused", 400, "AccessDeniedException", "forbidden"),
        ("a page that is too soon", 400, "ProvisionedThroughputExceededException", "throttled"),
    ] {
        front.fail(move |request| {
            let second =
                is_call(request, "Scan") && String::from_utf8_lossy(&request.body).contains("ExclusiveStartKey");
            second.then(|| aws_error(code, kind))
        });
        // Everything is another: what came on the first page is thrown away with the second.
        fill(&stores, origin.port(), 120, what);
        world.until_failing("registrations", reason);
        assert!(world.bytes() == before, "{what}");
        fill(&stores, origin.port(), 120, "a");
        front.heal();
        world.until_well("registrations");
        assert!(world.bytes() == before, "{what}, afterwards");
    }
}

#[test]
fn a_scan_during_which_the_table_moved_is_taken_again() {
    let origin = Origin::named("api");
    let front = Front::new();
    let stores = Emulator::shared().stores();
    assert_eq!(
        stores.seed(&boundary_with(&[origin.port()], ""), &[registration("/orders", origin.port(), "")]).code,
        0
    );
    let world = World::started(stores.through(&front.endpoint()));
    // Whenever the table is scanned, somebody writes before the version is read again.
    let (moves, writer) = (Arc::new(AtomicUsize::new(0)), stores.through(&Emulator::shared().endpoint()));
    let (counted, port) = (Arc::clone(&moves), origin.port());
    let scans = front.calls("Scan");
    front.after(move |request| {
        if is_call(request, "Scan") && counted.fetch_add(1, Ordering::SeqCst) < 2 {
            let number = counted.load(Ordering::SeqCst);
            assert_eq!(writer.apply(&registration(&format!("/moved{number}"), port, "")).code, 0);
        }
    });
    assert_eq!(stores.apply(&registration("/first", origin.port(), "")).code, 0);
    eventually_within(PATIENCE, "the last write", || (world.router.get("/moved2").status == 200).then_some(()));
    assert_eq!(front.calls("Scan"), scans + 3);
    assert_eq!(world.file()["counts"]["routes"], 4);
}

#[test]
fn once_tells_by_its_exit_code_how_it_went() {
    let stores = Emulator::shared().stores();
    let out = tempfile::tempdir().unwrap();
    let merged = out.path().join("merged.json");
    let once = |more: &[&str]| {
        let (boundary, registrations) = (stores.boundary(), stores.registrations());
        let mut arguments = vec!["run", "--once", "--allow-loopback-destinations", "--boundary", &*boundary];
        arguments.extend(["--registrations", &*registrations, "--out", out.path().to_str().unwrap()]);
        arguments.extend(more);
        stores.syncer(&arguments)
    };
    let nothing = once(&[]);
    assert_eq!(nothing.code, 1, "{nothing:?}");
    assert!(nothing.err.contains("boundary: s3://") && nothing.err.contains("registrations: "), "{}", nothing.err);
    assert!(!merged.exists());

    let elsewhere = "root: /pay\nowner: team\ndestination: {url: 'https://evil.example.net'}".to_owned();
    assert_eq!(stores.seed(&boundary_with(&[1], ""), &[registration("/orders", 1, ""), elsewhere]).code, 0);
    let first = once(&[]);
    assert_eq!(first.code, 0, "{first:?}");
    assert!(first.out.contains("refused /pay#default") && first.out.contains("DestinationNotAllowed"), "{}", first.out);
    assert!(first.out.contains("generation 1 written: 1 routes, 0 stale, 1 refused"), "{}", first.out);
    let before = std::fs::read(&merged).unwrap();
    let second = once(&["--output", "json"]);
    assert_eq!(second.code, 0);
    let told: Value = serde_json::from_str(&second.out).unwrap();
    assert_eq!((told["generation"].as_u64(), told["written"].as_bool()), (Some(1), Some(false)));
    assert_eq!(once(&["--strict"]).code, 1);
    stores.python("s3.delete_object(Bucket=bucket, Key=key)");
    let failed = once(&[]);
    assert_eq!(failed.code, 1);
    assert!(failed.err.contains("the file was left as it was"), "{}", failed.err);
    assert!(std::fs::read(&merged).unwrap() == before);
}

#[test]
fn a_pipeline_learns_what_it_did_and_who_stands_in_its_way() {
    let stores = Emulator::shared().stores();
    assert_eq!(stores.seed(&boundary_with(&[1], ""), &[]).code, 0);
    let mine = registration("/orders", 1, "");
    assert_eq!(stores.apply(&mine).out.trim(), "applied /orders#default version 1");
    let registry = "print(dynamodb.get_item(TableName=table, Key={'root': {'S': '#registry'}, 'name': {'S': '#'}})['Item']['version']['N'])";
    let version = stores.python(registry);
    assert_eq!(stores.apply(&mine).out.trim(), "unchanged /orders#default version 1");
    assert_eq!(stores.python(registry), version, "nothing was written, so nothing is to be read");
    assert_eq!(stores.apply(&registration("/orders", 2, "")).out.trim(), "applied /orders#default version 2");

    let theirs = mine.replace("owner: team", "owner: intruders");
    let refused = stores.apply(&theirs);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("held by team (version 2), not by intruders"), "{}", refused.err);
    assert_eq!(stores.apply(&format!("{theirs}name: second\n")).code, 0, "another name under the root is free");

    let table = stores.registrations();
    let route = |arguments: &[&str]| {
        let mut all = vec!["route"];
        all.extend(arguments);
        all.extend(["--registrations", &*table]);
        stores.syncer(&all)
    };
    let listed = route(&["list", "--output", "json"]);
    let listed: Vec<Value> = serde_json::from_str(&listed.out).unwrap();
    let ids: Vec<&str> = listed.iter().map(|one| one["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["/orders#default", "/orders#second"]);
    assert_eq!(route(&["list", "--owner", "intruders"]).out.lines().count(), 1);
    let got: Value = serde_json::from_str(&route(&["get", "/orders", "--output", "json"]).out).unwrap();
    assert_eq!(got["registration"]["destination"]["url"], "http://localhost:2");
    let taken = route(&["delete", "/orders", "--owner", "intruders"]);
    assert!(taken.code == 1 && taken.err.contains("team"), "{taken:?}");
    assert_eq!(route(&["delete", "/orders", "--owner", "team"]).out.trim(), "deleted /orders#default");
    assert_eq!(route(&["delete", "/orders", "--owner", "team"]).code, 1);
    assert_eq!(route(&["get", "/orders"]).code, 1);
    for nonsense in ["", "root: orders", "root: /a\nowner: team\ndestinatoin: {url: 'http://x'}", "- 1\n- 2", "{"] {
        let refused = stores.apply(nonsense);
        assert!(refused.code != 0 && !refused.err.is_empty(), "{nonsense:?}: {refused:?}");
    }
}

#[test]
fn a_writer_that_read_an_older_version_is_refused() {
    let front = Front::new();
    let stores = Emulator::shared().stores();
    assert_eq!(stores.seed(&boundary_with(&[1], ""), &[registration("/orders", 1, "")]).code, 0);
    // Between its read and its write another pipeline of the same team writes.
    let (writer, once) = (stores.through(&Emulator::shared().endpoint()), AtomicUsize::new(0));
    front.fail(move |request| {
        if is_call(request, "TransactWriteItems") && once.fetch_add(1, Ordering::SeqCst) == 0 {
            assert_eq!(writer.apply(&registration("/orders", 2, "")).code, 0);
        }
        None
    });
    let late = stores.through(&front.endpoint()).apply(&registration("/orders", 3, ""));
    assert_eq!(late.code, 1, "{late:?}");
    assert!(late.err.contains("somebody else wrote version 2 meanwhile"), "{}", late.err);
    let again = stores.apply(&registration("/orders", 3, ""));
    assert_eq!(again.out.trim(), "applied /orders#default version 3");
}

#[test]
fn of_writers_at_the_same_moment_none_is_lost_unseen() {
    let stores = Emulator::shared().stores();
    assert_eq!(stores.seed(&boundary_with(&[1], ""), &[]).code, 0);
    let outputs: Vec<Output> = std::thread::scope(|scope| {
        let writers: Vec<_> = (1..=6)
            .map(|port| {
                let stores = &stores;
                scope.spawn(move || stores.apply(&registration("/orders", port, "")))
            })
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    let applied = outputs.iter().filter(|output| output.code == 0).count();
    for refused in outputs.iter().filter(|output| output.code != 0) {
        assert!(refused.err.contains("run this again"), "{}", refused.err);
    }
    let versions = stores.python(
        "for key in (('/orders', 'default'), ('#registry', '#')):\n\
         \x20   print(dynamodb.get_item(TableName=table, Key={'root': {'S': key[0]}, 'name': {'S': key[1]}})['Item']['version']['N'])",
    );
    assert!(applied > 0);
    assert_eq!(versions, format!("{applied}\n{applied}\n"));
}

#[test]
fn the_samples_of_the_compose_file_are_what_their_comments_say() {
    let stores = Emulator::shared().stores();
    let seeded = stores.seed_samples();
    assert_eq!(seeded.code, 0, "{}", seeded.err);
    let out = tempfile::tempdir().unwrap();
    let once = stores.syncer(&[
        "run",
        "--once",
        "--boundary",
        &stores.boundary(),
        "--registrations",
        &stores.registrations(),
        "--out",
        out.path().to_str().unwrap(),
    ]);
    assert!(once.code == 0 && once.out.contains("2 routes, 0 stale, 1 refused"), "{once:?}");
    let merged = out.path().join("merged.json");
    let merged = merged.to_str().unwrap();
    assert_eq!(run("postern-router", &["check", merged]).code, 0);
    let explained = run("postern-router", &["explain", merged, "GET http://localhost/invoices/7", "--output", "json"]);
    let explained: Value = serde_json::from_str(&explained.out).unwrap_or_else(|_| panic!("{explained:?}"));
    assert_eq!(explained["forwarded"]["target"], "/v1/invoices/7");
}

/// Everything that runs for one test.
struct World {
    stores: Stores,
    out: tempfile::TempDir,
    syncer: Syncer,
    router: Router,
}

impl World {
    /// In the emulator that tests share.
    fn new(boundary: &str, registrations: &[String]) -> Self {
        Self::on(Emulator::shared().stores(), boundary, registrations)
    }

    /// Seeded first, then started.
    fn on(stores: Stores, boundary: &str, registrations: &[String]) -> Self {
        let seeded = stores.seed(boundary, registrations);
        assert_eq!(seeded.code, 0, "{}", seeded.err);
        Self::started(stores)
    }

    /// Started on stores that are seeded.
    fn started(stores: Stores) -> Self {
        let out = tempfile::tempdir().unwrap();
        // The router first: it waits for the file.
        let router = Router::start(&out.path().join("merged.json"), &[], &[]);
        assert_eq!(router.get("/orders").status, 503);
        let syncer = start(&stores, &out);
        router.until_ready();
        Self { stores, out, syncer, router }
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.out.path().join("merged.json")).unwrap()
    }

    fn file(&self) -> Value {
        serde_json::from_slice(&self.bytes()).unwrap()
    }

    /// The line of the file that begins with that id.
    fn line(&self, id: &str) -> Option<String> {
        let start = format!("{{\"id\": \"{id}\"");
        let text = String::from_utf8(self.bytes()).unwrap();
        text.lines().find(|line| line.starts_with(&start)).map(str::to_owned)
    }

    /// Waits until a store is said to fail for that reason, and gives the words.
    fn until_failing(&self, store: &str, reason: &str) -> String {
        eventually_within(PATIENCE, &format!("{store} to fail as {reason}"), || {
            let told = self.syncer.admin("/conditions").json();
            let failing = &told["sources"][store]["failing"];
            (failing["reason"] == reason).then(|| failing["message"].as_str().unwrap().to_owned())
        })
    }

    fn until_well(&self, store: &str) {
        eventually_within(PATIENCE, &format!("{store} to be read again"), || {
            self.syncer.admin("/conditions").json()["sources"][store]["failing"].is_null().then_some(())
        });
    }
}

fn start(stores: &Stores, out: &tempfile::TempDir) -> Syncer {
    let mut environment = stores.environment();
    environment.push(("POSTERN_SYNCER_OPERATION_TIMEOUT".to_owned(), "2s".to_owned()));
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (&**name, &**value)).collect();
    Syncer::run(&stores.boundary(), &stores.registrations(), out.path(), &environment)
}

fn reasons(entry: &Value) -> Vec<String> {
    let conditions = entry["conditions"].as_array().unwrap();
    conditions.iter().map(|one| one["reason"].as_str().unwrap().to_owned()).collect()
}

/// Puts that many items of some 16 KB and raises the version once.
fn fill(stores: &Stores, port: u16, count: usize, mark: &str) {
    stores.python(&format!(
        "values = {{f'x-{{n}}': {{'S': {mark:?} + 'v' * 4000}} for n in range(4)}}\n\
         items = [{{'root': {{'S': f'/big{{n:04}}'}}, 'name': {{'S': 'default'}}, 'owner': {{'S': 'team'}}, 'version': {{'N': '1'}},\n\
         \x20   'match': {{'M': {{'headers': {{'M': values}}}}}}, 'destination': {{'M': {{'url': {{'S': 'http://localhost:{port}'}}}}}}}} for n in range({count})]\n\
         for at in range(0, len(items), 25):\n\
         \x20   dynamodb.batch_write_item(RequestItems={{table: [{{'PutRequest': {{'Item': item}}}} for item in items[at:at + 25]]}})\n\
         dynamodb.update_item(TableName=table, Key={{'root': {{'S': '#registry'}}, 'name': {{'S': '#'}}}},\n\
         \x20   UpdateExpression='ADD version :one', ExpressionAttributeValues={{':one': {{'N': '1'}}}})"
    ));
}
