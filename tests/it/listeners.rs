//! TLS towards clients: what is spoken, what is shown to whom, who has to show something, and what is never resumed.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use postern_tests::{
    Authority, Certificate, Client, Gate, Origin, Reply, Request, Router, Secured, Site, TlsClient, Validity,
    boundary_with, checkout, eventually, registration, run,
};
use rustls::ProtocolVersion;
use rustls::version::{TLS12, TLS13};

const HOST: &str = "api.example.com";

/// A site behind a router, and an authority for whatever its listeners show.
pub(crate) struct Scene {
    pub(crate) site: Site,
    pub(crate) authority: Authority,
    _origin: Origin,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let origin = Origin::named("orders");
        let site = Site::new(&boundary_with(&[origin.port()], ""), &[registration("/", origin.port(), "")]);
        Self { site, authority: Authority::new("clients' trust"), _origin: origin }
    }

    /// A certificate for names; its files lie in a folder of that name, as TOML wants them.
    pub(crate) fn certificate(&self, folder: &str, names: &[&str]) -> (Certificate, String) {
        let certificate = self.authority.sign(names, Validity::Now);
        let files = self.write(folder, &certificate);
        (certificate, files)
    }

    /// Writes a certificate into a folder; its files as TOML wants them.
    pub(crate) fn write(&self, folder: &str, certificate: &Certificate) -> String {
        let place = self.site.path().join(folder);
        std::fs::create_dir_all(&place).unwrap();
        let (certificate, key) = certificate.write(&place);
        format!("{{certificate_file = {certificate:?}, key_file = {key:?}}}")
    }

    /// A router with these settings beside a plain listener; its first address is the plain one.
    pub(crate) fn start(&self, settings: &str, flags: &[&str]) -> Router {
        let file = self.site.path().join("settings.toml");
        std::fs::write(&file, settings).unwrap();
        let router =
            Router::start(&self.site.merged(), &[&["--settings", file.to_str().unwrap()], flags].concat(), &[]);
        router.until_ready();
        router
    }
}

/// A listener with those certificates, and more fields of `tls` behind them.
pub(crate) fn listener(certificates: &str, more: &str) -> String {
    format!("[[listeners]]\naddress = \"127.0.0.1:0\"\ntls = {{certificates = [{certificates}]{more}}}\n")
}

/// Asks once, so that the session's tickets have come.
fn ask(mut secured: Secured) -> Secured {
    let answer = secured.client.send(&Request::new("GET", "/asked"));
    assert_eq!((answer.status, answer.text().as_str()), (200, "orders GET /asked"));
    secured
}

#[test]
fn both_versions_are_spoken_beside_a_plain_listener() {
    let scene = Scene::new();
    let (certificate, files) = scene.certificate("one", &[HOST]);
    let router = scene.start(&listener(&files, ""), &[]);
    let [_, address] = router.addresses() else { panic!("{:?}", router.addresses()) };
    for (only, version) in [(&TLS13, ProtocolVersion::TLSv1_3), (&TLS12, ProtocolVersion::TLSv1_2)] {
        let client = TlsClient::speaking(&scene.authority, &[only], None).offering(&["http/1.1"]);
        let secured = ask(client.connect(*address, HOST).unwrap());
        assert_eq!((secured.version, secured.protocol.as_deref()), (version, Some("http/1.1")));
        assert_eq!(secured.shown, certificate.der());
    }
    let both = TlsClient::new(&scene.authority).offering(&["http/1.1", "h2"]).connect(*address, HOST).unwrap();
    assert_eq!(both.protocol.as_deref(), Some("h2"));
    // Who names nothing gets HTTP/1.1, who names something else gets nothing (RFC 7301 §3.2).
    assert_eq!(ask(TlsClient::new(&scene.authority).connect(*address, HOST).unwrap()).protocol, None);
    let strange = TlsClient::new(&scene.authority).offering(&["smtp"]).connect(*address, HOST).err().unwrap();
    assert!(strange.to_string().contains("NoApplicationProtocol"), "{strange}");
    assert_eq!(router.get("/plain").status, 200);
    assert_eq!(router.metric("postern_handshakes_total"), 4.0);
    assert_eq!(router.metric("postern_handshake_failures_total{reason=\"incompatible\"}"), 1.0);
}

#[test]
fn with_a_certificate_in_the_flags_every_address_of_listen_speaks_tls() {
    let scene = Scene::new();
    scene.certificate("one", &[HOST]);
    let place = scene.site.path().join("one");
    let file = |name: &str| place.join(name).to_str().unwrap().to_owned();
    let (certificate, key) = (file("certificate.pem"), file("key.pem"));
    let flags = ["--tls-certificate", &certificate, "--tls-key", &key, "--listen", "127.0.0.1:0"];
    let router = Router::start(&scene.site.merged(), &flags, &[]);
    router.until_ready();
    assert_eq!(router.addresses().len(), 2);
    for address in router.addresses() {
        ask(TlsClient::new(&scene.authority).connect(*address, HOST).unwrap());
    }
}

#[test]
fn a_destination_learns_that_the_client_spoke_tls() {
    let origin = Origin::start(|request| Reply::ok(request.header("x-forwarded-proto").unwrap_or("").to_owned()));
    let mut scene = Scene::new();
    scene.site.publish(&boundary_with(&[origin.port()], ""), &[registration("/", origin.port(), "")]);
    let (_, files) = scene.certificate("one", &[HOST]);
    let router = scene.start(&listener(&files, ""), &[]);
    let mut secured = TlsClient::new(&scene.authority).connect(router.addresses()[1], HOST).unwrap();
    assert_eq!(secured.client.send(&Request::new("GET", "/")).text(), "https");
    assert_eq!(router.get("/").text(), "http");
}

/// A first flight as old or odd clients send it (RFC 5246 §7.4.1.2).
fn hello(version: u16, suite: u16) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    body.extend([7; 32]);
    body.extend([0, 0, 2]);
    body.extend(suite.to_be_bytes());
    body.extend([1, 0]);
    // Groups x25519 and P-256, uncompressed points, three ways to sign.
    let extensions = [0, 10, 0, 6, 0, 4, 0, 29, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 8, 0, 6, 4, 3, 8, 4, 4, 1];
    body.extend([0, u8::try_from(extensions.len()).unwrap()]);
    body.extend(extensions);
    let length = u8::try_from(body.len()).unwrap();
    [&[22, 3, 1, 0, length + 4, 1, 0, 0, length][..], &body].concat()
}

#[test]
fn nothing_older_and_nothing_without_forward_secrecy_or_authentication_is_spoken() {
    let scene = Scene::new();
    let (_, files) = scene.certificate("one", &[HOST]);
    let newest = listener(&files, ", minimum = \"1.3\"");
    let router = scene.start(&format!("{}{newest}", listener(&files, "")), &[]);
    let answer = |address: SocketAddr, version, suite| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(&hello(version, suite)).unwrap();
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).unwrap();
        (answer[0], answer[6])
    };
    let (alert, handshake) = (21, 22);
    let (failure, version) = (40, 70);
    let [_, both, newer] = router.addresses() else { panic!("{:?}", router.addresses()) };
    // ECDHE with AES-GCM is taken, so the rest of the flight is well made.
    assert_eq!(answer(*both, 0x0303, 0xc02b).0, handshake);
    for (what, told, suite, why) in [
        ("SSL 3.0", 0x0300, 0xc02b, version),
        ("TLS 1.0", 0x0301, 0xc02b, version),
        ("TLS 1.1", 0x0302, 0xc02b, version),
        ("RSA key exchange", 0x0303, 0x009c, failure),
        ("ECDHE with CBC", 0x0303, 0xc009, failure),
        ("RC4", 0x0303, 0xc007, failure),
        ("no encryption", 0x0303, 0xc006, failure),
    ] {
        assert_eq!(answer(*both, told, suite), (alert, why), "{what}");
    }
    assert_eq!(answer(*newer, 0x0303, 0xc02b), (alert, version));
    let client = |only| TlsClient::speaking(&scene.authority, &[only], None).connect(*newer, HOST);
    assert!(client(&TLS12).is_err());
    ask(client(&TLS13).unwrap());
}

#[test]
fn curl_and_openssl_are_served() {
    let scene = Scene::new();
    let (_, files) = scene.certificate("one", &[HOST]);
    let trust = scene.authority.write(scene.site.path(), "authority.pem");
    let router = scene.start(&listener(&files, ""), &[]);
    let port = router.addresses()[1].port();
    let output = |program: &str, arguments: &[&str]| match Command::new(program).args(arguments).output() {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(error) => {
            eprintln!("{program} is not here, so it was not tried: {error}");
            None
        }
    };
    let trust = trust.to_str().unwrap();
    let (url, resolve) = (format!("https://{HOST}:{port}/curl"), format!("{HOST}:{port}:127.0.0.1"));
    for version in [&["--tlsv1.3"][..], &["--tls-max", "1.2"]] {
        let arguments = [&["-sS", "--cacert", trust, "--resolve", &resolve, &url], version].concat();
        if let Some(told) = output("curl", &arguments) {
            assert_eq!(told, "orders GET /curl", "{version:?}");
        }
    }
    let address = format!("127.0.0.1:{port}");
    let arguments =
        ["s_client", "-connect", &address, "-servername", HOST, "-CAfile", trust, "-alpn", "h2,http/1.1", "-brief"];
    if let Ok(output) = Command::new("openssl").args(arguments).stdin(std::process::Stdio::null()).output() {
        let told = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(told.contains("TLSv1.3") && told.contains("Verification: OK"), "{told}");
    }
}

#[test]
fn the_name_that_is_asked_for_chooses_the_certificate() {
    let scene = Scene::new();
    let (first, a) = scene.certificate("first", &["first.example.org", "127.0.0.1"]);
    let (wildcard, b) = scene.certificate("wildcard", &["*.api.example.com"]);
    let (exact, c) = scene.certificate("exact", &["api.example.com", "Special.API.example.com"]);
    let router = scene.start(&listener(&[a, b, c].join(", "), ""), &[]);
    let address = router.addresses()[1];
    let client = TlsClient::new(&scene.authority);
    for (asked, certificate) in [
        ("api.example.com", &exact),
        ("one.api.example.com", &wildcard),
        ("OTHER.api.Example.com", &wildcard),
        ("special.api.example.com", &exact),
        ("first.example.org", &first),
        // An address is no name and asks for nothing.
        ("127.0.0.1", &first),
    ] {
        assert_eq!(client.connect(address, asked).unwrap().shown, certificate.der(), "{asked}");
    }
    // A wildcard is over one label, and a name that nobody has gets the first; the client refuses it.
    for asked in ["a.b.api.example.com", "example.com", "nobody.example.net", "localhost"] {
        let refused = client.connect(address, asked).err().unwrap().to_string();
        assert!(refused.contains("first.example.org"), "{asked}: {refused}");
    }
    eventually("the refusals to be counted", || {
        (router.metric("postern_handshake_failures_total{reason=\"refused\"}") >= 4.0).then_some(())
    });
}

#[test]
fn a_session_goes_on_where_it_began_and_nowhere_else() {
    let scene = Scene::new();
    let (_, files) = scene.certificate("one", &[HOST]);
    let trust = scene.authority.write(scene.site.path(), "clients.pem");
    let clients = format!(", client_authentication = {{ca_file = {trust:?}, mode = \"optional\"}}");
    let settings = format!("{}{}{}", listener(&files, ""), listener(&files, ""), listener(&files, &clients));
    let router = scene.start(&settings, &["--workers", "2"]);
    let [_, one, twin, clients] = router.addresses() else { panic!("{:?}", router.addresses()) };
    for version in [&TLS13, &TLS12] {
        let connect = |client: &TlsClient, address: &SocketAddr| ask(client.connect(*address, HOST).unwrap());
        let client = TlsClient::speaking(&scene.authority, &[version], None);
        assert!(!connect(&client, one).resumed);
        for _ in 0..4 {
            let again = connect(&client, one);
            assert!(again.resumed && !again.takes_early_data, "{version:?}");
        }
        // The same certificate, the same name, and a ticket in hand that another listener gave.
        for (from, to) in [(one, twin), (one, clients), (clients, one), (clients, twin)] {
            let client = TlsClient::speaking(&scene.authority, &[version], None);
            connect(&client, from);
            assert!(!connect(&client, to).resumed, "{version:?} from {from} to {to}");
            assert!(connect(&client, to).resumed, "{version:?} at {to}");
        }
    }
    assert_eq!(router.metric("postern_handshakes_resumed_total"), 16.0);
}

#[test]
fn a_listener_that_demands_a_certificate_lets_nobody_in_without_the_right_one() {
    let scene = Scene::new();
    let (_, files) = scene.certificate("one", &[HOST]);
    let (clients, strangers) = (Authority::new("clients"), Authority::new("strangers"));
    let trust = clients.write(scene.site.path(), "clients.pem");
    let demand = |mode: &str| format!(", client_authentication = {{ca_file = {trust:?}, mode = \"{mode}\"}}");
    let settings = format!("{}{}", listener(&files, &demand("required")), listener(&files, &demand("optional")));
    let router = scene.start(&settings, &[]);
    let [_, required, optional] = router.addresses() else { panic!("{:?}", router.addresses()) };
    let right = clients.sign(&["partner.example.com"], Validity::Now);
    let late = clients.sign(&["partner.example.com"], Validity::Over);
    let strange = strangers.sign(&["partner.example.com"], Validity::Now);
    let own = Certificate::self_signed(&["partner.example.com"]);
    for version in [&TLS13, &TLS12] {
        // With TLS 1.3 a client learns of its refusal only when it reads.
        let answered = |address: &SocketAddr, certificate: Option<&Certificate>| {
            let client = TlsClient::speaking(&scene.authority, &[version], certificate);
            let mut secured = client.connect(*address, HOST).ok()?;
            secured.client.try_send(&Request::new("GET", "/")).ok().map(|answer| answer.status)
        };
        assert_eq!(answered(required, Some(&right)), Some(200));
        assert_eq!(answered(optional, Some(&right)), Some(200));
        assert_eq!(answered(required, None), None);
        assert_eq!(answered(optional, None), Some(200));
        for (what, certificate) in [("expired", &late), ("a stranger's", &strange), ("its own", &own)] {
            assert_eq!(answered(required, Some(certificate)), None, "{what} {version:?}");
            assert_eq!(answered(optional, Some(certificate)), None, "{what} {version:?}");
        }
    }
    assert_eq!(router.metric("postern_handshake_failures_total{reason=\"client_certificate\"}"), 14.0);
}

#[test]
fn what_is_no_tls_is_closed_and_harms_nobody() {
    let scene = Scene::new();
    let (_, files) = scene.certificate("one", &[HOST]);
    let router = scene.start(&listener(&files, ""), &[]);
    let address = router.addresses()[1];
    let mut kept = TlsClient::new(&scene.authority).connect(address, HOST).unwrap();
    let mut shaken = hello(0x0303, 0xc02b);
    let half = shaken.split_off(20);
    let flood = vec![0x16; 200_000];
    let rows: [&[u8]; 8] = [
        b"GET / HTTP/1.1\r\nhost: api.example.com\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n",
        &[0; 64],
        &[22, 3, 1, 0xff, 0xff, 1],
        &[21, 3, 3, 0, 2, 2, 40],
        &half,
        &flood,
    ];
    for bytes in rows {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        // At most an alert.
        assert!(answer.len() <= 7 && answer.first().is_none_or(|kind| *kind == 21), "{answer:?}");
        assert_eq!(kept.client.send(&Request::new("GET", "/")).status, 200);
    }
    ask(TlsClient::new(&scene.authority).connect(address, HOST).unwrap());
    // And TLS on the plain listener.
    assert!(TlsClient::new(&scene.authority).connect(router.address(), HOST).is_err());
    assert_eq!(router.get("/").status, 200);
    let lines = router.diagnostics().lines().filter(|line| line.contains("came to nothing")).count();
    assert!(lines <= 2, "{lines} lines about handshakes");
}

#[test]
fn what_is_in_flight_inside_tls_ends_well_when_the_router_ends() {
    let gate = Gate::closed();
    let held = std::sync::Arc::clone(&gate);
    let slow = Origin::start(move |request| {
        if request.target == "/slow" {
            held.pass();
        }
        Reply::ok("a".repeat(1 << 20))
    });
    let mut scene = Scene::new();
    scene.site.publish(&boundary_with(&[slow.port()], ""), &[registration("/", slow.port(), "")]);
    let (_, files) = scene.certificate("one", &[HOST]);
    let settings = format!("[shutdown]\nlame_duck = \"0s\"\ndeadline = \"20s\"\n{}", listener(&files, ""));
    let mut router = scene.start(&settings, &[]);
    let address = router.addresses()[1];
    let client = TlsClient::new(&scene.authority);
    let mut idle: Vec<Secured> = (0..5).map(|_| client.connect(address, HOST).unwrap()).collect();
    for secured in &mut idle {
        assert_eq!(secured.client.send(&Request::new("GET", "/quick")).status, 200);
    }
    let mut slow = client.connect(address, HOST).unwrap();
    slow.client.write(&Request::new("GET", "/slow").bytes()).unwrap();
    gate.until_waiting(1);
    let began = Instant::now();
    router.signal("TERM");
    eventually("new connections to be refused", || Client::try_connect(address).err());
    for secured in &mut idle {
        assert!(secured.client.is_closed());
    }
    gate.open();
    let answer = slow.client.read(false).unwrap();
    assert_eq!((answer.status, answer.body.len()), (200, 1 << 20));
    assert_eq!(router.wait(Duration::from_secs(20)).code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(10), "ended only after {:?}", began.elapsed());
}

#[test]
fn wrong_settings_of_listeners_are_told_all_at_once_with_what_to_do() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("router.toml");
    let serve = |settings: &str, more: &[&str]| {
        std::fs::write(&file, settings).unwrap();
        run("postern-router", &[&["serve", "--settings", file.to_str().unwrap()], more].concat())
    };
    let files = "{certificate_file = \"c.pem\", key_file = \"k.pem\"}";
    let one = listener(files, "");
    for (settings, words) in [
        (
            one.replace("certificates", "certificate"),
            &["listeners.0.tls.certificate", "certificates", "router.toml"][..],
        ),
        (one.replace("key_file", "keyfile"), &["listeners.0.tls.certificates.0", "key_file"]),
        (one.replace("address", "adress"), &["listeners.0", "adress", "did you mean \"address\""]),
        (listener(files, ", minimum = \"1.1\""), &["listeners.0.tls.minimum", "1.1", "1.2", "1.3"]),
        (
            listener(files, ", client_authentication = {ca_file = \"a\", mode = \"maybe\"}"),
            &["listeners.0.tls.client_authentication.mode", "maybe", "required", "optional"],
        ),
        (
            format!(
                "tls_key = \"k.pem\"\n{}{}[limits]\nhandshake = \"0s\"\n",
                listener("", ""),
                "[[listeners]]\naddress = \"127.0.0.1:1\"\n".repeat(2)
            ),
            &[
                "tls_certificate: is missing", "--tls-certificate FILE", "listeners.0.tls.certificates: is empty",
                "127.0.0.1:1 is given twice", "limits.handshake: is zero",
            ],
        ),
    ] {
        let output = serve(&settings, &[]);
        assert_eq!(output.code, 2, "{settings}\n{}", output.err);
        for word in words {
            assert!(output.err.contains(word), "no {word} for\n{settings}in\n{}", output.err);
        }
    }
    // The example of the documentation is taken whole.
    let text = std::fs::read_to_string(checkout().join("docs/listeners.md")).unwrap();
    let example = text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let shown = serve(example, &["--print-settings"]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    for words in ["0.0.0.0:9443", "\"required\"", "/etc/postern/wild/tls.key"] {
        assert!(shown.out.contains(words), "no {words} in\n{}", shown.out);
    }
    // Shown with where they came from; and no plain port beside them that nobody asked for.
    let shown = serve(&one, &["--print-settings"]).out;
    let line = |name: &str| shown.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap();
    assert!(line("listeners").contains("c.pem") && line("listeners").contains("router.toml"), "{shown}");
    assert!(line("listen").contains("= []"), "{shown}");
    assert!(line("limits.handshake").contains("\"5s\"") && line("limits.connections_per_address").contains("1000"));
    let both = serve(&one, &["--print-settings", "--listen", "127.0.0.1:1"]).out;
    assert!(both.contains("[\"127.0.0.1:1\"]"), "{both}");
}

#[test]
fn who_agreed_on_http2_and_does_not_begin_is_closed_in_time() {
    let scene = Scene::new();
    let (_, files) = scene.certificate("one", &[HOST]);
    let limits = "[limits]\nhead = \"500ms\"\nidle = \"500ms\"\n";
    let router = scene.start(&format!("{}\n{limits}", listener(&files, "")), &[]);
    let [_, address] = router.addresses() else { panic!("{:?}", router.addresses()) };
    for sent in [&b""[..], b"PRI * HTTP/2.0\r\n", b"GET / HTTP/1.1\r\nhost: api.example.com\r\n\r\n"] {
        let client = TlsClient::new(&scene.authority).offering(&["h2"]);
        let mut secured = client.connect(*address, HOST).unwrap();
        assert_eq!(secured.protocol.as_deref(), Some("h2"));
        let began = Instant::now();
        secured.client.write(sent).unwrap();
        assert!(secured.client.is_closed(), "{sent:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{sent:?}");
    }
}
