//! What a decision costs. Measured with criterion when the long runs are asked for (`make proofs`); figures are in
//! `docs/measurements.md`. Nothing is asserted: machines differ.

use std::hint::black_box;

use criterion::Criterion;

use super::*;

#[test]
fn a_decision_costs_what_its_policies_look_at() {
    if std::env::var_os("POSTERN_SLOW").is_none() {
        return;
    }
    let mut criterion = Criterion::default().without_plots();
    let mut group = criterion.benchmark_group("authorize");
    let tenant = "permit(principal, action, resource) when { principal.claims has tenant && principal.claims.tenant == \
                  context.vars.tenant && principal.roles.contains(\"admin\") };";
    let cases = [
        ("scopes and roles alone", json!({"scopes": ["read"], "roles": ["admin"]})),
        ("a group", json!({"cedar": "permit(principal in Group::\"admins\", action, resource);"})),
        ("a claim, a role and a path variable", json!({"cedar": tenant})),
        (
            "the same with a forbid by hour",
            json!({"cedar": format!("{tenant} forbid(principal, action, resource) when {{ context.hour < 6 }};")}),
        ),
        (
            "the same with a forbid by address",
            json!({"cedar": format!("{tenant} forbid(principal, action, resource) when {{ context.client.isInRange(ip(\"10.0.0.0/8\")) }};")}),
        ),
        (
            "the same with the route's owner",
            json!({"cedar": format!("{tenant} forbid(principal, action, resource) when {{ resource.owner == \"x\" }};")}),
        ),
        ("ten policies", json!({"cedar": tenant.repeat(10)})),
    ];
    let boundary = boundary(&json!({"authorization": words()})).unwrap();
    for (name, own) in &cases {
        // A caller is kept for one generation, and each case is one of its own.
        let (rights, alice) = (rights(&boundary, own).unwrap(), alice());
        assert!(rights.decide(&alice, &asked(), true).iter().all(|verdict| verdict.allowed), "{name}");
        group.bench_function(*name, |bencher| {
            bencher.iter(|| black_box(rights.decide(&alice, &asked(), false)));
        });
    }
    let rights = rights(&boundary, &cases[2].1).unwrap();
    let claims = json!({"sub": "alice", "tenant": "t1", "roles": ["admin"]});
    group.bench_function("a caller who was not seen before", |bencher| {
        bencher.iter_batched(
            || bearer(claims.clone()),
            |new| rights.decide(&new, &asked(), false),
            criterion::BatchSize::SmallInput,
        );
    });
    group.bench_function("a registration with policies of its own, checked and compiled", |bencher| {
        bencher.iter(|| super::rights(&boundary, &cases[2].1).unwrap());
    });
    group.bench_function("a registration without, checked and compiled", |bencher| {
        bencher.iter(|| super::rights(&boundary, &cases[0].1).unwrap());
    });
    group.finish();
}
