//! Where a value stands in the text that it was read from: line and column, for whoever has the file before them.
//!
//! The text is read once more, and only when there is something to point at. What cannot be read has no places.

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_saphyr::Spanned;

use super::text::yaml_options;
use crate::problem::{Problem, ProblemKind};

/// A line and a column, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

/// The places of a text's values.
#[derive(Debug)]
pub struct Places<'t> {
    text: &'t str,
    documents: Vec<Spanned<Inside>>,
}

/// What a value has inside.
#[derive(Debug)]
enum Inside {
    Fields(Vec<(Spanned<String>, Spanned<Self>)>),
    Items(Vec<Spanned<Self>>),
    Scalar,
    Nothing,
}

impl<'t> Places<'t> {
    /// Reads the places of every document in `text`; none when it cannot be read.
    pub fn of(text: &'t str) -> Self {
        let bare = text.strip_prefix('\u{feff}').unwrap_or(text);
        // JSON is YAML as far as places go.
        let read = serde_saphyr::from_multiple_with_options::<Spanned<Inside>>(bare, yaml_options());
        let mut documents = read.unwrap_or_default();
        documents.retain(|document| !matches!(document.value, Inside::Nothing));
        Self { text: bare, documents }
    }

    /// Where a problem is: at the name of a field that nobody knows, else at the value; at the nearest value around it
    /// when what is meant is not there. `document` counts those that [`values`](super::values) gives.
    pub fn find(&self, document: usize, problem: &Problem) -> Option<Place> {
        let mut here = self.documents.get(document)?;
        let mut place = here.referenced;
        for token in problem.at.split('/').skip(1) {
            let token = token.replace("~1", "/").replace("~0", "~");
            let next = match &here.value {
                Inside::Fields(fields) => fields.iter().find(|(name, _)| name.value == token).map(|(name, field)| {
                    place = name.referenced;
                    field
                }),
                Inside::Items(items) => {
                    token.parse::<usize>().ok().and_then(|index| items.get(index)).inspect(|item| {
                        place = item.referenced;
                    })
                }
                Inside::Scalar | Inside::Nothing => None,
            };
            match next {
                Some(next) => here = next,
                None => return Some(Place { line: place.line(), column: place.column() }),
            }
        }
        if problem.kind != ProblemKind::UnknownField && matches!(here.value, Inside::Scalar) {
            place = here.referenced;
        }
        Some(Place { line: place.line(), column: place.column() })
    }

    /// A problem in words, with its line and column. `inside` is where the document stands in what [`values`](super::values)
    /// gives as number `document`: empty, or `/3` in a list.
    pub fn tell(&self, document: usize, inside: &str, problem: &Problem) -> String {
        match self.find(document, &problem.clone().under(inside)) {
            Some(Place { line, column }) => format!("line {line}, column {column}: {problem}"),
            None => problem.to_string(),
        }
    }

    /// The line of a place with a mark under it. Not of a line that may hold a secret.
    pub fn excerpt(&self, place: Place) -> Option<String> {
        const WIDTH: usize = 160;
        let index = usize::try_from(place.line).ok()?.checked_sub(1)?;
        let line = self.text.lines().nth(index)?;
        if may_hold_a_secret(line) {
            return None;
        }
        let column = usize::try_from(place.column).ok()?.max(1);
        // A long line is shown around its mark.
        let from = column.saturating_sub(WIDTH / 2);
        let shown: String = line.chars().skip(from).take(WIDTH).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let number = place.line.to_string();
        let gap = " ".repeat(number.len());
        let mark = " ".repeat(column - 1 - from.min(column - 1));
        Some(format!("{number} | {shown}\n{gap} | {mark}^"))
    }
}

/// Whether a field stands there that holds a key, a hash or a secret.
fn may_hold_a_secret(line: &str) -> bool {
    const FIELDS: [&str; 9] = ["k", "d", "p", "q", "pepper", "hash", "digest", "digests", "key"];
    line.match_indices(':').any(|(at, _)| {
        let before = line[..at].trim_end().trim_end_matches(['"', '\'']);
        let name = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
        FIELDS.contains(&name)
    })
}

impl<'de> Deserialize<'de> for Inside {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(InsideVisitor)
    }
}

struct InsideVisitor;

impl<'de> Visitor<'de> for InsideVisitor {
    type Value = Inside;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Inside, E> {
        Ok(Inside::Nothing)
    }

    fn visit_none<E>(self) -> Result<Inside, E> {
        Ok(Inside::Nothing)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Inside, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Inside, E> {
        Ok(Inside::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Inside, E> {
        Ok(Inside::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Inside, E> {
        Ok(Inside::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Inside, E> {
        Ok(Inside::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Inside, E> {
        Ok(Inside::Scalar)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Inside, A::Error> {
        let mut found = Vec::new();
        while let Some(item) = items.next_element()? {
            found.push(item);
        }
        Ok(Inside::Items(found))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Inside, A::Error> {
        let mut found = Vec::new();
        while let Some(name) = fields.next_key()? {
            found.push((name, fields.next_value()?));
        }
        Ok(Inside::Fields(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# a boundary
hosts: [a.example.com]
destinations:
  - name: one
    hosts: [b.example.com, 'c d']
    shcemes: [https]
    tls: {rots: webpki}
---
root: /a
";

    fn place(document: usize, at: &str, kind: ProblemKind) -> (u64, u64) {
        let place = Places::of(TEXT).find(document, &Problem::new(at, kind, "")).unwrap();
        (place.line, place.column)
    }

    #[test]
    fn a_problem_is_found_where_it_stands() {
        for (document, at, kind, expected) in [
            (0, "/hosts/0", ProblemKind::Invalid, (2, 9)),
            (0, "/destinations/0/hosts/1", ProblemKind::Invalid, (5, 28)),
            (0, "/destinations/0/shcemes", ProblemKind::UnknownField, (6, 5)),
            (0, "/destinations/0/tls/rots", ProblemKind::UnknownField, (7, 11)),
            (0, "/destinations/0/name", ProblemKind::Invalid, (4, 11)),
            // What is missing is missing from what is around it.
            (0, "/destinations/0/ports/0", ProblemKind::Missing, (4, 5)),
            (1, "/root", ProblemKind::Invalid, (9, 7)),
            (1, "/owner", ProblemKind::Missing, (9, 1)),
        ] {
            assert_eq!(place(document, at, kind), expected, "{at}");
        }
        assert_eq!(Places::of(TEXT).find(2, &Problem::new("", ProblemKind::Invalid, "")), None);
        let json = "{\n  \"hosts\": [\n    \"a\", \"b c\"\n  ]\n}";
        let found = Places::of(json).find(0, &Problem::new("/hosts/1", ProblemKind::Invalid, ""));
        assert_eq!(found, Some(Place { line: 3, column: 10 }));
        assert!(Places::of("a: [").documents.is_empty());
    }

    #[test]
    fn the_line_is_shown_with_a_mark_unless_it_may_hold_a_secret() {
        let places = Places::of(TEXT);
        let shown = places.excerpt(Place { line: 5, column: 28 }).unwrap();
        assert_eq!(shown, "5 |     hosts: [b.example.com, 'c d']\n  |                            ^");
        for line in ["  - {kty: oct, k: c2VjcmV0}", "\"pepper\" : \"x\"", "    hash: '$2b$04'", "{\"d\":1}"] {
            assert_eq!(
                Places { text: line, documents: Vec::new() }.excerpt(Place { line: 1, column: 1 }),
                None,
                "{line}"
            );
        }
        let long = format!("a: [{}]", "x, ".repeat(500));
        let shown = Places { text: &long, documents: Vec::new() }.excerpt(Place { line: 1, column: 1_001 }).unwrap();
        let (line, mark) = shown.split_once('\n').unwrap();
        assert!(line.len() < 180 && mark.len() < 180, "{shown}");
        assert_eq!(line.chars().nth(mark.find('^').unwrap()), long.chars().nth(1_000));
    }
}
