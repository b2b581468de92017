//! What the functions cost that every request goes through. Measured with criterion when the long runs are asked for
//! (`make proofs`); figures are in `docs/measurements.md`. Nothing is asserted: machines differ.

use std::hint::black_box;
use std::rc::Rc;
use std::time::Instant;

use criterion::{Criterion, Throughput};
use http::Method;

use crate::http1::{ChunkDecoder, HeadEnd, RequestHead, ResponseHead, write_chunk};
use crate::limiter::{Counted, Limiter, Quota};
use crate::snapshot::HostSet;
use crate::stage::identify::{Arrival, OddNames, RequestId, Trust, identify, request_id};

const REQUEST: &[u8] = b"GET /team-7/service-42/items/4711?view=full&page=2 HTTP/1.1\r\nHost: api.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\nAccept: application/json\r\n\
    Accept-Language: en-GB,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\nReferer: https://www.example.com/items\r\n\
    X-Correlation-Id: 5f3759df-0000-4000-8000-0123456789ab\r\nConnection: keep-alive\r\n\r\n";

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: destination\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\
    Content-Type: application/json\r\nCache-Control: no-store\r\nETag: \"5f3759df\"\r\nContent-Length: 1024\r\n\r\n";

#[test]
fn what_every_request_goes_through() {
    if std::env::var_os("POSTERN_SLOW").is_none() {
        return;
    }
    let mut criterion = Criterion::default().without_plots();
    codec(&mut criterion);
    chunks(&mut criterion);
    identity(&mut criterion);
    limits(&mut criterion);
}

fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("heads");
    group.bench_function("the end of a request's", |bencher| {
        bencher.iter(|| HeadEnd::default().find(black_box(REQUEST)));
    });
    group.bench_function("a request's", |bencher| bencher.iter(|| RequestHead::parse(black_box(REQUEST)).is_ok()));
    group.bench_function("an answer's", |bencher| {
        bencher.iter(|| ResponseHead::parse(black_box(ANSWER), &Method::GET).is_ok());
    });
    group.finish();
}

fn chunks(criterion: &mut Criterion) {
    let mut body = Vec::new();
    for _ in 0..16 {
        write_chunk(&mut body, &[b'a'; 1_024]);
    }
    let mut group = criterion.benchmark_group("chunks");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("16 of 1 KB", |bencher| {
        bencher.iter(|| {
            let (mut decoder, mut left) = (ChunkDecoder::default(), &body[..]);
            while !left.is_empty() {
                let Ok(decoded) = decoder.decode(black_box(left)) else { return false };
                decoder.take(decoded.data);
                left = &left[decoded.framing + decoded.data..];
            }
            true
        });
    });
    group.finish();
}

fn identity(criterion: &mut Criterion) {
    let head = Rc::new(RequestHead::parse(REQUEST).unwrap());
    let hosts: Vec<_> = ["*.example.com", "api.example.com"].iter().map(|host| host.parse().unwrap()).collect();
    let (hosts, trust) = (HostSet::new(hosts.iter()), Trust::default());
    let arrival = Arrival {
        peer: std::net::Ipv4Addr::LOCALHOST.into(),
        tls: false,
        certificate: None,
        odd_names: OddNames::default(),
    };
    let mut random = fastrand::Rng::with_seed(7);
    let mut group = criterion.benchmark_group("identify");
    group.bench_function("a request id", |bencher| {
        bencher.iter(|| request_id(black_box(head.fields()), &arrival, &trust, random.u128(..)));
    });
    group.bench_function("client, host and path", |bencher| {
        bencher.iter(|| {
            let id = RequestId::new(7);
            identify(Rc::clone(black_box(&head)), &arrival, &trust, &hosts, id).is_ok()
        });
    });
    group.finish();
}

fn limits(criterion: &mut Criterion) {
    let (limiter, start) = (Limiter::new(Instant::now()), Instant::now());
    let limit = serde_json::from_str(r#"{"name": "callers", "rate": "1000000/s"}"#).unwrap();
    let quota = Quota::compile(&limit, "/orders#default");
    let names: Vec<String> = (0..1_000).map(|n| format!("caller-{n}")).collect();
    let mut random = fastrand::Rng::with_seed(7);
    criterion.benchmark_group("limits").bench_function("one of a thousand callers", |bencher| {
        bencher.iter(|| {
            let who = Counted::Caller("jwt:corp", &names[random.usize(..names.len())]);
            limiter.take(black_box(&quota), who, start)
        });
    });
}
