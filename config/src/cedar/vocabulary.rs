//! The words that policies of a boundary may use, and the check of a text against them.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use cedar_policy::{Policy, PolicySet, Schema, ValidationMode, Validator};

use super::fault::{self, Fault};
use super::{METHODS, Uses, parse, permits};
use crate::document::{Claim, ClaimType, Rights};
use crate::limits;
use crate::problem::{Problem, ProblemKind, did_you_mean, shown};
use crate::value::Name;

/// Most texts that are remembered to hold.
const HELD: usize = 10_000;

/// The names that stand in every schema.
const WORDS: [&str; 24] = [
    "Action", "Caller", "Group", "Route", "name", "via", "issuer", "scopes", "roles", "groups", "claims", "id",
    "owner", "root", "method", "host", "path", "client", "now", "hour", "minute", "weekday", "vars", "has",
];

/// What policies may name: groups, claims, policies with a name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Vocabulary(Arc<Words>);

#[derive(Debug, Default)]
struct Words {
    claims: Vec<Claim>,
    groups: BTreeSet<Name>,
    /// Whether each of the named policies permits something.
    named: HashMap<Name, bool>,
    /// Texts of registrations that hold, with the variables they were checked under, and whether each permits something:
    /// a check takes a millisecond, and many routes are made from one pattern.
    held: Mutex<HashMap<(String, Vec<String>), bool>>,
}

impl Vocabulary {
    /// The words of a boundary; its policies are checked with them, and every problem is told.
    pub(crate) fn of(problems: &mut Vec<Problem>, rights: &Rights) -> Self {
        let groups = rights.groups.iter().map(|group| group.name.clone()).collect();
        let mut words = Words { claims: rights.claims.clone(), groups, ..Words::default() };
        for (index, policy) in rights.policies.iter().enumerate() {
            let at = format!("/authorization/policies/{index}/cedar");
            // A policy that does not hold is told of once, and not again wherever it is named.
            let permits = words.check(problems, &at, &policy.cedar, None).unwrap_or(true);
            words.named.insert(policy.name.clone(), permits);
        }
        Self(Arc::new(words))
    }

    /// The names of policies.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.named.keys().map(Name::as_str)
    }

    /// Whether a named policy permits something; none when there is no such policy.
    pub(crate) fn permits(&self, name: &Name) -> Option<bool> {
        self.0.named.get(name).copied()
    }

    /// Checks a text; `variables` are those of the route's template, where it is known. Tells whether it permits
    /// something, when it holds.
    pub(crate) fn check(
        &self,
        problems: &mut Vec<Problem>,
        at: &str,
        text: &str,
        variables: Option<&[&str]>,
    ) -> Option<bool> {
        // A layer of the boundary is checked once, and knows no variables.
        let Some(names) = variables else { return self.0.check(problems, at, text, variables) };
        let key = (text.to_owned(), names.iter().map(ToString::to_string).collect());
        let held = || self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        let known = held().get(&key).copied();
        known.or_else(|| {
            let permits = self.0.check(problems, at, text, variables)?;
            let mut held = held();
            // Registrations change for as long as a boundary lives.
            if held.len() >= HELD {
                held.clear();
            }
            held.insert(key, permits);
            Some(permits)
        })
    }
}

impl Words {
    fn check(&self, problems: &mut Vec<Problem>, at: &str, text: &str, variables: Option<&[&str]>) -> Option<bool> {
        if text.len() > limits::CEDAR_BYTES {
            let message = format!("has {} bytes, more than {}", text.len(), limits::CEDAR_BYTES);
            problems.push(Problem::new(at, ProblemKind::Limit, message).hint("large sets are slow for every request"));
            return None;
        }
        let found = parse(text).and_then(|set| {
            let faults = self.faults(text, &set, variables);
            if faults.is_empty() { Ok(permits(&set)) } else { Err(faults) }
        });
        match found {
            Ok(permits) => Some(permits),
            Err(faults) => {
                problems.extend(faults.into_iter().map(|fault| fault.problem(at, text)));
                None
            }
        }
    }

    fn faults(&self, text: &str, set: &PolicySet, variables: Option<&[&str]>) -> Vec<Fault> {
        let count = set.policies().count();
        if count == 0 {
            return vec![Fault::new("holds no policy", "for example: permit(principal, action, resource);")];
        }
        if count > limits::CEDAR_STATEMENTS {
            let message = format!("has {count} statements, more than {}", limits::CEDAR_STATEMENTS);
            return vec![Fault::new(message, "each of them is asked at every request; join them")];
        }
        let mut uses = Uses::default();
        for json in set.policies().filter_map(|policy| policy.to_json().ok()) {
            uses.add(Uses::of(&json));
        }
        // A policy that is not yet a route's may ask for any variable, and has to ask whether it is there.
        let variables = match variables {
            Some(names) => names.iter().map(|name| (*name, "")).collect(),
            None => uses.variables.iter().map(|name| (name.as_str(), "?")).collect::<Vec<_>>(),
        };
        let schema = match Schema::from_cedarschema_str(&self.schema(&variables)) {
            Ok((schema, _)) => schema,
            Err(error) => return vec![Fault::new(format!("cannot be checked: {error}"), "rename what it names")],
        };
        let result = Validator::new(schema).validate(set, ValidationMode::Strict);
        let claims = self.claims.iter().map(|claim| claim.name.as_str());
        let known: Vec<&str> =
            METHODS.into_iter().chain(WORDS).chain(claims).chain(variables.iter().map(|(name, _)| *name)).collect();
        let mut faults = fault::of_checking(text, &result, &known);
        faults.extend(set.policies().flat_map(|policy| self.strangers(policy)));
        faults
    }

    /// Groups and callers that there cannot be: to Cedar any name is one, and a slip would never match.
    fn strangers(&self, policy: &Policy) -> Vec<Fault> {
        let mut faults = Vec::new();
        for entity in policy.entity_literals() {
            let (kind, id) = (entity.type_name().to_string(), entity.id().unescaped().to_owned());
            if kind == "Group" && !self.groups.iter().any(|group| group.as_str() == id) {
                let known = self.groups.iter().take(64).map(Name::as_str);
                let hint = did_you_mean(&id, known).unwrap_or_else(|| "list it in authorization.groups".to_owned());
                faults.push(Fault::new(format!("there is no group {}", shown(&id)), hint));
            }
            if kind == "Caller" && !is_caller(&id) {
                let hint = "write jwt:NAME#SUBJECT, basic:NAME#USER, api_key:NAME#CONSUMER or mtls:NAME#CLIENT";
                faults.push(Fault::new(format!("{} is no caller", shown(&id)), hint));
            }
        }
        faults
    }

    /// The schema in Cedar's own form. All that stands in it as a name was checked to be letters, digits and `_`.
    fn schema(&self, variables: &[(&str, &str)]) -> String {
        let mut text = String::from(
            "entity Group;\n\
             entity Route { id: String, owner: String, root: String };\n\
             entity Caller in [Group] { name: String, via: String, issuer?: String, scopes: Set<String>, \
             roles: Set<String>, groups: Set<String>, claims: {",
        );
        for claim in &self.claims {
            let kind = match claim.kind {
                ClaimType::String => "String",
                ClaimType::Long => "Long",
                ClaimType::Bool => "Bool",
                ClaimType::Strings => "Set<String>",
            };
            let _ = write!(text, "\"{}\"?: {kind}, ", claim.name);
        }
        let actions = METHODS.map(|method| format!("\"{method}\"")).join(", ");
        let _ = write!(
            text,
            "}} }};\naction {actions} appliesTo {{ principal: [Caller], resource: [Route], context: {{ \
             method: String, host: String, path: String, client: ipaddr, now: datetime, hour: Long, minute: Long, \
             weekday: Long, vars: {{"
        );
        for (name, optional) in variables {
            let _ = write!(text, "\"{name}\"{optional}: String, ");
        }
        text.push_str("} } };\n");
        text
    }
}

/// Whether a text can be a caller's name: the way that proved it, `#`, and what it is called there.
pub(crate) fn is_caller(text: &str) -> bool {
    text.split_once('#').is_some_and(|(via, name)| {
        let way: Result<crate::document::Authenticator, _> = via.parse();
        way.is_ok() && !name.is_empty() && name.len() <= 1024 && !name.chars().any(char::is_control)
    })
}
