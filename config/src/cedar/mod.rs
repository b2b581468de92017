//! Policies in Cedar: which words they may use, and whether a text means something.
//!
//! Owns the Cedar schema that texts are checked against, and the only use of the Cedar crate here. Must never know
//! which layer a text belongs to, nor a request: decisions are made in the router.

mod fault;
mod nesting;
mod uses;
mod vocabulary;

#[cfg(test)]
mod tests;

pub use uses::Uses;
pub(crate) use vocabulary::{Vocabulary, is_caller};

use cedar_policy::{Effect, PolicySet};

use fault::Fault;

/// Methods that are actions of their own; of others a policy may ask for `context.method`.
pub const METHODS: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"];

/// Whether one of the statements permits something: a set without any lets nobody pass.
fn permits(set: &PolicySet) -> bool {
    set.policies().any(|policy| policy.effect() == Effect::Permit)
}

/// Reads a text.
///
/// # Errors
/// Everything in it that is not Cedar, or not a policy of its own.
fn parse(text: &str) -> Result<PolicySet, Vec<Fault>> {
    nesting::check(text).map_err(|fault| vec![fault])?;
    let set: PolicySet = text.parse().map_err(|errors: cedar_policy::ParseErrors| fault::of_parsing(text, &errors))?;
    let templates: Vec<Fault> = set.templates().map(|template| fault::of_template(&template.to_string())).collect();
    if templates.is_empty() { Ok(set) } else { Err(templates) }
}
