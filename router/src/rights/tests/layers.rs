//! Layers add up: what one demands, no other can take away.

use proptest::prelude::*;

use super::*;

/// Demands with what they are met by: a caller `{role, scope, network, method}` of two each.
fn demand() -> impl Strategy<Value = Value> {
    let some = |word: &'static str| prop::option::weighted(0.3, Just(word));
    let policies = prop::sample::subsequence(vec!["everyone", "nobody", "no-deletes"], 0..3);
    let cedar = prop::option::weighted(
        0.4,
        prop::sample::select(vec![
            "permit(principal, action, resource);",
            "permit(principal, action == Action::\"GET\", resource);",
            "permit(principal in Group::\"admins\", action, resource);",
            "permit(principal, action, resource); forbid(principal, action, resource) when { context.hour < 12 };",
        ]),
    );
    let mode = prop::sample::select(vec!["enforce", "enforce", "shadow", "off"]);
    (some("read"), some("admin"), some("192.0.2.0/24"), some("198.51.100.0/24"), policies, cedar, mode).prop_map(
        |(scope, role, allow, deny, policies, cedar, mode)| {
            let mut demand = json!({"mode": mode, "policies": policies});
            for (field, value) in [("scopes", scope), ("roles", role), ("allow", allow), ("deny", deny)] {
                demand[field] = json!(value.into_iter().collect::<Vec<_>>());
            }
            if let Some(cedar) = cedar {
                demand["cedar"] = json!(cedar);
            }
            demand
        },
    )
}

fn callers() -> impl Iterator<Item = (Principal, Circumstances<'static>)> {
    (0..32).map(|bits: u8| {
        let is = |bit: u8| bits & (1 << bit) != 0;
        let claims = json!({
            "sub": if is(0) { "alice" } else { "bob" }, "scope": if is(1) { "read" } else { "x" },
            "roles": if is(2) { json!(["admin"]) } else { json!([]) },
        });
        let client = if is(3) { "192.0.2.7" } else { "198.51.100.7" };
        let (method, now) = (if is(4) { "GET" } else { "DELETE" }, if is(0) { SATURDAY } else { SATURDAY - 43_200 });
        (bearer(claims), Circumstances { method, client: client.parse().unwrap(), now, ..asked() })
    })
}

fn passes(rights: &Rights, principal: &Principal, asked: &Circumstances<'_>) -> bool {
    rights.decide(principal, asked, false).iter().all(|verdict| verdict.allowed || verdict.mode != Mode::Enforce)
}

/// A boundary that demands these of its callers, with `/orders` under a rule.
fn demanding(upper: &Value, rule: &Value, lower: &Value) -> Option<Boundary> {
    boundary(&json!({
        "authorization": words(),
        "overrides": {"policies": {"authorization": upper}},
        "defaults": {"policies": {"authorization": lower}},
        "paths": [{"prefix": "/", "require": {"authorization": rule}}],
    }))
    .ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whatever a registration says: who does not pass the boundary's demands does not pass the route, and the route
    /// lets exactly those pass who meet every demand.
    #[test]
    fn a_registration_cannot_widen_what_the_boundary_demands(
        upper in demand(), rule in demand(), lower in demand(), own in demand(),
    ) {
        let Some(whole) = demanding(&upper, &rule, &lower) else { return Ok(()) };
        let Ok(route) = rights(&whole, &own) else { return Ok(()) };
        // Each layer by itself, as if it were all that anybody demands.
        let open = boundary(&json!({"authorization": words()})).unwrap();
        let alone = |layer: &Value| rights(&open, layer).unwrap();
        let (boundarys, own) = ([alone(&upper), alone(&rule), alone(&lower)], alone(&own));
        for (principal, asked) in callers() {
            let by_boundary = boundarys.iter().all(|layer| passes(layer, &principal, &asked));
            let by_route = passes(&route, &principal, &asked);
            prop_assert!(!by_route || by_boundary, "{:?} {}", principal, asked.method);
            prop_assert_eq!(by_route, by_boundary && passes(&own, &principal, &asked));
        }
    }

    /// A layer that is tried out or off changes nothing for anybody, and takes nothing from the others.
    #[test]
    fn what_is_not_enforced_refuses_nobody_and_opens_nothing(
        upper in demand(), own in demand(), mode in prop::sample::select(vec!["shadow", "off"]),
    ) {
        let Some(whole) = demanding(&upper, &json!({}), &json!({})) else { return Ok(()) };
        let mut tried = own;
        tried["mode"] = json!(mode);
        let (Ok(silent), Ok(with)) = (rights(&whole, &Value::Null), rights(&whole, &tried)) else { return Ok(()) };
        for (principal, asked) in callers() {
            prop_assert_eq!(passes(&silent, &principal, &asked), passes(&with, &principal, &asked));
        }
    }
}

#[test]
fn the_strategies_reach_boundaries_registrations_and_both_verdicts() {
    use proptest::strategy::ValueTree as _;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut make = || demand().new_tree(&mut runner).unwrap().current();
    let (mut boundaries, mut routes, mut passed, mut refused) = (0, 0, 0, 0);
    for _ in 0..150 {
        let Some(whole) = demanding(&make(), &make(), &make()) else { continue };
        boundaries += 1;
        let Ok(rights) = rights(&whole, &make()) else { continue };
        routes += 1;
        for (principal, asked) in callers() {
            *(if passes(&rights, &principal, &asked) { &mut passed } else { &mut refused }) += 1;
        }
    }
    assert!(
        boundaries > 30 && routes > 20 && passed > 100 && refused > 100,
        "{boundaries} {routes} {passed} {refused}"
    );
}

#[test]
fn networks_are_compared_whatever_form_an_address_has() {
    let boundary = boundary(&json!({})).unwrap();
    let rights =
        rights(&boundary, &json!({"allow": ["10.0.0.0/8", "2001:db8::/32"], "deny": ["10.1.0.0/16"]})).unwrap();
    for (client, passed) in [
        ("10.0.0.1", true),
        ("10.1.0.1", false),
        ("::ffff:10.0.0.1", true),
        ("::ffff:10.1.0.1", false),
        ("2001:db8::1", true),
        ("2001:db9::1", false),
        ("192.0.2.1", false),
    ] {
        let asked = Circumstances { client: client.parse().unwrap(), ..asked() };
        assert_eq!(passes(&rights, &alice(), &asked), passed, "{client}");
    }
}

#[test]
fn all_scopes_and_one_of_the_roles_must_be_held() {
    let boundary = boundary(&json!({})).unwrap();
    let own = json!({"scopes": ["a", "b"], "roles": ["x", "y"]});
    let rights = rights(&boundary, &own).unwrap();
    for (scope, roles, passed) in [
        ("a b", json!(["x"]), true),
        ("a b c", json!(["z", "y"]), true),
        ("a b", json!("x"), true),
        ("a", json!(["x"]), false),
        ("a b", json!(["z"]), false),
        ("a b", json!([]), false),
        ("a b", json!(null), false),
        ("a b", json!({"x": 1}), false),
        ("a b", json!(["x", 1]), false),
    ] {
        let caller = bearer(json!({"sub": "s", "scope": scope, "roles": roles}));
        assert_eq!(passes(&rights, &caller, &asked()), passed, "{scope} {roles}");
    }
    let user = Principal::of_user("u".into(), "basic:ops".into(), Arc::from(["a".into(), "b".into()]));
    assert!(!passes(&rights, &user, &asked()));
    assert!(passes(&rights, &user.with_roles(&["y".to_owned()]), &asked()));
}
