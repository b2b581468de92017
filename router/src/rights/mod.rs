//! What a route demands of its callers, compiled: scopes, roles, networks and policies, layer by layer.
//!
//! Lies outside of the stages because snapshots hold it and `authorize` asks it. Owns what each demand says of a caller.
//! Must never know what becomes of a request, nor how anything was proved; only `cedar` knows the engine.

mod cedar;
mod circumstances;
pub(crate) mod compile;
mod verdict;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;

use postern_config::document::Mode;
use postern_config::value::Network;

pub(crate) use self::cedar::Known;
use self::cedar::{Resource, Set, Terms};
pub(crate) use self::circumstances::{Circumstances, Variable};
pub(crate) use self::verdict::{Kind, LAYERS, Layer, Verdict};
use crate::principal::Principal;

/// Everything that a route demands of its callers.
#[derive(Default)]
pub(crate) struct Rights {
    demands: Box<[Demand]>,
    /// What policies are decided with; none where no demand has any.
    policies: Option<Policies>,
}

/// What all policies of a route see besides the caller and the request.
struct Policies {
    terms: Arc<Terms>,
    resource: Resource,
    variables: Box<[Variable]>,
}

/// What one layer demands. All parts of it must be met.
struct Demand {
    layer: Layer,
    mode: Mode,
    scopes: Box<[Box<str>]>,
    roles: Box<[Box<str>]>,
    allow: Box<[Network]>,
    deny: Box<[Network]>,
    policies: Option<Arc<Set>>,
}

/// What a demand says: the policy that lets the caller pass, if it has policies, or why not.
type Said = Result<Option<Arc<str>>, Unmet>;

/// The part of a demand that is not met.
struct Unmet {
    kind: Kind,
    policy: Option<Arc<str>>,
    why: Cow<'static, str>,
}

impl Rights {
    /// What asks for scopes and nothing else.
    #[cfg(test)]
    pub(crate) fn of_scopes(scopes: &[&str]) -> Self {
        let scopes = scopes.iter().map(|scope| Box::from(*scope)).collect();
        let (layer, mode) = (Layer::Registration, Mode::Enforce);
        let (roles, allow, deny) = (Box::default(), Box::default(), Box::default());
        Self { demands: Box::new([Demand { layer, mode, scopes, roles, allow, deny, policies: None }]), policies: None }
    }

    /// How many layers demand something.
    pub(crate) fn count(&self) -> usize {
        self.demands.len()
    }

    /// Scopes that are insisted on, for the answer to a caller who lacks one.
    pub(crate) fn scopes(&self) -> Vec<&str> {
        let enforced = self.demands.iter().filter(|demand| demand.mode == Mode::Enforce);
        let mut scopes: Vec<&str> = enforced.flat_map(|demand| demand.scopes.iter().map(|scope| &**scope)).collect();
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    }

    /// What every demand says of a caller; those that are tried out come last. Ends behind the first that refuses.
    ///
    /// What policies said and what was refused is told; what was met without a policy only when `all` is asked for.
    pub(crate) fn decide(&self, principal: &Principal, circumstances: &Circumstances<'_>, all: bool) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for demand in &self.demands {
            let said = demand.check(self.policies.as_ref(), principal, circumstances);
            let refused = said.is_err() && demand.mode == Mode::Enforce;
            if all || said.as_ref().map_or(true, Option::is_some) || demand.mode != Mode::Enforce {
                verdicts.push(demand.verdict(said));
            }
            if refused {
                break;
            }
        }
        verdicts
    }
}

impl Demand {
    fn check(&self, policies: Option<&Policies>, principal: &Principal, circumstances: &Circumstances<'_>) -> Said {
        // The cheap ones first.
        self.check_address(circumstances)?;
        if let Some(missing) = self.scopes.iter().find(|scope| !principal.holds(scope)) {
            return Err(Unmet::new(Kind::Scopes, format!("{missing} is missing")));
        }
        if !self.roles.is_empty() {
            let Some(roles) = principal.roles() else {
                return Err(Unmet::new(Kind::Roles, "the claim for roles is neither a text nor a list of texts"));
            };
            if !self.roles.iter().any(|role| roles.contains(role)) {
                return Err(Unmet::new(Kind::Roles, "none of them is held"));
            }
        }
        match (&self.policies, policies) {
            (None, _) => Ok(None),
            (Some(set), Some(with)) => set.decide(with, principal, circumstances).map(Some),
            // `compile` gives both or neither; if it ever did not, nobody passes.
            (Some(_), None) => Err(Unmet::new(Kind::Policies, "there is nothing to decide with")),
        }
    }

    fn check_address(&self, circumstances: &Circumstances<'_>) -> Result<(), Unmet> {
        let client = circumstances.client.to_canonical();
        if let Some(network) = self.deny.iter().find(|network| network.contains(client)) {
            return Err(Unmet::new(Kind::Addresses, format!("{client} lies in {network}")));
        }
        if !self.allow.is_empty() && !self.allow.iter().any(|network| network.contains(client)) {
            return Err(Unmet::new(Kind::Addresses, format!("{client} lies in no network that is allowed")));
        }
        Ok(())
    }

    fn verdict(&self, said: Said) -> Verdict {
        let (layer, mode) = (self.layer.clone(), self.mode);
        match said {
            Ok(policy) => {
                let kind = if policy.is_some() { Kind::Policies } else { self.kind() };
                Verdict { layer, kind, mode, allowed: true, policy, why: Cow::Borrowed("") }
            }
            Err(Unmet { kind, policy, why }) => Verdict { layer, kind, mode, allowed: false, policy, why },
        }
    }

    /// What it is mostly about, when all of it is met.
    fn kind(&self) -> Kind {
        match (self.scopes.is_empty(), self.roles.is_empty()) {
            (false, _) => Kind::Scopes,
            (true, false) => Kind::Roles,
            (true, true) => Kind::Addresses,
        }
    }
}

impl Unmet {
    fn new(kind: Kind, why: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, policy: None, why: why.into() }
    }
}
