//! Paths in every spelling: what one route forwards is never another route's path to whoever reads it next
//! (RFC 3986 §6.2.2; the spellings are those by which proxies and servers were led apart).
//!
//! Every second route stands for a protected one, so a path that changed its route could have got around a demand. The
//! readings are what servers and proxies do to a path, alone and one after the other.

use std::collections::BTreeMap;

use http::Method;
use postern_config::value::canonical_path;

use super::tests::{Spec, spec, table};
use super::{Found, Query, RouteTable};
use crate::http1::Fields;

/// Roots, with and without a template; those with an even place are protected.
const ROUTES: [(&str, &str); 40] = [
    ("/admin", ""),
    ("/", ""),
    ("/admin/open", ""),
    ("/admin/open/inner", ""),
    ("/api/v1/users", ""),
    ("/api", ""),
    ("/api/v1/admin", ""),
    ("/api/v1", ""),
    ("/files/private", ""),
    ("/files", ""),
    ("/files/private/shared", "/files/private/shared/{id}/secret"),
    ("/files/private/shared", ""),
    ("/orders", "/orders/{id}/refund"),
    ("/orders", ""),
    ("/orders/internal", ""),
    ("/orders/public", ""),
    ("/a", ""),
    ("/a/b", ""),
    ("/a/b/c", ""),
    ("/a/b/c/d", ""),
    ("/x/y", ""),
    ("/x", ""),
    ("/x/y/z/w", ""),
    ("/x/y/z", ""),
    ("/tenants", "/tenants/{tenant}/keys"),
    ("/tenants", "/tenants/{tenant}/{rest*}"),
    ("/pay", ""),
    ("/payments", ""),
    ("/static/secret", ""),
    ("/static", ""),
    ("/.well-known/private", ""),
    ("/.well-known", ""),
    ("/v2/app", "/v2/app/{one}/{two}/edit"),
    ("/v2/app", ""),
    ("/v2/app/edit", ""),
    ("/v2", ""),
    ("/internal", ""),
    ("/internal/health", ""),
    ("/s", ""),
    ("/ss", ""),
];

/// What may stand where two segments meet. Each character is one byte.
const JOINTS: [&str; 52] = [
    "//", "///", "/./", "/%2e/", "/%2E/", "/.%2f", "%2f", "%2F", "%5c", "%5C", "\\", "/\\", "\\/", "/../", "/x/../",
    "/x/%2e%2e/", "/x/.%2E/", "/x/%2e./", "/x/..%2f", "/x%2f..%2f", "/x/..%5c", "/x\\..\\", "/;/", ";/", ";x=1/",
    "/;x=1/", "%3b/", "%3B/", "%3bx=1/", "/%3B/", "/..;/", "/x/..;/", "/x/..;a=b/", "/x/..%3b/", "/x/..%3B/",
    "/x/%2e%2e%3b/", "/.;/", "/.%3B/", "%252f", "%252F", "%255c", "%25%32%66", "%25%32f", "/x/%252e%252e/",
    "/x/%25%32%65%25%32%65/", "%c0%af", "%C0%AF", "%e0%80%af", "/x/%c0%ae%c0%ae/", "/x/..%00/", "%00/", "/%09/",
];

/// What may stand behind a segment.
const ENDS: [&str; 22] = [
    ";", ";a", ";a=b", "%3b", "%3Ba", "%00", "%0a", "%20", ".", "..", "%2e", "/.", "/..", "/%2e%2e", "/", "//", "%2f",
    "\\", "%253b", "%25%33%62", "%c0%ae", "%",
];

/// A path with a few things in it that are not as plain as they could be, or with none.
fn spelled(random: &mut fastrand::Rng, plain: &str) -> String {
    let segments: Vec<&str> = plain.split('/').skip(1).filter(|segment| !segment.is_empty()).collect();
    let mut oddities = random.usize(0..=2);
    let mut path = String::new();
    for (at, segment) in segments.iter().enumerate() {
        let odd = oddities > 0 && random.usize(..segments.len() + 1 - at) == 0;
        match odd {
            true => path.push_str(random.choice(JOINTS).unwrap_or("/")),
            false => path.push('/'),
        }
        oddities -= usize::from(odd);
        for byte in segment.chars() {
            match random.u8(..) {
                0..10 => path.push_str(&format!("%{:02x}", u32::from(byte))),
                10..20 => path.push_str(&format!("%{:02X}", u32::from(byte))),
                20..22 => path.push_str(&format!("%25{:02x}", u32::from(byte))),
                _ => path.push(byte),
            }
        }
        if random.u8(..) < 16 {
            path.push_str(random.choice(ENDS).unwrap_or("/"));
        }
    }
    // What goes back to it from somewhere else.
    if random.u8(..) < 64 {
        let begin = random.choice(["/x/..", "/files/%2e%2e", "/api/..;", "/s/..%3B", "/a/b/../..", "/."]).unwrap_or("");
        path.insert_str(0, begin);
    }
    if path.is_empty() { "/".to_owned() } else { path }
}

fn decoded(path: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let (mut out, mut at) = (Vec::new(), 0);
    while at < path.len() {
        match (path[at], digit(path.get(at + 1)), digit(path.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high << 4 | low).unwrap());
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

fn joined<'s>(segments: impl Iterator<Item = &'s [u8]>) -> Vec<u8> {
    segments.flat_map(|segment| [b"/", segment]).flatten().copied().collect()
}

fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.strip_prefix(b"/").unwrap_or(path).split(|byte| *byte == b'/')
}

fn merged(path: &[u8]) -> Vec<u8> {
    let mut path = path.to_vec();
    path.dedup_by(|next, before| *next == b'/' && *before == b'/');
    path
}

fn without_parameters(path: &[u8]) -> Vec<u8> {
    joined(segments(path).map(|segment| segment.split(|byte| *byte == b';').next().unwrap_or_default()))
}

fn with_slashes(path: &[u8]) -> Vec<u8> {
    path.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect()
}

fn until_nul(path: &[u8]) -> Vec<u8> {
    path.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

fn resolved(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut rest = segments(path).peekable();
    while let Some(segment) = rest.next() {
        match segment {
            b"." => {}
            b".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
        if matches!(segment, b"." | b"..") && rest.peek().is_none() {
            kept.push(b"");
        }
    }
    joined(kept.into_iter())
}

/// As decoders do that take more bytes than a character needs (RFC 3629 §10).
fn shortened(path: &[u8]) -> Vec<u8> {
    let text: String = path.iter().map(|byte| char::from(*byte)).collect();
    let short = ["\u{c0}\u{af}", "\u{e0}\u{80}\u{af}"].iter().fold(text, |text, long| text.replace(long, "/"));
    short.replace("\u{c0}\u{ae}", ".").chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

/// Steps of a reading, in their order.
type Steps = &'static [fn(&[u8]) -> Vec<u8>];

const READINGS: [(&str, Steps); 13] = [
    ("decodes", &[decoded]),
    ("decodes twice", &[decoded, decoded]),
    ("merges slashes, then decodes", &[merged, decoded]),
    ("cuts parameters off, then decodes", &[without_parameters, decoded]),
    ("takes \\ for /, then decodes", &[with_slashes, decoded]),
    ("resolves dots, then decodes", &[resolved, decoded]),
    ("decodes, then resolves dots", &[decoded, resolved]),
    ("decodes, then merges slashes and resolves dots", &[decoded, merged, resolved]),
    ("cuts parameters off, decodes, then resolves dots", &[without_parameters, decoded, resolved]),
    ("decodes, cuts parameters off, then resolves dots", &[decoded, without_parameters, resolved]),
    ("decodes, takes \\ for /, then resolves dots", &[decoded, with_slashes, merged, resolved]),
    ("decodes as it should not, then resolves dots", &[decoded, shortened, until_nul, resolved]),
    (
        "does everything twice",
        &[
            decoded, shortened, with_slashes, without_parameters, merged, resolved, decoded, shortened, with_slashes,
            without_parameters, merged, resolved, until_nul,
        ],
    ),
];

/// The route of a path whose segments are what they are.
fn route_of(table: &RouteTable, path: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(path);
    let segments: Vec<&str> =
        text.strip_prefix('/').filter(|rest| !rest.is_empty()).map_or(vec![], |rest| rest.split('/').collect());
    let query = Query {
        host: "api.example.com",
        segments: &segments,
        ambiguous: false,
        method: &Method::GET,
        headers: &Fields::default(),
        query: None,
        now: 0,
    };
    match table.find(&query, |_, _| {}) {
        Found::Route(route) => Some(route.id.to_string()),
        _ => None,
    }
}

fn routes() -> (Vec<Spec>, Vec<String>) {
    let known = ROUTES.iter().enumerate().map(|(place, (root, template))| {
        let kind = if place % 2 == 0 { "protected" } else { "open" };
        let matching = if template.is_empty() { "{}".to_owned() } else { format!("{{\"path\": \"{template}\"}}") };
        let plain = if template.is_empty() { format!("{root}/7") } else { template.replace("{rest*}", "1/2") };
        let plain = plain.replace(['{', '}'], "").replace("//", "/");
        (spec(&format!("{kind} {root}{template}"), root, &matching), plain)
    });
    known.unzip()
}

#[test]
fn no_spelling_is_forwarded_by_one_route_and_read_as_another() {
    let (specs, plain) = routes();
    let table = table(&specs, &[]);
    let mut random = fastrand::Rng::with_seed(3);
    let (mut forwarded, mut refused, mut escaped) = (0, 0, 0);
    let mut findings = BTreeMap::new();
    for path in &plain {
        let own = route_of(&table, path.as_bytes());
        assert!(own.is_some(), "{path} has no route, which shows nothing");
        for _ in 0..3_000 {
            let raw = spelled(&mut random, path);
            let Ok(canonical) = canonical_path(raw.as_bytes()) else {
                refused += 1;
                continue;
            };
            let Some(decided) = route_of(&table, canonical.as_bytes()) else { continue };
            forwarded += 1;
            escaped += usize::from(raw != *canonical);
            for (name, steps) in READINGS {
                let read = steps.iter().fold(raw.clone().into_bytes(), |path, step| step(&path));
                let there = route_of(&table, &read);
                if there.as_deref() != Some(&*decided) {
                    findings.entry(name).or_insert_with(Vec::new).push(format!("{raw}: {decided}, there {there:?}"));
                }
            }
        }
    }
    eprintln!("{forwarded} forwarded, {escaped} of them spelled otherwise; {refused} refused");
    assert!(forwarded > 30_000 && escaped > 16_000 && refused > 30_000, "{forwarded} {escaped} {refused}");
    let told: Vec<String> = findings
        .iter()
        .map(|(name, all)| format!("{} that a server misreads which {name}: {}", all.len(), all[0]))
        .collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}
