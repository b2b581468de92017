//! Where in a request an issuer's tokens stand besides `Authorization`, how they are read there, and what is left of the
//! request without them.
//!
//! Reading and taking off lie together, so that nothing is read that would not be taken off, and the other way round. Lies
//! outside of the stages because one of them reads and another one writes. Must never know whether a token is any good.

use http::HeaderName;

use crate::http1::{Fields, text, write_field};

/// A place of tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenPlace {
    kind: Kind,
    /// Whether the destination does not get what stands there.
    pub(crate) strip: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Header(HeaderName),
    Cookie(Box<str>),
    Query(Box<str>),
}

/// A place from which nothing can be read in one way: filled twice, or spelled so that others read something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ambiguous {
    /// It is there more than once.
    Twice,
    /// It is there in another spelling, or is no plain text.
    Spelling,
}

impl TokenPlace {
    /// Makes one from its document.
    ///
    /// # Errors
    /// When the document names no place.
    pub(crate) fn compile(document: &postern_config::document::TokenPlace) -> Result<Self, String> {
        let kind = match (&document.header, &document.cookie, &document.query) {
            (Some(name), None, None) => Kind::Header(name.as_str().parse().map_err(|_| "token: names no header")?),
            (None, Some(name), None) => Kind::Cookie(name.as_str().into()),
            (None, None, Some(name)) => Kind::Query(name.as_str().into()),
            _ => return Err("token: names no place, or several".to_owned()),
        };
        Ok(Self { kind, strip: document.strip.unwrap_or(true) })
    }

    /// What stands there.
    pub(crate) fn find<'r>(&self, headers: &'r Fields, query: Option<&'r str>) -> Result<Option<&'r str>, Ambiguous> {
        match &self.kind {
            Kind::Header(name) if headers.has_twin(name.as_str()) => Err(Ambiguous::Spelling),
            Kind::Header(name) => {
                only(all_of(headers, name.as_str()).map(|value| text(value).ok_or(Ambiguous::Spelling)))
            }
            Kind::Cookie(name) => {
                let fields = all_of(headers, "cookie").map(|value| text(value).ok_or(Ambiguous::Spelling));
                let fields = fields.collect::<Result<Vec<_>, _>>()?;
                only(
                    fields
                        .into_iter()
                        .flat_map(cookies)
                        .filter(|pair| cookie_name(pair) == &**name)
                        .map(|pair| Ok(pair.split_once('=').map_or("", |(_, value)| value.trim()))),
                )
            }
            Kind::Query(name) => only(parameters(query.unwrap_or_default()).filter_map(|pair| {
                let (given, value) = pair.split_once('=').unwrap_or((pair, ""));
                match given == &**name {
                    true => Some(Ok(value)),
                    // A destination would read it as the same.
                    false => is_spelling_of(given, name).then_some(Err(Ambiguous::Spelling)),
                }
            })),
        }
    }

    /// Whether it is the header of that name, in lower case.
    pub(crate) fn is_header(&self, name: &str) -> bool {
        matches!(&self.kind, Kind::Header(own) if own.as_str() == name)
    }

    /// The name of the cookie, when it is one.
    pub(crate) fn cookie(&self) -> Option<&str> {
        match &self.kind {
            Kind::Cookie(name) => Some(name),
            Kind::Header(_) | Kind::Query(_) => None,
        }
    }

    /// Whether that header is taken off whole.
    pub(crate) fn takes_off(&self, header: &[u8]) -> bool {
        self.strip
            && match &self.kind {
                Kind::Header(name) => name.as_str().as_bytes().eq_ignore_ascii_case(header),
                // What is left of it is written anew.
                Kind::Cookie(_) => b"cookie".eq_ignore_ascii_case(header),
                Kind::Query(_) => false,
            }
    }
}

/// Writes what is left of the cookies without those at `places`; nothing when no cookie is at any of them.
pub(crate) fn write_cookies<'p>(
    out: &mut Vec<u8>,
    headers: &Fields,
    places: &(impl Iterator<Item = &'p TokenPlace> + Clone),
) {
    let names = || {
        places.clone().filter_map(|place| match &place.kind {
            Kind::Cookie(name) if place.strip => Some(&**name),
            _ => None,
        })
    };
    if names().next().is_none() {
        return;
    }
    for field in all_of(headers, "cookie").filter_map(text) {
        let left: Vec<&str> = cookies(field).filter(|pair| names().all(|name| cookie_name(pair) != name)).collect();
        if !left.is_empty() {
            write_field(out, b"cookie", left.join("; ").as_bytes());
        }
    }
}

/// Writes `?` and what is left of a query without the parameters at `places`, each as it came.
pub(crate) fn write_query<'p>(out: &mut Vec<u8>, query: &str, places: &(impl Iterator<Item = &'p TokenPlace> + Clone)) {
    let is_taken_off = |pair: &str| {
        let given = pair.split_once('=').map_or(pair, |(given, _)| given);
        places.clone().any(|place| matches!(&place.kind, Kind::Query(name) if place.strip && given == &**name))
    };
    if !parameters(query).any(is_taken_off) {
        out.push(b'?');
        out.extend_from_slice(query.as_bytes());
        return;
    }
    for (index, pair) in parameters(query).filter(|pair| !is_taken_off(pair)).enumerate() {
        out.push(if index == 0 { b'?' } else { b'&' });
        out.extend_from_slice(pair.as_bytes());
    }
}

fn only<'r>(mut found: impl Iterator<Item = Result<&'r str, Ambiguous>>) -> Result<Option<&'r str>, Ambiguous> {
    let Some(first) = found.next().transpose()? else { return Ok(None) };
    match found.next() {
        None => Ok(Some(first)),
        Some(_) => Err(Ambiguous::Twice),
    }
}

fn all_of<'f>(headers: &'f Fields, name: &str) -> impl Iterator<Item = &'f [u8]> {
    let of_name =
        move |(given, value): (&'f [u8], &'f [u8])| given.eq_ignore_ascii_case(name.as_bytes()).then_some(value);
    headers.iter().filter_map(of_name).collect::<smallvec::SmallVec<[&[u8]; 2]>>().into_iter()
}

/// RFC 6265 §4.2.1; servers split at every semicolon and take blanks for nothing.
fn cookies(field: &str) -> impl Iterator<Item = &str> {
    field.split(';').map(str::trim).filter(|pair| !pair.is_empty())
}

fn cookie_name(pair: &str) -> &str {
    pair.split_once('=').map_or(pair, |(name, _)| name).trim_end()
}

fn parameters(query: &str) -> impl Iterator<Item = &str> {
    query.split('&')
}

/// Whether escapes make that name of the other text. Names of places have no letter that must be escaped.
fn is_spelling_of(given: &str, name: &str) -> bool {
    let mut bytes = given.bytes();
    let mut decoded = Vec::with_capacity(given.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let digits =
                    [bytes.next(), bytes.next()].map(|digit| digit.and_then(|digit| (digit as char).to_digit(16)));
                let [Some(high), Some(low)] = digits else { return false };
                u8::try_from(high << 4 | low).unwrap_or(0)
            }
            other => other,
        });
    }
    given.contains('%') && decoded == name.as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn place(document: serde_json::Value) -> TokenPlace {
        TokenPlace::compile(&serde_json::from_value(document).unwrap()).unwrap()
    }

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        lines.iter().for_each(|(name, value)| assert!(fields.push(name, value.as_bytes())));
        fields
    }

    #[test]
    fn a_token_is_read_where_it_stands_once() {
        let header = place(json!({"header": "x-token"}));
        let cookie = place(json!({"cookie": "session"}));
        let query = place(json!({"query": "access_token"}));
        let found = |place: &TokenPlace, lines: &[(&str, &str)], query: Option<&'static str>| {
            place.find(&fields(lines), query).map(|found| found.map(str::to_owned))
        };
        let some = |text: &str| Ok(Some(text.to_owned()));
        assert_eq!(found(&header, &[("X-Token", "a.b.c")], None), some("a.b.c"));
        assert_eq!(found(&header, &[("x-tokens", "a"), ("token", "b")], None), Ok(None));
        assert_eq!(found(&header, &[("x-token", "a"), ("X-TOKEN", "a")], None), Err(Ambiguous::Twice));
        // Where names with twins go on, a destination would read one for the other.
        assert_eq!(found(&header, &[("x-token", "a"), ("X_Token", "b")], None), Err(Ambiguous::Spelling));
        assert_eq!(found(&header, &[("x.token", "a")], None), Err(Ambiguous::Spelling));
        assert_eq!(found(&cookie, &[("cookie", "a=1; session=a.b.c; b=2")], None), some("a.b.c"));
        assert_eq!(found(&cookie, &[("cookie", "a=1;session=x"), ("cookie", "b=2")], None), some("x"));
        assert_eq!(found(&cookie, &[("cookie", "Session=x; sessions=y; xsession=z")], None), Ok(None));
        assert_eq!(found(&cookie, &[("cookie", "session=x"), ("cookie", "session=x")], None), Err(Ambiguous::Twice));
        assert_eq!(found(&cookie, &[("cookie", "session=x; session=y")], None), Err(Ambiguous::Twice));
        assert_eq!(found(&query, &[], Some("a=1&access_token=x&b")), some("x"));
        assert_eq!(found(&query, &[], Some("access_tokens=x&xaccess_token=y")), Ok(None));
        assert_eq!(found(&query, &[], Some("access_token=x&access_token=x")), Err(Ambiguous::Twice));
        assert_eq!(found(&query, &[], Some("acces%73_token=x")), Err(Ambiguous::Spelling));
        assert_eq!(found(&query, &[], Some("access_token")), some(""));
        assert_eq!(found(&query, &[], None), Ok(None));
    }

    #[test]
    fn what_is_left_is_left_as_it_was() {
        let places = [
            place(json!({"cookie": "session"})),
            place(json!({"query": "t"})),
            place(json!({"query": "u", "strip": false})),
        ];
        let rest = |query: &str| {
            let mut out = Vec::new();
            write_query(&mut out, query, &places.iter());
            String::from_utf8(out).unwrap()
        };
        for (query, left) in [
            ("t=x", ""),
            ("a=%20b&t=x&c", "?a=%20b&c"),
            ("t=x&&a=1&", "?&a=1&"),
            ("u=x&a", "?u=x&a"),
            ("", "?"),
            ("tt=x", "?tt=x"),
        ] {
            assert_eq!(rest(query), left, "{query}");
        }
        let mut out = Vec::new();
        write_cookies(
            &mut out,
            &fields(&[("cookie", "a=1; session=x;b=\"2\""), ("Cookie", "session=x")]),
            &places.iter(),
        );
        assert_eq!(String::from_utf8(out).unwrap(), "cookie: a=1; b=\"2\"\r\n");
    }
}
