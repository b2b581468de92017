//! What policies in Cedar decide, and what becomes of those that cannot decide.

use super::*;

fn permits(condition: &str, principal: &Principal, asked: &Circumstances<'_>) -> bool {
    decide(&format!("permit(principal, action, resource) when {{ {condition} }};"), principal, asked).0
}

#[test]
fn every_fact_of_caller_route_and_request_is_seen() {
    let alice = alice();
    for condition in [
        "principal.name == \"alice\"",
        "principal.via == \"jwt:corp\"",
        "principal has issuer && principal.issuer == \"https://a/\"",
        "principal.scopes.contains(\"read\")",
        "principal.roles.containsAll([\"admin\", \"dev\"])",
        "principal.groups.contains(\"admins\")",
        "principal in Group::\"admins\"",
        "principal == Caller::\"jwt:corp#alice\"",
        "principal.claims has tenant && principal.claims.tenant == context.vars.tenant",
        "principal.claims has level && principal.claims.level > 2",
        "!(principal.claims has teams)",
        "action == Action::\"GET\" && context.method == \"GET\"",
        "resource == Route::\"/orders#default\" && resource.id == \"/orders#default\"",
        "resource.owner == \"team\" && resource.root == \"/orders\"",
        "context.host == \"api.example.com\" && context.path == \"/orders/t1/items/7\"",
        "context.vars.tenant == \"t1\" && context.vars.rest == \"items/7\"",
        "context.client == ip(\"192.0.2.7\") && context.client.isInRange(ip(\"192.0.2.0/24\"))",
        "context.weekday == 6 && context.hour == 15 && context.minute == 30",
        "context.now > datetime(\"2026-11-21T15:29:59Z\") && context.now < datetime(\"2026-11-21T15:30:01Z\")",
    ] {
        assert!(permits(condition, &alice, &asked()), "{condition}");
        assert!(!permits(&format!("!({condition})"), &alice, &asked()), "not: {condition}");
    }
}

#[test]
fn one_permit_is_enough_and_every_forbid_is_final() {
    let text = "permit(principal, action == Action::\"GET\", resource);\n\
                @id(\"admins\") permit(principal in Group::\"admins\", action, resource);\n\
                @id(\"no-deletes\") forbid(principal, action == Action::\"DELETE\", resource);";
    let with = |method| Circumstances { method, ..asked() };
    let bob = bearer(json!({"sub": "bob"}));
    assert_eq!(decide(text, &bob, &with("GET")), (true, "registration:cedar[0] ".to_owned()));
    assert_eq!(decide(text, &alice(), &with("POST")), (true, "registration:cedar/admins ".to_owned()));
    assert_eq!(decide(text, &bob, &with("POST")), (false, "registration:policies none permits".to_owned()));
    let forbidden = (false, "registration:cedar/no-deletes it forbids".to_owned());
    assert_eq!(decide(text, &alice(), &with("DELETE")), forbidden);
    // A method that is no action is none that a policy names.
    assert!(!decide(text, &bob, &with("PURGE")).0);
    assert!(decide(text, &alice(), &with("PURGE")).0);
}

#[test]
fn a_policy_that_fails_refuses_also_when_it_forbids() {
    // An overflow is the failure that no schema can rule out.
    let overflow = "principal.claims has level && principal.claims.level * 9223372036854775807 > 0";
    let (allowed, why) = decide(
        &format!("permit(principal, action, resource);\nforbid(principal, action, resource) when {{ {overflow} }};"),
        &alice(),
        &asked(),
    );
    assert!(!allowed && why.starts_with("registration:cedar[1] it failed: "), "{why}");
    let (allowed, why) = decide(
        &format!("permit(principal, action, resource);\npermit(principal, action, resource) when {{ {overflow} }};"),
        &alice(),
        &asked(),
    );
    assert!(!allowed && why.contains("it failed"), "{why}");
}

#[test]
fn what_cannot_be_read_is_not_taken_for_what_is_not_there() {
    let blocked = "permit(principal, action, resource);\n\
                   forbid(principal, action, resource) when { principal.claims has level && principal.claims.level < 2 };";
    for level in [json!("1"), json!(1.5), json!([1]), json!({"a": 1}), json!(true), json!(1e30)] {
        let (allowed, why) = decide(blocked, &bearer(json!({"sub": "x", "level": level})), &asked());
        assert!(!allowed && why.contains("the claim level is of another type"), "{level}: {why}");
    }
    assert!(decide(blocked, &bearer(json!({"sub": "x"})), &asked()).0);
    assert!(decide(blocked, &bearer(json!({"sub": "x", "level": null})), &asked()).0);
    for teams in [json!("a"), json!([1]), json!({})] {
        assert!(!decide(blocked, &bearer(json!({"sub": "x", "x": {"teams": teams}})), &asked()).0, "{teams}");
    }
    let (allowed, why) = decide(blocked, &bearer(json!({"sub": "x", "roles": {"admin": true}})), &asked());
    assert!(!allowed && why.contains("the claim for roles"), "{why}");
    let no_path = Circumstances { path: None, ..asked() };
    let outside = "permit(principal, action, resource);\n\
                   forbid(principal, action, resource) when { context.path like \"/orders/admin*\" };";
    assert!(decide(outside, &alice(), &asked()).0);
    assert!(!decide(outside, &alice(), &no_path).0);
    assert!(decide("permit(principal, action, resource);", &alice(), &no_path).0);
    let no_text = Circumstances { path: Some("/orders/%FF/x"), ..asked() };
    assert!(!permits("context.vars.tenant != \"admin\"", &alice(), &no_text));
}

#[test]
fn callers_without_a_proof_have_no_rights_but_those_of_everyone() {
    for nobody in [Principal::anonymous(), Principal::iam()] {
        assert!(permits("principal.scopes == principal.roles && !(principal has issuer)", &nobody, &asked()));
        assert!(!permits("principal in Group::\"admins\"", &nobody, &asked()));
        let via = nobody.via().to_owned();
        assert!(permits(&format!("principal.via == \"{via}\""), &nobody, &asked()));
    }
    // A user of a realm is nobody else's token.
    let alice = Principal::of_user("alice".into(), "basic:ops".into(), Arc::default());
    assert!(!permits("principal in Group::\"admins\"", &alice, &asked()));
    assert!(permits("principal == Caller::\"basic:ops#alice\"", &alice, &asked()));
}

#[test]
fn a_kept_caller_is_not_taken_for_one_of_another_generation() {
    let alice = alice();
    let text = "permit(principal in Group::\"admins\", action, resource);";
    assert!(decide(text, &alice, &asked()).0);
    let mut words = words();
    words["groups"][0]["members"] = json!(["jwt:corp#bob"]);
    let boundary = boundary(&json!({"authorization": words})).unwrap();
    let rights = rights(&boundary, &json!({"cedar": text})).unwrap();
    for _ in 0..2 {
        assert!(!rights.decide(&alice, &asked(), false)[0].allowed);
    }
    assert!(decide(text, &alice, &asked()).0);
}

#[test]
fn the_deepest_policies_that_are_taken_are_decided_or_refuse() {
    for (open, close, end) in [
        ("true && ", "", "context.hour == 15"),
        ("if context.hour != 15 then false else ", "", "context.hour == 15"),
        ("(", ")", "context.hour == 15"),
        ("1 + ", "", "1 > 1"),
    ] {
        let refused = |depth: usize| {
            let text = format!("{}{end}{}", open.repeat(depth), close.repeat(depth));
            let boundary = boundary(&json!({})).unwrap();
            let own = json!({"cedar": format!("permit(principal, action, resource) when {{ {text} }};")});
            rights(&boundary, &own).is_err()
        };
        // By halves: each check takes a while.
        let (mut depth, mut over) = (16, 1_024);
        while over - depth > 1 {
            let middle = (depth + over) / 2;
            *(if refused(middle) { &mut over } else { &mut depth }) = middle;
        }
        let text = format!("{}{end}{}", open.repeat(depth), close.repeat(depth));
        // Cedar gives up where it finds the stack too short; what it must not do is end the process.
        let (allowed, why) =
            decide(&format!("permit(principal, action, resource) when {{ {text} }};"), &alice(), &asked());
        assert!(allowed || why.contains("it failed"), "{open} {depth}: {why}");
    }
}
