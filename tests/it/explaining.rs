//! What `explain` says is what happens: the same requests are asked about and sent, over random tables.

use postern_tests::{
    Client, Desk, Origin, Reply, Request, Router, Signer, Site, boundary_with, registration, run, runs,
    seconds_from_now,
};
use serde_json::{Value, json};

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        // splitmix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }

    fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    fn sometimes(&mut self, in_a_hundred: usize) -> bool {
        self.below(100) < in_a_hundred
    }
}

const AUTHORIZATION: &str = "
authorization:
  policies:
    - {name: clerks, cedar: 'permit(principal, action, resource) when { principal.roles.contains(\"clerk\") };'}
    - {name: readers, cedar: 'permit(principal, action == Action::\"GET\", resource);'}
";

/// A table of registrations that lie across each other: few names, many shapes.
fn table(random: &mut Random, port: u16) -> Vec<String> {
    let roots = ["/", "/a", "/a/b", "/a/b/c", "/b", "/c", "/a/c"];
    let registrations = (0..40).map(|number| {
        let root = random.one(&roots);
        let mut match_ = serde_json::Map::new();
        if random.sometimes(40) {
            let base = root.trim_end_matches('/');
            let tail = random.one(&["/{id}", "/b", "/{id}/c", "/{rest*}", "/x/{rest*}", "/{one}/{two}"]);
            match_.insert("path".to_owned(), json!(format!("{base}{tail}")));
        }
        if random.sometimes(35) {
            match_.insert("methods".to_owned(), json!([["GET"], ["POST"], ["PUT"]][random.below(3)]));
        }
        if random.sometimes(25) {
            match_.insert("headers".to_owned(), json!({"x-api-version": random.one(&["1", "2"])}));
        }
        if random.sometimes(25) {
            match_.insert("query".to_owned(), json!({"preview": random.one(&["1", "yes"])}));
        }
        if random.sometimes(30) {
            match_.insert(
                "hosts".to_owned(),
                json!([random.one(&["api.example.com", "*.api.example.com", "b.api.example.com"])]),
            );
        }
        let mut policies = json!({"identity_headers": {"x-user": "sub", "x-scope": "scope"}});
        policies["authentication"] = match random.below(5) {
            0 => json!({"any_of": ["jwt:corp"]}),
            1 => json!({"any_of": ["jwt:corp", "none"]}),
            2 => json!({"any_of": ["jwt:corp"], "mode": "shadow"}),
            3 => json!({"any_of": ["iam"]}),
            _ => json!({"any_of": ["none"]}),
        };
        if policies["authentication"]["any_of"][0] == "jwt:corp"
            && policies["authentication"]["any_of"][1].is_null()
            && random.sometimes(60)
        {
            policies["authorization"] = match random.below(4) {
                0 => json!({"scopes": ["write"]}),
                1 => json!({"policies": ["clerks"]}),
                2 => json!({"policies": ["readers"], "mode": random.one(&["enforce", "shadow"])}),
                _ => json!({"deny": [random.one(&["127.0.0.0/8", "10.0.0.0/8"])]}),
            };
        }
        if random.sometimes(15) {
            policies["path"] = json!("raw");
        }
        if random.sometimes(20) {
            policies["body"] = json!({"max": "10B"});
        }
        let mut registration = json!({
            "root": root, "name": format!("n{number}"), "owner": "team", "match": match_, "policies": policies,
            "destination": {"url": format!("http://localhost:{port}/r{number}")},
        });
        if random.sometimes(20) && policies["authentication"]["any_of"][0] != "iam" {
            registration["rewrite"] = json!({"prefix": random.one(&["/", "/v1"])});
        }
        if policies["authentication"]["any_of"][0] == "iam" {
            registration["destination"]["url"] = json!(format!("http://localhost:{port}"));
        }
        registration.to_string()
    });
    registrations.collect()
}

/// A request in three forms: the words of `explain`, its headers, and what is sent.
struct Asked {
    line: String,
    headers: Vec<String>,
    request: Request,
}

fn request(random: &mut Random, tokens: &[String]) -> Asked {
    let host = random.one(&[
        "api.example.com", "api.example.com", "api.example.com:80", "b.api.example.com", "c.api.example.com",
        "x.b.api.example.com", "other.example.com", "API.example.com",
    ]);
    let mut path = String::new();
    for _ in 0..random.below(5) {
        path.push('/');
        path.push_str(random.one(&["a", "b", "c", "x", "7", "%41", "A", ""]));
    }
    if random.sometimes(10) {
        path.push_str(
            random.one(&["/..", "/.", "//", "/%2f", "/%2e%2e", "/a;b", "/%zz", "/%00", "/a%5cb", "/%25", "/%c3%a4"]),
        );
    }
    if path.is_empty() || random.sometimes(10) {
        path.push('/');
    }
    if random.sometimes(40) {
        path.push_str(random.one(&[
            "?preview=1", "?preview=yes", "?a=b&preview=1", "?preview=1&preview=2", "?pre%76iew=1", "?", "?preview",
        ]));
    }
    let method = random.one(&["GET", "GET", "GET", "POST", "PUT", "DELETE", "OPTIONS", "BREW"]);
    let mut headers = Vec::new();
    let mut add = |name: &str, value: &str| headers.push(format!("{name}: {value}"));
    if random.sometimes(40) {
        add("x-api-version", random.one(&["1", "2", "3", "2, 2"]));
    }
    if random.sometimes(5) {
        add("x-api-version", "2");
    }
    if random.sometimes(50) {
        let token = &tokens[random.below(tokens.len())];
        add("authorization", token);
    }
    if random.sometimes(20) {
        let name = random.one(&[
            "x-user", "X-User", "x-scope", "x-forwarded-for", "x-request-id", "forwarded", "te", "x_user", "cookie",
            "x-amzn-trace-id",
        ]);
        add(name, random.one(&["root", "10.0.0.1", "a=b", "trailers"]));
    }
    if random.sometimes(8) {
        add("connection", random.one(&["x-api-version", "close", "keep-alive", "authorization, te"]));
    }
    let line = format!("{method} http://{host}{path}");
    let mut request = Request::to_host(method, host, &path);
    for header in &headers {
        let (name, value) = header.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    if random.sometimes(20) {
        let body = "x".repeat(random.below(20));
        headers.push(format!("content-length: {}", body.len()));
        request = request.body(body);
    }
    Asked { line, headers, request }
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn explained(admin: &mut Client, asked: &Asked) -> Result<Value, String> {
    let headers: String = asked.headers.iter().map(|header| format!("&header={}", escaped(header))).collect();
    let target = format!("/explain?request={}{headers}", escaped(&asked.line));
    let answer = admin.send(&Request::to_host("GET", "admin", &target));
    if answer.status == 200 { Ok(serde_json::from_slice(&answer.body).unwrap()) } else { Err(answer.text()) }
}

/// Headers whose values nobody can tell before: the request's id, and how the body is framed.
fn comparable(headers: &Value) -> Vec<(String, String)> {
    let pair = |pair: &Value| (pair[0].as_str().unwrap().to_lowercase(), pair[1].as_str().unwrap().to_owned());
    let mut headers: Vec<_> = headers.as_array().unwrap().iter().map(pair).collect();
    headers.retain(|(name, _)| !["x-request-id", "content-length", "transfer-encoding"].contains(&name.as_str()));
    headers.sort();
    headers
}

/// Sends what was asked about, and holds one against the other. Whether it was forwarded.
fn compare(client: &mut Client, admin: &mut Client, asked: &Asked) -> Option<String> {
    let explanation = explained(admin, asked);
    let answer = client.send(&asked.request);
    let about = || format!("{} {:?}\n{explanation:?}\n{answer:?}", asked.line, asked.headers);
    let explanation = match &explanation {
        Ok(explanation) => explanation,
        // No request at all: the router says the same, in its own way.
        Err(_) => {
            assert!((400..500).contains(&answer.status) && answer.reason().is_some(), "{}", about());
            return answer.reason().map(str::to_owned);
        }
    };
    match explanation["reason"].as_str() {
        Some(reason) => {
            assert_eq!(answer.reason(), Some(reason), "{}", about());
            assert_eq!(explanation["status"], answer.status, "{}", about());
        }
        None => {
            assert_eq!((answer.status, answer.reason()), (200, None), "{}", about());
            let received: Value = serde_json::from_slice(&answer.body).unwrap();
            let forwarded = &explanation["forwarded"];
            assert_eq!(forwarded["method"], received["method"], "{}", about());
            assert_eq!(forwarded["target"], received["target"], "{}", about());
            assert_eq!(comparable(&forwarded["headers"]), comparable(&received["headers"]), "{}", about());
        }
    }
    answer.reason().map(str::to_owned)
}

#[test]
fn what_is_explained_is_what_happens() {
    let total = runs("pairs of a table and a request", 6_000, 1_000_000);
    let requests = if total > 6_000 { 10_000 } else { 1_000 };
    let signer = Signer::ed();
    let token = |claims: Value| format!("Bearer {}", signer.token(&claims));
    let good = json!({"iss": "https://corp", "aud": "api", "exp": seconds_from_now(36_000), "sub": "alice"});
    let with = |more: Value| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        token(claims)
    };
    let tokens = [
        with(json!({})),
        with(json!({"scope": "read write"})),
        with(json!({"roles": ["clerk"]})),
        with(json!({"exp": 1})),
        with(json!({"aud": "other"})),
        "Bearer nonsense".to_owned(),
        "Basic YTpi".to_owned(),
        "AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-west-1/execute-api/aws4_request, SignedHeaders=host;x-amz-date, Signature=00".to_owned(),
    ];
    let identity = format!(
        "identity: {{jwt: [{{name: corp, issuer: 'https://corp', audiences: [api], jwks: {{keys: [{}]}}}}]}}\n{AUTHORIZATION}",
        signer.jwk()
    );
    let mut reasons = std::collections::BTreeMap::<Option<String>, usize>::new();
    for number in 0..total / requests {
        let mut random = Random(number as u64);
        let origin = Origin::start(|received| {
            Reply::ok(
                json!({"method": received.method, "target": received.target, "headers": received.headers}).to_string(),
            )
        });
        let table = table(&mut random, origin.port());
        let paths = "paths: [{prefix: /}, {prefix: /a/c, require: {authentication: {any_of: ['jwt:corp', iam]}}}]\n";
        let desk = Desk::new();
        let boundary = boundary_with(&[origin.port()], &format!("{identity}{paths}"));
        std::fs::write(desk.path("boundary.yaml"), boundary).unwrap();
        std::fs::write(desk.path("registrations/all.json"), format!("[{}]", table.join(","))).unwrap();
        // What asks for less than the boundary demands, or for what cannot be, is refused; the rest is the table.
        desk.publish();
        let router = Router::serve(&desk.path("out/merged.json"));
        router.until_generation(1);
        assert!(router.snapshot()["routes"].as_u64().unwrap() > 15, "{}", router.snapshot());
        let mut admin = Client::connect(router.admin_address());
        let mut client = router.client();
        for _ in 0..requests {
            let asked = request(&mut random, &tokens);
            let reason = compare(&mut client, &mut admin, &asked);
            // After a refusal the router may end the connection; a new one costs little.
            if reason.is_some() || asked.headers.iter().any(|header| header == "connection: close") {
                client = router.client();
            }
            *reasons.entry(reason).or_default() += 1;
        }
    }
    // A run in which hardly anything passed, or hardly anything was refused, would show little.
    let forwarded = reasons.get(&None).copied().unwrap_or(0);
    assert!(forwarded * 10 > total && reasons.len() > 12, "{reasons:?}");
    println!("{reasons:?}");
}

/// A place with rules of every layer, and what `explain` says there.
fn told(words: &[&str]) -> String {
    let boundary = boundary_with(
        &[1],
        "identity: {jwt: [{name: corp, issuer: 'https://corp', audiences: [api], roles_claim: realm.roles, jwks_url: 'https://corp/keys'}]}
paths: [{prefix: /}, {prefix: /pay, require: {authentication: {any_of: ['jwt:corp']}}}]
defaults: {policies: {body: {max: 1MiB}, timeouts: {total: 60s}}}
overrides: {policies: {timeouts: {connect: 1s}, authorization: {deny: ['192.0.2.0/24']}}}
",
    );
    let route = |root: &str, more: &str| registration(root, 1, more);
    let site = Site::new(
        &boundary,
        &[
            route("/", ""),
            route("/orders", "policies: {body: {max: 2MiB}}\nlease_until: 2030-01-01T00:00:00Z"),
            route("/orders", "name: get\nmatch: {methods: [GET]}"),
            route("/pay", "policies: {authorization: {roles: [clerk]}, identity_headers: {x-user: sub}}"),
        ],
    );
    std::fs::write(site.path().join("claims.json"), r#"{"sub": "alice", "realm": {"roles": ["clerk"]}}"#).unwrap();
    std::fs::write(site.path().join("odd.json"), "[]").unwrap();
    let file = site.merged().display().to_string();
    let words: Vec<String> = words.iter().map(|word| word.replace("DIR", &site.path().display().to_string())).collect();
    let arguments: Vec<&str> = ["explain", &file].into_iter().chain(words.iter().map(String::as_str)).collect();
    let done = run("postern-router", &arguments);
    format!("{}{}", done.out, done.err)
}

#[test]
fn runners_up_and_the_layer_of_each_policy_are_told() {
    let told_ = told(&["GET https://api.example.com/orders/1"]);
    for line in [
        "match        /orders#get answers, of team",
        "match        /orders#default would as well, and comes after it: it asks for less, or came later",
        "match        /#default would as well, and comes after it: the path is less specific",
        "policies     timeouts.connect from override, timeouts.total from default, body.max from default",
        "limit        a body of at most 1048576 bytes; to connect 1s, first byte within 35s, silence of 60s, the whole within 60s",
    ] {
        assert!(told_.contains(line), "{line}\n{told_}");
    }
    let told_ = told(&["POST https://api.example.com/orders", "-H", "content-length: 3000000"]);
    assert!(told_.contains("body.max from registration") && told_.contains("refused      body_too_large"), "{told_}");
    assert!(told(&["GET https://api.example.com/pay"]).contains("authentication from rule /pay"));
}

#[test]
fn a_caller_a_time_and_an_address_can_be_assumed() {
    let pay = "GET https://api.example.com/pay";
    assert!(told(&[pay]).contains("refused      credentials_missing"));
    let as_alice = told(&[pay, "--as", "DIR/claims.json"]);
    assert!(as_alice.contains("alice by jwt:corp") && as_alice.contains("x-user: alice"), "{as_alice}");
    let denied = told(&[pay, "--as", "DIR/claims.json", "--client", "192.0.2.7"]);
    assert!(denied.contains("refused      address_denied"), "{denied}");
    assert!(told(&["POST https://api.example.com/orders"]).contains("/orders#default answers"));
    let later = told(&["POST https://api.example.com/orders", "--at", "2031-01-01T00:00:00Z"]);
    assert!(later.contains("/orders#default is passed over: its lease has ended"), "{later}");
    assert!(told(&[pay, "--as", "DIR/odd.json"]).contains("the claims are no JSON object"));
    assert!(told(&[pay, "--as", "DIR/nothing.json"]).contains("nothing.json"));
}
