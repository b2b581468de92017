//! What a registration wants to match, and how it wants to change the path: whether requests can be told
//! by it at all.

use crate::condition::Reason;
use crate::document::Registration;
use crate::limits;
use crate::problem::pointer_token;
use crate::value::{Segment, Template};

use super::{Boundary, Refusal};

pub(super) fn check(refusals: &mut Vec<Refusal>, boundary: &Boundary, registration: &Registration) {
    let matching = &registration.matching;
    for (index, host) in matching.hosts.iter().enumerate().filter(|(_, host)| !boundary.lists(host)) {
        let listed: Vec<String> = boundary.document().hosts.iter().take(8).map(ToString::to_string).collect();
        refusals.push(Refusal::new(
            Reason::HostNotListed,
            format!("/match/hosts/{index}"),
            format!("\"{host}\" is not answered here; the boundary lists {}", listed.join(", ")),
        ));
    }
    if let Some(path) = &matching.path
        && !path.is_below(&registration.root)
    {
        refusals.push(Refusal::new(
            Reason::SchemaInvalid,
            "/match/path",
            format!("\"{path}\" does not lie below the root {}", registration.root),
        ));
    }
    for (field, count, most) in [
        ("hosts", matching.hosts.len(), limits::MATCH_HOSTS),
        ("methods", matching.methods.len(), limits::MATCH_CONDITIONS),
        ("headers", matching.headers.len(), limits::MATCH_CONDITIONS),
        ("query", matching.query.len(), limits::MATCH_CONDITIONS),
    ] {
        if count > most {
            refusals.push(Refusal::new(
                Reason::SchemaInvalid,
                format!("/match/{field}"),
                format!("has {count} entries, more than {most}"),
            ));
        }
    }
    check_headers(refusals, registration);
    check_query(refusals, registration);
}

fn check_headers(refusals: &mut Vec<Refusal>, registration: &Registration) {
    for (name, value) in &registration.matching.headers {
        let fault = match name.as_str() {
            "host" => Some("match.hosts is for hosts"),
            // Whoever may read the merged file would read the secret in it.
            "authorization" | "proxy-authorization" | "cookie" => Some("a credential does not choose a route"),
            "connection" | "transfer-encoding" | "content-length" | "keep-alive" | "te" | "trailer" | "upgrade" => {
                Some("a header of the connection says nothing about the request")
            }
            _ => header_value_fault(value),
        };
        if let Some(fault) = fault {
            let at = format!("/match/headers/{}", pointer_token(name.as_str()));
            refusals.push(Refusal::new(Reason::SchemaInvalid, at, fault));
        }
    }
}

/// RFC 9110 §5.5: a field value is visible characters with spaces or tabs between them; what stands around it
/// is cut away before anything is compared.
fn header_value_fault(value: &str) -> Option<&'static str> {
    if value.len() > limits::MATCH_VALUE_BYTES {
        return Some(TOO_LONG);
    }
    if !value.bytes().all(|byte| matches!(byte, b' ' | b'\t' | 0x21..=0x7e)) {
        return Some("has a character that no header value has");
    }
    (value.trim() != value).then_some("begins or ends with a space, so no request could match it")
}

fn check_query(refusals: &mut Vec<Refusal>, registration: &Registration) {
    for (name, value) in &registration.matching.query {
        let fault = if name.is_empty() {
            "a query parameter needs a name"
        } else if name.len().max(value.len()) > limits::MATCH_VALUE_BYTES {
            TOO_LONG
        } else if name.chars().chain(value.chars()).any(char::is_control) {
            "has a control character"
        } else {
            continue;
        };
        let at = format!("/match/query/{}", pointer_token(name));
        refusals.push(Refusal::new(Reason::SchemaInvalid, at, fault));
    }
}

const TOO_LONG: &str = "is longer than 4096 bytes";

pub(super) fn check_rewrite(refusals: &mut Vec<Refusal>, registration: &Registration) {
    let Some(rewrite) = &registration.rewrite else { return };
    let path = match (&rewrite.prefix, &rewrite.path) {
        (Some(_), None) => return,
        (None, Some(path)) => path,
        _ => return refusals.push(Refusal::new(Reason::SchemaInvalid, "/rewrite", "give one of prefix and path")),
    };
    let matched: &[Segment] = registration.matching.path.as_ref().map_or(&[], Template::segments);
    for segment in path.segments() {
        let fault = match segment {
            Segment::Literal(_) => continue,
            _ if matched.contains(segment) => continue,
            // What may be empty or several segments cannot stand where one is wanted, and the other way round.
            Segment::Variable(name) if matched.contains(&Segment::Rest(name.clone())) => {
                format!("the variable {{{name}*}} of match.path may be any number of segments; write {{{name}*}}")
            }
            Segment::Rest(name) if matched.contains(&Segment::Variable(name.clone())) => {
                format!("the variable {{{name}}} of match.path is one segment; write {{{name}}}")
            }
            Segment::Variable(name) | Segment::Rest(name) => {
                format!("the variable {{{name}}} is not one of match.path")
            }
        };
        refusals.push(Refusal::new(Reason::SchemaInvalid, "/rewrite/path", fault));
    }
}
