//! The engine: a set of policies, compiled, and its word on a caller.
//!
//! Owns every use of the Cedar crate in the router; nothing of it shows outside. A set that fails to decide refuses:
//! Cedar itself passes over a `forbid` that fails, and what was forbidden would be allowed.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicyId, PolicySet, Request,
    Response, RestrictedExpression as Expression,
};
use postern_config::cedar::{METHODS, Uses};
use postern_config::document::{ClaimType, Rights as Document};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Circumstances, Kind, Policies, Unmet};
use crate::principal::Principal;
use crate::snapshot::ClaimPath;

/// What all policies of a boundary share.
pub(super) struct Terms {
    authorizer: Authorizer,
    claims: Box<[(String, ClaimPath, ClaimType)]>,
    /// By member.
    groups: HashMap<String, Vec<String>>,
    actions: HashMap<&'static str, EntityUid>,
    kinds: Kinds,
    /// Callers without a proof are all alike: by the two ways of having none.
    unproved: [OnceLock<Result<Caller, Failure>>; 2],
}

struct Kinds {
    caller: EntityTypeName,
    group: EntityTypeName,
    route: EntityTypeName,
    action: EntityTypeName,
}

/// A route, as policies see it.
pub(super) struct Resource {
    uid: EntityUid,
    entity: Entity,
}

/// One set of policies. One `permit` must hold, and no `forbid` may.
pub(super) struct Set {
    policies: PolicySet,
    uses: Uses,
    names: HashMap<PolicyId, Arc<str>>,
}

/// A caller, as policies of one generation see it. Kept with the principal, because making it takes longer than deciding.
pub(crate) struct Known {
    terms: Arc<Terms>,
    caller: Result<Caller, Cow<'static, str>>,
}

struct Caller {
    uid: EntityUid,
    entity: Entity,
    /// The caller alone: most policies look at no attribute of the route.
    entities: Entities,
}

type Failure = Cow<'static, str>;

impl Terms {
    /// # Errors
    /// When Cedar does not take the names, which it always did.
    pub(super) fn compile(document: &Document) -> Result<Self, String> {
        let kind = |name: &str| name.parse::<EntityTypeName>().map_err(|error| error.to_string());
        let kinds =
            Kinds { caller: kind("Caller")?, group: kind("Group")?, route: kind("Route")?, action: kind("Action")? };
        let mut groups: HashMap<String, Vec<String>> = HashMap::new();
        for group in &document.groups {
            for member in &group.members {
                groups.entry(member.clone()).or_default().push(group.name.to_string());
            }
        }
        let path = |text: &str| ClaimPath(text.split('.').map(Into::into).collect());
        let claims = document
            .claims
            .iter()
            .map(|claim| (claim.name.clone(), path(claim.path.as_ref().unwrap_or(&claim.name)), claim.kind));
        let action = |method| (method, EntityUid::from_type_name_and_id(kinds.action.clone(), EntityId::new(method)));
        Ok(Self {
            authorizer: Authorizer::new(),
            claims: claims.collect(),
            groups,
            actions: METHODS.into_iter().map(action).collect(),
            kinds,
            unproved: Default::default(),
        })
    }

    /// A route as policies see it.
    ///
    /// # Errors
    /// When Cedar does not take an attribute, which are all texts.
    pub(super) fn resource(&self, id: &str, owner: &str, root: &str) -> Result<Resource, String> {
        let uid = EntityUid::from_type_name_and_id(self.kinds.route.clone(), EntityId::new(id));
        let text = |name: &str, value: &str| (name.to_owned(), Expression::new_string(value.to_owned()));
        let attributes = HashMap::from([text("id", id), text("owner", owner), text("root", root)]);
        let entity = Entity::new(uid.clone(), attributes, HashSet::new()).map_err(|error| error.to_string())?;
        Ok(Resource { uid, entity })
    }

    /// A caller as policies see it.
    fn know(self: &Arc<Self>, principal: &Principal) -> Known {
        Known { terms: Arc::clone(self), caller: self.caller(principal) }
    }

    fn unproved(&self, principal: &Principal) -> &Result<Caller, Failure> {
        self.unproved[usize::from(principal.via() == "iam")].get_or_init(|| self.caller(principal))
    }

    fn caller(&self, principal: &Principal) -> Result<Caller, Failure> {
        let id = format!("{}#{}", principal.via(), principal.name());
        let groups = self.groups.get(&id).map_or(&[][..], Vec::as_slice);
        let uid = EntityUid::from_type_name_and_id(self.kinds.caller.clone(), EntityId::new(id));
        let roles = principal.roles().ok_or("the claim for roles is neither a text nor a list of texts")?;
        let texts = |items: &mut dyn Iterator<Item = &str>| {
            Expression::new_set(items.map(|item| Expression::new_string(item.to_owned())))
        };
        let mut attributes = HashMap::from([
            ("name".to_owned(), Expression::new_string(principal.name().to_owned())),
            ("via".to_owned(), Expression::new_string(principal.via().to_owned())),
            ("scopes".to_owned(), texts(&mut principal.scopes().iter().map(|scope| &**scope))),
            ("roles".to_owned(), texts(&mut roles.iter().map(|role| &**role))),
            ("groups".to_owned(), texts(&mut groups.iter().map(String::as_str))),
            ("claims".to_owned(), self.claims(principal)?),
        ]);
        if let Some(issuer) = principal.said(&["iss"]).and_then(Value::as_str) {
            attributes.insert("issuer".to_owned(), Expression::new_string(issuer.to_owned()));
        }
        let group = |name: &String| EntityUid::from_type_name_and_id(self.kinds.group.clone(), EntityId::new(name));
        let entity = Entity::new(uid.clone(), attributes, groups.iter().map(group).collect()).map_err(failed)?;
        let entities = Entities::from_entities([entity.clone()], None).map_err(failed)?;
        Ok(Caller { uid, entity, entities })
    }

    /// The claims that policies may read. One that is there with a value of another type fails: a `forbid` may hang on
    /// it, and would not hold for a caller without it.
    fn claims(&self, principal: &Principal) -> Result<Expression, Failure> {
        let mut fields = Vec::with_capacity(self.claims.len());
        for (name, path, kind) in &self.claims {
            let steps: Vec<&str> = path.0.iter().map(|step| &**step).collect();
            match principal.said(&steps) {
                None | Some(Value::Null) => {}
                Some(value) => {
                    let value =
                        expression(value, *kind).ok_or_else(|| format!("the claim {name} is of another type"))?;
                    fields.push((name.clone(), value));
                }
            }
        }
        Expression::new_record(fields).map_err(failed)
    }
}

fn expression(value: &Value, kind: ClaimType) -> Option<Expression> {
    match (kind, value) {
        (ClaimType::String, Value::String(text)) => Some(Expression::new_string(text.clone())),
        (ClaimType::Long, Value::Number(number)) => number.as_i64().map(Expression::new_long),
        (ClaimType::Bool, Value::Bool(flag)) => Some(Expression::new_bool(*flag)),
        (ClaimType::Strings, Value::Array(items)) => {
            let texts: Option<Vec<Expression>> =
                items.iter().map(|item| Some(Expression::new_string(item.as_str()?.to_owned()))).collect();
            texts.map(Expression::new_set)
        }
        _ => None,
    }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Cow::Owned(error.to_string())
}

impl Set {
    /// Compiles texts, each with the name that its policies go by in logs.
    ///
    /// # Errors
    /// What is wrong with one; the check of the boundary and of the registration have told of it already.
    pub(super) fn compile<'t>(texts: impl Iterator<Item = (&'t str, &'t str)>) -> Result<Self, String> {
        let (mut policies, mut uses, mut names) = (PolicySet::new(), Uses::default(), HashMap::new());
        for (name, text) in texts {
            let set: PolicySet = text.parse().map_err(|error| format!("{name}: {error}"))?;
            let mut statements: Vec<_> = set.policies().collect();
            // In the order of the text: Cedar numbers them.
            statements.sort_by_key(|policy| policy.id().to_string().trim_start_matches("policy").parse::<usize>().ok());
            let only = statements.len() == 1;
            for (index, policy) in statements.into_iter().enumerate() {
                let called: Arc<str> = match policy.annotation("id") {
                    Some(id) => format!("{name}/{id}").into(),
                    None if only => name.into(),
                    None => format!("{name}[{index}]").into(),
                };
                let id = PolicyId::new(format!("{name}#{index}"));
                uses.add(Uses::of(&policy.to_json().map_err(|error| format!("{name}: {error}"))?));
                policies.add(policy.new_id(id.clone())).map_err(|error| format!("{name}: {error}"))?;
                names.insert(id, called);
            }
        }
        Ok(Self { policies, uses, names })
    }

    /// Whether the caller may pass, and the policy that says so.
    pub(super) fn decide(
        &self,
        with: &Policies,
        principal: &Principal,
        circumstances: &Circumstances<'_>,
    ) -> Result<Arc<str>, Unmet> {
        let refuse = |why: Failure| Unmet::new(Kind::Policies, why);
        let made;
        let caller = match principal.known(|| with.terms.know(principal)) {
            Some(known) if Arc::ptr_eq(&known.terms, &with.terms) => &known.caller,
            // Kept from another generation.
            Some(_) => {
                made = with.terms.caller(principal);
                &made
            }
            None => with.terms.unproved(principal),
        };
        let caller = caller.as_ref().map_err(|why| refuse(why.clone()))?;
        let response = self.ask(with, caller, circumstances).map_err(refuse)?;
        self.read(&response)
    }

    fn ask(&self, with: &Policies, caller: &Caller, circumstances: &Circumstances<'_>) -> Result<Response, Failure> {
        let terms = &with.terms;
        let action = match terms.actions.get(circumstances.method) {
            Some(action) => action.clone(),
            None => EntityUid::from_type_name_and_id(terms.kinds.action.clone(), EntityId::new(circumstances.method)),
        };
        let context = self.context(with, circumstances)?;
        // No schema: what is built here is what the schema says, and checking it again would take longer than deciding.
        let request =
            Request::new(caller.uid.clone(), action, with.resource.uid.clone(), context, None).map_err(failed)?;
        if !self.uses.resource {
            return Ok(terms.authorizer.is_authorized(&request, &self.policies, &caller.entities));
        }
        let both = [caller.entity.clone(), with.resource.entity.clone()];
        let entities = Entities::from_entities(both, None).map_err(failed)?;
        Ok(terms.authorizer.is_authorized(&request, &self.policies, &entities))
    }

    /// What policies of this set look at, and nothing else: an address or a time in it costs as much as deciding.
    fn context(&self, with: &Policies, circumstances: &Circumstances<'_>) -> Result<Context, Failure> {
        let mut fields: Vec<(String, Expression)> = Vec::new();
        let mut field = |name: &str, value: &dyn Fn() -> Result<Expression, Failure>| {
            if self.uses.reads(name) {
                fields.push((name.to_owned(), value()?));
            }
            Ok::<(), Failure>(())
        };
        // A part of a path is not the path: what is forbidden could stand in the rest.
        let path = || circumstances.path.ok_or(Cow::Borrowed("the path has more than one reading"));
        let text = |text: &str| Ok(Expression::new_string(text.to_owned()));
        field("method", &|| text(circumstances.method))?;
        field("host", &|| text(circumstances.host))?;
        field("path", &|| text(path()?))?;
        field("client", &|| Ok(Expression::new_ip(circumstances.client.to_canonical().to_string())))?;
        let now = || OffsetDateTime::from_unix_timestamp(circumstances.now).map_err(failed);
        field("now", &|| Ok(Expression::new_datetime(now()?.format(&Rfc3339).map_err(failed)?)))?;
        field("hour", &|| Ok(Expression::new_long(now()?.hour().into())))?;
        field("minute", &|| Ok(Expression::new_long(now()?.minute().into())))?;
        field("weekday", &|| Ok(Expression::new_long(now()?.weekday().number_from_monday().into())))?;
        field("vars", &|| {
            let mut values = Vec::with_capacity(with.variables.len());
            for variable in &with.variables {
                let value =
                    variable.value(path()?).ok_or_else(|| format!("{} in the path is no text", variable.name))?;
                values.push((variable.name.clone(), Expression::new_string(value)));
            }
            Expression::new_record(values).map_err(failed)
        })?;
        if fields.is_empty() {
            return Ok(Context::empty());
        }
        Context::from_pairs(fields).map_err(failed)
    }

    fn read(&self, response: &Response) -> Result<Arc<str>, Unmet> {
        let name = |id: &PolicyId| self.names.get(id).cloned();
        let diagnostics = response.diagnostics();
        if let Some(error) = diagnostics.errors().next() {
            let cedar_policy::AuthorizationError::PolicyEvaluationError(error) = error;
            let why = format!("it failed: {}", error.inner());
            return Err(Unmet { kind: Kind::Policies, policy: name(error.policy_id()), why: why.into() });
        }
        // Of several that decide, always the same one is named.
        let deciding = diagnostics.reason().min().and_then(name);
        match (response.decision(), deciding) {
            (Decision::Allow, Some(policy)) => Ok(policy),
            (_, Some(policy)) => Err(Unmet { kind: Kind::Policies, policy: Some(policy), why: "it forbids".into() }),
            (_, None) => Err(Unmet::new(Kind::Policies, "none permits")),
        }
    }
}
