//! Who may do what: scopes, roles, networks and policies, and what is said of it in answers, logs, metrics, `explain`
//! and conditions.

use postern_tests::{
    Answer, Origin, Request, Router, Signer, Site, Syncer, basic, boundary_with, eventually, registration, run,
    seconds_from_now,
};
use serde_json::{Value, json};

/// Of the password "correct horse".
const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";
const ISSUER: &str = "https://login.example.com/";
const JWT: &str = "authentication: {any_of: ['jwt:corp']}";

/// A router before one origin, with a signer whose tokens it takes.
struct Scene {
    origin: Origin,
    signer: Signer,
    site: Site,
    router: Router,
}

/// The identity that all scenes share, with more of the boundary behind it.
fn boundary(origin: &Origin, signer: &Signer, more: &str) -> String {
    let keys = json!({"keys": [signer.jwk()]});
    let identity = format!(
        "identity: {{jwt: [{{name: corp, issuer: '{ISSUER}', audiences: [api], roles_claim: realm.roles, jwks: {keys}}}],
           basic: [{{name: ops, users: [{{name: bob, hash: '{BCRYPT}', scopes: [read], roles: [auditor]}}]}}]}}\n"
    );
    boundary_with(&[origin.port()], &format!("{identity}{more}"))
}

impl Scene {
    /// `/orders` with these policies, as flow YAML.
    fn new(more: &str, policies: &str) -> Self {
        Self::of(more, &format!("policies: {{{policies}}}"), &[])
    }

    /// `/orders` registered like this, with a router in this environment.
    fn of(more: &str, registered: &str, environment: &[(&str, &str)]) -> Self {
        let (origin, signer) = (Origin::named("orders"), Signer::ed());
        let text = boundary(&origin, &signer, more);
        let site = Site::new(&text, &[registration("/orders", origin.port(), registered)]);
        let router = Router::start(&site.merged(), &[], environment);
        router.until_ready();
        Self { origin, signer, site, router }
    }

    fn token(&self, more: &Value) -> String {
        let mut claims = json!({"iss": ISSUER, "aud": "api", "sub": "carol", "exp": seconds_from_now(600)});
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        format!("Bearer {}", self.signer.token(&claims))
    }

    fn ask(&self, method: &str, path: &str, claims: &Value) -> Answer {
        self.router.send(&Request::new(method, path).header("authorization", &self.token(claims)))
    }

    /// What the access log says of an answer.
    fn logged(&self, answer: &Answer) -> Value {
        self.router.logged(answer.header("x-request-id").unwrap())
    }
}

/// Status and reason.
fn told(answer: &Answer) -> (u16, Option<&str>) {
    (answer.status, answer.reason())
}

const DENIED: (u16, Option<&str>) = (403, Some("policy_denied"));

#[test]
fn policies_permit_and_forbid_and_are_named_in_the_log_alone() {
    let scene = Scene::new(
        "authorization:
  groups: [{name: admins, members: ['jwt:corp#carol', 'basic:ops#bob']}]
  policies:
    - name: readers
      cedar: 'permit(principal, action == Action::\"GET\", resource);'
    - name: admins
      cedar: |
        @id(\"change\") permit(principal in Group::\"admins\", action, resource);
        @id(\"no-deletes\") forbid(principal, action == Action::\"DELETE\", resource);
",
        &format!("{JWT}, authorization: {{policies: [readers, admins]}}"),
    );
    let carol = json!({});
    let dave = json!({"sub": "dave"});
    for (caller, method, expected, policy) in [
        (&dave, "GET", (200, None), "registration:readers"),
        (&carol, "POST", (200, None), "registration:admins/change"),
        (&dave, "POST", DENIED, "registration:policies"),
        (&carol, "DELETE", DENIED, "registration:admins/no-deletes"),
        (&dave, "PURGE", DENIED, "registration:policies"),
    ] {
        let answer = scene.ask(method, "/orders/1", caller);
        assert_eq!(told(&answer), expected, "{method}: {}", answer.text());
        assert_eq!(scene.logged(&answer)["policy"], policy, "{method}");
        assert!(!answer.text().contains("admins") && !answer.text().contains("forbid"), "{}", answer.text());
    }
    // A group's member is one by that proof alone.
    let token = scene.token(&json!({"sub": "bob"}));
    assert_eq!(told(&scene.router.send(&Request::new("POST", "/orders").header("authorization", &token))), DENIED);
    assert_eq!(scene.origin.received().len(), 2);
}

#[test]
fn a_path_variable_must_be_the_callers_own() {
    let tenant = "permit(principal, action, resource) when { principal.claims has tenant && principal.claims.tenant == \
                  context.vars.tenant };";
    let registered = format!(
        "match: {{path: '/orders/{{tenant}}/{{rest*}}'}}\npolicies: {{{JWT}, authorization: {{cedar: '{tenant}'}}}}"
    );
    let more = "authorization: {claims: [{name: tenant, type: string}]}";
    let scene = Scene::of(more, &registered, &[]);
    let t1 = json!({"tenant": "t1"});
    assert_eq!(scene.ask("GET", "/orders/t1/items", &t1).status, 200);
    assert_eq!(told(&scene.ask("GET", "/orders/t2/items", &t1)), DENIED);
    assert_eq!(scene.ask("GET", "/orders/j%C3%BCrgen/items", &json!({"tenant": "jürgen"})).status, 200);
    assert_eq!(told(&scene.ask("GET", "/orders/t1/items", &json!({}))), DENIED);
    // Of another type is not the same as not there.
    let odd = scene.ask("GET", "/orders/t1/items", &json!({"tenant": ["t1"]}));
    assert_eq!(told(&odd), DENIED);
    assert_eq!(scene.logged(&odd)["detail"], "the claim tenant is of another type");
    for path in ["/orders/t2/../t1/items", "/orders/%741/items", "/orders/t1%2F../t2/items"] {
        let answer = scene.ask("GET", path, &t1);
        assert!(answer.status != 200 || scene.origin.received().last().unwrap().target == path, "{path}");
    }
}

#[test]
fn a_window_of_time_is_open_and_closed() {
    let year = |from: i32, to: i32| {
        format!(
            "permit(principal, action, resource) when {{ context.now > datetime(\"{from}-01-01\") && context.now < datetime(\"{to}-01-01\") }};"
        )
    };
    for (text, expected) in [(year(2020, 2120), (200, None)), (year(2020, 2021), DENIED), (year(2120, 2121), DENIED)] {
        let scene = Scene::new("", &format!("authorization: {{cedar: '{text}'}}"));
        assert_eq!(told(&scene.router.get("/orders")), expected, "{text}");
    }
}

#[test]
fn networks_are_asked_of_the_client_that_trusted_proxies_vouch_for() {
    let policy = "policies: {authorization: {allow: ['192.0.2.0/24', '2001:db8::/32'], deny: [192.0.2.66]}}";
    let denied = (403, Some("address_denied"));
    let through = |scene: &Scene, client: &str| {
        let request = Request::new("GET", "/orders").header("x-forwarded-for", client);
        told(&scene.router.send(&request)).0
    };
    let trusting = Scene::of("", policy, &[("POSTERN_ROUTER_TRUSTED_PROXIES", "[\"127.0.0.0/8\"]")]);
    for (client, status) in [("192.0.2.1", 200), ("2001:db8::7", 200), ("192.0.2.66", 403), ("198.51.100.1", 403)] {
        assert_eq!(through(&trusting, client), status, "{client}");
    }
    // What the client itself wrote stands further to the left.
    assert_eq!(through(&trusting, "192.0.2.1, 198.51.100.1"), 403);
    let strict = Scene::of("", policy, &[]);
    assert_eq!(through(&strict, "192.0.2.1"), 403);
    let answer = strict.router.get("/orders");
    assert_eq!(told(&answer), denied);
    assert_eq!(strict.logged(&answer)["policy"], "registration:addresses");
    assert!(!answer.text().contains("127.0.0.1"));
}

#[test]
fn one_of_the_roles_is_enough_and_comes_from_where_the_issuer_says() {
    let scene =
        Scene::new("", "authentication: {any_of: ['jwt:corp', 'basic:ops']}, authorization: {roles: [auditor, admin]}");
    let missing = (403, Some("role_missing"));
    for (claims, expected) in [
        (json!({"realm": {"roles": ["x", "admin"]}}), (200, None)),
        (json!({"realm": {"roles": "auditor"}}), (200, None)),
        (json!({"realm": {"roles": ["x"]}}), missing),
        (json!({"roles": ["admin"]}), missing),
        (json!({"realm": {"roles": {"admin": true}}}), missing),
        (json!({"realm": {"roles": ["admin", 1]}}), missing),
        (json!({}), missing),
    ] {
        let answer = scene.ask("GET", "/orders", &claims);
        assert_eq!(told(&answer), expected, "{claims}");
        assert_eq!(answer.header("www-authenticate"), None);
    }
    let bob = Request::new("GET", "/orders").header("authorization", &basic("bob", "correct horse"));
    assert_eq!(scene.router.send(&bob).status, 200);
}

#[test]
fn layers_add_up_and_no_registration_takes_one_away() {
    let layers = "
authorization:
  policies:
    - {name: all, cedar: 'permit(principal, action, resource);'}
    - {name: no-deletes, cedar: 'permit(principal, action, resource); @id(\"delete\") forbid(principal, action == Action::\"DELETE\", resource);'}
overrides: {policies: {authorization: {policies: [no-deletes]}}}
defaults: {policies: {authorization: {roles: [staff]}}}
paths: [{prefix: /orders, require: {authentication: {any_of: ['jwt:corp']}, authorization: {scopes: [orders]}}}]
";
    let staff = json!({"scope": "orders", "realm": {"roles": ["staff"]}});
    for own in [
        "{}", "{policies: [all]}", "{policies: [all], mode: shadow}", "{policies: [all], mode: \"off\"}",
        "{mode: \"off\"}",
    ] {
        let scene = Scene::new(layers, &format!("authorization: {own}"));
        assert_eq!(told(&scene.ask("GET", "/orders", &staff)), (200, None), "{own}");
        let deleted = scene.ask("DELETE", "/orders", &staff);
        assert_eq!(told(&deleted), DENIED, "{own}");
        assert_eq!(scene.logged(&deleted)["policy"], "override:no-deletes/delete");
        let unscoped = scene.ask("GET", "/orders", &json!({"realm": {"roles": ["staff"]}}));
        assert_eq!(told(&unscoped), (403, Some("scope_missing")), "{own}");
        assert!(unscoped.header("www-authenticate").unwrap().contains("scope=\"orders\""));
        assert_eq!(
            told(&scene.ask("GET", "/orders", &json!({"scope": "orders"}))),
            (403, Some("role_missing")),
            "{own}"
        );
    }
}

#[test]
fn what_is_tried_out_is_counted_and_logged_and_refuses_nobody() {
    let scene = Scene::new(
        "overrides: {policies: {authorization: {mode: shadow, roles: [admin]}}}",
        "authentication: {any_of: ['jwt:corp'], mode: shadow}, identity_headers: {x-user: sub},
         authorization: {mode: shadow, cedar: 'forbid(principal, action, resource) when { context.method == \"POST\" }; permit(principal, action, resource);'}",
    );
    let answer = scene.ask("POST", "/orders", &json!({}));
    assert_eq!(told(&answer), (200, None));
    assert_eq!(scene.logged(&answer)["shadow_denied"], "override:roles, registration:cedar[0]");
    assert_eq!(scene.logged(&answer)["policy"], Value::Null);
    assert_eq!(scene.origin.received().last().unwrap().header("x-user"), Some("carol"));

    // Who proves nothing goes on as nobody: without a name, and without the name that it gave itself.
    let forged = Request::new("GET", "/orders").header("authorization", "Bearer a.b.c").header("x-user", "root");
    let answer = scene.router.send(&forged);
    assert_eq!(told(&answer), (200, None));
    assert_eq!(scene.origin.received().last().unwrap().header("x-user"), None);
    let line = scene.logged(&answer);
    assert_eq!(line["shadow_denied"], "authentication:token_invalid, override:roles");
    assert_eq!(line["principal"], "anonymous");

    let metrics = scene.router.admin("/metrics").text();
    for line in [
        "postern_shadow_denials_total{route=\"/orders#default\",owner=\"team\"} 2",
        "postern_policy_decisions_total{layer=\"override\",kind=\"roles\",mode=\"shadow\",verdict=\"denied\"} 2",
        "postern_policy_decisions_total{layer=\"registration\",kind=\"policies\",mode=\"shadow\",verdict=\"allowed\"} 1",
        "postern_policy_decisions_total{layer=\"registration\",kind=\"authentication\",mode=\"shadow\",verdict=\"denied\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
}

#[test]
fn a_policy_that_fails_refuses() {
    let text = "permit(principal, action, resource); forbid(principal, action, resource) when { principal.claims has level && \
                principal.claims.level * 9223372036854775807 == 0 };";
    let scene = Scene::new(
        "authorization: {claims: [{name: level, type: long}]}",
        &format!("{JWT}, authorization: {{cedar: '{text}'}}"),
    );
    assert_eq!(scene.ask("GET", "/orders", &json!({})).status, 200);
    let answer = scene.ask("GET", "/orders", &json!({"level": 2}));
    assert_eq!(told(&answer), DENIED);
    let line = scene.logged(&answer);
    assert_eq!(line["policy"], "registration:cedar[1]");
    assert!(line["detail"].as_str().unwrap().starts_with("it failed: "), "{line}");
}

#[test]
fn explain_names_the_policy_and_its_layer() {
    let scene = Scene::new(
        "authorization: {policies: [{name: no-posts, cedar: 'permit(principal, action, resource); forbid(principal, action == Action::\"POST\", resource);'}]}
overrides: {policies: {authorization: {policies: [no-posts]}}}",
        "authorization: {mode: shadow, deny: [127.0.0.0/8]}",
    );
    let merged = scene.site.merged();
    let explained = |method: &str| {
        run(
            "postern-router",
            &["explain", merged.to_str().unwrap(), &format!("{method} http://api.example.com/orders")],
        )
    };
    let get = explained("GET");
    assert!(get.out.contains("override:no-posts[0] permits"), "{}{}", get.out, get.err);
    assert!(
        get.out.contains("registration:addresses would refuse; shadow: 127.0.0.1 lies in 127.0.0.0/8"),
        "{}",
        get.out
    );
    let post = explained("POST");
    assert!(post.out.contains("override:no-posts[1] refuses: it forbids"), "{}", post.out);
    assert!(post.out.contains("policy_denied"), "{}", post.out);
}

#[test]
fn a_type_error_is_told_with_line_and_column_and_the_last_good_form_stays() {
    let (origin, signer) = (Origin::named("orders"), Signer::ed());
    let place = tempfile::tempdir().unwrap();
    let (file, registrations) = (place.path().join("boundary.yaml"), place.path().join("registrations"));
    std::fs::create_dir(&registrations).unwrap();
    std::fs::write(&file, boundary(&origin, &signer, "")).unwrap();
    let with = |condition: &str| {
        let policies = format!(
            "policies:\n  {JWT}\n  authorization:\n    cedar: |\n      permit(principal, action, resource)\n        when {{ {condition} }};\n"
        );
        std::fs::write(registrations.join("orders.yaml"), registration("/orders", origin.port(), &policies)).unwrap();
    };
    with("principal.name == \"carol\"");
    let out = place.path().join("out");
    let syncer = Syncer::run(file.to_str().unwrap(), registrations.to_str().unwrap(), &out, &[]);
    let router = Router::serve(&out.join("merged.json"));
    let ask = |sub: &str| {
        let claims = json!({"iss": ISSUER, "aud": "api", "sub": sub, "exp": seconds_from_now(600)});
        let bearer = format!("Bearer {}", signer.token(&claims));
        router.send(&Request::new("GET", "/orders").header("authorization", &bearer)).status
    };
    assert_eq!((ask("carol"), ask("dave")), (200, 403));
    let merged = || std::fs::read_to_string(out.join("merged.json")).unwrap();

    with("principal.name == 7 || principal.nam == \"dave\"");
    let told = eventually("the refusal", || {
        let text = merged();
        text.contains("ServingLastGood").then_some(text)
    });
    assert!(told.contains("/policies/authorization/cedar"), "{told}");
    assert!(told.contains("line 2, column 10: ") && told.contains("line 2, column 33: "), "{told}");
    assert!(told.contains("did you mean \\\"name\\\"?"), "{told}");
    assert_eq!((ask("carol"), ask("dave")), (200, 403));

    with("principal.name == \"dave\"");
    eventually("the mended policy", || (ask("dave") == 200).then_some(()));
    assert_eq!(ask("carol"), 403);
    drop(syncer);
}
