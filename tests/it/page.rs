//! The page for people at the admin address, in a real browser: that it tells what is, that it is quick and can be used
//! without a mouse, and that nothing that others wrote becomes a part of it.

use std::time::Instant;

use postern_config::merged::{self, Source};
use postern_tests::{
    Browser, Client, Desk, Origin, Reply, Request, Router, Site, boundary_with, keep_screenshot, registration, run,
};
use serde_json::{Value, json};

const SIZE: (u32, u32) = (1280, 800);
const SECTIONS: [&str; 8] =
    ["overview", "routes", "refused", "changes", "recent", "destinations", "latency", "explain"];

/// The page of a router, at one of its sections.
fn open(router: &Router, section: &str) -> Browser {
    let mut browser = Browser::open(&format!("http://{}/?every=300#{section}", router.admin_address()), SIZE);
    browser.until("document.querySelector('#glance').innerText.includes('generation')");
    // What `looks` counts: a browser keeps 250 unless it is told otherwise.
    browser.eval("performance.setResourceTimingBufferSize(100000)");
    browser
}

/// Waits until the page has looked at the router that often.
fn looks(browser: &mut Browser, times: usize) {
    let count = "performance.getEntriesByType('resource').filter((one) => one.name.endsWith('/metrics')).length";
    let before = browser.eval(count);
    browser.until(&format!("{count} >= {before} + {times}"));
}

/// The texts of the rows in sight of a section.
fn rows(browser: &mut Browser, section: &str) -> Vec<String> {
    let script = format!(
        "[...document.querySelectorAll('#section-{section} .rows .row')].map((row) => row.innerText.replaceAll('\\n', ' | '))"
    );
    let rows = browser.eval(&script);
    rows.as_array().unwrap().iter().map(|row| row.as_str().unwrap().to_owned()).collect()
}

/// A router in front of `/orders` that answers, `/slow` that fails and `/closed` that asks for a password, with sources
/// as a deployment has them.
fn busy_router(site: &mut Site) -> (Router, Origin) {
    let origin = Origin::start(|received| match received.target.starts_with("/slow") {
        true => Reply::Body(500, b"broken".to_vec()),
        false => Reply::ok("fine"),
    });
    let boundary = boundary_with(&[origin.port()], "identity: {basic: [{name: ops, users: []}]}");
    let closed = "policies: {authentication: {any_of: ['basic:ops']}}";
    let registrations = [("/orders", ""), ("/slow", "policies: {breaker: {failures: 1000}}"), ("/closed", closed)]
        .map(|(root, more)| registration(root, origin.port(), more));
    site.publish(&boundary, &registrations);
    let mut reading = merged::read(&std::fs::read(site.merged()).unwrap(), None).unwrap();
    let source =
        |uri: &str| Source { uri: uri.to_owned(), read_at: Some(reading.header.written_at), ..Source::default() };
    let mut sources = reading.header.sources.clone();
    sources.boundary =
        Source { version_id: Some("3sL4kqtJlcpXroDTDmJ".to_owned()), ..source("s3://acme-postern/boundary.yaml") };
    sources.registrations = Source { version: Some(7), items: Some(3), ..source("dynamodb://postern-routes") };
    reading.header.sources = sources;
    std::fs::write(site.merged(), merged::write(&reading.header, &reading.content, None).0).unwrap();
    std::fs::write(site.path().join("heartbeat"), "").unwrap();
    (Router::serve(&site.merged()), origin)
}

#[test]
fn every_section_shows_what_there_is_and_asks_nobody_else() {
    let mut site = Site::empty();
    let (router, _origin) = busy_router(&mut site);
    let mut browser = open(&router, "overview");
    let mut client = router.client();
    for round in 0..8 {
        for path in ["/orders/1", "/orders/2", "/orders/3", "/slow", "/closed"].iter().take(2 + round % 4) {
            client.send(&Request::new("GET", path));
        }
        looks(&mut browser, 1);
    }
    let snapshot = router.snapshot();
    browser.until("document.querySelectorAll('#section-overview .uplot').length === 2");
    let overview = browser.text("#section-overview");
    for part in [
        &format!("Generation\n{}\n", snapshot["generation"]),
        "Readiness\nready",
        "Routes\n3\n1 owner, 1 destination",
        "s3://acme-postern/boundary.yaml",
        "3sL4kqtJlcpXroDTDmJ",
        &snapshot["digest"].as_str().unwrap()[..19],
        &snapshot["written_at"].as_str().unwrap()[11..19],
    ] {
        assert!(overview.contains(part), "{part}: {overview}");
    }
    keep_screenshot("overview-light.png", &browser.screenshot());
    browser.prefer("dark");
    browser.until("document.documentElement.dataset.theme === 'dark'");
    looks(&mut browser, 1);
    keep_screenshot("overview-dark.png", &browser.screenshot());
    browser.prefer("light");

    for (number, section) in SECTIONS.iter().enumerate() {
        browser.eval("document.activeElement.blur()");
        browser.press(&(number + 1).to_string());
        browser.until(&format!("!document.querySelector('#section-{section}').hidden"));
        assert_eq!(
            browser.eval("[...document.querySelectorAll('main > section')].filter((one) => !one.hidden).length"),
            1
        );
    }
    browser.eval("document.activeElement.blur()");
    browser.press("5");
    browser.until("document.querySelectorAll('#section-recent .rows .row').length > 3");
    let recent = rows(&mut browser, "recent").join("\n");
    assert!(recent.contains("401 | credentials_missing | GET api.example.com/closed"), "{recent}");
    assert!(recent.contains("500 | the destination's | GET api.example.com/slow"), "{recent}");
    browser.press("7");
    let latency = browser.until("document.querySelector('#section-latency table')?.innerText");
    assert!(latency.as_str().unwrap().contains('%'), "{latency}");
    keep_screenshot("latency.png", &browser.screenshot());
    browser.press("6");
    let destinations = rows(&mut browser, "destinations").join("\n");
    assert!(destinations.starts_with("local | localhost | 127.0.0.0/8 | http"), "{destinations}");
    // What stands in the last five columns is what /metrics says of it.
    looks(&mut browser, 1);
    let destinations = rows(&mut browser, "destinations").remove(0);
    let columns: Vec<&str> = destinations.rsplit(" | ").take(5).collect();
    let connections = |state: &str| {
        let labels = format!("destination=\"local\",http_connection_state=\"{state}\"");
        router.metric(&format!("postern_http_client_open_connections{{{labels}}}"))
    };
    let counted = |name: &str| router.metric(&format!("postern_destination_{name}_total{{destination=\"local\"}}"));
    let share = (counted("reused") / counted("attempts") * 100.0).round();
    assert!(connections("idle") > 0.0 && share > 0.0, "nothing is kept: this shows nothing");
    let (idle, active) = (connections("idle").to_string(), connections("active").to_string());
    let said = [format!("{share} %"), idle, active, "0 / 0".to_owned(), "closed".to_owned()];
    assert_eq!(columns, said, "{destinations}");

    let seen = browser.seen();
    assert_eq!(seen.complaints, Vec::<String>::new());
    let own = format!("http://{}/", router.admin_address());
    let foreign: Vec<&String> =
        seen.requests.iter().filter(|url| !url.starts_with(&own) && !url.starts_with("data:,")).collect();
    assert!(foreign.is_empty() && seen.requests.len() > 20, "{foreign:?}");
}

#[test]
fn numbers_are_those_of_the_metrics() {
    let mut site = Site::empty();
    let (router, _origin) = busy_router(&mut site);
    for path in ["/orders", "/orders", "/orders", "/slow", "/nowhere"] {
        router.get(path);
    }
    let mut browser = open(&router, "routes");
    browser.until("document.querySelectorAll('#section-routes .rows .row').length === 3");
    let told = rows(&mut browser, "routes");
    assert!(told[1].starts_with("/orders#default | team | served | open | local http://localhost:"), "{told:?}");
    assert!(told[0].starts_with("/closed#default | team | served | basic:ops | local"), "{told:?}");
    assert!(told[2].contains("100.0 %") && told[1].contains("0.0 %"), "{told:?}");
    browser.eval("document.querySelectorAll('#section-routes .rows .row')[1].click()");
    let details = browser.text("#details");
    assert!(details.contains("3 since this router began"), "{details}");
    let counted = router.admin("/metrics").text();
    let of_route = counted.lines().filter(|line| line.starts_with("postern_requests_total{route=\"/orders#default\""));
    assert_eq!(of_route.map(|line| line.rsplit(' ').next().unwrap().parse::<u32>().unwrap()).sum::<u32>(), 3);

    // Quantiles are shown wherever there are histograms by route, whatever this router has.
    let bucket = |le: &str, count: u32| {
        format!("postern_http_server_request_duration_seconds_bucket{{route=\"/a#b \\\"c\\\"\",le=\"{le}\"}} {count}")
    };
    let first = [bucket("0.1", 0), bucket("1.0", 0), bucket("+Inf", 0)].join("\n");
    let second = [bucket("0.1", 90), bucket("1.0", 99), bucket("+Inf", 100)].join("\n");
    let quantiles = browser.eval(&format!(
        "import('/page/metrics.js').then(({{ Series }}) => {{ const one = new Series(); one.take({}, 0); one.take({}, 10); \
         const route = one.routes.get('/a#b \"c\"'); return [one.hasQuantiles, route.p50, route.p95, route.p99, one.rates[0], one.heat[0]]; }})",
        json!(first), json!(second)
    ));
    let [Value::Bool(true), p50, p95, p99, rate, heat] = quantiles.as_array().unwrap().as_slice() else {
        panic!("{quantiles}")
    };
    let near = |value: &Value, wanted: f64| (value.as_f64().unwrap() - wanted).abs() < 1e-9;
    assert!(near(p50, 0.1 * 50.0 / 90.0) && near(p95, 0.1 + 0.9 * 5.0 / 9.0) && near(p99, 1.0), "{quantiles}");
    assert!(near(rate, 10.0) && *heat == json!([90, 9, 1]), "{quantiles}");
}

#[test]
fn ten_thousand_routes_are_searched_and_walked_through_without_a_mouse() {
    let origin = Origin::named("service");
    let desk = tempfile::tempdir().unwrap();
    let path = |name: &str| desk.path().join(name).display().to_string();
    let more = "  - {name: private-apis, hosts: ['*.apis.internal.example.com'], addresses: [10.20.0.0/16]}
identity: {basic: [{name: ops, users: []}], jwt: [{name: corp, issuer: 'https://login.example.com/', audiences: [api], jwks_url: 'https://login.example.com/keys'}]}";
    std::fs::write(path("boundary.yaml"), boundary_with(&[origin.port()], more)).unwrap();
    let words = ["orders", "bills", "stock", "carts", "prices", "refunds", "search"];
    let list = (0..10_000).map(|number| {
        let (team, word) = (number % 97, words[number % words.len()]);
        let url = match number < 12 {
            true => format!("http://localhost:{}", origin.port()),
            false => format!("https://{word}-{team}.apis.internal.example.com/v1"),
        };
        let mut one = json!({"root": format!("/{word}-{team}/{number}"), "owner": format!("team-{team}"), "version": 1, "destination": {"url": url}});
        if number % 3 > 0 && number >= 12 {
            one["policies"] = json!({"authentication": {"any_of": ["basic:ops"]}});
        }
        one
    });
    std::fs::create_dir(path("registrations")).unwrap();
    std::fs::write(path("registrations/all.json"), json!(list.collect::<Vec<_>>()).to_string()).unwrap();
    let sources =
        ["--boundary", &path("boundary.yaml"), "--registrations", &path("registrations"), "--out", &path("out")];
    let done = run("postern-syncer", &[&["run", "--once", "--allow-loopback-destinations"], &sources[..]].concat());
    assert_eq!(done.code, 0, "{done:?}");
    let router = Router::start(&desk.path().join("out/merged.json"), &[], &[]);
    router.until_generation(1);

    let began = Instant::now();
    let mut browser = open(&router, "routes");
    browser.until("document.querySelectorAll('#section-routes .rows .row').length > 0");
    let opened = began.elapsed();
    let times = browser.eval(
        "({paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime, rows: performance.getEntriesByName('routes')[0].startTime, \
         file: performance.getEntriesByType('resource').find((one) => one.name.endsWith('/api/routes')).duration})",
    );
    assert!(browser.text("#routes-found").starts_with("10000 of 10000"));
    let drawn = browser.eval("document.querySelectorAll('#section-routes .rows .row').length");
    assert!(drawn.as_u64() < Some(60), "{drawn}");
    assert_eq!(browser.eval("document.querySelector('#section-routes .grid').ariaRowCount ?? document.querySelector('#section-routes .grid').getAttribute('aria-rowcount')"), "10001");

    // The keyboard alone: to the search, into the rows, to the end, into the details, and back.
    browser.press("/");
    browser.write("team-5 stock");
    let search = browser.eval(
        "(() => { const began = performance.now(); document.querySelector('#routes-search').dispatchEvent(new Event('input')); document.body.offsetHeight; return performance.now() - began; })()",
    );
    let found = browser.text("#routes-found");
    assert!(found.ends_with(" of 10000") && found.split(' ').next().unwrap().parse::<u32>().unwrap() < 400, "{found}");
    browser.press("ArrowDown");
    let first = browser.until("document.querySelector('#section-routes .row[aria-selected=true]')?.innerText");
    browser.press("ArrowDown");
    let second = browser.until("document.querySelector('#section-routes .row[aria-selected=true]')?.innerText");
    assert_ne!(first, second);
    browser.press("End");
    let last = browser.until("document.querySelector('#section-routes .row[aria-selected=true]')?.innerText");
    assert!(last.as_str().unwrap().contains("team-5"), "{last}");
    let active = "document.getElementById(document.querySelector('#section-routes .rows').getAttribute('aria-activedescendant'))?.innerText";
    assert_eq!(browser.eval(active), last);
    browser.press("Enter");
    browser.until("document.querySelector('#details').open");
    let title = browser.text("#details-title");
    assert!(last.as_str().unwrap().starts_with(&title), "{title}: {last}");
    browser.press("Escape");
    browser.until("!document.querySelector('#details').open");
    assert_eq!(browser.eval("document.activeElement.className"), "rows");

    let scroll = browser.eval(
        "(async () => { const rows = document.querySelector('#section-routes .rows'); const search = document.querySelector('#routes-search'); search.value = ''; \
         search.dispatchEvent(new Event('input')); let worst = 0; for (let at = 0; at < 340000; at += 17000) { const began = performance.now(); rows.scrollTop = at; \
         await new Promise((done) => requestAnimationFrame(() => setTimeout(done))); worst = Math.max(worst, performance.now() - began); } return worst; })()",
    );
    let mut client = router.client();
    for _ in 0..6 {
        for number in 0..12 {
            (0..=number).for_each(|_| {
                drop(client.send(&Request::new("GET", &format!("/{}-{number}/{number}", words[number % 7]))))
            });
        }
        looks(&mut browser, 1);
    }
    browser.click("#section-routes .head [role=columnheader]:nth-child(6) button");
    browser.eval("document.querySelector('#section-routes .rows').scrollTop = 0");
    (0..12).for_each(|number| {
        drop(client.send(&Request::new("GET", &format!("/{}-{number}/{number}", words[number % 7]))))
    });
    browser.until("Number(document.querySelector('#section-routes .rows .row > :nth-child(6)').innerText) > 0 && document.querySelector('#section-routes .rows canvas') !== null");
    keep_screenshot("routes-10000.png", &browser.screenshot());
    eprintln!(
        "10 000 routes in the browser: first paint {:.0} ms, rows {:.0} ms (of which the router took {:.0} ms to read and send its file), open to rows in all {opened:.2?}; a search {:.1} ms; the slowest frame of scrolling {:.0} ms",
        times["paint"].as_f64().unwrap_or(f64::NAN),
        times["rows"].as_f64().unwrap(),
        times["file"].as_f64().unwrap(),
        search.as_f64().unwrap(),
        scroll.as_f64().unwrap()
    );
    assert_eq!(browser.seen().complaints, Vec::<String>::new());
}

#[test]
fn what_others_wrote_is_shown_as_text_and_what_hides_is_made_visible() {
    let desk = Desk::new();
    let image = "\"><img src=x onerror=\"window.taken=1\">";
    let hostile = [
        json!({"root": format!("/<script>window.taken=1</script>{image}"), "owner": "team", "destination": {"url": "http://localhost:1"}}),
        json!({"root": "/a", "name": image, "owner": format!("{image}\u{202e}gnp.x"), "destination": {"url": format!("javascript:{image}")}}),
        json!({"root": "/b", "owner": "team", "destination": {"url": "http://localhost:1"}, image: {"<b>": [image, "\u{2066}\u{0}"]}}),
        json!({"root": "/fine", "owner": "team", "match": {"headers": {"x-a": image}}, "destination": {"url": "http://localhost:1"}}),
    ];
    std::fs::write(desk.path("registrations/hostile.json"), json!(hostile).to_string()).unwrap();
    desk.publish();
    let router = Router::serve(&desk.path("out/merged.json"));
    Client::connect(router.address())
        .send(&Request::new("GET", "/%3Cscript%3E/'%22%3E%3Cimg").header("x-forwarded-for", image));
    let mut browser = open(&router, "refused");
    browser.until("document.querySelectorAll('#section-refused .rows .row').length === 3");
    let told = rows(&mut browser, "refused").join("\n");
    assert!(told.contains("<script>window.taken=1</script>") && told.contains("<img src=x onerror="), "{told}");
    assert!(told.contains("⟨U+202E⟩") && !told.contains('\u{202e}'), "{told}");
    for (section, count) in [("refused", 3), ("routes", 1), ("recent", 1)] {
        browser.eval(&format!("location.hash = '{section}'"));
        for row in 0..count {
            let row = format!("document.querySelectorAll('#section-{section} .rows .row')[{row}]");
            browser.until(&format!("{row} !== undefined"));
            browser.eval(&format!("{row}.click()"));
            browser.until("document.querySelector('#details').open");
            browser.eval("document.querySelector('#details-close').click()");
        }
    }
    browser.eval("location.hash = 'changes'");
    browser.eval("location.hash = 'explain'");
    browser.eval(&format!(
        "document.querySelector('#explain-url').value = 'https://api.example.com/fine/' + {}",
        json!(image)
    ));
    browser.eval("document.querySelector('#section-explain form').requestSubmit()");
    browser.until("document.querySelector('#explain-result').innerText");
    assert_eq!(browser.eval("window.taken ?? null"), Value::Null);
    assert_eq!(browser.eval("[document.images.length, document.scripts.length, document.querySelectorAll('[onerror], iframe, b').length]"), json!([0, 2, 0]));
    // The browser itself complains about a URL that is none, which explain refuses with 400; about nothing else.
    let complaints = browser.seen().complaints;
    assert!(complaints.iter().all(|one| one.contains("/explain?") && one.contains("400")), "{complaints:?}");
}

#[test]
fn what_is_refused_or_held_is_told_with_its_reason() {
    let desk = Desk::new();
    for number in 0..8 {
        desk.route(&format!("service-{number}"), 1, "version: 1");
    }
    desk.publish();
    (0..7).for_each(|number| desk.remove(&format!("service-{number}")));
    let elsewhere = [
        ("bills", "team-bills", "https://bills.apis.example.net/v1"),
        ("orders", "team-orders", "http://169.254.169.254/latest"),
        ("stock", "team-stock", "http://localhost:22"),
    ];
    for (name, owner, url) in elsewhere {
        let text = format!("root: /{name}\nowner: {owner}\nversion: 3\ndestination: {{url: '{url}'}}\n");
        std::fs::write(desk.path(&format!("registrations/{name}.yaml")), text).unwrap();
    }
    std::fs::write(
        desk.path("registrations/carts.yaml"),
        "root: /carts\nowner: team-carts\ndestnation: {url: 'https://x'}\n",
    )
    .unwrap();
    desk.publish();
    let router = Router::serve(&desk.path("out/merged.json"));
    let mut browser = open(&router, "refused");
    browser.until("document.querySelectorAll('#section-refused .rows .row').length > 4");
    let told = rows(&mut browser, "refused");
    let row = |id: &str| told.iter().find(|row| row.starts_with(id)).unwrap_or_else(|| panic!("{id}: {told:?}"));
    assert!(row("/bills#default").contains("team-bills | refused | DestinationNotAllowed"), "{told:?}");
    assert!(row("/service-0#default").contains("held | ShrinkGuard"), "{told:?}");
    keep_screenshot("refused.png", &browser.screenshot());
    browser.press("/");
    browser.write("bills");
    browser.until("document.querySelectorAll('#section-refused .rows .row').length === 1");
    browser.click("#section-refused .rows .row");
    browser.until("document.querySelector('#details').open");
    let details = browser.text("#details");
    assert!(
        details.contains("DestinationNotAllowed") && details.contains("https://bills.apis.example.net/v1"),
        "{details}"
    );
    browser.press("Escape");
    browser.eval("location.hash = 'overview'");
    let overview = browser.until("document.querySelector('#section-overview [role=alert]').innerText");
    assert!(overview.as_str().unwrap().contains("7 routes held: the registrations are gone"), "{overview}");
}

#[test]
fn two_generations_are_held_against_each_other() {
    let desk = Desk::of_three_generations();
    let router = Router::serve(&desk.path("out/merged.json"));
    let mut browser = open(&router, "changes");
    let last = browser.until("document.querySelector('#changes-result').innerText");
    assert!(last.as_str().unwrap().contains("Generation 2 → 3: 1 changed, 1 as before"), "{last}");
    browser.eval("document.querySelector('#changes-from').value = '1'");
    browser.click("#section-changes button");
    browser.until("document.querySelector('#changes-result').innerText.includes('Generation 1 → 3')");
    let told = browser.text("#changes-result");
    for part in
        ["1 added, 1 changed", "something became weaker", "/bills#default", "http://localhost:1 → http://localhost:2"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(told.contains("policies.authentication: {\"any_of\":[\"basic:ops\"]} → nothing weaker"), "{told}");
    keep_screenshot("changes.png", &browser.screenshot());
    assert_eq!(browser.seen().complaints, Vec::<String>::new());
    assert_eq!(router.admin("/api/diff?from=1&to=9").status, 404);
    assert_eq!(router.admin("/api/diff?from=1").status, 400);
    let listed = router.admin("/api/generations").json();
    let numbers: Vec<_> =
        listed["generations"].as_array().unwrap().iter().map(|one| one["generation"].as_u64()).collect();
    assert_eq!(numbers, [Some(3), Some(2), Some(1)]);
    assert_eq!(listed["generations"][2]["counts"]["routes"], 1);
}

#[test]
fn a_request_is_explained_as_the_router_would_decide_it() {
    let mut site = Site::empty();
    let (router, origin) = busy_router(&mut site);
    let mut browser = open(&router, "explain");
    browser.eval("document.querySelector('#explain-url').focus()");
    browser.write("https://api.example.com/orders/7?x=1");
    browser.press("Enter");
    let forwarded = browser.until("document.querySelector('#explain-result').innerText");
    let forwarded = forwarded.as_str().unwrap();
    assert!(forwarded.starts_with("forwarded to local by /orders#default in generation 1"), "{forwarded}");
    assert!(forwarded.contains("GET /orders/7?x=1\n") && forwarded.contains("host: localhost:"), "{forwarded}");
    keep_screenshot("explain.png", &browser.screenshot());
    browser.eval("document.querySelector('#explain-url').value = ''");
    browser.write("https://api.example.com/closed");
    browser.press("Enter");
    browser.until("document.querySelector('#explain-result').innerText.startsWith('refused')");
    let refused = browser.text("#explain-result");
    assert!(refused.starts_with("refused: 401 credentials_missing by /closed#default"), "{refused}");
    assert!(refused.contains("Cause:") && refused.contains("Do:"), "{refused}");
    assert!(origin.received().is_empty());
}

#[test]
fn dark_and_light_follow_the_system_until_somebody_chooses() {
    let mut site = Site::empty();
    let (router, _origin) = busy_router(&mut site);
    let mut browser = open(&router, "overview");
    let ground = "getComputedStyle(document.body).backgroundColor";
    let light = browser.eval(ground);
    browser.prefer("dark");
    browser.until(&format!("{ground} !== '{}'", light.as_str().unwrap()));
    browser.click("#theme");
    assert_eq!(browser.eval(ground), light);
    browser.reload();
    browser.until("document.querySelector('#glance').innerText.includes('generation')");
    assert_eq!(browser.eval(ground), light, "the choice is kept");
}

#[test]
fn a_new_generation_is_shown_as_it_comes_and_a_bad_file_is_told() {
    let mut site = Site::empty();
    let (router, origin) = busy_router(&mut site);
    let mut browser = open(&router, "routes");
    browser.until("document.querySelectorAll('#section-routes .rows .row').length === 3");
    site.publish(
        &boundary_with(&[origin.port()], ""),
        &["/new", "/newer"].map(|root| registration(root, origin.port(), "")),
    );
    browser.until("document.querySelector('#glance').innerText.includes('generation 2')");
    browser.until("document.querySelectorAll('#section-routes .rows .row').length === 2");
    assert!(rows(&mut browser, "routes")[0].starts_with("/new#default"));
    std::fs::write(site.merged(), "{").unwrap();
    browser.until("document.querySelector('#glance').innerText.includes('a newer file is not served')");
    browser.eval("location.hash = 'overview'");
    let told = browser.until("document.querySelector('#section-overview [role=alert]').innerText");
    assert!(told.as_str().unwrap().contains("The file that lies there is not served"), "{told}");
    drop(router);
    browser.until("document.querySelector('#glance').innerText.includes('no answer')");
}

#[test]
fn browsers_get_the_page_and_nobody_gets_it_for_another_site() {
    let mut site = Site::empty();
    let (_first, _origin) = busy_router(&mut site);
    let router = Router::start(&site.merged(), &[], &[("POSTERN_ROUTER_ADMIN_HOSTS", "[\"router.example.com\"]")]);
    router.until_ready();
    let ask = |host: &str, path: &str, headers: &[(&str, &str)]| {
        let request = headers
            .iter()
            .fold(Request::to_host("GET", host, path), |request, (name, value)| request.header(name, value));
        Client::connect(router.admin_address()).send(&request)
    };
    let html = ("accept", "text/html,application/xhtml+xml");
    let page = ask("admin", "/", &[html]);
    assert!(page.text().starts_with("<!doctype html>") && page.header("vary") == Some("accept"));
    let policy = page.header("content-security-policy").unwrap();
    for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe") && page.header("x-content-type-options") == Some("nosniff"));
    assert!(ask("admin", "/", &[]).text().starts_with("postern-router\n"), "whoever wants no page gets the list");
    let script = ask("admin", "/page/page.js", &[]);
    let tag = script.header("etag").unwrap().to_owned();
    assert_eq!(ask("admin", "/page/page.js", &[("if-none-match", &tag)]).status, 304);
    let routes = ask("admin", "/api/routes", &[]);
    assert_eq!(ask("admin", "/api/routes", &[("if-none-match", routes.header("etag").unwrap())]).status, 304);
    assert_eq!(ask("admin", "/page/../admin.rs", &[]).status, 404);

    // A name that now means this machine, and a site that shows a picture of us.
    for path in [
        "/", "/api/routes", "/api/overview", "/routes", "/requests", "/explain?request=GET%20https://a/",
        "/page/page.js",
    ] {
        let rebound = ask("evil.example:9901", path, &[html]);
        assert!(rebound.status == 421 && rebound.text().contains("admin_hosts"), "{path}: {}", rebound.text());
        assert_eq!(
            ask("127.0.0.1", path, &[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")]).status,
            421,
            "{path}"
        );
        assert_ne!(ask("router.example.com", path, &[]).status, 421, "{path}");
    }
    assert_eq!(
        ask("127.0.0.1", "/", &[html, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]).status,
        200
    );
    for path in ["/livez", "/readyz", "/metrics", "/snapshot", "/jwks"] {
        assert_eq!(ask("any.name.example", path, &[]).status, 200, "{path}: machines know it by any name");
    }
}

#[test]
fn the_chart_library_is_the_one_that_was_pinned() {
    use sha2::Digest;
    let folder = postern_tests::checkout().join("router/assets/admin/vendor");
    let pins = std::fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    assert_eq!(pins.lines().count(), 3);
    for line in pins.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        let found = sha2::Sha256::digest(std::fs::read(folder.join(name)).unwrap());
        let found: String = found.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(found, sum, "{name}: make vendor");
    }
}
