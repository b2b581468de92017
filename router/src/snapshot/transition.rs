//! What a new generation changes, told to the audit log.
//!
//! Owns the outline of what is served. Must never decide anything.

use std::cell::RefCell;
use std::sync::Arc;

use postern_config::merged::{Difference, Outline, Reading};
use serde_json::{Value, json};

use crate::audit::Audit;

/// Routes of each kind that a line names; of the others it says how many there are.
const NAMED: usize = 500;

/// Tells the audit log of generations.
pub(crate) struct Transitions {
    audit: Option<Arc<Audit>>,
    /// What is served, and its generation.
    standing: RefCell<Option<(u64, Outline)>>,
}

/// A generation that is about to be served.
pub(crate) struct Coming(Option<(Outline, Value)>);

impl Transitions {
    /// Tells nobody when there is no log.
    pub(crate) fn new(audit: Option<Arc<Audit>>) -> Self {
        Self { audit, standing: RefCell::default() }
    }

    /// Looks at what was read, before it is compiled.
    pub(super) fn of(&self, reading: &Reading) -> Coming {
        Coming(self.audit.is_some().then(|| {
            let header = &reading.header;
            let said = json!({
                "kind": "configuration",
                "generation": header.generation,
                "digest": reading.digest.to_string(),
                "written_at": header.written_at,
                "sources": header.sources,
                "routes": reading.content.routes.len(),
                "refused": reading.content.refused.len(),
            });
            (Outline::of(&reading.content), said)
        }))
    }

    /// It is served from now on.
    pub(super) fn served(&self, coming: Coming, generation: u64) {
        let (Some(audit), Some((outline, mut said))) = (&self.audit, coming.0) else { return };
        if let Some((before, standing)) = &*self.standing.borrow() {
            said["previous_generation"] = json!(before);
            said["changes"] = bounded(&outline.since(standing));
        }
        note(audit, &said);
        self.standing.replace(Some((generation, outline)));
    }

    /// A file did not go live.
    pub(super) fn refused(&self, reason: &str, message: &str) {
        if let Some(audit) = &self.audit {
            note(audit, &json!({"kind": "configuration_refused", "reason": reason, "detail": message}));
        }
    }
}

fn note(audit: &Audit, said: &Value) {
    let text = said.to_string();
    audit.note(&text[1..text.len() - 1]);
}

fn bounded(difference: &Difference) -> Value {
    let mut value = serde_json::to_value(difference).unwrap_or_default();
    for kind in ["added", "removed", "changed"] {
        if let Some(Value::Array(routes)) = value.get_mut(kind)
            && routes.len() > NAMED
        {
            let more = routes.len() - NAMED;
            routes.truncate(NAMED);
            value[format!("more_{kind}")] = json!(more);
        }
    }
    value
}
