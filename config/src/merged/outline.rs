//! What two contents differ in, without keeping both: a fingerprint of every part is enough to tell what changed.
//!
//! Pure. Assumes that nobody makes fingerprints collide on purpose: what is told is for people, nothing is decided
//! by it. Must never hold a value of either content.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::Content;

/// The fingerprints of a content's parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    boundary: Fields,
    routes: BTreeMap<Arc<str>, RouteOutline>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct RouteOutline {
    owner: Arc<str>,
    version: u64,
    fields: Fields,
}

/// A document's members, each with the fingerprint of its value.
type Fields = BTreeMap<Arc<str>, u64>;

/// What one content has that another had not, or had otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Members of the boundary that changed: `destinations`, `identity`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub boundary: Vec<String>,
    /// Routes that are new.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<ChangedRoute>,
    /// Routes that are gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<ChangedRoute>,
    /// Routes that changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<ChangedRoute>,
}

/// A route that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangedRoute {
    /// `ROOT#NAME`.
    pub id: String,
    /// Who answers for it.
    pub owner: String,
    /// The registration's version, of a removed route the last one.
    pub version: u64,
    /// Members of it that changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

impl Outline {
    /// The outline of a content.
    pub fn of(content: &Content) -> Self {
        let mut names = Names::default();
        let boundary = names.fields(&serde_json::to_value(content.document()).unwrap_or_default(), &[]);
        let routes = content.routes.iter().map(|route| {
            let value = serde_json::to_value(route).unwrap_or_default();
            // What became of a registration, and which version it was, is not what is served.
            let fields = names.fields(&value, &["id", "root", "origin", "conditions"]);
            let owner = names.shared(&route.owner.to_string());
            (Arc::from(route.id.as_str()), RouteOutline { owner, version: route.origin.version, fields })
        });
        Self { boundary, routes: routes.collect() }
    }

    /// What came to be after `before`.
    pub fn since(&self, before: &Self) -> Difference {
        let mut difference =
            Difference { boundary: changed(&before.boundary, &self.boundary), ..Difference::default() };
        for (id, route) in &self.routes {
            match before.routes.get(id) {
                None => difference.added.push(route.named(id, Vec::new())),
                Some(known) if known.fields != route.fields => {
                    difference.changed.push(route.named(id, changed(&known.fields, &route.fields)));
                }
                Some(_) => {}
            }
        }
        let gone = before.routes.iter().filter(|(id, _)| !self.routes.contains_key(*id));
        difference.removed.extend(gone.map(|(id, route)| route.named(id, Vec::new())));
        difference
    }
}

impl RouteOutline {
    fn named(&self, id: &str, fields: Vec<String>) -> ChangedRoute {
        ChangedRoute { id: id.to_owned(), owner: self.owner.to_string(), version: self.version, fields }
    }
}

/// Names that occur over and over, each kept once.
#[derive(Default)]
struct Names(std::collections::HashSet<Arc<str>>);

impl Names {
    fn shared(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.get(name) {
            return Arc::clone(known);
        }
        let new: Arc<str> = name.into();
        self.0.insert(Arc::clone(&new));
        new
    }

    fn fields(&mut self, value: &Value, but: &[&str]) -> Fields {
        let members = value.as_object().into_iter().flatten().filter(|(name, _)| !but.contains(&name.as_str()));
        members.map(|(name, value)| (self.shared(name), fingerprint(value))).collect()
    }
}

fn fingerprint(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.to_string().hash(&mut hasher);
    hasher.finish()
}

fn changed(before: &Fields, after: &Fields) -> Vec<String> {
    let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    names.into_iter().filter(|name| before.get(*name) != after.get(*name)).map(ToString::to_string).collect()
}
