//! What an issuer may ask of its tokens besides, where they may stand in a request, and what is left of them behind the
//! router.

use postern_tests::{
    Answer, Origin, Received, Request, Router, Signer, Site, basic, boundary_with, registration, seconds_from_now,
};
use serde_json::{Value, json};

const ISSUER: &str = "https://login.example.com/";
const BEARER: &str = r#"Bearer realm="postern""#;

/// One issuer with these fields besides, and routes that take its tokens, a signature, passwords too, or nothing too.
struct Scene {
    origin: Origin,
    signer: Signer,
    router: Router,
    _site: Site,
}

impl Scene {
    fn new(fields: &str) -> Self {
        let (origin, signer) = (Origin::named("orders"), Signer::ec());
        let port = origin.port();
        let keys = json!({"keys": [signer.jwk()]});
        let identity = format!(
            "identity: {{jwt: [{{name: corp, issuer: '{ISSUER}', audiences: [api], jwks: {keys}, {fields}}}],
              basic: [{{name: ops, users: []}}]}}"
        );
        let ways = |root: &str, ways: &str| {
            registration(root, port, &format!("policies: {{authentication: {{any_of: {ways}}}}}"))
        };
        let site = Site::new(
            &boundary_with(&[port], &identity),
            &[
                ways("/orders", "['jwt:corp']"),
                ways("/signed", "[iam]"),
                ways("/either", "['jwt:corp', none]"),
                ways("/users", "['jwt:corp', 'basic:ops']"),
            ],
        );
        let router = Router::serve(&site.merged());
        Self { origin, signer, router, _site: site }
    }

    fn token(&self, members: &Value) -> String {
        let mut claims = json!({"iss": ISSUER, "aud": "api", "sub": "carol", "exp": seconds_from_now(600)});
        claims.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        self.signer.token(&claims)
    }

    fn bearer(&self, members: &Value) -> Answer {
        let token = format!("Bearer {}", self.token(members));
        self.router.send(&Request::new("GET", "/orders").header("authorization", &token))
    }

    fn arrives(&self, request: &Request) -> Received {
        self.router.passes(&self.origin, request)
    }

    fn refused(&self, request: &Request) -> String {
        self.router.refuses(&self.origin, request)
    }
}

fn challenge(answer: &Answer) -> (u16, &str) {
    (answer.status, answer.header("www-authenticate").unwrap_or_default())
}

#[test]
fn a_token_makes_the_claims_that_its_issuer_is_asked_for() {
    let scene = Scene::new(
        "types: [at+jwt, JWT], authorized_parties: [app, cli], scopes: [api.use, api.read],
         claims: [{claim: tenant, any_of: [a, b]}, {claim: realm.roles, any_of: [staff]}, {claim: verified, any_of: ['true']}]",
    );
    let good = json!({"azp": "cli", "tenant": "b", "realm": {"roles": ["staff"]}, "verified": true, "scp": ["api.read", "api.use"]});
    let with = |member: &str, value: Value| {
        let mut members = good.clone();
        members[member] = value;
        scene.bearer(&members)
    };
    // Twice: verified, then remembered.
    for _ in 0..2 {
        assert_eq!(scene.bearer(&good).status, 200);
        assert_eq!(with("scp", json!("api.use x api.read")).status, 200);
    }
    let invalid = r#"Bearer realm="postern", error="invalid_token", error_description="the token is not valid""#;
    for (member, value) in [
        ("azp", json!("other")),
        ("azp", json!(["cli"])),
        ("tenant", json!("c")),
        ("tenant", json!(null)),
        ("verified", json!(false)),
        ("realm", json!({"roles": ["Staff"]})),
        ("realm", json!("staff")),
        ("realm", json!({"roles": {"staff": true}})),
    ] {
        let answer = with(member, value);
        assert_eq!((challenge(&answer), answer.reason()), ((401, invalid), Some("token_invalid")), "{member}");
    }
    let lacking = with("scp", json!(["api.use"]));
    let insufficient = r#"Bearer realm="postern", error="insufficient_scope", scope="api.use api.read""#;
    assert_eq!((challenge(&lacking), lacking.reason()), ((403, insufficient), Some("scope_missing")));
    let missing = scene.router.get("/orders");
    assert_eq!((challenge(&missing), missing.reason()), ((401, BEARER), Some("credentials_missing")));
}

#[test]
fn a_token_is_taken_from_the_header_of_its_issuer_and_from_nowhere_else() {
    let scene = Scene::new("token: {header: X-Token}");
    let token = scene.token(&json!({}));
    let at = |name: &str, value: &str| Request::new("GET", "/orders?a=1&a=%20").header(name, value);
    let arrived = scene.arrives(&at("x-TOKEN", &token));
    assert_eq!((arrived.header("x-token"), arrived.target.as_str()), (None, "/orders?a=1&a=%20"));
    assert_eq!(scene.refused(&at("authorization", &format!("Bearer {token}"))), "credentials_missing");
    assert_eq!(scene.refused(&at("cookie", &format!("x-token={token}"))), "credentials_missing");
    assert_eq!(scene.refused(&at("x-token", &format!("Bearer {token}"))), "credentials_invalid");
    assert_eq!(scene.refused(&at("x-token", "")), "credentials_invalid");
    assert_eq!(scene.refused(&at("x-token", &token).header("x-token", &token)), "credentials_invalid");
    assert_eq!(scene.refused(&at("x-token", &format!("{token}x"))), "token_invalid");
    // What stands in Authorization is then between the client and the destination.
    let arrived = scene.arrives(&at("x-token", &token).header("authorization", "Custom of-the-destination"));
    assert_eq!(arrived.header("authorization"), Some("Custom of-the-destination"));
    // Where another way reads it, two credentials are two callers.
    let two = Request::new("GET", "/users").header("x-token", &token).header("authorization", &basic("a", "b"));
    assert_eq!(scene.refused(&two), "credentials_invalid");
    let kept = Scene::new("token: {header: x-token, strip: false}");
    let token = kept.token(&json!({}));
    assert_eq!(kept.arrives(&at("x-token", &token)).header("x-token"), Some(token.as_str()));
}

#[test]
fn a_token_in_a_cookie_is_taken_out_of_it() {
    let scene = Scene::new("token: {cookie: session}");
    let token = scene.token(&json!({}));
    let at = |cookie: &str| Request::new("GET", "/orders").header("cookie", cookie);
    let arrived = scene.arrives(&at(&format!("a=1; session={token}; b=\"2 3\"")).header("cookie", "c=4"));
    assert_eq!(arrived.all("cookie"), ["a=1; b=\"2 3\"", "c=4"]);
    assert_eq!(scene.arrives(&at(&format!("session={token}"))).all("cookie"), Vec::<&str>::new());
    assert_eq!(scene.refused(&at("a=1")), "credentials_missing");
    assert_eq!(scene.refused(&at(&format!("Session={token}"))), "credentials_missing");
    assert_eq!(scene.refused(&at(&format!("session={token}; session=x"))), "credentials_invalid");
    assert_eq!(scene.refused(&at(&format!("session=\"{token}\""))), "credentials_invalid");
    // Nobody need be proved there, and nobody is: nothing is taken off.
    let anonymous = scene.arrives(&Request::new("GET", "/either").header("cookie", "a=1;  b=2"));
    assert_eq!(anonymous.all("cookie"), ["a=1;  b=2"]);
    assert_eq!(scene.refused(&Request::new("GET", "/either").header("cookie", "session=x")), "token_invalid");
}

#[test]
fn a_token_in_the_query_is_taken_out_and_the_rest_stays_to_the_byte() {
    let scene = Scene::new("token: {query: access_token}");
    let token = scene.token(&json!({}));
    let to = |target: &str| Request::new("GET", target);
    for (target, arrives) in [
        (format!("/orders?access_token={token}"), "/orders"),
        (format!("/orders/%7e?a=%2F&access_token={token}&&b=+%20&a"), "/orders/%7e?a=%2F&&b=+%20&a"),
        (format!("/orders?access_tokens=x&access_token={token}"), "/orders?access_tokens=x"),
    ] {
        assert_eq!(scene.arrives(&to(&target)).target, arrives);
    }
    assert_eq!(scene.refused(&to("/orders?a=1")), "credentials_missing");
    assert_eq!(
        scene.refused(&to(&format!("/orders?access_token={token}&access_token={token}"))),
        "credentials_invalid"
    );
    assert_eq!(scene.refused(&to(&format!("/orders?access_token={token}&acces%73_token=x"))), "credentials_invalid");
    assert_eq!(scene.refused(&to("/orders?access_token=")), "credentials_invalid");
    let line = scene.router.send(&to(&format!("/orders?access_token={token}")));
    let logged = scene.router.logged(line.header("x-request-id").unwrap()).to_string();
    assert!(!logged.contains(token.rsplit_once('.').unwrap().1), "{logged}");
}

#[test]
fn what_a_client_signed_keeps_every_byte_also_what_would_be_a_token_elsewhere() {
    for fields in ["token: {query: access_token}", "token: {cookie: session}", "token: {header: x-token}"] {
        let scene = Scene::new(fields);
        let signature = "AWS4-HMAC-SHA256 Credential=AKIDTESTTESTTEST/20260101/eu-west-1/execute-api/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7";
        let target = "/signed?b=%20&access_token=x.y.z&a=+&&c&access_token=2";
        let cookie = "a=1;  session=x.y.z;b=2;";
        let request = Request::new("GET", target).header("cookie", cookie).header("x-token", "x.y.z");
        let arrived = scene.arrives(&request.header("authorization", signature));
        assert_eq!((arrived.target.as_str(), arrived.all("cookie")), (target, vec![cookie]));
        assert_eq!((arrived.header("x-token"), arrived.header("authorization")), (Some("x.y.z"), Some(signature)));
        assert_eq!(
            scene.refused(&Request::new("GET", "/signed").header("x-token", &scene.token(&json!({})))),
            "credentials_missing"
        );
    }
}

#[test]
fn two_tokens_are_refused_and_one_in_two_places_is_one() {
    let (origin, signer) = (Origin::named("orders"), Signer::ec());
    let port = origin.port();
    let keys = json!({"keys": [signer.jwk()]});
    let one = |name: &str, place: &str| {
        format!("{{name: {name}, issuer: 'https://{name}.example.com/', audiences: [api], jwks: {keys}{place}}}")
    };
    let identity = format!("identity: {{jwt: [{}, {}]}}", one("apps", ""), one("web", ", token: {cookie: session}"));
    let policies = "policies: {authentication: {any_of: ['jwt:apps', 'jwt:web']}, identity_headers: {x-user: sub}}";
    let site = Site::new(&boundary_with(&[port], &identity), &[registration("/orders", port, policies)]);
    let router = Router::serve(&site.merged());
    let token = |issuer: &str, sub: &str| {
        let issuer = format!("https://{issuer}.example.com/");
        signer.token(&json!({"iss": issuer, "aud": "api", "sub": sub, "exp": seconds_from_now(600)}))
    };
    let ask = |header: Option<&str>, cookie: Option<&str>| {
        let mut request = Request::new("GET", "/orders");
        if let Some(token) = header {
            request = request.header("authorization", &format!("Bearer {token}"));
        }
        if let Some(token) = cookie {
            request = request.header("cookie", &format!("session={token}"));
        }
        let answer = router.send(&request);
        (answer.status, answer.reason().unwrap_or_default().to_owned())
    };
    let passes = (200, String::new());
    let refused = |reason: &str| (401, reason.to_owned());
    let (apps, web) = (token("apps", "carol"), token("web", "carol"));
    assert_eq!(ask(Some(&apps), None), passes);
    assert_eq!(ask(None, Some(&web)), passes);
    assert_eq!(origin.last().header("x-user"), Some("carol"));
    // Each issuer has its place: a browser's token does not pass for an app's, nor the other way round.
    assert_eq!(ask(Some(&web), None), refused("token_invalid"));
    assert_eq!(ask(None, Some(&apps)), refused("token_invalid"));
    assert_eq!(ask(Some(&apps), Some(&web)), refused("credentials_invalid"));
    assert_eq!(ask(Some(&apps), Some(&apps)), passes);
    assert_eq!(ask(Some(&web), Some(&web)), passes);
    assert_eq!(ask(Some(&apps), Some("x")), refused("credentials_invalid"));
}
