//! What may be written in Cedar, and what is said of the rest.

use serde_json::json;

use super::*;
use crate::document::Rights;
use crate::limits;
use crate::problem::Problem;

fn rights() -> Rights {
    serde_json::from_value(json!({
        "groups": [{"name": "admins", "members": ["jwt:corp#alice"]}],
        "claims": [{"name": "tenant", "type": "string"}, {"name": "level", "type": "long"},
                   {"name": "staff", "type": "bool"}, {"name": "teams", "type": "strings", "path": "x.teams"}],
    }))
    .unwrap()
}

fn problems(text: &str, variables: Option<&[&str]>) -> Vec<String> {
    let mut problems: Vec<Problem> = Vec::new();
    let words = Vocabulary::of(&mut problems, &rights());
    words.check(&mut problems, "/cedar", text, variables);
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn every_word_of_the_schema_may_be_used() {
    let text = r#"
        permit(principal in Group::"admins", action in [Action::"GET", Action::"HEAD"], resource)
        when {
            principal.name != "" && principal.via == "jwt:corp" && principal has issuer && principal.issuer like "https*"
            && principal.scopes.contains("a") && principal.roles.containsAny(["a", "b"])
            && principal.groups.contains("admins")
            && principal.claims has tenant && principal.claims.tenant == context.vars.tenant
            && principal.claims has level && principal.claims.level >= 3
            && principal.claims has staff && principal.claims.staff
            && principal.claims has teams && principal.claims.teams.contains("x")
        };
        forbid(principal == Caller::"basic:ops#bob", action, resource == Route::"/a#default")
        when {
            resource.owner == "team" && resource.root == "/a" && context.method == "PURGE"
            && context.host == "api.example.com" && context.path like "/a/*"
            && !context.client.isInRange(ip("10.0.0.0/8")) && context.now > datetime("2026-01-01")
            && context.hour >= 22 && context.minute < 30 && context.weekday == 7
        };"#;
    assert_eq!(problems(text, Some(&["tenant"])), [""; 0]);
}

#[test]
fn a_slip_is_told_with_its_line_its_column_and_what_stands_there() {
    for (text, expected) in [
        ("permit(principal, action, resource)\n  when { principal.nam == \"x\" };", "line 2, column 10: "),
        (
            "permit(principal, action, resource)\n  when { principal.nam == \"x\" };",
            "at \"principal.nam\" (did you mean \"name\"?)",
        ),
        ("permit(principal, action, resource) when { principal.name == 7 };", "line 1, column 44: "),
        (
            "permit(principal, action, resource) when { principal.claims.tenant == \"x\" };",
            "/cedar: line 1, column 44: ",
        ),
        ("permit(principal, action, resource) when { context.vars.tenent == \"x\" };", "column 44: "),
        ("permit(principal, action == Action::\"GTE\", resource);", "did you mean"),
        ("permit(principal, action resource);", "line 1, column 26: "),
        (
            "permit(principal in Group::\"admin\", action, resource);",
            "there is no group \"admin\" (did you mean \"admins\"?)",
        ),
        ("permit(principal == Caller::\"alice\", action, resource);", "\"alice\" is no caller"),
        ("permit(principal == ?principal, action, resource);", "is a template"),
        ("", "holds no policy"),
        ("permit(principal, action, resource) when { context.client.isInRange(ip(\"10.0.0.0/99\")) };", "column 6"),
        ("forbid(principal, action, resource) when { principal.name == \"x\" && false };", "line 1, column 1: "),
    ] {
        let found = problems(text, Some(&["tenant"]));
        assert!(found.iter().any(|one| one.contains(expected)), "{text}: {expected}: {found:#?}");
    }
}

#[test]
fn all_slips_of_a_text_are_told_at_once_and_each_once() {
    let text = "permit(principal, action, resource) when { principal.nam == \"x\" };\n\
                forbid(principal, action, resource) when { context.hour == \"x\" };\n\
                forbid(principal in Group::\"nobody\", action, resource);";
    let found = problems(text, None);
    assert_eq!(found.len(), 3, "{found:#?}");
}

#[test]
fn a_policy_without_a_route_must_ask_whether_a_variable_is_there() {
    let asked = "permit(principal, action, resource) when { context.vars has id && context.vars.id == \"7\" };";
    assert_eq!(problems(asked, None), [""; 0]);
    assert_eq!(problems(asked, Some(&["id"])), [""; 0]);
    let unasked = "permit(principal, action, resource) when { context.vars.id == \"7\" };";
    assert_eq!(problems(unasked, None).len(), 1);
    assert_eq!(problems(unasked, Some(&["id"])), [""; 0]);
    assert_eq!(problems(unasked, Some(&["other"])).len(), 1);
}

#[test]
fn texts_end_at_their_bounds_however_they_nest() {
    let one = "permit(principal, action, resource);";
    assert_eq!(problems(&one.repeat(limits::CEDAR_STATEMENTS), None), [""; 0]);
    assert!(problems(&one.repeat(limits::CEDAR_STATEMENTS + 1), None)[0].contains("more than 64"));
    assert!(problems(&format!("{one}//{}", "x".repeat(limits::CEDAR_BYTES)), None)[0].contains("more than 16384"));
    for (open, close) in [
        ("(", ")"),
        ("!", ""),
        ("-", ""),
        ("[", "]"),
        ("{a: ", "}"),
        ("true.contains(", ")"),
        ("1 + ", ""),
        ("if true then true else ", ""),
        ("true && ", ""),
    ] {
        let depth = (limits::CEDAR_BYTES - 100) / (open.len() + close.len());
        let text = format!(
            "permit(principal, action, resource) when {{ {}true{} }};",
            open.repeat(depth),
            close.repeat(depth)
        );
        problems(&text, None);
    }
    let chain = format!("permit(principal, action, resource) when {{ context{} }};", ".a".repeat(8_000));
    assert!(problems(&chain, None)[0].contains("has more than 1024 words and signs"));
    let nested = |depth: usize| {
        // Brackets in strings and comments are no brackets.
        let quoted = "principal.name == \"(((((\\\"(((((((((((((((((((((((((((((((((((((((((\" //((((((((((((((((((((((((((((((((((\n";
        format!("permit(principal, action, resource) when {{ {}{quoted}{} }};", "(".repeat(depth), ")".repeat(depth))
    };
    assert_eq!(problems(&nested(31), None), [""; 0]);
    assert!(problems(&nested(32), None)[0].contains("nests more than 32 brackets"));
}

#[test]
fn what_a_policy_looks_at_is_seen() {
    let uses = |condition: &str| {
        let set = parse(&format!("permit(principal, action, resource) when {{ {condition} }};")).unwrap();
        Uses::of(&set.policies().next().unwrap().to_json().unwrap())
    };
    let fields = |uses: &Uses| uses.context.iter().cloned().collect::<Vec<_>>().join(" ");
    let found = uses("context.vars.id == context.path || context[\"hour\"] == 1 || context has client");
    assert_eq!((&*fields(&found), found.whole_context, found.resource), ("client hour path vars", false, false));
    assert!(found.variables.contains("id"));
    assert!(uses("context == principal.claims").reads("now"));
    assert!(uses("[context].contains(principal.claims)").whole_context);
    assert!(uses("principal.groups.contains(resource.owner)").resource);
    assert_eq!(uses("principal.name == \"context\" && resource == Route::\"x\""), Uses::default());
    assert!(uses("context.vars == principal.claims").reads("vars"));
}
