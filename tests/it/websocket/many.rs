//! Many of them, through many reloads: nobody notices, nothing grows.

use std::time::{Duration, Instant};

use postern_tests::websocket::{Pair, Pairs, goodbye, rest};
use postern_tests::{Origin, Site, boundary_with, eventually, registration, runs};

use super::{open, router};

#[test]
fn idle_websockets_live_through_reloads_of_other_routes_and_take_no_memory() {
    let count = runs("idle WebSockets", 1_000, 2_000);
    let reloads = runs("reloads beneath idle WebSockets", 30, 100);
    let (pairs, plain) = (Pairs::start(), Origin::named("plain"));
    let boundary = boundary_with(&[pairs.port(), plain.port()], "");
    let routes = |generation: usize| {
        let mut routes = vec![registration("/ws", pairs.port(), &open(""))];
        for number in 0..50 {
            routes.push(registration(&format!("/r{number}-{generation}"), plain.port(), ""));
        }
        routes
    };
    let mut site = Site::new(&boundary, &routes(0));
    let settings =
        [("POSTERN_ROUTER_LIMITS__TUNNEL_GRACE", "0s"), ("POSTERN_ROUTER_LIMITS__CONNECTIONS_PER_ADDRESS", "0")];
    let router = router(&site, &settings);
    let empty = router.resident();
    let began = Instant::now();
    let mut open: Vec<Pair> = (0..count).map(|number| pairs.open(router.address(), &format!("/ws/{number}"))).collect();
    assert!(open.iter_mut().all(Pair::is_alive));
    eventually("the gauge", || (router.metric("postern_tunnels") == count as f64).then_some(()));
    let opened = began.elapsed();
    let mut resident = Vec::new();
    for reload in 1..=reloads {
        site.publish(&boundary, &routes(reload));
        router.until_generation(reload as u64 + 1);
        resident.push(router.resident());
        // Some speak meanwhile.
        let mut some = open.iter_mut().skip(reload % 97).step_by(97);
        assert!(some.all(Pair::is_alive), "lost at reload {reload}");
    }
    let lost = open.iter_mut().map(Pair::is_alive).filter(|alive| !alive).count();
    assert_eq!(lost, 0, "{lost} of {count} were lost");
    assert_eq!(router.metric("postern_tunnels"), count as f64);
    let fifth = resident.len() / 5;
    let mean = |window: &[u64]| window.iter().sum::<u64>() / window.len() as u64;
    let (early, late) = (mean(&resident[fifth..2 * fifth]), mean(&resident[resident.len() - fifth..]));
    eprintln!(
        "{count} WebSockets open in {opened:.1?}, {:.1} KiB each; resident {} KiB early, {} KiB after {reloads} reloads",
        (early.saturating_sub(empty)) as f64 / 1024.0 / count as f64,
        early / 1024,
        late / 1024,
    );
    assert!(late.abs_diff(early) <= early / 10, "resident memory went from {early} to {late}");
}

#[test]
fn each_of_many_is_told_when_their_destination_goes() {
    let count = runs("WebSockets whose destination goes", 300, 2_000);
    let pairs = Pairs::start();
    let site = super::site(pairs.port(), "");
    let router = router(&site, &[("POSTERN_ROUTER_LIMITS__CONNECTIONS_PER_ADDRESS", "0")]);
    let mut open: Vec<Pair> = (0..count).map(|_| pairs.open(router.address(), "/ws")).collect();
    assert!(open.iter_mut().all(Pair::is_alive));
    let began = Instant::now();
    // As a process that is killed: some of its connections end with bytes unread, which is a reset.
    let mut clients: Vec<_> = open
        .into_iter()
        .enumerate()
        .map(|(number, pair)| {
            if number % 2 == 0 {
                socket2::SockRef::from(&pair.destination).set_linger(Some(Duration::ZERO)).unwrap();
            }
            pair.client
        })
        .collect();
    for client in &mut clients {
        assert_eq!(goodbye(&rest(client)), Some(1011));
    }
    assert!(began.elapsed() < Duration::from_secs(30), "the last was told after {:?}", began.elapsed());
    eprintln!("{count} were told within {:?}", began.elapsed());
    drop(clients);
    eventually("nothing to be left", || {
        let open = ["postern_tunnels", "postern_active_requests", "postern_connections"];
        open.iter().all(|name| router.metric(name) == 0.0).then_some(())
    });
}
