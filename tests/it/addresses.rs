//! Which addresses are dialled, whatever a name server answers and whatever a client sends.

use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use postern_tests::{Client, Dns, Request, Router, Site, eventually, eventually_within, run};

/// Listens on a port of one address, answers everyone, and counts them.
struct Trap {
    port: u16,
    caught: Arc<AtomicUsize>,
}

impl Trap {
    fn on(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let port = listener.local_addr().unwrap().port();
        let caught = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&caught);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\ncaught\n";
                let mut head = [0; 4_096];
                let _ = std::io::Read::read(&mut stream, &mut head);
                let _ = std::io::Write::write_all(&mut stream, answer);
            }
        });
        Self { port, caught }
    }

    /// On every address of this machine, of both families where there are two.
    fn everywhere() -> Self {
        let both = TcpListener::bind("[::]:0").is_ok();
        Self::on(if both { "[::]:0" } else { "0.0.0.0:0" })
    }

    fn caught(&self) -> usize {
        self.caught.load(Ordering::SeqCst)
    }
}

fn boundary(port: u16, addresses: &str) -> String {
    format!(
        "{{apiVersion: postern/v1, kind: Boundary, hosts: [api.example.com], destinations: [
           {{name: names, hosts: ['*.targets.example.net', localhost], schemes: [http], ports: [{port}]{addresses}}}]}}"
    )
}

fn to(root: &str, name: &str, port: u16) -> String {
    format!("{{root: {root}, owner: team, destination: {{url: 'http://{name}:{port}'}}}}")
}

fn serve(site: &Site, dns: &Dns) -> Router {
    let (variable, servers) = dns.setting();
    let router = Router::start(&site.merged(), &[], &[(variable, &servers)]);
    router.until_ready();
    router
}

/// The counters lag behind by a moment, but both alike.
fn assert_no_dial_but_refusals(router: &Router, refused: usize) {
    eventually("the counters", || (router.metric("postern_dials_refused_total") >= refused as f64).then_some(()));
    assert_eq!(router.metric("postern_dials_total"), 0.0);
}

const FORBIDDEN: [&str; 46] = [
    "127.0.0.1", "127.0.0.2", "127.1.2.3", "127.255.255.254", "0.0.0.0", "0.0.0.1", "169.254.169.254", "169.254.170.2",
    "169.254.170.23", "169.254.169.253", "169.254.169.123", "169.254.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255", "192.0.0.192", "192.0.2.1", "::", "::1", "::2", "::127.0.0.1", "::169.254.169.254",
    "::ffff:127.0.0.1", "::ffff:0.0.0.0", "::ffff:169.254.169.254", "::ffff:10.20.0.1", "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a9fe:a9fe", "64:ff9b:1::7f00:1", "2002:7f00:1::",
    "2002:7f00:1::1", "2002:a9fe:a9fe::", "2001::7f00:1", "fe80::1", "fe80::a9fe:a9fe", "febf::1", "fec0::1",
    "fd00:ec2::254", "fd00:ec2::23", "ff02::1", "ff05::2", "fd12::5efe:7f00:1", "fd12::200:5efe:a9fe:a9fe",
];

#[test]
fn no_answer_of_a_name_server_leads_to_a_forbidden_address() {
    let trap = Trap::everywhere();
    let dns = Dns::start(|name, _| {
        let number = name.strip_prefix('n').and_then(|rest| rest.strip_suffix(".targets.example.net"));
        let address = number.and_then(|number| FORBIDDEN.get(number.parse::<usize>().ok()?));
        address.iter().map(|address| address.parse().unwrap()).collect()
    });
    // The widest networks that a boundary can name.
    let boundary = boundary(trap.port, ", addresses: ['0.0.0.0/0', '::/0']");
    let registrations: Vec<String> = (0..FORBIDDEN.len())
        .map(|index| to(&format!("/n{index}"), &format!("n{index}.targets.example.net"), trap.port))
        .collect();
    let site = Site::new(&boundary, &registrations);
    let router = serve(&site, &dns);
    let mut client = router.client();
    for (index, address) in FORBIDDEN.iter().enumerate() {
        let answer = client.send(&Request::new("GET", &format!("/n{index}")));
        let outcome = (answer.status, answer.reason());
        assert_eq!(outcome, (502, Some("destination_address_forbidden")), "{address}");
        assert!(!answer.text().contains(address), "the answer tells of {address}");
    }
    assert_no_dial_but_refusals(&router, FORBIDDEN.len());
    assert_eq!(trap.caught(), 0);
    eprintln!("{} forms of addresses, 0 dials", FORBIDDEN.len());
}

#[test]
fn a_name_server_that_changes_its_answer_gets_no_connection_to_another_address() {
    let allowed = Trap::on("127.0.0.2:0");
    let trap = Trap::on(&format!("127.0.0.1:{}", allowed.port));
    let later: [&[&str]; 5] =
        [&["127.0.0.1"], &["169.254.169.254"], &["::ffff:127.0.0.1", "::1"], &["127.0.0.1", "10.0.0.1"], &["0.0.0.0"]];
    let dns = Dns::start(move |_, times| match times {
        0 => vec!["127.0.0.2".parse().unwrap()],
        times => later[(times - 1) % later.len()].iter().map(|address| address.parse().unwrap()).collect(),
    });
    let site = Site::new(
        &boundary(allowed.port, ", addresses: [127.0.0.2/32]"),
        &[to("/", "rebinding.targets.example.net", allowed.port)],
    );
    // One core, so that the answers come in this order.
    let (variable, servers) = dns.setting();
    let router = Router::start(&site.merged(), &["--workers", "1"], &[(variable, &servers)]);
    router.until_ready();
    let mut client = router.client();
    let answer = client.send(&Request::new("GET", "/"));
    assert_eq!((answer.status, answer.text().as_str()), (200, "caught\n"), "the first answer is an allowed address");
    let mut forbidden = 0;
    // An answer holds for a second, whatever its TTL (0) says: five more of them are five seconds.
    eventually_within(Duration::from_secs(30), "five other answers", || {
        let answer = client.send(&Request::new("GET", "/"));
        match answer.reason() {
            None => assert_eq!(answer.text(), "caught\n"),
            Some(reason) => {
                assert_eq!(reason, "destination_address_forbidden");
                forbidden += 1;
            }
        }
        // Two questions for each: one for either family.
        (dns.questions() >= 12 && forbidden > 0).then_some(())
    });
    assert_eq!(trap.caught(), 0);
    assert!(allowed.caught() >= 1);
}

#[test]
fn of_a_mixed_answer_only_allowed_addresses_are_dialled() {
    let allowed = Trap::on("127.0.0.2:0");
    let trap = Trap::on(&format!("127.0.0.1:{}", allowed.port));
    let dns = Dns::start(|_, _| {
        ["127.0.0.1", "::1", "127.0.0.2", "169.254.169.254"].map(|address| address.parse::<IpAddr>().unwrap()).to_vec()
    });
    let site = Site::new(
        &boundary(allowed.port, ", addresses: [127.0.0.2/32]"),
        &[to("/", "mixed.targets.example.net", allowed.port)],
    );
    let router = serve(&site, &dns);
    for _ in 0..20 {
        assert_eq!(router.get("/").status, 200);
    }
    assert_eq!((allowed.caught(), trap.caught()), (20, 0));
}

#[test]
fn private_addresses_are_dialled_only_where_the_boundary_names_them() {
    let dns = Dns::start(|name, _| match name {
        "inside.targets.example.net" => vec!["127.0.0.1".parse().unwrap()],
        _ => ["10.99.0.1", "172.16.0.9", "192.168.1.1", "100.64.0.1", "fd99::1"]
            .map(|address| address.parse().unwrap())
            .to_vec(),
    });
    let trap = Trap::on("127.0.0.1:0");
    for addresses in ["", ", addresses: ['10.20.0.0/16', 'fd12::/16']"] {
        let site = Site::new(&boundary(trap.port, addresses), &[to("/", "private.targets.example.net", trap.port)]);
        let router = serve(&site, &dns);
        let answer = router.get("/");
        assert_eq!((answer.status, answer.reason()), (502, Some("destination_address_forbidden")), "{addresses}");
        assert_no_dial_but_refusals(&router, 1);
    }
    // The same way leads somewhere when the boundary names the network.
    let addresses = ", addresses: [127.0.0.0/8]";
    let site = Site::new(&boundary(trap.port, addresses), &[to("/", "inside.targets.example.net", trap.port)]);
    assert_eq!(serve(&site, &dns).get("/").status, 200);
    assert_eq!(trap.caught(), 1);
}

#[test]
fn loopback_takes_both_the_boundary_and_the_flag() {
    let trap = Trap::everywhere();
    let named = Site::new(&boundary(trap.port, ", addresses: [127.0.0.0/8]"), &[to("/", "localhost", trap.port)]);
    let unnamed = Site::new(&boundary(trap.port, ", addresses: [10.0.0.0/8]"), &[to("/", "localhost", trap.port)]);
    let nothing = Site::new(&boundary(trap.port, ""), &[to("/", "localhost", trap.port)]);

    let router = Router::start_strict(&named.merged(), &[], &[]);
    router.until_ready();
    assert_eq!(router.get("/").reason(), Some("route_not_found"), "the route is put aside");
    let aside = router.snapshot()["quarantined"].to_string();
    assert!(aside.contains("/#default") && aside.contains("--allow-loopback-destinations"), "{aside}");
    for site in [&unnamed, &nothing] {
        for router in [Router::start_strict(&site.merged(), &[], &[]), Router::start(&site.merged(), &[], &[])] {
            router.until_ready();
            assert_eq!(router.get("/").reason(), Some("destination_address_forbidden"));
            assert_no_dial_but_refusals(&router, 1);
        }
    }
    assert_eq!(trap.caught(), 0);
    assert_eq!(Router::serve(&named.merged()).get("/").status, 200);
    assert_eq!(trap.caught(), 1);
}

#[test]
fn numbers_that_resolvers_read_as_addresses_are_no_names() {
    let site = Site::empty();
    for host in [
        "2130706433", "0x7f000001", "017700000001", "127.1", "127.0.1", "0x7f.0.0.1", "0177.0.0.1", "127.0.0.1", "0",
        "2852039166", "0xa9fea9fe", "169.254.169.254", "169.254.43518", "0xa9.254.0xa9.0xfe", "[::1]",
        "[::ffff:127.0.0.1]", "[fe80::1%25eth0]", "127.0.0.1.", "localhost.", "orders.0x1", "orders.1", "①②⑦.⓪.⓪.①",
        "169。254。169。254", "user@127.0.0.1", "127.0.0.1%00.example.net", "127.0.0.1#.example.net",
    ] {
        let file = site.path().join("registration.json");
        let url = format!("http://{host}:80");
        let text = serde_json::json!({"root": "/a", "owner": "team", "destination": {"url": url}}).to_string();
        std::fs::write(&file, text).unwrap();
        let output = run("postern-router", &["check", file.to_str().unwrap()]);
        assert_eq!(output.code, 1, "{host} was taken: {}", output.out);
        assert!(output.out.contains("/destination/url"), "{host}: {}", output.out);
    }
}

#[test]
fn nothing_that_a_client_sends_is_ever_resolved() {
    let trap = Trap::everywhere();
    let dns = Dns::start(|_, _| vec!["127.0.0.1".parse().unwrap()]);
    let known = "orders.targets.example.net";
    let site = Site::new(
        &boundary(trap.port, ", addresses: [127.0.0.0/8]"),
        &[
            to("/orders", known, trap.port),
            to("/raw", known, trap.port).replace("owner: team", "owner: team, policies: {path: raw}"),
        ],
    );
    let router = serve(&site, &dns);
    assert_eq!(router.get("/orders").status, 200);
    let port = trap.port;
    let evil = "evil.example.org";
    let mut requests = Vec::new();
    for host in [
        evil,
        &format!("{evil}:{port}"),
        &format!("api.example.com@{evil}"),
        &format!("{evil}@api.example.com"),
        &format!("api.example.com.{evil}"),
        &format!("api.example.com, {evil}"),
        &format!("api.example.com:{port}@{evil}"),
        &format!("api.example.com/{evil}"),
        &format!("api.example.com#{evil}"),
        "127.0.0.1",
        "[::1]",
        "2130706433",
        "",
    ] {
        requests.push(format!("GET /orders HTTP/1.1\r\nhost: {host}\r\n\r\n"));
        requests.push(format!("GET /orders HTTP/1.1\r\nhost: api.example.com\r\nhost: {host}\r\n\r\n"));
        requests.push(format!("GET http://{host}/orders HTTP/1.1\r\nhost: api.example.com\r\n\r\n"));
        requests.push(format!("GET http://{host}/orders HTTP/1.1\r\nhost: {host}\r\n\r\n"));
        requests.push(format!("CONNECT {host} HTTP/1.1\r\nhost: {host}\r\n\r\n"));
    }
    for path in [
        format!("//{evil}/orders"),
        format!("/orders/http://{evil}/"),
        format!("/orders@{evil}/"),
        format!("/orders/../../{evil}"),
        format!("/orders?url=http://{evil}/"),
        format!("/raw//{evil}/"),
        format!("/raw/@{evil}:{port}/"),
        format!("/raw/%2f%2f{evil}"),
        format!("/raw/\\\\{evil}\\"),
        format!("@{evil}/orders"),
        format!(":{port}@{evil}/"),
        format!("/raw/%0d%0ahost:%20{evil}"),
    ] {
        requests.push(format!("GET {path} HTTP/1.1\r\nhost: api.example.com\r\n\r\n"));
    }
    for header in [
        "x-forwarded-host", "x-forwarded-server", "x-original-host", "x-host", "forwarded", "x-apigw-api-id", "via",
        "x-rewrite-url", "x-original-url", "location", "origin", "referer", "destination", "proxy-host",
    ] {
        requests.push(format!("GET /orders HTTP/1.1\r\nhost: api.example.com\r\n{header}: http://{evil}/\r\n\r\n"));
    }
    let mut served = 0;
    for request in &requests {
        let mut client = Client::connect(router.address());
        client.write(request.as_bytes()).unwrap();
        if client.read(false).is_ok_and(|answer| answer.status == 200) {
            served += 1;
        }
    }
    assert!(served >= 14, "only {served} requests were served at all");
    assert_eq!(dns.asked(), [known], "after {} requests", requests.len());
}
