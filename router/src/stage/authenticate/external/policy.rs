//! What an authorizer ruled, and IAM policies as far as they may stand in its answer.
//!
//! A policy is about `execute-api:Invoke` and ARNs, and about nothing else: conditions, `NotAction` and their like are not
//! understood, and an answer with one is none. An explicit deny wins, and what nobody allows is denied
//! (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html>).

use serde_json::{Map, Value};

use crate::principal::Principal;

/// What an authorizer ruled.
#[derive(Clone)]
pub(crate) enum Ruling {
    /// Who calls; the policy says what it may call, which is asked at every request.
    Policy(Principal, Policy),
    /// This caller may do what was asked about.
    Yes(Principal),
    /// Nobody may.
    No,
    /// Nobody is proved.
    Unauthorized,
}

/// The statements about calls, compiled.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    allow: Box<[Pattern]>,
    deny: Box<[Pattern]>,
}

/// A pattern of ARNs, by its parts between colons.
#[derive(Clone, Debug)]
struct Pattern(Box<[Box<str>]>);

impl Policy {
    /// Reads a `policyDocument`.
    ///
    /// # Errors
    /// What is not understood.
    pub(super) fn compile(document: &Value) -> Result<Self, &'static str> {
        let document = document.as_object().ok_or("policyDocument is no object")?;
        only(document, &["Version", "Id", "Statement"]).ok_or("policyDocument: a member that is not understood")?;
        if document.get("Version").is_some_and(|version| version != "2012-10-17" && version != "2008-10-17") {
            return Err("policyDocument: another Version");
        }
        let statements = match document.get("Statement") {
            Some(Value::Array(statements)) => statements.as_slice(),
            Some(one @ Value::Object(_)) => std::slice::from_ref(one),
            _ => return Err("policyDocument: no Statement"),
        };
        let (mut allow, mut deny) = (Vec::new(), Vec::new());
        for statement in statements {
            let (is_deny, resources) = read_statement(statement)?;
            if is_deny { &mut deny } else { &mut allow }.extend(resources);
        }
        let policy = Self { allow: allow.into(), deny: deny.into() };
        (policy.size() <= RESOURCES_BYTES).then_some(policy).ok_or("policyDocument: too many resources")
    }

    /// Whether a call of that ARN is allowed.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check(&self, arn: &str) -> Result<(), &'static str> {
        let names = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(arn));
        if names(&self.deny) {
            return Err("its policy denies this");
        }
        names(&self.allow).then_some(()).ok_or("its policy does not allow this")
    }

    /// How many bytes it takes, roughly.
    pub(super) fn size(&self) -> usize {
        let patterns = self.allow.iter().chain(&self.deny);
        patterns.flat_map(|pattern| &pattern.0).map(|part| part.len() + 16).sum()
    }
}

/// Whether a statement denies, and the resources that it is about; none when it is about other actions.
fn read_statement(statement: &Value) -> Result<(bool, Vec<Pattern>), &'static str> {
    let statement = statement.as_object().ok_or("Statement: no object")?;
    only(statement, &["Sid", "Effect", "Action", "Resource"]).ok_or("Statement: a member that is not understood")?;
    let is_deny = match statement.get("Effect").and_then(Value::as_str) {
        Some("Allow") => false,
        Some("Deny") => true,
        _ => return Err("Statement: Effect is neither Allow nor Deny"),
    };
    let actions = texts(statement.get("Action")).ok_or("Statement: Action is no text and no list of texts")?;
    let resources = texts(statement.get("Resource")).ok_or("Statement: Resource is no text and no list of texts")?;
    let resources = resources.into_iter().map(Pattern::compile).collect::<Result<Vec<_>, _>>()?;
    // Actions have no case (IAM's "Action" element); those of other services are about other calls.
    let is_invoke = |action: &&str| matches(&action.to_ascii_lowercase(), "execute-api:invoke");
    match actions.iter().any(is_invoke) {
        true => Ok((is_deny, resources)),
        false => Ok((is_deny, Vec::new())),
    }
}

impl Pattern {
    fn compile(text: &str) -> Result<Self, &'static str> {
        if text.len() > PATTERN_BYTES || text.contains("${") {
            return Err("Statement: a Resource that is not understood");
        }
        let parts: Box<[Box<str>]> = text.splitn(ARN_PARTS, ':').map(Into::into).collect();
        // A wildcard at the end may stand for parts that are not written; elsewhere all of them must be there.
        let is_whole = parts.len() == ARN_PARTS || text.ends_with('*');
        let is_arn = text == "*" || matches(&parts[0], "arn");
        (is_whole && is_arn).then_some(Self(parts)).ok_or("Statement: a Resource that is no ARN")
    }

    /// Part by part, so that no wildcard reaches into the next one but for the last
    /// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>).
    fn matches(&self, arn: &str) -> bool {
        let mut parts = arn.splitn(self.0.len(), ':');
        self.0.iter().all(|pattern| parts.next().is_some_and(|part| matches(pattern, part))) && parts.next().is_none()
    }
}

/// Whether `*` (any run of characters, also none) and `?` (one character) in a pattern can stand for all of a text.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut seen) = (0, 0);
    // Behind the last star, and how much of the text it has taken.
    let mut star = None;
    while seen < text.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, seen));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[seen] => {
                at += 1;
                seen += 1;
            }
            _ => match star {
                // Only the last star need take more: what stood before it was found at the first place there is.
                Some((behind, taken)) => {
                    star = Some((behind, taken + 1));
                    at = behind;
                    seen = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// Whether an object has no other members.
pub(super) fn only(object: &Map<String, Value>, known: &[&str]) -> Option<()> {
    object.keys().all(|name| known.contains(&name.as_str())).then_some(())
}

fn texts(value: Option<&Value>) -> Option<Vec<&str>> {
    match value? {
        Value::String(text) => Some(vec![text]),
        Value::Array(items) if !items.is_empty() => items.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

/// `arn`, partition, service, region, account, resource.
const ARN_PARTS: usize = 6;

/// The most bytes of all resources: each is held against every request, and API Gateway's policies end at 8 KB.
const RESOURCES_BYTES: usize = 16 * 1024;

/// As long as ARNs get.
const PATTERN_BYTES: usize = 2_048;
