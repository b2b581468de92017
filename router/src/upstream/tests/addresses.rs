//! Which addresses a socket is made to.

use super::dns::Reply;
use super::*;

/// The widest boundary there can be: these are refused whatever it says.
const EVERYTHING: &[&str] = &["0.0.0.0/0", "::/0"];

#[test]
fn forbidden_addresses_are_never_dialled_however_they_are_spelt() {
    const SPELLINGS: &[&str] = &[
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.170.2", "169.254.170.23",
        "169.254.169.253", "169.254.169.123", "169.254.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255",
        "192.0.0.1", "192.0.2.1", "198.51.100.7", "203.0.113.9", "::", "::1", "::ffff:127.0.0.1",
        "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::127.0.0.1", "::169.254.169.254", "::ffff:0:127.0.0.1",
        "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "64:ff9b:1::a9fe:a9fe", "2002:7f00:1::", "2002:a9fe:a9fe::1",
        "2001::1", "2001:0:53aa:64c::1", "fd00:ec2::254", "fd00:ec2::23", "fe80::1", "fec0::1", "ff02::1", "100::1",
        "fd12::5efe:7f00:1", "fd12::200:5efe:a9fe:a9fe",
    ];
    local(async {
        let names = NameServer::start(|asked| {
            let place: usize =
                asked.name.strip_prefix('n').unwrap().strip_suffix(".internal").unwrap().parse().unwrap();
            Reply::address(SPELLINGS[place])
        })
        .await;
        let upstreams = upstreams_with(&names).await;
        let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        for (place, address) in SPELLINGS.iter().enumerate() {
            let dial = format!("n{place}.internal");
            let destination = Destination::for_test((&dial, server.port), "orders.test", None, EVERYTHING, false);
            let reason = get(&upstreams, &destination).await.unwrap_err();
            assert_eq!(reason, Reason::DestinationAddressForbidden, "{address}");
        }
        let counters = upstreams.counters();
        assert_eq!((counters.dials, counters.refused_addresses), (0, SPELLINGS.len() as u64));
        assert_eq!(server.accepted.get(), 0);
    });
}

#[test]
fn what_lies_outside_of_the_named_networks_is_not_dialled() {
    local(async {
        let names = NameServer::start(|asked| {
            Reply::address(match asked.name {
                "public.internal" => "8.8.8.8",
                "public6.internal" => "2600:1f18::1",
                "shared.internal" => "100.64.0.1",
                "private6.internal" => "fd12:3456::1",
                _ => "10.99.0.1",
            })
        })
        .await;
        let upstreams = upstreams_with(&names).await;
        for (dial, networks) in [
            ("public.internal", &["10.0.0.0/8"][..]),
            ("public6.internal", &["fd12::/16"]),
            ("private.internal", &["10.20.0.0/16"]),
            // Private space has to be named to be reached.
            ("private.internal", &[]),
            ("private6.internal", &[]),
            ("shared.internal", &[]),
        ] {
            let destination = Destination::for_test((dial, 9), "orders.test", None, networks, true);
            let reason = get(&upstreams, &destination).await.unwrap_err();
            assert_eq!(reason, Reason::DestinationAddressForbidden, "{dial} {networks:?}");
        }
        assert_eq!(upstreams.counters().dials, 0);
    });
}

#[test]
fn of_mixed_answers_only_the_permitted_are_dialled() {
    local(async {
        let answer = ["169.254.169.254", "127.0.0.1", "10.0.0.1"].map(|address| address.parse().unwrap());
        let names = NameServer::start(move |_| Reply::Addresses(answer.to_vec(), 60)).await;
        let upstreams = upstreams_with(&names).await;
        let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        let destination =
            Destination::for_test(("mixed.internal", server.port), "orders.test", None, &["127.0.0.1"], true);
        assert_eq!(get(&upstreams, &destination).await.unwrap(), "ok");
        let counters = upstreams.counters();
        assert_eq!((counters.dials, counters.refused_addresses), (1, 2));
    });
}

#[test]
fn a_name_that_turns_to_a_forbidden_address_is_not_followed() {
    local(async {
        // Allowed once, and from then on the address of something else on this host.
        let names = NameServer::start(|asked| {
            let address = if asked.before == 0 { "127.0.0.2" } else { "127.0.0.1" };
            Reply::Addresses(vec![address.parse().unwrap()], 0)
        })
        .await;
        let upstreams = upstreams_with(&names).await;
        let good = Server::at("127.0.0.2:0", |mut stream, _| async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        })
        .await;
        let other = Server::at(&format!("127.0.0.1:{}", good.port), |_, _| async {}).await;
        let destination =
            Destination::for_test(("rebinding.internal", good.port), "orders.test", None, &["127.0.0.2"], true);
        let mut served = 0;
        let reason = loop {
            match get(&upstreams, &destination).await {
                Ok(_) => served += 1,
                Err(reason) => break reason,
            }
        };
        assert_eq!(reason, Reason::DestinationAddressForbidden);
        assert_eq!((good.accepted.get(), other.accepted.get()), (served, 0));
        for _ in 0..10_000 {
            assert_eq!(get(&upstreams, &destination).await.unwrap_err(), Reason::DestinationAddressForbidden);
        }
        assert_eq!(upstreams.counters().dials, served as u64);
        assert_eq!(other.accepted.get(), 0);
    });
}

#[test]
fn a_kept_connection_is_not_used_past_a_narrower_boundary() {
    local(async {
        let upstreams = upstreams();
        let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        let address = ("localhost", server.port);
        let wide = Destination::for_test(address, "orders.test", None, &["127.0.0.0/8"], true);
        assert_eq!(get(&upstreams, &wide).await.unwrap(), "ok");
        assert_eq!(upstreams.idle_connections(), 1);
        let narrow = Destination::for_test(address, "orders.test", None, &["10.0.0.0/8"], true);
        assert_eq!(narrow.key(), wide.key());
        assert_eq!(get(&upstreams, &narrow).await.unwrap_err(), Reason::DestinationAddressForbidden);
        assert_eq!((upstreams.idle_connections(), upstreams.counters().dials), (0, 1));
    });
}

#[test]
fn the_next_address_is_tried_when_one_refuses() {
    local(async {
        let answer = ["127.0.0.3", "127.0.0.2", "::1", "127.0.0.1"].map(|address| address.parse().unwrap());
        let names = NameServer::start(move |_| Reply::Addresses(answer.to_vec(), 60)).await;
        let upstreams = upstreams_with(&names).await;
        let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        let networks = &["127.0.0.0/8", "::1"];
        let destination = Destination::for_test(("several.internal", server.port), "orders.test", None, networks, true);
        assert_eq!(get(&upstreams, &destination).await.unwrap(), "ok");
        let counters = upstreams.counters();
        assert_eq!(counters.dials, counters.failed_dials + 1);
    });
}

/// A listener whose queue is full drops every further SYN: what a black hole looks like.
async fn black_hole(address: &str) -> (tokio::net::TcpListener, Vec<TcpStream>) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(address.parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(Ok(stream)) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        queue.push(stream);
    }
    (listener, queue)
}

#[test]
fn a_silent_address_is_passed_by_after_a_moment() {
    local(async {
        let answer = ["127.0.0.2", "127.0.0.1"].map(|address| address.parse().unwrap());
        let names = NameServer::start(move |_| Reply::Addresses(answer.to_vec(), 60)).await;
        let upstreams = upstreams_with(&names).await;
        let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        let _hole = black_hole(&format!("127.0.0.2:{}", server.port)).await;
        let dial = ("several.internal", server.port);
        let destination = Destination::for_test(dial, "orders.test", None, &["127.0.0.0/8"], true);
        let begun = Instant::now();
        assert_eq!(get(&upstreams, &destination).await.unwrap(), "ok");
        assert!(begun.elapsed() >= limits::STAGGER && begun.elapsed() < Duration::from_secs(3));
        assert_eq!(upstreams.counters().dials, 2);
    });
}

#[test]
fn nobody_there_and_nobody_answering_are_told_apart() {
    local(async {
        let upstreams = upstreams();
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let nobody = Destination::for_test(("localhost", port), "orders.test", None, &["127.0.0.1"], true);
        assert_eq!(get(&upstreams, &nobody).await.unwrap_err(), Reason::DestinationRefused);

        let (listener, _queue) = black_hole("127.0.0.1:0").await;
        let address = listener.local_addr().unwrap();
        let silent = Destination::for_test(("localhost", address.port()), "orders.test", None, &["127.0.0.1"], true);
        let short = Timeouts { connect: Duration::from_millis(200), ..timeouts() };
        let reason = send(&upstreams, &silent, Method::GET, Script::none(), short).await.unwrap_err();
        assert_eq!(reason, Reason::DestinationConnectTimeout);
        let total = Timeouts { total: Some(Duration::from_millis(100)), ..timeouts() };
        let reason = send(&upstreams, &silent, Method::GET, Script::none(), total).await.unwrap_err();
        assert_eq!(reason, Reason::TotalTimeout);
    });
}
