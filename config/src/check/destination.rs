//! Destinations that can be reached at all, and that allow no more than they seem to.

use crate::document::{Destination, DestinationTls, Protocol, Roots};
use crate::limits;
use crate::problem::{Problem, ProblemKind};
use crate::value::{HostPattern, Network, Scheme, forbidden};

use super::lists::{bounded, unique};

pub(super) fn check(problems: &mut Vec<Problem>, at: &str, destination: &Destination) {
    bounded(problems, &format!("{at}/hosts"), destination.hosts.len(), limits::HOSTS);
    bounded(problems, &format!("{at}/addresses"), destination.addresses.len(), limits::HOSTS);
    if destination.hosts.is_empty() {
        problems.push(Problem::new(
            format!("{at}/hosts"),
            ProblemKind::Missing,
            "is empty, so nothing could be reached",
        ));
    }
    if destination.schemes.is_empty() {
        problems.push(
            Problem::new(format!("{at}/schemes"), ProblemKind::Missing, "is empty").hint("leave it out for https"),
        );
    }
    unique(problems, destination.hosts.iter(), |index| format!("{at}/hosts/{index}"));
    unique(problems, destination.ports.iter(), |index| format!("{at}/ports/{index}"));
    unique(problems, destination.addresses.iter(), |index| format!("{at}/addresses/{index}"));
    for (index, pattern) in destination.hosts.iter().enumerate().filter(|(_, one)| is_shared_by_all_customers(one)) {
        problems.push(
            Problem::new(
                format!("{at}/hosts/{index}"),
                ProblemKind::Invalid,
                format!("\"{pattern}\" stands for names of every AWS customer"),
            )
            .hint("list the names one by one, e.g. a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com"),
        );
    }
    for (index, network) in destination.addresses.iter().enumerate() {
        if !network.is_loopback() && is_never_dialled(network) {
            problems.push(
                Problem::new(
                    format!("{at}/addresses/{index}"),
                    ProblemKind::Invalid,
                    format!("\"{network}\" lies in address space that is never dialled"),
                )
                .hint("link-local, metadata, multicast and IPv6 forms of IPv4 addresses cannot be allowed"),
            );
        }
    }
    check_protocol(problems, &format!("{at}/protocol"), destination);
    check_tls(problems, &format!("{at}/tls"), destination);
}

/// HTTP/2 is agreed on within TLS, or known in advance without it: an entry says one of the two, so that a
/// registration's scheme cannot be at odds with it.
fn check_protocol(problems: &mut Vec<Problem>, at: &str, destination: &Destination) {
    let has = |scheme| destination.schemes.contains(&scheme);
    let (message, hint) = match destination.protocol {
        Protocol::H2 if has(Scheme::Http) => (
            "h2 is HTTP/2 over TLS, but schemes has http",
            "write h2c for a destination that is reached over http alone; else take http out of schemes",
        ),
        Protocol::H2c if has(Scheme::Https) => (
            "h2c is HTTP/2 without TLS, but the destination is reached over https",
            "write h2 for https, or `schemes: [http]`",
        ),
        Protocol::Auto if !has(Scheme::Https) && has(Scheme::Http) => (
            "auto agrees on a protocol within TLS, but schemes leaves https out",
            "write http1 or h2c, whichever the destination speaks",
        ),
        Protocol::Http1 | Protocol::H2 | Protocol::H2c | Protocol::Auto => return,
    };
    problems.push(Problem::new(at, ProblemKind::Contradiction, message).hint(hint));
}

fn check_tls(problems: &mut Vec<Problem>, at: &str, destination: &Destination) {
    let DestinationTls { server_name: _, roots, client_certificate } = &destination.tls;
    let roots = match roots {
        Roots::PemFile(file) => Some(("roots/pem_file", file)),
        Roots::Webpki | Roots::Amazon => None,
    };
    let proof = client_certificate.iter().flat_map(|proof| {
        [
            ("client_certificate/certificate_file", &proof.certificate_file),
            ("client_certificate/key_file", &proof.key_file),
        ]
    });
    for (field, file) in roots.into_iter().chain(proof) {
        if file.is_empty() || file.chars().any(char::is_control) {
            problems.push(Problem::new(format!("{at}/{field}"), ProblemKind::Invalid, "is no path of a file"));
        }
    }
    if destination.tls != DestinationTls::default() && !destination.schemes.contains(&Scheme::Https) {
        problems.push(
            Problem::new(at, ProblemKind::Contradiction, "is given for a destination that is never reached over https")
                .hint("add https to schemes, or take tls out"),
        );
    }
}

/// `*.execute-api.REGION.amazonaws.com`, `*.s3.amazonaws.com` and their like: whoever has an account there has
/// a name below it, so one wildcard allows strangers' APIs and buckets.
fn is_shared_by_all_customers(pattern: &HostPattern) -> bool {
    let HostPattern::Wildcard(parent) = pattern else { return false };
    SHARED_SUFFIXES
        .iter()
        .any(|suffix| parent.as_str().strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

const SHARED_SUFFIXES: [&str; 8] = [
    "amazonaws.com", "amazonaws.com.cn", "amazonaws.eu", "api.aws", "on.aws", "cloudfront.net", "awsapprunner.com",
    "elasticbeanstalk.com",
];

/// Whether every address of `network` is refused whatever a boundary says.
fn is_never_dialled(network: &Network) -> bool {
    let (first, last) = network.ends();
    // The forbidden ranges are aligned, so a network with both ends in one kind lies inside it.
    matches!((forbidden(first), forbidden(last)), (Some(a), Some(b)) if a == b)
}
