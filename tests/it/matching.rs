//! Which route answers, and what those are told whom none answers.

use postern_tests::{Answer, Client, HOST, Origin, Request, Router, Site, boundary_with};

/// Routes that each lead to a path of their own name at one echoing origin, so that an answer tells who gave it.
struct Scene {
    origin: Origin,
    router: Router,
    _site: Site,
}

impl Scene {
    /// `routes` are `(root, name, more YAML)`.
    fn new(more: &str, routes: &[(&str, &str, &str)]) -> Self {
        let origin = Origin::named("at");
        let registrations: Vec<String> = routes
            .iter()
            .map(|(root, name, more)| {
                let url = format!("http://localhost:{}/{name}", origin.port());
                format!("root: {root}\nname: {name}\nowner: team\ndestination: {{url: '{url}'}}\n{more}\n")
            })
            .collect();
        let site = Site::new(&boundary_with(&[origin.port()], more), &registrations);
        let router = Router::serve(&site.merged());
        Self { origin, router, _site: site }
    }

    /// The name of the route that answered, or the reason why none did.
    fn asked(&self, request: &Request) -> String {
        let answer = self.router.send(request);
        match answer.reason() {
            Some(reason) => reason.to_owned(),
            None => answer.text().split('/').nth(1).unwrap().to_owned(),
        }
    }

    fn get(&self, path: &str) -> String {
        self.asked(&Request::new("GET", path))
    }
}

fn assert_problem(answer: &Answer, status: u16, reason: &str) {
    assert_eq!((answer.status, answer.reason()), (status, Some(reason)));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let problem = answer.json();
    assert_eq!((&problem["status"], &problem["reason"]), (&status.into(), &reason.into()));
    assert_eq!(problem["request_id"].as_str(), answer.header("x-request-id"));
    for field in ["type", "title", "detail"] {
        assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{field} of {problem}");
    }
}

#[test]
fn an_exact_host_comes_before_a_wildcard_and_any_host_last() {
    let scene = Scene::new(
        "",
        &[
            ("/", "exact", "match: {hosts: [a.api.example.com]}"),
            ("/", "wildcard", "match: {hosts: ['*.api.example.com']}"),
            ("/", "any", ""),
            ("/orders", "deeper", ""),
        ],
    );
    let at = |host: &str, path: &str| scene.asked(&Request::to_host("GET", host, path));
    assert_eq!(at("a.api.example.com", "/"), "exact");
    assert_eq!(at("b.api.example.com", "/"), "wildcard");
    assert_eq!(at("api.example.com", "/"), "any");
    // The host counts more than the path.
    assert_eq!(at("a.api.example.com", "/orders/1"), "exact");
    assert_eq!(at("api.example.com", "/orders/1"), "deeper");
    for host in ["A.API.Example.COM", "a.api.example.com:8443", "A.api.example.com:80"] {
        assert_eq!(at(host, "/"), "exact", "{host}");
    }
    // A wildcard is one label.
    assert_eq!(at("b.a.api.example.com", "/"), "host_not_listed");
}

#[test]
fn an_exact_path_comes_before_templates_and_those_before_prefixes() {
    let scene = Scene::new(
        "",
        &[
            ("/", "everything", ""),
            ("/orders", "prefix", ""),
            ("/orders", "latest", "match: {path: /orders/latest}"),
            ("/orders", "one", "match: {path: '/orders/{id}'}"),
            ("/orders", "items", "match: {path: '/orders/{id}/items/{rest*}'}"),
            ("/orders", "first-item", "match: {path: '/orders/{id}/items/1'}"),
            ("/orders/archive", "archive", ""),
        ],
    );
    for (path, name) in [
        ("/", "everything"),
        ("/ordersx", "everything"),
        ("/Orders", "everything"),
        ("/orders", "prefix"),
        ("/orders/", "prefix"),
        ("/orders/latest", "latest"),
        ("/orders/latest/x", "prefix"),
        ("/orders/7", "one"),
        ("/orders/7/", "prefix"),
        ("/orders/7/items/1", "first-item"),
        ("/orders/7/items/2", "items"),
        ("/orders/7/items/2/3/4", "items"),
        ("/orders/7/notes", "prefix"),
        ("/orders/archive/7", "archive"),
        ("/orders/archive/7/8/9", "archive"),
        ("/orders/archiver", "one"),
        ("/%6Frders/lat%65st", "latest"),
    ] {
        assert_eq!(scene.get(path), name, "{path}");
        assert!(scene.origin.last().target.ends_with(path), "{path} went on as {}", scene.origin.last().target);
    }
}

#[test]
fn methods_headers_and_query_narrow_in_this_order() {
    let scene = Scene::new(
        "",
        &[
            ("/a", "plain", ""),
            ("/a", "post", "match: {methods: [POST]}"),
            ("/a", "header", "match: {headers: {x-version: '2'}}"),
            ("/a", "two-headers", "match: {headers: {x-version: '2', x-beta: 'yes'}}"),
            ("/a", "query", "match: {query: {preview: '1'}}"),
            ("/a", "two-queries", "match: {query: {preview: '1', q: 'a b'}}"),
        ],
    );
    let get = |path: &str| Request::new("GET", path);
    for (request, name) in [
        (get("/a"), "plain"),
        (Request::new("POST", "/a").body(""), "post"),
        (Request::new("POST", "/a").header("x-version", "2").body(""), "post"),
        (get("/a").header("x-version", "2"), "header"),
        (get("/a").header("X-VERSION", "2"), "header"),
        (get("/a").header("x-version", "3"), "plain"),
        (get("/a").header("x-version", "2").header("x-beta", "yes"), "two-headers"),
        (get("/a?preview=1"), "query"),
        (get("/a?preview=1&q=a+b"), "two-queries"),
        (get("/a?q=a%20b&preview=1"), "two-queries"),
        (get("/a?preview=10"), "plain"),
        (get("/a?Preview=1"), "plain"),
        (get("/a?preview=1").header("x-version", "2"), "header"),
    ] {
        assert_eq!(scene.asked(&request), name, "{request:?}");
    }
}

#[test]
fn a_method_that_no_route_takes_is_told_which_ones_are() {
    let scene =
        Scene::new("", &[("/a", "read", "match: {methods: [GET, HEAD]}"), ("/a", "write", "match: {methods: [PUT]}")]);
    let answer = scene.router.send(&Request::new("DELETE", "/a"));
    assert_problem(&answer, 405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("GET, HEAD, PUT"));
    for method in ["CONNECT", "TRACE"] {
        let mut client = scene.router.client();
        client.write(&Request::new(method, "/a").bytes()).unwrap();
        // A proxy's own methods: never routed, and never answered as if they were.
        assert!(client.read(false).is_ok_and(|answer| answer.status == 501 || answer.status == 400), "{method}");
    }
    assert!(scene.origin.received().is_empty());
}

#[test]
fn what_no_route_or_host_answers_is_a_problem_with_a_reason() {
    let scene = Scene::new("", &[("/a", "a", "")]);
    assert_problem(&scene.router.get("/b"), 404, "route_not_found");
    let to = |host: &str| scene.router.send(&Request::to_host("GET", host, "/a"));
    for host in ["other.example.com", "example.com", "xapi.example.com", "127.0.0.1", "127.0.0.1:8080", "localhost"] {
        assert_problem(&to(host), 421, "host_not_listed");
    }
    for host in [
        "api.example.com.", "api.example.com:x", "api.example.com:", "api.example.com:123456", "api..example.com",
        "api.example.com/a", "user@api.example.com", "api.example.com, api.example.com", "api_x.example.com",
        "[::1]:80", "-a.example.com", "api.example.com:80:80",
    ] {
        let answer = to(host);
        assert!(matches!(answer.reason(), Some("host_invalid" | "host_not_listed")), "{host}: {:?}", answer.reason());
        assert!(matches!(answer.status, 400 | 421), "{host}");
    }
    assert_problem(&to("api.example.com:x"), 400, "host_invalid");
    let raw = |bytes: &str| {
        let mut client = Client::connect(scene.router.address());
        client.write(bytes.as_bytes()).unwrap();
        client.read(false).unwrap()
    };
    assert_problem(&raw("GET /a HTTP/1.1\r\n\r\n"), 400, "host_missing");
    assert_problem(&raw(&format!("GET /a HTTP/1.1\r\nhost: {HOST}\r\nhost: {HOST}\r\n\r\n")), 400, "host_missing");
    assert_problem(
        &raw(&format!("GET http://other.example.com/a HTTP/1.1\r\nhost: {HOST}\r\n\r\n")),
        400,
        "host_invalid",
    );
    assert_problem(&raw(&format!("OPTIONS * HTTP/1.1\r\nhost: {HOST}\r\n\r\n")), 400, "bad_request");
    assert_eq!(raw(&format!("GET http://{HOST}/a HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).status, 200);
    assert_eq!(scene.origin.received().len(), 1);
}

const TWO_READINGS: [&str; 30] = [
    "/a/../b", "/a/..", "/a/./b", "/a/.", "/a/%2e%2e/b", "/a/%2E%2e/b", "/a/.%2e/b", "/a/%2e/b", "/a//b", "//a",
    "/a/b//", "/a/b%2fc", "/a/b%2Fc", "/a/b%5cc", "/a/b\\c", "/a/b;c=d", "/a/..;/b", "/a/b%00", "/a/b%0a",
    "/a/b%0d%0ac", "/a/b%", "/a/b%2", "/a/b%zz", "/a/b%252e", "/a/b%25%32%65", "/a/%252f", "/a/b%7f",
    "/a/%c0%ae%c0%ae/../x", "/a/b\"c", "/a/<b>",
];

#[test]
fn a_path_with_two_readings_is_refused_and_goes_nowhere() {
    let scene = Scene::new("", &[("/", "everything", ""), ("/a", "a", "")]);
    for path in TWO_READINGS {
        let answer = scene.router.get(path);
        match answer.reason() {
            Some(_) => assert_problem(&answer, 400, "path_ambiguous"),
            // What is no target at all is refused before the router sees it.
            None => assert_eq!((answer.status, answer.body.len()), (400, 0), "{path}"),
        }
    }
    assert!(scene.origin.received().is_empty());
}

#[test]
fn a_raw_route_takes_such_paths_below_its_root_byte_for_byte_and_only_there() {
    let scene = Scene::new("", &[("/", "everything", ""), ("/a", "raw", "policies: {path: raw}")]);
    for path in
        ["/a/x%2fy", "/a/x//y", "/a/x;y=z", "/a/x%252e", "/a/x/../y", "/a/%2e%2e/%2e%2e/etc", "/a/x%zz", "/a/x%00"]
    {
        let answer = scene.router.get(path);
        assert_eq!(answer.status, 200, "{path}: {:?}", answer.reason());
        assert_eq!(scene.origin.last().target, format!("/raw{path}"));
    }
    let seen = scene.origin.received().len();
    // The root itself must have one reading, or it would be another's.
    for path in ["/%2e/a/x", "//a/x", "/x/../a/x", "/a%2fx", "/%61%2fx", "/b/x%2fy", "/a;x/y"] {
        assert_eq!(scene.router.get(path).status, 400, "{path}");
    }
    assert_eq!(scene.origin.received().len(), seen);
}

#[test]
fn a_raw_route_cannot_be_talked_into_what_lies_below_it() {
    let scene = Scene::new("", &[("/a", "raw", "policies: {path: raw}"), ("/a/b", "strict", "")]);
    for path in ["/a/x/../b", "/a/x/%2e%2e/b", "/a//b", "/a/%2e/b/c", "/a/b%2fc", "/a/b/../c"] {
        assert_eq!(scene.get(path), "path_ambiguous", "{path}");
    }
    assert!(scene.origin.received().is_empty());
    assert_eq!((scene.get("/a/x"), scene.get("/a/b")), ("raw".to_owned(), "strict".to_owned()));
}

#[test]
fn a_rewrite_replaces_the_root_or_the_whole_path_and_never_the_query() {
    let scene = Scene::new(
        "",
        &[
            ("/strip", "s", "rewrite: {prefix: /}"),
            ("/deep/er", "d", "rewrite: {prefix: /v1}"),
            ("/keep", "k", ""),
            ("/items", "t", "match: {path: '/items/{id}/parts/{rest*}'}\nrewrite: {path: '/v2/{rest*}'}"),
            ("/users", "u", "match: {path: '/users/{team}/{id}'}\nrewrite: {path: '/{id}/of/{team}'}"),
        ],
    );
    for (path, target) in [
        ("/strip", "/s"),
        ("/strip/", "/s/"),
        ("/strip/a/b?x=%2F&y", "/s/a/b?x=%2F&y"),
        ("/strip?x=1", "/s?x=1"),
        ("/%73trip/%7Ea", "/s/%7Ea"),
        ("/deep/er", "/d/v1"),
        ("/deep/er/a//?q", "path_ambiguous"),
        ("/deep/er/a/?q=//", "/d/v1/a/?q=//"),
        ("/keep/a?b", "/k/keep/a?b"),
        ("/items/7/parts/a/b%20c?x", "/t/v2/a/b%20c?x"),
        ("/users/red/%C3%A9?x", "/u/%C3%A9/of/red?x"),
    ] {
        let answer = scene.router.get(path);
        match answer.reason() {
            Some(reason) => assert_eq!(reason, target, "{path}"),
            None => assert_eq!(scene.origin.last().target, target, "{path}"),
        }
    }
}

#[test]
fn weights_share_requests_out_and_zero_gets_none() {
    let origins = [Origin::named("heavy"), Origin::named("light"), Origin::named("none")];
    let ports: Vec<u16> = origins.iter().map(Origin::port).collect();
    let site = Site::new(
        &boundary_with(&ports, ""),
        &[format!(
            "{{root: /, owner: team, destinations: [{{url: 'http://localhost:{}', weight: 90}}, \
             {{url: 'http://localhost:{}', weight: 10}}, {{url: 'http://localhost:{}', weight: 0}}]}}",
            ports[0], ports[1], ports[2]
        )],
    );
    let router = Router::serve(&site.merged());
    let mut client = router.client();
    let requests = 2_000;
    for _ in 0..requests {
        assert_eq!(client.send(&Request::new("GET", "/")).status, 200);
    }
    let shares: Vec<usize> = origins.iter().map(|origin| origin.received().len()).collect();
    assert_eq!((shares.iter().sum::<usize>(), shares[2]), (requests, 0));
    // Six standard deviations around a tenth: once in a billion runs by chance.
    assert!((120..=280).contains(&shares[1]), "shares {shares:?}");
}

#[test]
fn a_route_for_everything_does_not_reach_below_a_rule_of_the_boundary_that_lies_deeper() {
    let scene = Scene::new("paths: [{prefix: /}, {prefix: /admin, owners: [operations]}]", &[("/", "everything", "")]);
    assert_eq!(scene.get("/"), "everything");
    assert_eq!(scene.get("/administrator"), "everything");
    for path in ["/admin", "/admin/", "/admin/users", "/%61dmin/users"] {
        assert_eq!(scene.get(path), "route_not_found", "{path}");
    }
    for path in ["/x/../admin", "//admin", "/admin%2fusers", "/./admin"] {
        assert_eq!(scene.get(path), "path_ambiguous", "{path}");
    }
}

#[test]
fn a_lease_ends_by_itself() {
    let past = "lease_until: 2020-01-01T00:00:00Z";
    let future = "lease_until: 2099-01-01T00:00:00Z";
    let scene =
        Scene::new("", &[("/a", "ended", past), ("/b", "holds", future), ("/a/b", "ended", past), ("/", "else", "")]);
    assert_eq!((scene.get("/a/b"), scene.get("/b")), ("else".to_owned(), "holds".to_owned()));
}

#[test]
fn a_name_with_a_twin_is_refused() {
    let scene = Scene::new("", &[("/", "everything", "")]);
    for name in ["x_user_id", "x.user.id", "content_length", "transfer_encoding"] {
        assert_problem(&scene.router.send(&Request::new("GET", "/").header(name, "1")), 400, "header_invalid");
    }
    assert!(scene.origin.received().is_empty());
}
