//! How one ends: by either side, by a limit, by a route that is gone, by the router's own end; each with a goodbye
//! where a frame ends.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::time::{Duration, Instant};

use postern_tests::websocket::{Pair, Pairs, goodbye, open, passes, rest};
use postern_tests::{Site, boundary_with, eventually, registration};

use super::{PATIENCE, open as policies, router, site};

/// What both ends of a tunnel are told at its end.
fn told(pair: &mut Pair) -> (Option<u16>, Option<u16>) {
    (goodbye(&rest(&mut pair.client)), goodbye(&rest(&mut pair.destination)))
}

#[test]
fn a_silent_one_is_ended_and_one_that_speaks_is_not() {
    let pairs = Pairs::start();
    let site = site(pairs.port(), ", timeouts: {idle: 1s}");
    let router = router(&site, &[]);
    let began = Instant::now();
    let (mut silent, mut busy) = (pairs.open(router.address(), "/ws"), pairs.open(router.address(), "/ws"));
    silent.client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    while silent.client.peek(&mut [0; 1]).is_err() {
        assert!(passes(&mut busy.client, &mut busy.destination, &[0x89, 0x80, 1, 2, 3, 4]));
        assert!(began.elapsed() < PATIENCE, "never ended");
    }
    assert!(began.elapsed() >= Duration::from_secs(1), "ended after {:?}", began.elapsed());
    assert!(busy.is_alive());
    assert_eq!(told(&mut silent), (Some(1001), Some(1001)));
    assert_eq!(router.logged(&silent.id)["detail"], "the tunnel was silent for too long");
}

#[test]
fn none_lasts_longer_than_the_router_lets_any() {
    let pairs = Pairs::start();
    let site = site(pairs.port(), "");
    let router = router(&site, &[("POSTERN_ROUTER_LIMITS__TUNNEL_LIFETIME", "1s")]);
    let mut pair = pairs.open(router.address(), "/ws");
    while passes(&mut pair.client, &mut pair.destination, &[0x89, 0x80, 1, 2, 3, 4]) {}
    assert_eq!(goodbye(&rest(&mut pair.client)), Some(1001));
    assert_eq!(router.logged(&pair.id)["detail"], "the tunnel lasted as long as any may");
}

#[test]
fn one_whose_route_is_gone_or_leads_elsewhere_is_ended_after_the_grace_and_others_live() {
    let (pairs, others) = (Pairs::start(), Pairs::start());
    let (port, other) = (pairs.port(), others.port());
    let boundary = boundary_with(&[port, other], "");
    let all = |without: &str, elsewhere: &str, off: &str| {
        ["/gone", "/moved", "/off", "/kept", "/back"]
            .iter()
            .filter(|root| **root != without)
            .map(|root| {
                let port = if *root == elsewhere { other } else { port };
                registration(root, port, if *root == off { "" } else { "policies: {websocket: true}" })
            })
            .collect::<Vec<_>>()
    };
    let mut site = Site::new(&boundary, &all("", "", ""));
    let router = router(&site, &[("POSTERN_ROUTER_LIMITS__TUNNEL_GRACE", "1500ms")]);
    let mut open = ["/gone", "/moved", "/off", "/kept", "/back"].map(|path| pairs.open(router.address(), path));
    let [gone, moved, off, kept, back] = &mut open;
    // A route that is gone for a moment only.
    site.publish(&boundary, &all("/back", "", ""));
    router.until_generation(2);
    site.publish(&boundary, &all("", "", ""));
    router.until_generation(3);
    let began = Instant::now();
    site.publish(&boundary, &all("/gone", "/moved", "/off"));
    router.until_generation(4);
    assert!(gone.is_alive() && moved.is_alive() && off.is_alive(), "ended without a grace");
    for pair in [gone, moved, off] {
        assert_eq!(told(pair), (Some(1012), Some(1001)));
        assert_eq!(router.logged(&pair.id)["detail"], "the tunnel's route is gone or leads elsewhere");
    }
    assert!(began.elapsed().as_millis() >= 1_500, "ended after {:?}", began.elapsed());
    assert!(kept.is_alive() && back.is_alive());
}

#[test]
fn when_the_router_ends_everyone_is_told_where_a_frame_ends() {
    let pairs = Pairs::start();
    let site = site(pairs.port(), "");
    let settings = [("POSTERN_ROUTER_SHUTDOWN__LAME_DUCK", "0s"), ("POSTERN_ROUTER_SHUTDOWN__DEADLINE", "20s")];
    let mut router = router(&site, &settings);
    let mut between = pairs.open(router.address(), "/ws");
    let mut within = pairs.open(router.address(), "/ws");
    let mut stuck = pairs.open(router.address(), "/ws");
    let mut odd = pairs.open(router.address(), "/ws");
    let (mut library, _) = open(router.address(), "/ws", &[]);
    assert!(between.is_alive());
    // Half of a frame has come, and the rest comes after the signal, with another frame right behind it.
    assert!(passes(&mut within.destination, &mut within.client, &[0x82, 4, 1, 2]));
    assert!(passes(&mut stuck.destination, &mut stuck.client, &[0x82, 4, 1, 2]));
    // No frame begins like this.
    assert!(passes(&mut odd.destination, &mut odd.client, &[0x83, 0, 0, 0]));
    let began = Instant::now();
    router.signal("TERM");
    assert_eq!(told(&mut between), (Some(1012), Some(1001)));
    within.destination.write_all(&[3, 4, 0x82, 1, 9]).unwrap();
    let tail = rest(&mut within.client);
    // Another core may hear of the end a little later.
    let behind = tail.strip_prefix(&[3, 4]).unwrap_or_else(|| panic!("{tail:?}"));
    assert_eq!(goodbye(behind.strip_prefix(&[0x82, 1, 9]).unwrap_or(behind)), Some(1012), "{tail:?}");
    assert_eq!(rest(&mut stuck.client), b"", "a goodbye within a frame");
    assert_eq!(rest(&mut odd.client), b"", "a goodbye where no frame can be told");
    let code = loop {
        match library.read() {
            Ok(tungstenite::Message::Close(frame)) => break frame.map(|frame| frame.code.into()),
            Ok(_) => {}
            Err(error) => panic!("cut: {error}"),
        }
    };
    assert_eq!(code, Some(1012_u16));
    drop((within, stuck, odd, library));
    assert_eq!(router.wait(PATIENCE).code(), Some(0));
    assert!(began.elapsed().as_secs() < 8, "ended after {:?}", began.elapsed());
    eventually("the line of the log", || {
        let lines = router.access_log();
        let line = lines.iter().find(|line| line["request_id"] == between.id.as_str())?;
        assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&8.into(), &4.into()), "{line}");
        Some(())
    });
}

#[test]
fn a_destination_that_goes_without_a_word_is_told_to_the_client_within_a_second() {
    let pairs = Pairs::start();
    let site = site(pairs.port(), "");
    let router = router(&site, &[]);
    for reset in [false, true] {
        let mut pair = pairs.open(router.address(), "/ws");
        assert!(pair.is_alive());
        if reset {
            socket2::SockRef::from(&pair.destination).set_linger(Some(Duration::ZERO)).unwrap();
        }
        let Pair { mut client, destination, id } = pair;
        drop(destination);
        assert_eq!(goodbye(&rest(&mut client)), Some(1011), "reset: {reset}");
        drop(client);
        assert_eq!(router.logged(&id)["reason"], "destination_reset");
    }
    // Within a frame nothing can be said.
    let mut pair = pairs.open(router.address(), "/ws");
    assert!(passes(&mut pair.destination, &mut pair.client, &[0x82, 4, 1, 2]));
    drop(pair.destination);
    assert_eq!(rest(&mut pair.client), b"");
}

#[test]
fn one_side_may_end_before_the_other() {
    let pairs = Pairs::start();
    let site = site(pairs.port(), "");
    let router = router(&site, &[]);
    // The client has no more to say, and hears the destination out.
    let mut pair = pairs.open(router.address(), "/ws");
    pair.client.write_all(&[0x81, 0x80, 0, 0, 0, 0]).unwrap();
    pair.client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut pair.destination), [0x81, 0x80, 0, 0, 0, 0]);
    assert!(passes(&mut pair.destination, &mut pair.client, &[0x81, 1, b'x']));
    pair.destination.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut pair.client), b"");
    let line = router.logged(&pair.id);
    assert!(line["reason"].is_null(), "{line}");
    // The destination says goodbye and ends; the client's answer still comes to it.
    let mut pair = pairs.open(router.address(), "/ws");
    pair.destination.write_all(&[0x88, 2, 3, 0xe8]).unwrap();
    pair.destination.shutdown(Shutdown::Write).unwrap();
    assert_eq!(goodbye(&rest(&mut pair.client)), Some(1000));
    assert!(passes(&mut pair.client, &mut pair.destination, &[0x88, 0x82, 0, 0, 0, 0, 3, 0xe8]));
    drop(pair.client);
    assert_eq!(rest(&mut pair.destination), b"");
    assert!(router.logged(&pair.id)["reason"].is_null());
    // A client that goes at once.
    let mut pair = pairs.open(router.address(), "/ws");
    socket2::SockRef::from(&pair.client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(pair.client);
    assert_eq!(pair.destination.read(&mut [0; 8]).unwrap_or(0), 0);
    assert_eq!(router.logged(&pair.id)["reason"], "client_closed");
}

#[test]
fn the_policy_may_be_a_default_and_may_be_taken_back_for_all() {
    let pairs = Pairs::start();
    for (more, status) in [
        ("defaults: {policies: {websocket: true}}", 101),
        ("overrides: {policies: {websocket: false}}", 400),
        ("defaults: {policies: {websocket: true}}\noverrides: {policies: {websocket: false}}", 400),
    ] {
        let own = if more.starts_with("over") { policies("") } else { String::new() };
        let site = Site::new(&boundary_with(&[pairs.port()], more), &[registration("/ws", pairs.port(), &own)]);
        let router = router(&site, &[]);
        let answer = postern_tests::websocket::asked(router.address(), &postern_tests::websocket::handshake("/ws"));
        assert_eq!(answer.unwrap().status, status, "{more}");
    }
}
