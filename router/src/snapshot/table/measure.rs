//! What a look-up costs in tables of different sizes. Measured with criterion when the long runs are asked for
//! (`make proofs`); figures are in `docs/measurements.md`. Nothing is asserted: machines differ.

use criterion::{BatchSize, Criterion};
use http::Method;

use super::tests::{Spec, spec, table};
use super::{Found, Query};

/// A site of many services: a prefix, two templates and a literal for each, some narrowed.
fn services(routes: usize) -> Vec<Spec> {
    (0..routes)
        .map(|index| {
            let service = index / 4;
            let root = format!("/team-{}/service-{service}", service % 97);
            let matching = match index % 4 {
                0 => "{}".to_owned(),
                1 => format!(r#"{{"path":"{root}/items/{{id}}"}}"#),
                2 => format!(r#"{{"path":"{root}/items/{{id}}/parts/{{part}}","methods":["GET"]}}"#),
                _ => format!(r#"{{"path":"{root}/health","hosts":["api.example.com"]}}"#),
            };
            spec(&format!("{root}#{index}"), &root, &matching)
        })
        .collect()
}

fn path_of(index: usize) -> String {
    let service = index / 4;
    let root = format!("/team-{}/service-{service}", service % 97);
    match index % 4 {
        0 => format!("{root}/anything/else"),
        1 => format!("{root}/items/4711"),
        2 => format!("{root}/items/4711/parts/12"),
        _ => format!("{root}/health"),
    }
}

#[test]
fn a_look_up_costs_much_the_same_in_large_tables() {
    if std::env::var_os("POSTERN_SLOW").is_none() {
        return;
    }
    // Asking for all routes alike is the harshest there is: at 100 000 every look-up misses every cache. Traffic
    // has favourites, so a table of which a thousand routes are asked for is measured beside it.
    for (name, asked) in [("match, a thousand routes asked for", 1_000), ("match, every route asked for", usize::MAX)] {
        measure(name, asked);
    }
}

fn measure(name: &str, asked: usize) {
    let mut criterion = Criterion::default().without_plots();
    let mut group = criterion.benchmark_group(name);
    for routes in [100, 1_000, 10_000, 100_000] {
        let step = (routes / asked.min(routes)).max(1);
        let table = table(&services(routes), &[]);
        let headers = crate::http1::Fields::default();
        let mut random = fastrand::Rng::with_seed(7);
        group.bench_function(routes.to_string(), |bencher| {
            bencher.iter_batched_ref(
                || path_of(random.usize(..routes / step) * step),
                |path| {
                    let canonical = postern_config::value::canonical_path(path.as_bytes()).unwrap();
                    let segments: smallvec::SmallVec<[&str; 16]> = canonical[1..].split('/').collect();
                    let query = Query {
                        host: "api.example.com",
                        segments: &segments,
                        ambiguous: false,
                        method: &Method::GET,
                        headers: &headers,
                        query: None,
                        now: 0,
                    };
                    assert!(matches!(table.find(&query, |_, _| {}), Found::Route(_)));
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}
