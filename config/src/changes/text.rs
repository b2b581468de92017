//! Changes in words, for a person at a terminal.

use std::fmt;

use serde_json::Value;

use super::{Action, Aspect, Changes, RouteChange, Weaker};

/// Values longer than this are cut.
const SHOWN: usize = 160;

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for aspect in &self.boundary {
            writeln!(f, "~ boundary {aspect}")?;
        }
        for change in &self.routes {
            change.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for RouteChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.action.mark(), self.action.word(), self.id)?;
        if let Some(owner) = &self.owner {
            write!(f, " ({owner})")?;
        }
        let ends = self.ends_route && self.action == Action::Refused;
        writeln!(f, "{}", if ends { ": its route ends" } else { "" })?;
        for aspect in &self.aspects {
            writeln!(f, "    {aspect}")?;
        }
        for reason in self.reasons.iter().filter(|reason| reason.is_worth_telling()) {
            writeln!(f, "    {}", reason.told())?;
        }
        Ok(())
    }
}

impl fmt::Display for Aspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, from, to, weaker } = self;
        match (from, to) {
            (_, Value::String(word)) if word == "added" || word == "removed" => write!(f, "{what}: {word}")?,
            _ => match destinations(from, to) {
                Some((from, to)) => write!(f, "retargeted: {from} → {to}")?,
                None => write!(f, "{what}: {} → {}", shown(from), shown(to))?,
            },
        }
        match weaker {
            Some(Weaker::Yes) => f.write_str("  [weaker]"),
            Some(Weaker::Maybe) => f.write_str("  [weaker?]"),
            None => Ok(()),
        }
    }
}

/// Where a route led and leads, when that is what changed.
fn destinations(from: &Value, to: &Value) -> Option<(String, String)> {
    Some((urls(from)?, urls(to)?))
}

fn urls(value: &Value) -> Option<String> {
    let one = |target: &'_ Value| -> Option<String> {
        let url = target.get("url")?.as_str()?;
        let weight = target.get("weight").and_then(Value::as_u64).unwrap_or(1);
        let share = if value.as_array()?.len() > 1 { format!(" (weight {weight})") } else { String::new() };
        let host = target.get("host").and_then(Value::as_str).filter(|host| !url.contains(*host));
        Some(format!("{url}{}{share}", host.map_or_else(String::new, |host| format!(" as {host}"))))
    };
    let all: Option<Vec<_>> = value.as_array()?.iter().map(one).collect();
    all.filter(|all| !all.is_empty()).map(|all| all.join(", "))
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::Null => return "nothing".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match text.char_indices().nth(SHOWN) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}

impl Action {
    fn mark(self) -> char {
        match self {
            Self::Added => '+',
            Self::Removed | Self::Withdrawn => '-',
            Self::Changed => '~',
            Self::Refused => '!',
            Self::Held | Self::Stale => '=',
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
            Self::Held => "held",
            Self::Stale => "stale",
        }
    }
}
