//! Path templates: `/orders/{id}`, `/files/{rest*}`.

use std::fmt;
use std::str::FromStr;

use super::{RootPath, ValueError, canonical_path, leaf};
use crate::limits;

/// One segment of a template.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// Exactly this canonical text.
    Literal(String),
    /// One non-empty segment, kept under this name.
    Variable(String),
    /// The rest of the path, however many segments, also none. Only at the end.
    Rest(String),
}

/// A path with variables. A template without `{rest*}` stands for exactly that many segments.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Template {
    segments: Vec<Segment>,
}

impl Template {
    /// Its segments, from the left.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The names of its variables, from the left.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Variable(name) | Segment::Rest(name) => Some(name.as_str()),
        })
    }

    /// Whether every path it stands for lies at or below `root`.
    pub fn is_below(&self, root: &RootPath) -> bool {
        let mut own = self.segments.iter();
        root.segments().all(|expected| matches!(own.next(), Some(Segment::Literal(text)) if text == expected))
    }
}

impl FromStr for Template {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(ValueError::new("does not begin with /").hint(EXAMPLE));
        };
        if text.len() > limits::PATH_BYTES {
            return Err(ValueError::new("is longer than 8192 bytes"));
        }
        let mut segments = Vec::new();
        if !rest.is_empty() {
            let count = rest.split('/').count();
            for (index, segment) in rest.split('/').enumerate() {
                segments.push(parse_segment(segment, index + 1 == count)?);
            }
        }
        if segments.len() > limits::PATH_SEGMENTS {
            return Err(ValueError::new("has more than 64 segments"));
        }
        let template = Self { segments };
        let mut names: Vec<&str> = template.variables().collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(ValueError::new(format!("has the variable {{{}}} twice", twice[0])));
        }
        Ok(template)
    }
}

fn parse_segment(segment: &str, last: bool) -> Result<Segment, ValueError> {
    if segment.is_empty() {
        return Err(ValueError::new("has an empty segment, or ends with a slash").hint(EXAMPLE));
    }
    // Other tools' spellings of a variable, which would be taken for plain text here.
    if segment.starts_with(':') || matches!(segment, "*" | "**") {
        let name = segment.trim_start_matches([':', '*']);
        let written = if name.is_empty() { "{rest*}".to_owned() } else { format!("{{{name}}}") };
        return Err(ValueError::new("has a variable in another spelling").hint(format!("write {written} there")));
    }
    if !segment.contains(['{', '}']) {
        let path = format!("/{segment}");
        let canonical = canonical_path(path.as_bytes())
            .map_err(|error| ValueError::new(format!("is not a template: the {error}")))?;
        if canonical != path {
            return Err(ValueError::new("is not in canonical form").hint(format!("write {} there", &canonical[1..])));
        }
        return Ok(Segment::Literal(segment.to_owned()));
    }
    let Some(name) = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) else {
        return Err(ValueError::new("has a variable that is not a whole segment").hint(EXAMPLE));
    };
    let (name, is_rest) = match name.strip_suffix('*') {
        Some(name) => (name, true),
        None => (name, false),
    };
    let mut bytes = name.bytes();
    let begins = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if !begins || !bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') || name.len() > 64 {
        return Err(ValueError::new("has a variable without a proper name").hint(EXAMPLE));
    }
    match (is_rest, last) {
        (true, true) => Ok(Segment::Rest(name.to_owned())),
        (true, false) => Err(ValueError::new(format!("has {{{name}*}} before its end")).hint(EXAMPLE)),
        (false, _) => Ok(Segment::Variable(name.to_owned())),
    }
}

const EXAMPLE: &str = "write a template such as /orders/{id} or /files/{rest*}";

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.segments.is_empty() {
            return f.write_str("/");
        }
        self.segments.iter().try_for_each(|segment| match segment {
            Segment::Literal(text) => write!(f, "/{text}"),
            Segment::Variable(name) => write!(f, "/{{{name}}}"),
            Segment::Rest(name) => write!(f, "/{{{name}*}}"),
        })
    }
}

leaf!(Template, "postern-template", "A path whose segments may be {name}, and {rest*} at its end.", "/orders/{id}");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_written_as_it_was_read() {
        for text in ["/", "/orders", "/orders/{id}", "/orders/{id}/items/{rest*}", "/{a}/{b}"] {
            assert_eq!(text.parse::<Template>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn odd_templates_are_refused() {
        for text in [
            "", "orders", "/orders/", "/a//b", "/{rest*}/x", "/{a}/{a}", "/{a", "/x{a}", "/{}", "/{1}", "/{*}",
            "/../x", "/%61", "/a;b", "/a/*", "/a/:id", "/a/**", "/a/{id", "/a/{id}{x}", "/a/{id }",
        ] {
            assert!(text.parse::<Template>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_variable_is_not_below_a_literal_root() {
        let root: RootPath = "/orders".parse().unwrap();
        for (text, expected) in
            [("/orders", true), ("/orders/{id}", true), ("/{any}", false), ("/other", false), ("/", false)]
        {
            assert_eq!(text.parse::<Template>().unwrap().is_below(&root), expected, "{text}");
        }
    }
}
