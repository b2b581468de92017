//! How long it takes to write, read and admit 100 000 routes, and how much memory reading takes.
//!
//! `cargo bench -p postern-config`. The targets are in `docs/measurements.md`.

#![allow(missing_docs, clippy::print_stderr, clippy::expect_used, reason = "a program for people, made by macros")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use postern_config::check::{admit, recheck};
use postern_config::merged::{read, write};

#[path = "../tests/support/mod.rs"]
mod support;

const ROUTES: usize = 100_000;

fn merged(criterion: &mut Criterion) {
    let boundary = support::boundary();
    let registrations: Vec<_> = (0..ROUTES).map(|number| support::registration(&support::numbered(number))).collect();
    let content = support::content(boundary.clone(), ROUTES);
    let header = support::header();
    let (bytes, _) = write(&header, &content, None);
    let (before, started) = (resident_kib(), on_cpu_millis());
    let reading = read(&bytes, None).expect("a file of our own");
    let took = on_cpu_millis().saturating_sub(started);
    let held = resident_kib().saturating_sub(before);
    assert_eq!(reading.content.routes.len(), ROUTES);
    eprintln!(
        "{ROUTES} routes: file {} KiB, one read takes {took} ms of CPU and {held} KiB ({:.1} times the file)",
        bytes.len() / 1_024,
        held as f64 * 1_024.0 / bytes.len() as f64
    );

    let mut group = criterion.benchmark_group("100 000 routes");
    group.sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(5));
    group.bench_function("admit", |b| {
        b.iter(|| registrations.iter().filter(|one| admit(&boundary, black_box(one)).is_ok()).count());
    });
    group.bench_function("recheck", |b| {
        b.iter(|| content.routes.iter().filter(|one| recheck(&boundary, black_box(one)).is_ok()).count());
    });
    group.bench_function("write", |b| b.iter(|| write(&header, black_box(&content), None)));
    group.bench_function("read", |b| b.iter(|| read(black_box(&bytes), None).expect("a file of our own")));
    group.finish();
}

/// What the process holds, as the kernel counts it; 0 where that cannot be asked.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// What this thread has computed: unlike the clock it does not count what others do on the same cores.
fn on_cpu_millis() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|nanos| nanos.parse::<u64>().ok()).unwrap_or(0) / 1_000_000
}

criterion_group!(benches, merged);
criterion_main!(benches);
