//! Laying the merged file out: header fields first, then one route, destination or refusal a line, the
//! digest last. `grep '"/orders"'` shows all that is known of a route, `diff` shows what changed.

use std::io::{self, Write as _};

use serde::Serialize;
use serde_json::ser::Formatter;

use super::{API_VERSION, Content, Digest, FileKey, Header, KIND};
use crate::document::Rights;

/// The bytes of the file, and their digest.
pub fn write(header: &Header, content: &Content, key: Option<&FileKey>) -> (Vec<u8>, Digest) {
    let mut out = Vec::with_capacity(4_096 + content.routes.len() * 400);
    out.extend_from_slice(b"{\n");
    let _ = writeln!(out, "\"apiVersion\": \"{API_VERSION}\", \"kind\": \"{KIND}\",");
    let _ = write!(out, "\"generation\": {}, ", header.generation);
    if let Some(previous) = header.previous {
        let _ = write!(out, "\"previous\": \"{previous}\", ");
    }
    let _ = writeln!(out, "\"written_at\": \"{}\",", header.written_at);
    field(&mut out, "sources", &header.sources);
    write_content(&mut out, content);
    let digest = Digest::of(&out);
    let code = key.map(|key| key.code(&out));
    let _ = write!(out, "\"digest\": \"{digest}\"");
    if let Some(code) = code {
        let _ = write!(out, ", \"mac\": \"{code}\"");
    }
    out.extend_from_slice(b"\n}\n");
    (out, digest)
}

fn write_content(out: &mut Vec<u8>, content: &Content) {
    let document = content.document();
    field(out, "hosts", &document.hosts);
    list(out, "destinations", &document.destinations);
    field(out, "identity", &document.identity);
    if document.authorization != Rights::default() {
        field(out, "authorization", &document.authorization);
    }
    if !content.keys.is_empty() {
        list(out, "keys", &content.keys);
    }
    list(out, "paths", &document.paths);
    field(out, "defaults", &document.defaults);
    field(out, "overrides", &document.overrides);
    list(out, "routes", &content.routes);
    list(out, "refused", &content.refused);
    field(out, "counts", &content.counts());
}

fn field<T: Serialize>(out: &mut Vec<u8>, name: &str, value: &T) {
    let _ = write!(out, "\"{name}\": ");
    line(out, value);
    out.extend_from_slice(b",\n");
}

fn list<T: Serialize>(out: &mut Vec<u8>, name: &str, items: &[T]) {
    let _ = writeln!(out, "\"{name}\": [");
    for (index, item) in items.iter().enumerate() {
        line(out, item);
        out.extend_from_slice(if index + 1 == items.len() { b"\n" } else { b",\n" });
    }
    out.extend_from_slice(b"],\n");
}

fn line<T: Serialize>(out: &mut Vec<u8>, value: &T) {
    let mut serializer = serde_json::Serializer::with_formatter(out, Spaced);
    // Writing to memory cannot fail, and none of our types has a key that is not a string.
    let written = value.serialize(&mut serializer);
    debug_assert!(written.is_ok(), "a document type that JSON cannot hold");
}

/// One line, with a space after every comma and colon, so that it can be read and `grep`ped.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { out.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }
}
