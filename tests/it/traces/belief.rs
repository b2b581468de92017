//! Whose word about a trace counts, in both spellings.

use postern_tests::{Collector, Origin, Router, Site, boundary_with, registration};

use super::{ALL, AMZN, NONE, PARENT, PROXIES, Scene, get, parts};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

#[test]
fn a_stranger_begins_a_trace_of_its_own() {
    let (scene, collector) = (Scene::new(), Collector::grpc());
    let elsewhere = ("POSTERN_ROUTER_TRUSTED_PROXIES", "[192.0.2.0/24]");
    let nobody = ("POSTERN_ROUTER_TRACING__TRUST", "none");
    for settings in [vec![], vec![elsewhere], vec![PROXIES, nobody]] {
        let router = scene.router(collector.endpoint(), &[&settings[..], &[ALL]].concat());
        let request = get(&[("traceparent", PARENT), ("tracestate", "a=1"), ("x-amzn-trace-id", AMZN)]);
        let answer = router.send(&request);
        let received = scene.origin.last();
        let [trace, span, _] = parts(&received);
        assert!(trace != TRACE && span != CALLER && !trace.starts_with("67891233"), "{received:?}");
        assert_eq!(received.header("tracestate"), None);
        let amzn = format!("Root=1-{}-{};Parent={span};Sampled=1", &trace[..8], &trace[8..]);
        assert_eq!(received.all("x-amzn-trace-id"), [amzn]);
        let spans = collector.of_request(answer.header("x-request-id").unwrap());
        assert!(spans[0].parent.is_empty() && !spans[0].remote_parent && spans[0].trace == trace, "{spans:?}");
    }
}

#[test]
fn a_trace_of_a_proxy_in_front_is_gone_on_with_as_it_decided() {
    let (scene, collector) = (Scene::new(), Collector::grpc());
    for trust in [PROXIES, ("POSTERN_ROUTER_TRACING__TRUST", "all")] {
        // Its word holds against the share in either direction.
        for (share, flags, kept) in [(NONE, "01", true), (ALL, "00", false), (NONE, "03", true), (ALL, "02", false)] {
            let router = scene.router(collector.endpoint(), &[trust, share]);
            let given = format!("{}{flags}", &PARENT[..53]);
            let state = ("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE");
            let answer = router.send(&get(&[("traceparent", &given), state]));
            let received = scene.origin.last();
            let [trace, span, onward] = parts(&received);
            assert_eq!((trace.as_str(), onward.as_str()), (TRACE, flags));
            assert!(span != CALLER && received.header("tracestate") == Some(state.1), "{received:?}");
            assert_eq!(received.header("x-amzn-trace-id"), None, "none came");
            if kept {
                let spans = collector.of_request(answer.header("x-request-id").unwrap());
                assert_eq!((spans[0].parent.as_str(), spans[0].remote_parent), (CALLER, true), "{spans:?}");
                assert!(spans.iter().all(|span| span.state == state.1 && span.trace == TRACE), "{spans:?}");
                assert_eq!(spans[1].id, span);
            }
            super::end(router);
            let told = answer.header("x-request-id").unwrap();
            assert_eq!(collector.spans().iter().any(|span| span.get("postern.request_id") == told), kept);
        }
    }
}

#[test]
fn x_amzn_trace_id_is_bridged_both_ways() {
    let (scene, collector) = (Scene::new(), Collector::grpc());
    let router = scene.router(collector.endpoint(), &[PROXIES, NONE]);
    let root = "67891233abcdef012345678912345678";
    // As a load balancer writes it: a trace, and nobody who has decided.
    for (given, flags) in [
        (AMZN.to_owned(), "03"),
        (AMZN.replace("Sampled=1", "Sampled=0"), "02"),
        ("Self=1-67891234-12456789abcdef012345678;Root=1-67891233-abcdef012345678912345678".to_owned(), "02"),
    ] {
        let received = scene.arrived(&router, &get(&[("X-Amzn-Trace-Id", &given)]));
        let [trace, span, onward] = parts(&received);
        assert_eq!((trace.as_str(), onward.as_str()), (root, flags), "{given}");
        let sampled = if flags == "03" { 1 } else { 0 };
        let expected = format!("Root=1-67891233-abcdef012345678912345678;Parent={span};Sampled={sampled}");
        assert_eq!(received.all("x-amzn-trace-id"), [expected]);
    }
    // The other way: from W3C, where a destination is to have it.
    let always = ("POSTERN_ROUTER_TRACING__X_AMZN_TRACE_ID", "always");
    let router = scene.router(collector.endpoint(), &[PROXIES, NONE, always]);
    let received = scene.arrived(&router, &get(&[("traceparent", PARENT)]));
    let [_, span, _] = parts(&received);
    let expected = format!("Root=1-{}-{};Parent={span};Sampled=1", &TRACE[..8], &TRACE[8..]);
    assert_eq!(received.all("x-amzn-trace-id"), [expected]);
}

/// Spellings of a `traceparent` that are none.
fn malformed() -> Vec<String> {
    let mut odd = vec![
        String::new(),
        "x".to_owned(),
        "00".to_owned(),
        PARENT.to_uppercase(),
        PARENT.replace('-', "_"),
        PARENT.replace('-', ""),
        PARENT[..54].to_owned(),
        format!("{PARENT}0"),
        format!("{PARENT}-"),
        format!("{PARENT}-more"),
        format!("{PARENT},{PARENT}"),
        format!("\"{PARENT}\""),
        format!("ff{}", &PARENT[2..]),
        format!("0g{}", &PARENT[2..]),
        PARENT.replace(TRACE, &"0".repeat(32)),
        PARENT.replace(CALLER, &"0".repeat(16)),
        PARENT.replace("0af7", "0AF7"),
        PARENT.replace("0af7", "0a 7"),
        PARENT.replace("0af7", "0x0a"),
        PARENT.replace("-01", "-0x"),
        PARENT.replace("-01", "-1"),
    ];
    // Each place of it with a byte that does not belong there.
    odd.extend((0..PARENT.len()).map(|at| format!("{}~{}", &PARENT[..at], &PARENT[at + 1..])));
    odd
}

#[test]
fn what_is_malformed_is_never_gone_on_with_nor_passed_on() {
    let (scene, collector) = (Scene::new(), Collector::grpc());
    let router = scene.router(collector.endpoint(), &[PROXIES, NONE]);
    for given in malformed() {
        let received = scene.arrived(&router, &get(&[("traceparent", &given), ("tracestate", "a=1")]));
        let [trace, span, flags] = parts(&received);
        assert!(trace != TRACE && span != CALLER && flags == "02", "{given}: {received:?}");
        assert_eq!(received.header("tracestate"), None, "{given}");
    }
    let twice = scene.arrived(&router, &get(&[("traceparent", PARENT), ("Traceparent", PARENT)]));
    assert_ne!(parts(&twice)[0], TRACE);
    for state in ["A=1", "a=1,a=2", "a", "=", "a=1=2", &format!("a={}", "x".repeat(600))] {
        let received = scene.arrived(&router, &get(&[("traceparent", PARENT), ("tracestate", state)]));
        assert_eq!((&*parts(&received)[0], received.header("tracestate")), (TRACE, None), "{state}");
    }
    let root = "Root=1-67891233-abcdef012345678912345678";
    for given in [
        "",
        "x",
        "Root=",
        "Sampled=1",
        &root.to_uppercase(),
        &root.replace("1-", "2-"),
        &format!("{root};{root}"),
        &format!("{root};Sampled=yes"),
        &format!("{root};Parent=0000000000000000"),
        &format!("{root},Sampled=1"),
    ] {
        let received = scene.arrived(&router, &get(&[("x-amzn-trace-id", given)]));
        let [trace, span, _] = parts(&received);
        assert!(!trace.starts_with("67891233"), "{given}");
        let expected = format!("Root=1-{}-{};Parent={span};Sampled=0", &trace[..8], &trace[8..]);
        assert_eq!(received.all("x-amzn-trace-id"), [expected], "{given}");
    }
}

#[test]
fn what_a_client_signed_about_a_trace_goes_as_it_came() {
    let origin = Origin::named("orders");
    let iam = "policies: {authentication: {any_of: [iam]}}";
    let site = Site::new(
        &boundary_with(&[origin.port()], ""),
        &[registration("/orders", origin.port(), iam), registration("/open", origin.port(), "")],
    );
    let (scene, collector) = (Scene { origin, site }, Collector::grpc());
    let router: Router = scene.router(
        collector.endpoint(),
        &[ALL, ("POSTERN_ROUTER_LIMITS__SIGNATURE_SKEW", "0s"), ("POSTERN_ROUTER_TRACING__X_AMZN_TRACE_ID", "always")],
    );
    let signature = |headers: &str| {
        format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLEEXAMPLE/20260101/eu-west-1/execute-api/aws4_request, \
             SignedHeaders={headers}, Signature={}",
            "0".repeat(64)
        )
    };
    let about = [("traceparent", PARENT), ("tracestate", "A=1"), ("x-amzn-trace-id", AMZN)];
    for path in ["/orders", "/open"] {
        let send = |headers: &str| {
            let request = postern_tests::Request::new("GET", path).header("authorization", &signature(headers));
            let request = about.iter().fold(request, |request, (name, value)| request.header(name, value));
            scene.arrived(&router, &request.header("x-amz-date", "20260101T000000Z"))
        };
        let all = send("host;traceparent;tracestate;x-amz-date;x-amzn-trace-id");
        for (name, value) in about {
            assert_eq!(all.all(name), [value], "{path} {name}");
        }
        let one = send("host;x-amz-date;x-amzn-trace-id");
        assert_eq!(one.all("x-amzn-trace-id"), [AMZN], "{path}");
        assert_ne!(parts(&one)[0], TRACE, "{path}");
        let none = send("host;x-amz-date");
        assert!(parts(&none)[0] != TRACE && none.header("tracestate").is_none(), "{path}");
        assert_ne!(none.all("x-amzn-trace-id"), [AMZN], "{path}");
    }
}
