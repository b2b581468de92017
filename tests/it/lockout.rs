//! Who guesses passwords is told to wait, and nobody else is.

use postern_tests::{Answer, Origin, Request, Router, Site, basic, boundary_with, registration, run};

/// Of the password "secret", at 5 000 rounds.
const SHA512: &str =
    "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1";
const SHA256: &str = "$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA";

struct Scene {
    router: Router,
    _origin: Origin,
    site: Site,
}

impl Scene {
    fn new(lockout: &str) -> Self {
        let origin = Origin::named("orders");
        let port = origin.port();
        let identity = format!(
            "identity: {{basic: [{{name: ops, {lockout} users: [{{name: alice, hash: '{SHA512}'}}, {{name: bob, hash: '{SHA256}'}}]}}]}}"
        );
        let policies = "policies: {authentication: {any_of: ['basic:ops']}}";
        let site = Site::new(&boundary_with(&[port], &identity), &[registration("/orders", port, policies)]);
        let router = Router::start(&site.merged(), &[], &[("POSTERN_ROUTER_TRUSTED_PROXIES", "[\"127.0.0.0/8\"]")]);
        router.until_ready();
        Self { router, _origin: origin, site }
    }

    fn ask(&self, name: &str, password: &str, client: &str) -> Answer {
        let request = Request::new("GET", "/orders").header("authorization", &basic(name, password));
        self.router.send(&request.header("x-forwarded-for", client))
    }

    fn outcome(&self, name: &str, password: &str, client: &str) -> (u16, String) {
        let answer = self.ask(name, password, client);
        (answer.status, answer.reason().unwrap_or_default().to_owned())
    }
}

fn passes() -> (u16, String) {
    (200, String::new())
}

fn wrong() -> (u16, String) {
    (401, "credentials_invalid".to_owned())
}

fn waits() -> (u16, String) {
    (429, "too_many_failures".to_owned())
}

#[test]
fn a_guesser_is_told_to_wait_and_the_user_elsewhere_is_not() {
    let scene = Scene::new("");
    assert_eq!(scene.outcome("alice", "secret", "192.0.2.1"), passes());
    for guess in 0..10 {
        assert_eq!(scene.outcome("alice", &format!("guess {guess}"), "192.0.2.1"), wrong());
    }
    // Also the right one, and also though it was right a moment ago: nobody learns which it is.
    for password in ["secret", "guess", ""] {
        assert_eq!(scene.outcome("alice", password, "192.0.2.1"), waits());
    }
    let answer = scene.ask("alice", "secret", "192.0.2.1");
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=300).contains(&seconds), "{seconds}");
    assert_eq!(answer.header("www-authenticate"), None);
    assert_eq!(scene.outcome("alice", "secret", "192.0.2.2"), passes());
    assert_eq!(scene.outcome("bob", "secret", "192.0.2.1"), passes());
    assert_eq!(scene.router.metric("postern_password_lockouts_total"), 1.0);
    let refused = "postern_rejections_total{reason=\"too_many_failures\",fault=\"client\"}";
    assert_eq!(scene.router.metric(refused), 4.0);
}

#[test]
fn a_name_that_nobody_has_is_locked_like_any_other() {
    let scene = Scene::new("lockout: {failures: 2},");
    for name in ["alice", "nobody"] {
        let found: Vec<_> = (0..3).map(|_| scene.outcome(name, "guess", "192.0.2.1")).collect();
        assert_eq!(found, [wrong(), wrong(), waits()], "{name}");
    }
}

#[test]
fn a_lock_that_is_only_tried_out_is_told_of_each_request_and_holds_nobody() {
    let scene = Scene::new("lockout: {failures: 2, mode: shadow},");
    let told = |password: &str, client: &str| {
        let answer = scene.ask("alice", password, client);
        let line = scene.router.logged(answer.header("x-request-id").unwrap());
        (answer.status, line["shadow_denied"].as_str().map(str::to_owned))
    };
    let would_wait = Some("lockout:too_many_failures".to_owned());
    assert_eq!([told("guess", "192.0.2.1"), told("guess", "192.0.2.1")], [(401, None), (401, None)]);
    // The right one passes, computed or remembered, and a wrong one is what it is.
    for (password, status) in [("secret", 200), ("secret", 200), ("guess", 401)] {
        assert_eq!(told(password, "192.0.2.1"), (status, would_wait.clone()), "{password}");
    }
    assert_eq!(told("secret", "192.0.2.2"), (200, None));
    let metric = |name: &str| scene.router.metric(name);
    let denials = "postern_shadow_denials_total{route=\"/orders#default\",owner=\"team\"}";
    let decided =
        "postern_policy_decisions_total{layer=\"registration\",kind=\"lockout\",mode=\"shadow\",verdict=\"denied\"}";
    assert_eq!((metric(denials), metric(decided)), (3.0, 3.0));
    let begun = ["postern_shadow_password_lockouts_total", "postern_password_lockouts_total"].map(metric);
    assert_eq!(begun, [1.0, 0.0]);

    let (merged, header) = (scene.site.merged(), format!("authorization: {}", basic("alice", "secret")));
    let words = ["explain", merged.to_str().unwrap(), "GET http://api.example.com/orders", "-H", &header];
    let explained = run("postern-router", &words);
    let expected = "after 2 wrong passwords in 300s it would refuse for 300s; shadow";
    assert!(explained.out.contains(expected), "{}{}", explained.out, explained.err);
}

#[test]
fn addresses_of_one_network_are_one_client_and_the_lock_ends() {
    let scene = Scene::new("lockout: {failures: 2, within: 1h, for: 1s},");
    assert_eq!(scene.outcome("alice", "guess", "2001:db8:1:2::1"), wrong());
    assert_eq!(scene.outcome("alice", "guess", "2001:db8:1:2:ffff::2"), wrong());
    assert_eq!(scene.outcome("alice", "secret", "2001:db8:1:2::3"), waits());
    assert_eq!(scene.outcome("alice", "secret", "2001:db8:1:3::1"), passes());
    postern_tests::eventually("the lock to end", || {
        (scene.outcome("alice", "secret", "2001:db8:1:2::1") == passes()).then_some(())
    });
}
