//! How destinations are verified: chain and name, always, and not a byte of a request before.

use std::path::Path;

use postern_tests::{
    Authority, Certificate, Dns, Origin, Request, Router, Site, TlsOrigin, Validity, boundary_with, merged_file,
    registration,
};

const API: &str = "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com";
const WILDCARD: &str = "*.execute-api.eu-west-1.amazonaws.com";
const PRIVATE: &str = "orders.apis.internal.example.com";

/// A boundary whose one destination is reached over TLS, with `more` of the destination's fields.
fn boundary(ports: &[u16], roots: &Path, more: &str) -> String {
    format!(
        "
apiVersion: postern/v1
kind: Boundary
hosts: [api.example.com]
destinations:
  - name: secure
    hosts: ['*.apis.internal.example.com', {API}]
    ports: {ports:?}
    addresses: [127.0.0.0/8]
    {}
",
        more.replace("ROOTS", &format!("{{pem_file: {}}}", roots.display()))
    )
}

fn to(root: &str, url: &str, host: &str) -> String {
    format!("{{root: {root}, owner: team, destination: {{url: '{url}', host: {host}}}}}")
}

const DIAL_HERE: &str = "dial: localhost\n    tls: {roots: ROOTS}";

#[test]
fn a_destination_with_a_certificate_for_its_name_is_reached_over_tls() {
    let authority = Authority::new("corporate");
    let origin = TlsOrigin::start(&authority.sign(&[PRIVATE], Validity::Now));
    let mut site = Site::empty();
    let port = origin.origin().port();
    let roots = authority.write(site.path(), "roots.pem");
    site.publish(&boundary(&[port], &roots, DIAL_HERE), &[to("/", &format!("https://{PRIVATE}:{port}"), PRIVATE)]);
    let router = Router::serve(&site.merged());
    let mut client = router.client();
    for path in ["/a", "/b"] {
        let answer = client.send(&Request::new("GET", path));
        assert_eq!((answer.status, answer.text()), (200, format!("tls GET {path}")));
    }
    assert_eq!((origin.handshakes(), origin.asked()), (1, vec![PRIVATE.to_owned()]));
    assert_eq!(origin.origin().last().header("host"), Some(&*format!("{PRIVATE}:{port}")));
}

#[test]
fn a_certificate_that_does_not_prove_the_destination_gets_no_byte_of_a_request() {
    let (known, stranger) = (Authority::new("corporate"), Authority::new("stranger"));
    let now = Validity::Now;
    let rows = [
        ("wrong name", PRIVATE, known.sign(&["billing.apis.internal.example.com"], now), "tls_name_mismatch"),
        ("the parent's name", PRIVATE, known.sign(&["apis.internal.example.com"], now), "tls_name_mismatch"),
        ("a wildcard too high", PRIVATE, known.sign(&["*.internal.example.com"], now), "tls_name_mismatch"),
        (
            "another region's wildcard",
            API,
            known.sign(&["*.execute-api.us-east-1.amazonaws.com"], now),
            "tls_name_mismatch",
        ),
        ("the service's own name", API, known.sign(&["execute-api.eu-west-1.amazonaws.com"], now), "tls_name_mismatch"),
        ("expired", PRIVATE, known.sign(&[PRIVATE], Validity::Over), "tls_expired"),
        ("not yet valid", PRIVATE, known.sign(&[PRIVATE], Validity::NotYet), "tls_expired"),
        ("self-signed", PRIVATE, Certificate::self_signed(&[PRIVATE]), "tls_unknown_issuer"),
        ("of an unknown authority", PRIVATE, stranger.sign(&[PRIVATE], now), "tls_unknown_issuer"),
        ("of an unknown authority, wildcard", API, stranger.sign(&[WILDCARD], now), "tls_unknown_issuer"),
    ];
    let origins: Vec<TlsOrigin> = rows.iter().map(|(.., certificate, _)| TlsOrigin::start(certificate)).collect();
    let ports: Vec<u16> = origins.iter().map(|origin| origin.origin().port()).collect();
    let mut site = Site::empty();
    let roots = known.write(site.path(), "roots.pem");
    let registrations: Vec<String> = rows
        .iter()
        .zip(&ports)
        .enumerate()
        .map(|(index, ((_, host, ..), port))| to(&format!("/row{index}"), &format!("https://{host}:{port}"), host))
        .collect();
    site.publish(&boundary(&ports, &roots, DIAL_HERE), &registrations);
    let router = Router::serve(&site.merged());
    for (index, ((what, _, _, reason), origin)) in rows.iter().zip(&origins).enumerate() {
        let request = Request::new("POST", &format!("/row{index}")).header("authorization", "Bearer of-the-client");
        let answer = router.send(&request.body("secret"));
        assert_eq!((answer.status, answer.reason()), (502, Some(*reason)), "{what}");
        assert_eq!(answer.json()["detail"], "the destination could not be verified", "{what}");
        assert!(origin.origin().connections() > 0, "{what}: it was never dialled, which shows nothing");
        assert_eq!(origin.bytes(), 0, "{what}: bytes of a request came through");
        assert!(origin.origin().received().is_empty(), "{what}");
        assert_eq!(router.logged(answer.header("x-request-id").unwrap())["reason"], *reason, "{what}");
    }
}

#[test]
fn an_execute_api_wildcard_certificate_behind_a_private_zone_name_is_accepted_for_the_apis_host() {
    let authority = Authority::new("Amazon");
    let origin = TlsOrigin::start(&authority.sign(&[WILDCARD], Validity::Now));
    let port = origin.origin().port();
    let dns = Dns::start(|name, _| match name {
        PRIVATE => vec!["127.0.0.1".parse().unwrap()],
        _ => Vec::new(),
    });
    let (variable, servers) = dns.setting();
    let mut site = Site::empty();
    let roots = authority.write(site.path(), "roots.pem");
    site.publish(
        &boundary(&[port], &roots, "tls: {roots: ROOTS}"),
        &[to("/orders", &format!("https://{PRIVATE}:{port}/prod"), API)],
    );
    let router = Router::start(&site.merged(), &[], &[(variable, &servers)]);
    router.until_ready();
    let answer = router.get("/orders/1");
    assert_eq!((answer.status, answer.text().as_str()), (200, "tls GET /prod/orders/1"));
    // Dialled is the private name; asked for, verified and sent is the API's.
    assert_eq!(dns.asked(), [PRIVATE]);
    assert_eq!(origin.asked(), [API]);
    assert_eq!(origin.origin().last().header("host"), Some(API));
}

#[test]
fn a_vpc_endpoint_is_dialled_for_an_apis_own_name() {
    const ENDPOINT: &str = "vpce-0abc.execute-api.eu-west-1.vpce.amazonaws.com";
    let authority = Authority::new("Amazon");
    let origin = TlsOrigin::start(&authority.sign(&[WILDCARD], Validity::Now));
    let port = origin.origin().port();
    let dns = Dns::start(|_, _| vec!["127.0.0.1".parse().unwrap()]);
    let (variable, servers) = dns.setting();
    let mut site = Site::empty();
    let roots = authority.write(site.path(), "roots.pem");
    let more = format!("dial: {ENDPOINT}\n    tls: {{roots: ROOTS}}");
    site.publish(&boundary(&[port], &roots, &more), &[to("/", &format!("https://{API}:{port}"), API)]);
    let router = Router::start(&site.merged(), &[], &[(variable, &servers)]);
    router.until_ready();
    assert_eq!(router.get("/orders").status, 200);
    assert_eq!((dns.asked(), origin.asked()), (vec![ENDPOINT.to_owned()], vec![API.to_owned()]));
}

#[test]
fn a_server_name_of_the_boundary_is_verified_in_place_of_the_host() {
    let authority = Authority::new("Amazon");
    let right = TlsOrigin::start(&authority.sign(&[WILDCARD], Validity::Now));
    let wrong = TlsOrigin::start(&authority.sign(&["*.execute-api.us-east-1.amazonaws.com"], Validity::Now));
    let single = TlsOrigin::start(&authority.sign(&[API], Validity::Now));
    let ports = [&right, &wrong, &single].map(|origin| origin.origin().port());
    let mut site = Site::empty();
    let roots = authority.write(site.path(), "roots.pem");
    let more = format!("dial: localhost\n    tls: {{roots: ROOTS, server_name: '{WILDCARD}'}}");
    let registrations: Vec<String> =
        ports.iter().map(|port| to(&format!("/p{port}"), &format!("https://{PRIVATE}:{port}"), PRIVATE)).collect();
    site.publish(&boundary(&ports, &roots, &more), &registrations);
    let router = Router::serve(&site.merged());
    assert_eq!(router.get(&format!("/p{}", ports[0])).status, 200);
    assert_eq!(right.asked(), [PRIVATE]);
    // Another region's wildcard is no proof, nor is a certificate for one API where all of the region are meant.
    for (port, origin) in [(ports[1], &wrong), (ports[2], &single)] {
        let answer = router.get(&format!("/p{port}"));
        assert_eq!((answer.status, answer.reason()), (502, Some("tls_name_mismatch")));
        assert_eq!(origin.bytes(), 0);
    }
}

#[test]
fn two_destinations_at_one_address_are_verified_each_for_itself() {
    let authority = Authority::new("corporate");
    let origin = TlsOrigin::start(&authority.sign(&[PRIVATE], Validity::Now));
    let port = origin.origin().port();
    let mut site = Site::empty();
    let roots = authority.write(site.path(), "roots.pem");
    let other = "billing.apis.internal.example.com";
    site.publish(
        &boundary(&[port], &roots, DIAL_HERE),
        &[
            to("/orders", &format!("https://{PRIVATE}:{port}"), PRIVATE),
            to("/billing", &format!("https://{other}:{port}"), other),
        ],
    );
    let router = Router::serve(&site.merged());
    // A kept connection or a resumed session of the one would let the other pass unverified.
    for _ in 0..3 {
        assert_eq!(router.get("/orders").status, 200);
        assert_eq!(router.get("/billing").reason(), Some("tls_name_mismatch"));
    }
    assert!(origin.origin().received().iter().all(|request| request.target == "/orders"));
}

#[test]
fn a_destination_that_asks_for_it_is_shown_the_client_certificate() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let certificate = servers.sign(&[PRIVATE], Validity::Now);
    let origin = TlsOrigin::speaking(&certificate, rustls::ALL_VERSIONS, Some(&clients));
    let port = origin.origin().port();
    let mut site = Site::empty();
    let roots = servers.write(site.path(), "roots.pem");
    let (certificate, key) = clients.sign(&["postern.example.com"], Validity::Now).write(site.path());
    let shown = format!(
        "dial: localhost\n    tls: {{roots: ROOTS, client_certificate: {{certificate_file: {}, key_file: {}}}}}",
        certificate.display(),
        key.display()
    );
    let registrations = [to("/", &format!("https://{PRIVATE}:{port}"), PRIVATE)];
    site.publish(&boundary(&[port], &roots, &shown), &registrations);
    let router = Router::serve(&site.merged());
    assert_eq!(router.get("/").status, 200);
    assert_eq!(origin.shown(), 1);
    // Without one the destination refuses, and gets no request.
    let bytes = origin.bytes();
    site.publish(&boundary(&[port], &roots, DIAL_HERE), &registrations);
    router.until_generation(2);
    let answer = router.get("/");
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert_eq!((origin.bytes(), origin.shown()), (bytes, 1));
}

#[test]
fn destinations_that_speak_only_one_version_of_tls_are_reached() {
    let authority = Authority::new("corporate");
    let certificate = authority.sign(&[PRIVATE], Validity::Now);
    let versions = [&rustls::version::TLS12, &rustls::version::TLS13];
    let origins = versions.map(|version| TlsOrigin::speaking(&certificate, &[version], None));
    let ports = [origins[0].origin().port(), origins[1].origin().port()];
    let mut site = Site::empty();
    let roots = authority.write(site.path(), "roots.pem");
    let registrations: Vec<String> =
        ports.iter().map(|port| to(&format!("/p{port}"), &format!("https://{PRIVATE}:{port}"), PRIVATE)).collect();
    site.publish(&boundary(&ports, &roots, DIAL_HERE), &registrations);
    let router = Router::serve(&site.merged());
    for port in ports {
        assert_eq!(router.get(&format!("/p{port}")).status, 200);
    }
    assert_eq!(origins.map(|origin| origin.handshakes()), [1, 1]);
}

#[test]
fn a_destination_that_does_not_speak_tls_is_told_apart_from_one_that_is_down() {
    let authority = Authority::new("corporate");
    let plain = Origin::named("plain");
    let down = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut site = Site::empty();
    let roots = authority.write(site.path(), "roots.pem");
    let ports = [plain.port(), down];
    let registrations: Vec<String> =
        ports.iter().map(|port| to(&format!("/p{port}"), &format!("https://{PRIVATE}:{port}"), PRIVATE)).collect();
    site.publish(&boundary(&ports, &roots, DIAL_HERE), &registrations);
    let router = Router::serve(&site.merged());
    assert_eq!(router.get(&format!("/p{}", plain.port())).reason(), Some("tls_failed"));
    assert!(plain.received().is_empty());
    assert_eq!(router.get(&format!("/p{down}")).reason(), Some("destination_refused"));
}

#[test]
fn nothing_in_a_boundary_turns_verification_off() {
    for field in ["insecure: true", "verify: false", "insecure_skip_verify: true", "roots: none"] {
        let text = boundary_with(&[443], "").replace("schemes: [http]", &format!("schemes: [https], tls: {{{field}}}"));
        let refused = std::panic::catch_unwind(|| merged_file(1, &text, &[]));
        assert!(refused.is_err(), "{field} was taken");
    }
    // The words above are the only thing that is wrong with it.
    let text = boundary_with(&[443], "").replace("schemes: [http]", "schemes: [https], tls: {roots: webpki}");
    assert!(!merged_file(1, &text, &[registration("/", 443, "").replace("http://", "https://")]).is_empty());
}
