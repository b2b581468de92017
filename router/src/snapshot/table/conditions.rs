//! What a candidate asks besides host and path: methods, headers, query parameters.

use std::borrow::Cow;

use http::{HeaderName, Method};

use super::Passed;
use crate::http1::Fields;

/// A set of methods; the empty one holds them all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct MethodSet {
    /// A bit for each of [`COMMON`].
    common: u8,
    others: Box<[Box<str>]>,
}

const COMMON: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "QUERY"];

impl MethodSet {
    pub(super) fn new<'m>(methods: impl Iterator<Item = &'m str>) -> Self {
        let mut set = Self::default();
        let mut others = Vec::new();
        for method in methods {
            match COMMON.iter().position(|common| *common == method) {
                Some(index) => set.common |= 1 << index,
                None => others.push(method.into()),
            }
        }
        set.others = others.into_boxed_slice();
        set
    }

    /// Whether every method is meant.
    pub(super) fn is_any(&self) -> bool {
        self.common == 0 && self.others.is_empty()
    }

    pub(super) fn holds(&self, method: &Method) -> bool {
        self.is_any()
            || match COMMON.iter().position(|common| *common == method.as_str()) {
                Some(index) => self.common & 1 << index != 0,
                None => self.others.iter().any(|other| **other == *method.as_str()),
            }
    }

    /// Adds the names of its methods.
    pub(super) fn names<'s>(&'s self, names: &mut Vec<&'s str>) {
        names.extend(
            COMMON.iter().enumerate().filter(|(index, _)| self.common & 1 << index != 0).map(|(_, name)| *name),
        );
        names.extend(self.others.iter().map(|other| &**other));
    }
}

/// Headers and query parameters with their exact values.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Conditions {
    pub(super) headers: Vec<(HeaderName, Box<str>)>,
    pub(super) query: Vec<(Box<str>, Box<str>)>,
}

impl Conditions {
    /// The first condition that a request does not meet. A header or parameter that is given twice meets none,
    /// nor does a header with a twin: it has two values, and the destination may read the other one.
    pub(super) fn objection(&self, headers: &Fields, query: Option<&str>) -> Option<Passed> {
        for (name, expected) in &self.headers {
            if headers.only(name.as_str()) != Some(expected.as_bytes()) {
                return Some(Passed::Header(name.as_str().to_owned()));
            }
        }
        for (name, expected) in &self.query {
            let mut values = parameters(query.unwrap_or_default()).filter(|(key, _)| **key == **name);
            let alone = (values.next(), values.next());
            if !matches!(alone, (Some((_, value)), None) if *value == **expected) {
                return Some(Passed::QueryParameter(name.to_string()));
            }
        }
        None
    }
}

/// The parameters of a raw query, decoded as forms are (WHATWG URL §5.1).
pub(crate) fn parameters(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    query.split('&').filter(|part| !part.is_empty()).map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (decoded(name), decoded(value))
    })
}

fn decoded(text: &str) -> Cow<'_, str> {
    if !text.contains(['%', '+']) {
        return Cow::Borrowed(text);
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, behind @ ..] = rest {
        let escape = match (byte, behind) {
            (b'%', [high, low, ..]) => hex(*high).zip(hex(*low)),
            _ => None,
        };
        rest = behind;
        match (byte, escape) {
            (_, Some((high, low))) => {
                bytes.push(high << 4 | low);
                rest = &rest[2..];
            }
            (b'+', None) => bytes.push(b' '),
            (byte, None) => bytes.push(*byte),
        }
    }
    Cow::Owned(String::from_utf8_lossy(&bytes).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}
