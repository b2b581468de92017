//! Realms of clients with certificates that can work: each client has something to be known by, and nothing is two's.
//!
//! Must never know a certificate.

use std::collections::HashMap;

use crate::document::{CertificateSource, Identity, MtlsClient};
use crate::limits;
use crate::problem::{Problem, ProblemKind, shown};

use super::lists::{bounded, unique};
use super::{api_keys, rights};

pub(super) fn check(problems: &mut Vec<Problem>, identity: &Identity) {
    let realms = &identity.mtls;
    bounded(problems, "/identity/mtls", realms.len(), limits::ISSUERS);
    unique(problems, realms.iter().map(|one| &one.name), |index| format!("/identity/mtls/{index}/name"));
    for (index, realm) in realms.iter().enumerate() {
        if realm.authorities.is_some() && realm.from == CertificateSource::Alb {
            problems.push(
                Problem::new(
                    format!("/identity/mtls/{index}/authorities"),
                    ProblemKind::Contradiction,
                    "names those of a listener, and certificates come from a load balancer",
                )
                .hint("take one of authorities and from out; whose certificates pass is in the load balancer's trust store"),
            );
        }
        let at = format!("/identity/mtls/{index}/clients");
        bounded(problems, &at, realm.clients.len(), limits::CERTIFICATE_CLIENTS);
        unique(problems, realm.clients.iter().map(|one| &one.name), |index| format!("{at}/{index}/name"));
        let mut known = HashMap::new();
        for (place, client) in realm.clients.iter().enumerate() {
            check_client(problems, &format!("{at}/{place}"), client, &mut known);
        }
    }
}

fn check_client(problems: &mut Vec<Problem>, at: &str, client: &MtlsClient, known: &mut HashMap<String, String>) {
    // Destructured without `..`, so that a new kind of proof cannot be forgotten here.
    let MtlsClient { name: _, dns, uri, spiffe, fingerprints, scopes, roles } = client;
    let mut proofs: Vec<(String, String)> = Vec::new();
    let mut list = |field: &str, texts: Vec<String>| {
        let at = format!("{at}/{field}");
        bounded(problems, &at, texts.len(), limits::CERTIFICATE_NAMES);
        proofs.extend(texts.into_iter().enumerate().map(|(index, text)| (format!("{at}/{index}"), text)));
    };
    list("dns", dns.iter().map(ToString::to_string).collect());
    list("uri", uri.iter().map(ToString::to_string).collect());
    list("spiffe", spiffe.iter().map(ToString::to_string).collect());
    list("fingerprints", fingerprints.iter().map(ToString::to_string).collect());
    if proofs.is_empty() {
        problems.push(
            Problem::new(at, ProblemKind::Missing, "names nothing that is in its certificate, so nobody would be it")
                .hint("give dns, uri, spiffe or fingerprints"),
        );
    }
    for (at, text) in proofs {
        // The first would get them all, and the second one's scopes would never be held by anybody.
        if let Some(first) = known.insert(text.clone(), at.clone()) {
            let message = format!("{} is already {first}", shown(&text));
            problems.push(Problem::new(at, ProblemKind::Duplicate, message).hint("let one client have it"));
        }
    }
    rights::check_scopes(problems, at, scopes);
    api_keys::check_roles(problems, at, roles);
}
