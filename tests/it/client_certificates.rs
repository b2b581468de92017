//! Certificates of clients as proof of who calls: which pass, which nearly do, and who is believed to have seen one.

mod revoked;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use postern_tests::{
    Answer, Authority, Certificate, Message, Origin, Request, Router, Says, Secured, Signer, Site, TlsClient, Validity,
    boundary_with, eventually, over_secure_http2, registration, run, seconds_from_now,
};
use rustls::ALL_VERSIONS;
use serde_json::json;

use crate::listeners::listener;

const HOST: &str = "api.example.com";
const ACME: &[Says<'_>] = &[Says::Dns(b"acme.partners.example.com")];
const BILLING: &[Says<'_>] = &[Says::Uri(b"spiffe://example.com/ns/billing/api")];

/// A router with a plain listener, one that demands certificates and one that takes them, and routes for their holders.
struct Scene {
    origin: Origin,
    signer: Signer,
    trust: Authority,
    clients: Authority,
    site: Site,
    router: Router,
}

impl Scene {
    fn new() -> Self {
        Self::with("", "")
    }

    /// With a client that has this of its own, and more settings.
    fn with(more: &str, settings: &str) -> Self {
        Self::start(more, settings, |_, _| String::new())
    }

    /// With lists of what was taken back, which are written into the place, as more fields of what clients are asked.
    fn start(more: &str, settings: &str, lists: impl FnOnce(&Path, &Authority) -> String) -> Self {
        let (origin, signer) = (Origin::named("orders"), Signer::ec());
        let (trust, clients) = (Authority::new("clients' trust"), Authority::new("clients"));
        let routes: Vec<String> = [
            (
                "/orders",
                "{authentication: {any_of: ['mtls:partners']}, identity_headers: {x-user: sub, x-scope: scope, \
                 x-roles: roles, x-dns: dns, x-uri: uri, x-print: fingerprint}}",
            ),
            ("/scoped", "{authentication: {any_of: ['mtls:partners']}, authorization: {scopes: [write]}}"),
            ("/grouped", "{authentication: {any_of: ['mtls:partners']}, authorization: {policies: [buyers]}}"),
            ("/either", "{authentication: {any_of: ['mtls:partners', 'jwt:corp']}, identity_headers: {x-user: sub}}"),
            ("/open", "{authentication: {any_of: ['mtls:partners', none]}, identity_headers: {x-user: sub}}"),
            ("/relayed", "{authentication: {any_of: ['mtls:relayed']}, identity_headers: {x-user: sub}}"),
            ("/strict", "{authentication: {any_of: ['mtls:strict']}, identity_headers: {x-user: sub}}"),
            ("/tried", "{authentication: {any_of: ['mtls:partners'], mode: shadow}}"),
            ("/free", "{}"),
        ]
        .map(|(root, policies)| registration(root, origin.port(), &format!("policies: {policies}")))
        .into();
        let site = Site::new(&boundary(origin.port(), &signer, more), &routes);
        let place = site.path();
        let (certificate, key) = trust.sign(&[HOST], Validity::Now).write(place);
        let files = format!("{{certificate_file = {certificate:?}, key_file = {key:?}}}");
        let authorities = clients.write(place, "clients.pem");
        let lists = lists(place, &clients);
        let demand = |more: &str| {
            let clients = format!(", client_authentication = {{ca_file = {authorities:?}, {more}{lists}}}");
            listener(&files, &clients)
        };
        let (required, optional) = (demand("mode = \"required\", name = \"strict\""), demand("mode = \"optional\""));
        let file = place.join("settings.toml");
        std::fs::write(&file, format!("{settings}\n{required}{optional}")).unwrap();
        let router = Router::start(&site.merged(), &["--settings", file.to_str().unwrap()], &[]);
        router.until_ready();
        Self { origin, signer, trust, clients, site, router }
    }

    fn required(&self) -> SocketAddr {
        self.router.addresses()[1]
    }

    fn optional(&self) -> SocketAddr {
        self.router.addresses()[2]
    }

    fn client(&self, certificate: Option<&Certificate>) -> TlsClient {
        TlsClient::speaking(&self.trust, ALL_VERSIONS, certificate)
    }

    fn connect(&self, certificate: Option<&Certificate>) -> Secured {
        self.client(certificate).connect(self.optional(), HOST).unwrap()
    }

    fn ask(&self, certificate: Option<&Certificate>, path: &str) -> Answer {
        self.connect(certificate).client.send(&Request::new("GET", path))
    }

    /// Who the destination is told, if the request came through.
    fn user(&self, answer: &Answer) -> Option<String> {
        (answer.status == 200).then(|| self.origin.last().header("x-user").map(str::to_owned)).flatten()
    }
}

fn boundary(port: u16, signer: &Signer, more: &str) -> String {
    let keys = json!({"keys": [signer.jwk()]});
    boundary_with(
        &[port],
        &format!(
            "identity:
  jwt: [{{name: corp, issuer: 'https://a/', audiences: [api], jwks: {keys}}}]
  mtls:
    - name: partners
      clients:
        - {{name: acme, dns: [acme.partners.example.com], scopes: [read, write], roles: [buyer, seller]}}
        - {{name: hosts, dns: ['*.hosts.example.com'], scopes: [read]}}
        - {{name: billing, spiffe: ['spiffe://example.com/ns/billing/']}}
        - {{name: mailer, spiffe: ['spiffe://example.com/ns/mail/api'], uri: ['urn:example:mail']}}
        {more}
    - name: relayed
      from: alb
      clients: [{{name: far, dns: [acme.partners.example.com]}}]
    - name: strict
      authorities: strict
      clients: [{{name: insider, dns: [acme.partners.example.com]}}]
authorization:
  groups: [{{name: buyers, members: ['mtls:partners#acme']}}]
  policies: [{{name: buyers, cedar: 'permit(principal in Group::\"buyers\", action, resource);'}}]
"
        ),
    )
}

/// Status and reason.
fn told(answer: &Answer) -> (u16, Option<&str>) {
    (answer.status, answer.reason())
}

const MISSING: (u16, Option<&str>) = (401, Some("certificate_missing"));
const NOT_VALID: (u16, Option<&str>) = (401, Some("certificate_not_valid"));
const UNKNOWN: (u16, Option<&str>) = (401, Some("certificate_not_known"));

#[test]
fn a_certificate_says_who_calls_on_every_listener_and_in_both_protocols() {
    let scene = Scene::new();
    let acme =
        scene.clients.certify(&[Says::Dns(b"ACME.partners.example.com"), Says::Uri(b"urn:a:b"), Says::Dns(b"x")]);
    let print = acme.fingerprint();
    let expected = [
        ("x-user", Some("acme")),
        ("x-scope", Some("read write")),
        ("x-roles", Some("buyer,seller")),
        ("x-dns", Some("acme.partners.example.com,x")),
        ("x-uri", Some("urn:a:b")),
        ("x-print", Some(&*print)),
        ("client-cert", None),
    ];
    let seen = || expected.map(|(name, _)| (name, scene.origin.last().header(name).map(str::to_owned)));
    let expected = expected.map(|(name, value)| (name, value.map(str::to_owned)));
    let forged = Request::new("GET", "/orders").header("x-user", "admin").header("client-cert", ":AAAA:");
    for address in [scene.required(), scene.optional()] {
        let mut secured = scene.client(Some(&acme)).connect(address, HOST).unwrap();
        for _ in 0..3 {
            assert_eq!(secured.client.send(&forged).status, 200);
            assert_eq!(seen(), expected);
        }
        // What a session remembers counts as much as what was shown.
        let client = scene.client(Some(&acme));
        let resumed: Vec<bool> = (0..2)
            .map(|_| {
                let mut secured = client.connect(address, HOST).unwrap();
                assert_eq!(secured.client.send(&forged).status, 200);
                assert_eq!(seen(), expected);
                secured.resumed
            })
            .collect();
        assert_eq!(resumed, [false, true]);
        let requests = vec![Message::request("GET /orders"), Message::request("GET /orders").header("x-user", "admin")];
        for answer in over_secure_http2(&client, address, requests) {
            assert_eq!(answer.unwrap().status(), 200);
            assert_eq!(seen(), expected);
        }
    }
    assert_eq!(scene.ask(Some(&acme), "/scoped").status, 200);
    assert_eq!(scene.ask(Some(&acme), "/grouped").status, 200);
    let answer = scene.ask(Some(&acme), "/orders");
    let line = scene.router.logged(answer.header("x-request-id").unwrap());
    assert_eq!((&line["principal"], &line["authenticated_by"]), (&json!("acme"), &json!("mtls:partners")), "{line}");
}

#[test]
fn names_are_compared_whole_and_to_the_letter() {
    let own = Authority::new("a test's own").certify(&[]);
    let scene = Scene::with(&format!("- {{name: own, fingerprints: ['{}']}}", own.fingerprint()), "");
    use Says::{Dns, Uri};
    let long = [b"spiffe://example.com/ns/billing/".as_slice(), &[b'a'; 3_000]].concat();
    let rows: &[(&[Says<'_>], Option<&str>)] = &[
        (ACME, Some("acme")),
        (&[Dns(b"other.example.com"), Dns(b"acme.partners.example.com")], Some("acme")),
        (&[Dns(b"a.hosts.example.com")], Some("hosts")),
        (BILLING, Some("billing")),
        (&[Dns(b"other.example.com"), Uri(b"spiffe://example.com/ns/billing/a/b")], Some("billing")),
        (&[Uri(b"spiffe://example.com/ns/mail/api")], Some("mailer")),
        (&[Uri(b"urn:other"), Uri(b"urn:example:mail")], Some("mailer")),
        // Of several clients that it fits, the first.
        (&[Uri(b"urn:example:mail"), Dns(b"a.hosts.example.com")], Some("hosts")),
        // And these are nobody's.
        (&[], None),
        (&[Dns(b"partners.example.com")], None),
        (&[Dns(b"x.acme.partners.example.com")], None),
        (&[Dns(b"xacme.partners.example.com")], None),
        (&[Dns(b"acme.partners.example.com.evil.example")], None),
        (&[Dns(b"acme.partners.example.co")], None),
        (&[Dns(b"acme.partners.example.com.")], None),
        (&[Dns(b"acme.partners.example.com\0.evil.example")], None),
        (&[Dns(b"acme.partners.example.com\0")], None),
        (&[Dns(b"acme.partners.example.com ")], None),
        (&[Dns("acm\u{0435}.partners.example.com".as_bytes())], None),
        (&[Dns(b"acm\xe9.partners.example.com")], None),
        (&[Dns(b"*.partners.example.com")], None),
        (&[Dns(b"*.hosts.example.com")], None),
        (&[Dns(b"hosts.example.com")], None),
        (&[Dns(b"a.b.hosts.example.com")], None),
        (&[Dns(b".hosts.example.com")], None),
        (&[Dns(b"a.xhosts.example.com")], None),
        (&[Uri(b"acme.partners.example.com")], None),
        (&[Uri(b"https://acme.partners.example.com")], None),
        (&[Dns(b"urn:example:mail")], None),
        (&[Dns(b"spiffe://example.com/ns/billing/api")], None),
        (&[Uri(b"urn:example:Mail")], None),
        (&[Uri(b"URN:example:mail")], None),
        (&[Uri(b"urn:example:mail/x")], None),
        (&[Uri(b"urn:example:mail\0")], None),
        (&[Uri(b"spiffe://example.com/ns/billing")], None),
        (&[Uri(b"spiffe://example.com/ns/billing/")], None),
        (&[Uri(b"spiffe://example.com/ns/billingx/api")], None),
        (&[Uri(b"spiffe://example.com/ns/Billing/api")], None),
        (&[Uri(b"spiffe://EXAMPLE.com/ns/billing/api")], None),
        (&[Uri(b"spiffe://example.com.evil.example/ns/billing/api")], None),
        (&[Uri(b"spiffe://example.com/ns/billing/../mail/x")], None),
        (&[Uri(b"spiffe://example.com/ns/billing//api")], None),
        (&[Uri(b"spiffe://example.com/ns/billing/api?x")], None),
        (&[Uri(b"spiffe://example.com/ns/billing/%61pi")], None),
        (&[Uri(b"spiffe://example.com/ns/billing/api\0")], None),
        (&[Uri(b"spiffe://example.com/x/spiffe://example.com/ns/billing/api")], None),
        (&[Uri(&long)], None),
        (&[Uri(b"spiffe://example.com/ns/mail/api/x")], None),
        // A workload has one URI.
        (&[Uri(b"spiffe://example.com/ns/billing/api"), Uri(b"urn:other")], None),
        (&[Uri(b"spiffe://example.com/ns/billing/api"), Uri(b"\xe9")], None),
    ];
    for (says, expected) in rows {
        let certificate = scene.clients.certify(says);
        let shown: Vec<String> = says.iter().map(|name| format!("{name:?}")).collect();
        let answer = scene.ask(Some(&certificate), "/orders");
        assert_eq!(scene.user(&answer).as_deref(), *expected, "{shown:?}: {}", answer.text());
        if expected.is_none() {
            assert_eq!(told(&answer), UNKNOWN, "{shown:?}");
        }
    }
    // The fingerprint is that of another authority's certificate, which never comes in.
    assert!(
        scene
            .client(Some(&own))
            .connect(scene.optional(), HOST)
            .ok()
            .is_none_or(|mut secured| { secured.client.try_send(&Request::new("GET", "/orders")).is_err() })
    );
}

#[test]
fn a_fingerprint_is_one_certificate_and_no_other() {
    let mut scene = Scene::new();
    let certificate = scene.clients.certify(&[]);
    let more = format!(
        "- {{name: one, fingerprints: ['{}']}}",
        certificate.fingerprint().to_uppercase().replace("SHA", "sha")
    );
    let text = boundary(scene.origin.port(), &scene.signer, &more);
    let route = "policies: {authentication: {any_of: ['mtls:partners']}, identity_headers: {x-user: sub}}";
    let mut open = scene.connect(Some(&certificate));
    assert_eq!(open.client.send(&Request::new("GET", "/orders")).status, 401);
    scene.site.publish(&text, &[registration("/orders", scene.origin.port(), route)]);
    scene.router.until_generation(scene.site.generation());
    // The next generation holds for connections that are open.
    let answer = open.client.send(&Request::new("GET", "/orders"));
    assert_eq!(scene.user(&answer).as_deref(), Some("one"));
    let other = scene.clients.certify(&[]);
    assert_eq!(told(&scene.ask(Some(&other), "/orders")), UNKNOWN);
    let text = boundary(scene.origin.port(), &scene.signer, "");
    scene.site.publish(&text, &[registration("/orders", scene.origin.port(), route)]);
    scene.router.until_generation(scene.site.generation());
    assert_eq!(told(&open.client.send(&Request::new("GET", "/orders"))), UNKNOWN);
}

#[test]
fn without_a_certificate_that_is_known_nothing_comes_through() {
    let scene = Scene::new();
    let (acme, nobody) = (scene.clients.certify(ACME), scene.clients.certify(&[Says::Dns(b"nobody.example.com")]));
    let billing = scene.clients.certify(BILLING);
    let before = scene.origin.received().len();
    for path in ["/orders", "/scoped", "/grouped"] {
        let answer = scene.ask(None, path);
        assert_eq!(told(&answer), MISSING);
        assert_eq!(answer.header("www-authenticate"), Some("ClientCertificate realm=\"partners\""));
        assert_eq!(told(&scene.ask(Some(&nobody), path)), UNKNOWN);
        assert_eq!(told(&scene.router.get(path)), MISSING);
    }
    assert_eq!(told(&scene.ask(Some(&billing), "/scoped")), (403, Some("scope_missing")));
    assert_eq!(told(&scene.ask(Some(&billing), "/grouped")), (403, Some("policy_denied")));
    assert_eq!(told(&scene.ask(Some(&acme), "/relayed")), MISSING);
    let of_http2 =
        over_secure_http2(&scene.client(Some(&nobody)), scene.optional(), vec![Message::request("GET /orders")]);
    assert_eq!(of_http2[0].as_ref().unwrap().field("x-postern-reason"), Some("certificate_not_known"));
    assert_eq!(scene.origin.received().len(), before);
    // Where proof is only tried out, and where none is asked for.
    for path in ["/tried", "/free"] {
        assert_eq!(scene.ask(None, path).status, 200);
        assert_eq!(scene.ask(Some(&nobody), path).status, 200);
    }
    assert_eq!(scene.ask(None, "/open").status, 200);
    assert_eq!(scene.user(&scene.ask(Some(&acme), "/open")).as_deref(), Some("acme"));
    assert_eq!(told(&scene.ask(Some(&nobody), "/open")), UNKNOWN);
}

#[test]
fn what_a_request_brings_decides_before_the_certificate() {
    let scene = Scene::new();
    let acme = scene.clients.certify(ACME);
    let good =
        scene.signer.token(&json!({"iss": "https://a/", "aud": "api", "sub": "carol", "exp": seconds_from_now(600)}));
    let with = |certificate, token: &str| {
        let request = Request::new("GET", "/either").header("authorization", &format!("Bearer {token}"));
        scene.connect(certificate).client.send(&request)
    };
    assert_eq!(scene.user(&with(Some(&acme), &good)).as_deref(), Some("carol"));
    assert_eq!(scene.user(&with(None, &good)).as_deref(), Some("carol"));
    assert_eq!(scene.user(&scene.ask(Some(&acme), "/either")).as_deref(), Some("acme"));
    assert_eq!(told(&with(Some(&acme), &format!("{good}x"))), (401, Some("token_invalid")));
    let nothing = scene.ask(None, "/either");
    assert_eq!(told(&nothing), (401, Some("credentials_missing")));
    let challenges: Vec<&str> =
        nothing.headers.iter().filter(|(name, _)| name == "www-authenticate").map(|(_, value)| &**value).collect();
    assert_eq!(challenges, ["ClientCertificate realm=\"partners\"", "Bearer realm=\"postern\""]);
    // Where only certificates are taken, what stands in Authorization is the destination's.
    let request = Request::new("GET", "/orders").header("authorization", "Bearer a.b.c");
    assert_eq!(scene.connect(Some(&acme)).client.send(&request).status, 200);
    assert_eq!(scene.origin.last().header("authorization"), Some("Bearer a.b.c"));
}

#[test]
fn a_certificate_that_ends_while_its_connection_is_open_proves_nothing_more() {
    let scene = Scene::new();
    let (short, _) = scene.clients.certify_for(ACME, Duration::from_secs(3));
    let mut secured = scene.connect(Some(&short));
    assert_eq!(secured.client.send(&Request::new("GET", "/orders")).status, 200);
    let refused = eventually("the certificate to end", || {
        let answer = secured.client.send(&Request::new("GET", "/orders"));
        (answer.status != 200).then_some(answer)
    });
    assert_eq!(told(&refused), NOT_VALID);
    assert_eq!(told(&secured.client.send(&Request::new("GET", "/open"))), NOT_VALID);
    assert_eq!(secured.client.send(&Request::new("GET", "/free")).status, 200);
}

#[test]
fn a_load_balancer_is_believed_where_it_is_a_trusted_proxy_and_nobody_else_is() {
    const LEAF: &str = "X-Amzn-Mtls-Clientcert-Leaf";
    let near = Scene::with("", "trusted_proxies = [\"127.0.0.0/8\"]");
    let acme = near.clients.certify(ACME);
    let relayed = acme.relayed();
    let with = |router: &Router, path: &str, headers: &[(&str, &str)]| {
        let request = Request::new("GET", path);
        router.send(&headers.iter().fold(request, |request, (name, value)| request.header(name, value)))
    };
    for name in [LEAF, "x-amzn-mtls-clientcert-leaf", "X-AMZN-MTLS-CLIENTCERT-LEAF"] {
        let answer = with(&near.router, "/relayed", &[(name, &relayed), ("X-Amzn-Mtls-Clientcert-Subject", "CN=acme")]);
        assert_eq!(near.user(&answer).as_deref(), Some("far"), "{name}: {}", answer.text());
        let arrived = near.origin.last();
        assert!(!arrived.headers.iter().any(|(name, _)| name.to_lowercase().contains("mtls")), "{arrived:?}");
    }
    // A realm takes certificates from one place.
    assert_eq!(told(&with(&near.router, "/orders", &[(LEAF, &relayed)])), MISSING);
    assert_eq!(told(&near.ask(Some(&acme), "/relayed")), MISSING);
    let nobody = near.clients.certify(&[Says::Dns(b"nobody.example.com")]).relayed();
    assert_eq!(told(&with(&near.router, "/relayed", &[(LEAF, &nobody)])), UNKNOWN);
    let over = near.clients.sign(&["acme.partners.example.com"], Validity::Over).relayed();
    assert_eq!(told(&with(&near.router, "/relayed", &[(LEAF, &over)])), NOT_VALID);
    for (what, value) in [
        ("nothing", String::new()),
        ("half of it", relayed[..relayed.len() / 2].to_owned()),
        ("two of them", format!("{relayed}{relayed}")),
        ("no escape", relayed.replacen("%0A", "%0", 1)),
        ("escaped twice", relayed.replace('%', "%25")),
        ("not escaped", acme.pem().replace('\n', " ")),
        ("its key", acme.key_pem().replace('\n', "%0A")),
        ("no PEM", "CN=acme".to_owned()),
    ] {
        assert_eq!(told(&with(&near.router, "/relayed", &[(LEAF, &value)])), MISSING, "{what}");
    }
    assert_eq!(told(&with(&near.router, "/relayed", &[(LEAF, &relayed), (LEAF, &relayed)])), MISSING);
    assert_eq!(told(&with(&near.router, "/relayed", &[(LEAF, &relayed), (LEAF, &nobody)])), MISSING);
    // What is relayed in passthrough mode nobody verified.
    assert_eq!(told(&with(&near.router, "/relayed", &[("X-Amzn-Mtls-Clientcert", &relayed)])), MISSING);
    assert_eq!(with(&near.router, "/relayed", &[("X_Amzn_Mtls_Clientcert_Leaf", &relayed)]).status, 400);

    let far = Scene::with("", "trusted_proxies = [\"192.0.2.0/24\"]");
    for scene in [&far, &Scene::new(), &Scene::with("", "trusted_proxies = [\"127.0.0.0/8\"]\ntrusted_hops = 0")] {
        for name in [LEAF, "x-amzn-mtls-clientcert-leaf", "X-Amzn-Mtls-Clientcert"] {
            assert_eq!(told(&with(&scene.router, "/relayed", &[(name, &relayed)])), MISSING, "{name}");
            assert_eq!(told(&with(&scene.router, "/orders", &[(name, &relayed)])), MISSING, "{name}");
        }
        assert_eq!(with(&scene.router, "/free", &[(LEAF, &relayed), ("x-amzn-mtls-x", "a"), ("b", "c")]).status, 200);
        let arrived = scene.origin.last();
        assert!(!arrived.headers.iter().any(|(name, _)| name.to_lowercase().contains("mtls")), "{arrived:?}");
        assert_eq!(arrived.header("b"), Some("c"));
    }
}

#[test]
fn a_certificate_counts_where_its_authorities_have_the_name_that_is_asked_for() {
    let scene = Scene::new();
    let client = scene.client(Some(&scene.clients.certify(ACME)));
    let mut both = [scene.required(), scene.optional()].map(|address| client.connect(address, HOST).unwrap());
    // One certificate on two listeners: what is known of one connection is not known of the other.
    for _ in 0..3 {
        let [inside, outside] = both.each_mut().map(|secured| secured.client.send(&Request::new("GET", "/strict")));
        assert_eq!(scene.user(&inside).as_deref(), Some("insider"));
        assert_eq!(told(&outside), UNKNOWN);
        let [inside, outside] = both.each_mut().map(|secured| secured.client.send(&Request::new("GET", "/orders")));
        assert_eq!((inside.status, outside.status), (200, 200));
    }
    assert_eq!(told(&scene.router.get("/strict")), MISSING);
}

#[test]
fn explain_takes_a_certificate_to_be_verified_and_says_so() {
    let scene = Scene::new();
    let explained = |path: &str, certificate: Option<&Certificate>| {
        let (merged, url) = (scene.site.merged(), format!("GET https://api.example.com{path}"));
        let mut arguments = vec!["explain", merged.to_str().unwrap(), &url];
        let file = scene.site.path().join("shown.pem");
        if let Some(certificate) = certificate {
            std::fs::write(&file, format!("{}{}", certificate.pem(), scene.clients.certify(BILLING).pem())).unwrap();
            arguments.extend(["--certificate", file.to_str().unwrap()]);
        }
        run("postern-router", &arguments)
    };
    let (acme, nobody) = (scene.clients.certify(ACME), scene.clients.certify(&[]));
    for (path, certificate, code, words) in [
        ("/orders", None, 1, ["no certificate is shown", "certificate_missing"]),
        ("/orders", Some(&acme), 0, ["taken to be verified", "acme by mtls:partners"]),
        ("/relayed", Some(&acme), 0, ["taken to be verified", "far by mtls:relayed"]),
        ("/orders", Some(&nobody), 1, ["taken to be verified", "certificate_not_known"]),
        ("/strict", Some(&acme), 1, ["authorities without a name", "certificate_not_known"]),
        ("/open", None, 0, ["no certificate is shown", "anonymous by none"]),
    ] {
        let output = explained(path, certificate);
        assert_eq!(output.code, code, "{path}: {}{}", output.out, output.err);
        assert!(words.iter().all(|word| output.out.contains(word)), "{path}: {}", output.out);
    }
    assert!(!explained("/free", Some(&acme)).out.contains("certificate"));
    let wrong = scene.site.merged();
    let text = wrong.to_str().unwrap();
    let output = run("postern-router", &["explain", text, "GET https://api.example.com/", "--certificate", text]);
    assert!(output.code == 2 && output.err.contains("holds no certificate"), "{}", output.err);
}
