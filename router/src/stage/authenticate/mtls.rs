//! Certificates of clients: whose one is.
//!
//! A certificate was verified before it came here, so what is left is to find who has it: by its digest, its names or
//! its URIs, each compared whole. What was found is remembered, because one connection asks for every request. Must never
//! verify a certificate itself, nor know where TLS ended.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use http::HeaderValue;
use postern_config::document::{CertificateSource, MtlsClient, MtlsRealm};
use postern_config::value::{Fingerprint, HostPattern, SpiffePattern};
use quick_cache::unsync::Cache;
use serde_json::json;

use super::{Flaw, Memory, Way, challenge};
use crate::client_certificate::ClientCertificate;
use crate::principal::Principal;

/// The certificates that came with a request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Certificates<'r> {
    /// That of its connection.
    pub(crate) connection: Option<&'r ClientCertificate>,
    /// Whether whoever verified that one would do so again.
    pub(crate) stands: bool,
    /// The one that a load balancer in front verified, when it is believed.
    pub(crate) relayed: Option<Relayed<'r>>,
}

/// A certificate that came in a header.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Relayed<'r> {
    /// As it is written there.
    Written(&'r [u8]),
    /// As it was read.
    Read(&'r ClientCertificate),
}

/// A list of clients with certificates.
pub(crate) struct CertificateRealm {
    via: Arc<str>,
    from: CertificateSource,
    /// Of no others when it is said.
    authorities: Option<Box<str>>,
    clients: Box<[Client]>,
    /// What stands in a certificate, or a wildcard over it, and whose it is. The kinds have no text in common.
    by_name: HashMap<Box<str>, usize>,
    by_fingerprint: HashMap<Fingerprint, usize>,
    challenge: HeaderValue,
}

struct Client {
    name: Arc<str>,
    scopes: Arc<[Box<str>]>,
    roles: Vec<String>,
}

/// Certificates of one core: who was found by which realm, and what those say that come with every request anew.
pub(super) struct KnownCertificates {
    found: Cache<Fingerprint, (Arc<CertificateRealm>, Principal)>,
    /// By the value of the header: to read one costs as much as everything else about a request.
    relayed: Cache<Box<[u8]>, Rc<ClientCertificate>>,
}

/// How many of each are remembered. A certificate's names are bounded, and so is a header: each takes some kilobytes.
const REMEMBERED: usize = 1_024;

impl Default for KnownCertificates {
    fn default() -> Self {
        Self { found: Cache::new(REMEMBERED), relayed: Cache::new(REMEMBERED) }
    }
}

impl KnownCertificates {
    /// Forgets who was found: realms may have changed, and what a certificate says has not.
    pub(super) fn clear(&mut self) {
        self.found.clear();
    }

    fn read(&mut self, written: &[u8]) -> Option<Rc<ClientCertificate>> {
        if let Some(known) = self.relayed.get(written) {
            return Some(Rc::clone(known));
        }
        let read = Rc::new(ClientCertificate::relayed(written)?);
        self.relayed.insert(written.into(), Rc::clone(&read));
        Some(read)
    }
}

impl CertificateRealm {
    /// Compiles what a boundary says, which its check has found to hold together.
    pub(crate) fn compile(document: &MtlsRealm) -> Self {
        let name = &document.name;
        let (mut by_name, mut by_fingerprint) = (HashMap::new(), HashMap::new());
        for (index, client) in document.clients.iter().enumerate() {
            for text in names(client) {
                by_name.entry(text.into()).or_insert(index);
            }
            for fingerprint in &client.fingerprints {
                by_fingerprint.entry(*fingerprint).or_insert(index);
            }
        }
        let client = |client: &MtlsClient| Client {
            name: client.name.as_str().into(),
            scopes: client.scopes.iter().map(|scope| scope.as_str().into()).collect(),
            roles: client.roles.clone(),
        };
        Self {
            via: format!("mtls:{name}").into(),
            from: document.from,
            authorities: document.authorities.as_ref().map(|name| name.as_str().into()),
            clients: document.clients.iter().map(client).collect(),
            by_name,
            by_fingerprint,
            challenge: challenge::of_certificate_realm(name.as_str()),
        }
    }

    /// Where its certificates come from.
    pub(super) fn from(&self) -> CertificateSource {
        self.from
    }

    /// The `WWW-Authenticate` of this realm.
    pub(super) fn challenge(&self) -> &HeaderValue {
        &self.challenge
    }

    /// Whose certificate it is: of several, the first in the list.
    fn find(&self, certificate: &ClientCertificate) -> Option<&Client> {
        let by_fingerprint = self.by_fingerprint.get(&certificate.fingerprint);
        let dns = certificate.dns.iter().flat_map(|host| {
            let wildcard = host.parent().and_then(|parent| self.by_name.get(&*format!("*.{parent}")));
            self.by_name.get(host.as_str()).into_iter().chain(wildcard)
        });
        let uris = certificate.uris.iter().filter_map(|uri| self.by_name.get(&*of_uri(uri.as_str())));
        let workload = certificate.uris.first().filter(|_| certificate.has_one_uri);
        let spiffe = workload.into_iter().flat_map(|uri| self.above(uri.as_str()));
        let first = by_fingerprint.into_iter().chain(dns).chain(uris).chain(spiffe).min()?;
        self.clients.get(*first)
    }

    /// The clients that are known by an id or by one of the prefixes above it.
    fn above<'r>(&'r self, id: &'r str) -> impl Iterator<Item = &'r usize> {
        let is_id = postern_config::value::is_spiffe_id(id);
        let below = "spiffe://".len();
        let ends = id.match_indices('/').map(|(at, _)| at + 1).filter(move |end| *end > below);
        let texts = ends.map(|end| &id[..end]).chain(std::iter::once(id));
        texts.filter(move |_| is_id).filter_map(|text| self.by_name.get(&*of_spiffe(text)))
    }

    fn principal(&self, client: &Client, certificate: &ClientCertificate) -> Principal {
        let texts = |items: &mut dyn Iterator<Item = &str>| items.map(str::to_owned).collect::<Vec<_>>();
        let claims = Arc::new(json!({
            "sub": &*client.name,
            "scope": client.scopes.join(" "),
            "roles": client.roles,
            "dns": texts(&mut certificate.dns.iter().map(|host| host.as_str())),
            "uri": texts(&mut certificate.uris.iter().map(|uri| uri.as_str())),
            "fingerprint": certificate.fingerprint.to_string(),
        }));
        let (name, via) = (Arc::clone(&client.name), Arc::clone(&self.via));
        Principal::of_certificate(name, via, Arc::clone(&client.scopes), claims).with_roles(&client.roles)
    }
}

/// What a client is known by, each kind in a spelling of its own: hosts have no colon.
fn names(client: &MtlsClient) -> impl Iterator<Item = String> {
    let dns = client.dns.iter().map(HostPattern::to_string);
    let uris = client.uri.iter().map(|uri| of_uri(uri.as_str()));
    let spiffe = client.spiffe.iter().map(SpiffePattern::as_str).map(of_spiffe);
    dns.chain(uris).chain(spiffe)
}

fn of_uri(uri: &str) -> String {
    format!("uri:{uri}")
}

fn of_spiffe(text: &str) -> String {
    format!("id:{text}")
}

/// Who the certificates prove their bearer to be, by the first realm of the route that knows one. `None` where no realm
/// of the route was shown any.
pub(super) fn prove(
    ways: &[Way],
    shown: Certificates<'_>,
    now: i64,
    memory: &Memory,
) -> Option<Result<Principal, Flaw>> {
    let mut flaw = None;
    for way in ways {
        let Way::Mtls(realm) = way else { continue };
        let read;
        let (certificate, stands) = match (realm.from, shown.relayed) {
            (CertificateSource::Connection, _) => (shown.connection, shown.stands),
            (CertificateSource::Alb, Some(Relayed::Written(written))) => {
                read = memory.certificates.borrow_mut().read(written);
                (read.as_deref(), true)
            }
            (CertificateSource::Alb, Some(Relayed::Read(certificate))) => (Some(certificate), true),
            (CertificateSource::Alb, None) => (None, true),
        };
        let Some(certificate) = certificate else { continue };
        if !stands || !certificate.is_valid_at(now) {
            flaw = Some(Flaw::InvalidCertificate);
            continue;
        }
        // Asked every time: one certificate may come in by two listeners.
        let others = realm.authorities.is_some() && realm.authorities.as_deref() != certificate.authorities.as_deref();
        if let Some(principal) = (!others).then(|| recall(realm, certificate, memory)).flatten() {
            return Some(Ok(principal));
        }
        flaw = flaw.or(Some(Flaw::UnknownCertificate));
    }
    flaw.map(Err)
}

/// Who it was the last time, or is now. Whether it is still valid was asked before.
fn recall(realm: &Arc<CertificateRealm>, certificate: &ClientCertificate, memory: &Memory) -> Option<Principal> {
    let mut known = memory.certificates.borrow_mut();
    if let Some((by, principal)) = known.found.get(&certificate.fingerprint)
        && Arc::ptr_eq(by, realm)
    {
        return Some(principal.clone());
    }
    let principal = realm.principal(realm.find(certificate)?, certificate);
    known.found.insert(certificate.fingerprint, (Arc::clone(realm), principal.clone()));
    Some(principal)
}
