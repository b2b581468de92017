//! A listener's own bound of connections: at it all are served, one more waits, and other listeners never notice.

use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use postern_tests::{Client, Request, eventually};

use crate::listeners::Scene;

const TWO: &str =
    "[[listeners]]\naddress = \"127.0.0.1:0\"\nconnections = 4\n\n[[listeners]]\naddress = \"127.0.0.1:0\"\n";

fn is_served(client: &mut Client) -> bool {
    client.try_send(&Request::new("GET", "/")).is_ok_and(|answer| answer.status == 200)
}

/// One more connection, which tells when it is served.
fn one_more(address: std::net::SocketAddr) -> Receiver<Client> {
    let (done, waiting) = channel();
    std::thread::spawn(move || {
        let mut client = Client::connect(address);
        is_served(&mut client).then(|| done.send(client))
    });
    waiting
}

#[test]
fn a_listener_that_is_full_lets_one_more_wait_and_others_serve_on() {
    // On one core, and where both have to share the places.
    for workers in ["1", "2"] {
        let scene = Scene::new();
        let router = scene.start(TWO, &["--workers", workers]);
        let [_, full, other] = *router.addresses() else { panic!("{:?}", router.addresses()) };
        let mut kept: Vec<Client> = (0..4).map(|_| Client::connect(full)).collect();
        assert!(kept.iter_mut().all(is_served), "{workers} workers: below the bound");
        let waiting = one_more(full);
        // What is open goes on, and so does everybody elsewhere, however many come.
        let mut elsewhere: Vec<Client> = (0..12).map(|_| Client::connect(other)).collect();
        assert!(elsewhere.iter_mut().all(is_served), "{workers} workers: another listener");
        assert!(kept.iter_mut().all(is_served), "{workers} workers: at the bound");
        assert!(waiting.recv_timeout(Duration::from_millis(200)).is_err(), "{workers} workers: a fifth was served");
        // A freed place is taken, and is one place only.
        kept.pop();
        let fifth = waiting.recv_timeout(Duration::from_secs(10)).expect("the freed place is taken");
        kept.push(fifth);
        let waiting = one_more(full);
        assert!(kept.iter_mut().all(is_served), "{workers} workers: at the bound again");
        assert!(waiting.recv_timeout(Duration::from_millis(200)).is_err(), "{workers} workers: a sixth was served");
        drop(kept);
        let sixth = waiting.recv_timeout(Duration::from_secs(10)).expect("freed places are taken");
        drop((sixth, elsewhere));
        eventually("no place to be kept", || {
            let mut all: Vec<Client> = (0..4).map(|_| Client::connect(full)).collect();
            all.iter_mut().all(is_served).then_some(())
        });
    }
}

#[test]
fn who_left_while_waiting_keeps_no_place() {
    let scene = Scene::new();
    let router = scene.start(TWO, &["--workers", "1"]);
    let full = router.addresses()[1];
    let mut kept: Vec<Client> = (0..4).map(|_| Client::connect(full)).collect();
    assert!(kept.iter_mut().all(is_served));
    for _ in 0..8 {
        drop(Client::connect(full));
    }
    kept.truncate(1);
    let mut again: Vec<Client> = (0..3).map(|_| Client::connect(full)).collect();
    assert!(again.iter_mut().chain(&mut kept).all(is_served));
}

#[test]
fn a_listener_without_places_is_a_mistake() {
    let scene = Scene::new();
    let file = scene.site.path().join("settings.toml");
    std::fs::write(&file, TWO.replace("= 4", "= 0")).unwrap();
    let output = postern_tests::run("postern-router", &["serve", "--settings", file.to_str().unwrap()]);
    assert_eq!(output.code, 2, "{}", output.err);
    assert!(output.err.contains("listeners.0.connections: is zero, so nobody could connect"), "{}", output.err);
}
