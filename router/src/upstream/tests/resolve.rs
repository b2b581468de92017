//! Names to addresses, against a real name server.

use std::net::IpAddr;

use hickory_resolver::proto::op::ResponseCode;
use tokio::task::JoinSet;

use super::dns::{Question, Reply};
use super::*;
use crate::upstream::resolve::Unresolved;

async fn resolve(resolver: &Resolver, name: &str) -> Result<Vec<IpAddr>, Unresolved> {
    let deadline = Instant::now() + Duration::from_secs(10);
    resolver.resolve(&name.parse().unwrap(), deadline).await.map(|addresses| addresses.to_vec())
}

async fn with(script: impl Fn(&Question<'_>) -> Reply + 'static) -> (NameServer, Resolver) {
    let names = NameServer::start(script).await;
    let resolver = Resolver::new(&[names.address()]).unwrap();
    (names, resolver)
}

fn v4(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

#[test]
fn many_who_want_one_name_ask_once() {
    local(async {
        let (names, resolver) = with(|_| Reply::Addresses(vec![v4(1), "fd12::1".parse().unwrap()], 0)).await;
        let mut waiting = JoinSet::new();
        for _ in 0..100 {
            let resolver = resolver.clone();
            waiting.spawn_local(async move { resolve(&resolver, "orders.internal").await.unwrap() });
        }
        let mut answers = waiting.join_all().await;
        assert_eq!(answers.len(), 100);
        answers.iter_mut().for_each(|answer| answer.sort());
        assert!(answers.iter().all(|answer| *answer == [v4(1), "fd12::1".parse().unwrap()]));
        // A TTL of nothing still holds for a second.
        resolve(&resolver, "orders.internal").await.unwrap();
        assert_eq!((names.asked(), resolver.lookups()), (2, 1));
    });
}

#[test]
fn the_last_good_answer_stands_in_while_the_name_server_fails() {
    local(async {
        let mut cases = JoinSet::new();
        for failure in [
            Reply::Code(ResponseCode::ServFail),
            Reply::Code(ResponseCode::NXDomain),
            Reply::Code(ResponseCode::Refused),
            Reply::Addresses(vec![], 60),
            Reply::Silence,
        ] {
            cases.spawn_local(async move {
                let (_names, resolver) = with(move |asked| match asked.before {
                    0 => Reply::Addresses(vec![v4(1)], 0),
                    _ => failure.clone(),
                })
                .await;
                // Long enough for every answer to have run out, and for the failure to have been noted.
                let begun = Instant::now();
                while resolver.lookups() < 3 {
                    assert_eq!(resolve(&resolver, "orders.internal").await.unwrap(), [v4(1)]);
                    sleep(Duration::from_millis(20)).await;
                }
                assert!(begun.elapsed() > limits::TTL.0 + limits::NEGATIVE_FOR);
            });
        }
        assert_eq!(cases.join_all().await.len(), 5);
    });
}

#[test]
fn a_failure_is_believed_for_a_second() {
    local(async {
        let (_names, resolver) = with(|asked| match asked.before {
            0 => Reply::Code(ResponseCode::NXDomain),
            _ => Reply::Addresses(vec![v4(1)], 60),
        })
        .await;
        let begun = Instant::now();
        assert!(matches!(resolve(&resolver, "orders.internal").await, Err(Unresolved::Absent(_))));
        let mut tries = 0;
        while resolve(&resolver, "orders.internal").await.is_err() {
            tries += 1;
            sleep(Duration::from_millis(20)).await;
        }
        assert!(tries > 5 && begun.elapsed() < Duration::from_secs(3));
        assert_eq!(resolver.lookups(), 2);
    });
}

#[test]
fn a_silent_name_server_costs_no_more_than_the_deadline() {
    local(async {
        let (_names, resolver) = with(|_| Reply::Silence).await;
        let begun = Instant::now();
        let deadline = begun + Duration::from_millis(200);
        let outcome = resolver.resolve(&"orders.internal".parse().unwrap(), deadline).await;
        assert_eq!(outcome.unwrap_err(), Unresolved::Late);
        assert!(begun.elapsed() < Duration::from_secs(1));
    });
}

#[test]
fn one_family_does_not_wait_for_a_silent_other() {
    local(async {
        let (_names, resolver) = with(|asked| match asked.v6 {
            false => Reply::Addresses(vec![v4(1)], 60),
            true => Reply::Silence,
        })
        .await;
        let begun = Instant::now();
        assert_eq!(resolve(&resolver, "orders.internal").await.unwrap(), [v4(1)]);
        assert!(begun.elapsed() < Duration::from_millis(500));
    });
}

#[test]
fn hostile_answers_are_bounded() {
    local(async {
        let thousand: Vec<IpAddr> = (0..1000u32).map(|n| IpAddr::from((0x0a00_0000 + n).to_be_bytes())).collect();
        let (_names, resolver) = with(move |asked| match asked.name {
            "many.internal" => Reply::Addresses(thousand.clone(), 60),
            "loop.internal" => Reply::Alias("pool.internal."),
            "pool.internal" => Reply::Alias("loop.internal."),
            _ => Reply::Code(ResponseCode::FormErr),
        })
        .await;
        assert_eq!(resolve(&resolver, "many.internal").await.unwrap().len(), limits::ADDRESSES);
        assert!(resolve(&resolver, "loop.internal").await.is_err());
        assert!(matches!(resolve(&resolver, "odd.internal").await, Err(Unresolved::Failed(_))));
    });
}

#[test]
fn localhost_is_asked_of_nobody() {
    local(async {
        let (names, resolver) = with(|_| Reply::address("10.0.0.1")).await;
        assert!(resolve(&resolver, "localhost").await.unwrap().iter().all(IpAddr::is_loopback));
        assert_eq!((names.asked(), resolver.lookups()), (0, 0));
    });
}

#[test]
fn a_name_without_answers_is_a_reason_of_its_own() {
    local(async {
        let names = NameServer::start(|_| Reply::Code(ResponseCode::NXDomain)).await;
        let upstreams = upstreams_with(&names).await;
        let destination = Destination::for_test(("gone.internal", 9), "orders.test", None, &["10.0.0.0/8"], false);
        assert_eq!(get(&upstreams, &destination).await.unwrap_err(), Reason::DestinationUnresolved);
    });
}
