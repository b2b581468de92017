//! Demands of the boundary and of a registration become what a route asks.

use std::collections::HashMap;
use std::sync::Arc;

use postern_config::check::{self, Boundary};
use postern_config::document::Authorization;
use postern_config::route::Route;
use postern_config::value::{Name, Segment};

use super::cedar::{Set, Terms};
use super::{Demand, Layer, Policies, Rights, Variable};

/// What routes share while they are compiled: a set of policies is parsed once for all routes that ask it.
pub(crate) struct RightsCompiler<'b> {
    boundary: &'b Boundary,
    /// Made for the first route that needs it.
    terms: Option<Arc<Terms>>,
    named: HashMap<&'b Name, &'b str>,
    sets: HashMap<(Vec<Name>, Option<String>), Arc<Set>>,
}

impl<'b> RightsCompiler<'b> {
    pub(crate) fn new(boundary: &'b Boundary) -> Self {
        let policies = &boundary.document().authorization.policies;
        let named = policies.iter().map(|policy| (&policy.name, &*policy.cedar)).collect();
        Self { boundary, terms: None, named, sets: HashMap::new() }
    }

    /// What a route demands of its callers.
    ///
    /// # Errors
    /// Why it cannot be decided; the route must then not be served.
    pub(crate) fn rights(&mut self, route: &Route) -> Result<Rights, String> {
        let registration = route.registration();
        let mut demands = Vec::new();
        for demand in self.boundary.demands(&registration) {
            demands.push(self.demand(&demand)?);
        }
        // What is only tried out is asked about those who would pass, and comes last.
        demands.sort_by_key(|demand| demand.mode);
        let policies = match demands.iter().any(|demand| demand.policies.is_some()) {
            true => Some(self.policies(route)?),
            false => None,
        };
        Ok(Rights { demands: demands.into(), policies })
    }

    fn demand(&mut self, demand: &check::Demand<'_>) -> Result<Demand, String> {
        let Authorization { scopes, roles, allow, deny, policies, cedar, mode } = demand.authorization;
        let set = match policies.is_empty() && cedar.is_none() {
            true => None,
            false => Some(self.set(policies, cedar.as_ref())?),
        };
        let words = |words: &[String]| words.iter().map(|word| word.as_str().into()).collect();
        Ok(Demand {
            layer: match demand.layer {
                check::Layer::Override => Layer::Override,
                check::Layer::Rule(prefix) => Layer::Rule(prefix.as_str().into()),
                check::Layer::Default => Layer::Default,
                check::Layer::Registration => Layer::Registration,
            },
            mode: *mode,
            scopes: words(scopes),
            roles: words(roles),
            allow: allow.as_slice().into(),
            deny: deny.as_slice().into(),
            policies: set,
        })
    }

    fn set(&mut self, policies: &[Name], cedar: Option<&String>) -> Result<Arc<Set>, String> {
        let key = (policies.to_vec(), cedar.cloned());
        if let Some(known) = self.sets.get(&key) {
            return Ok(Arc::clone(known));
        }
        let mut texts = Vec::with_capacity(policies.len() + 1);
        for name in policies {
            let text = self.named.get(name).ok_or_else(|| format!("there is no policy \"{name}\" in the file"))?;
            texts.push((name.as_str(), *text));
        }
        texts.extend(cedar.map(|text| ("cedar", text.as_str())));
        let set = Arc::new(Set::compile(texts.into_iter())?);
        self.sets.insert(key, Arc::clone(&set));
        Ok(set)
    }

    fn policies(&mut self, route: &Route) -> Result<Policies, String> {
        let terms = match &self.terms {
            Some(terms) => Arc::clone(terms),
            None => {
                let terms = Arc::new(Terms::compile(&self.boundary.document().authorization)?);
                Arc::clone(self.terms.insert(terms))
            }
        };
        let resource = terms.resource(&route.id, route.owner.as_str(), route.root.as_str())?;
        let segments = route.matching.path.iter().flat_map(|path| path.segments()).enumerate();
        let variables = segments.filter_map(|(place, segment)| match segment {
            Segment::Literal(_) => None,
            Segment::Variable(name) => Some(Variable { name: name.clone(), place, rest: false }),
            Segment::Rest(name) => Some(Variable { name: name.clone(), place, rest: true }),
        });
        Ok(Policies { terms, resource, variables: variables.collect() })
    }
}
