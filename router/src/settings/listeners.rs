//! The listeners as they are written in settings: the short form and `[[listeners]]`.
//!
//! Says what is asked for, and what of it means nothing. Must never know sockets, or what a file holds.

use std::net::SocketAddr;
use std::path::PathBuf;

use postern_config::value::Name;
use serde::{Deserialize, Serialize};

use super::Settings;

/// An address that clients connect to.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listener {
    /// Where.
    pub address: SocketAddr,
    /// How TLS is spoken there; not at all, when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
    /// Most connections at once here, of all that `limits.connections` allows; any number of those when left out. One
    /// more waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<usize>,
    /// What becomes of headers whose names have `_` or `.` in them.
    #[serde(default)]
    pub odd_names: OddNames,
}

/// What becomes of a header whose name has `_` or `.` in it: other software may read it as one with a dash.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OddNames {
    /// Its request is refused.
    #[default]
    Refuse,
    /// It is dropped, and nobody sees it.
    Drop,
    /// It goes on, unless it reads as what the router sets or takes off.
    Pass,
}

/// How TLS is spoken on a listener.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerTls {
    /// What is shown: the one for the name that a client asks for, else the first.
    pub certificates: Vec<CertificateFiles>,
    /// Whether clients show a certificate too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_authentication: Option<ClientAuthentication>,
    /// The oldest version that is spoken.
    #[serde(default)]
    pub minimum: TlsVersion,
}

/// A certificate and its key, each a PEM file that is read again when it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// The certificate, then those between it and its authority.
    pub certificate_file: PathBuf,
    /// Its private key, not encrypted.
    pub key_file: PathBuf,
}

/// Whose certificates clients may show.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientAuthentication {
    /// How a boundary calls these authorities, where it tells them from others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// The authorities, as PEM.
    pub ca_file: PathBuf,
    /// Their lists of certificates that were taken back (RFC 5280 §5), as PEM: one of every authority that issues
    /// certificates of clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crl_file: Option<PathBuf>,
    /// What becomes of clients when a list is not replaced in time.
    #[serde(default)]
    pub crl_overdue: Overdue,
    /// Whether it may be left out.
    pub mode: ClientMode,
}

/// Whether a client has to show a certificate. One that is shown is verified in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientMode {
    /// Nobody comes in without.
    Required,
    /// It may be left out.
    Optional,
}

/// What a list of revoked certificates is worth once the next is due.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overdue {
    /// As much as before.
    #[default]
    Keep,
    /// Nothing: nobody comes in with a certificate until there is a new one.
    Refuse,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TlsVersion {
    /// 1.2, with forward secrecy and authenticated ciphers alone.
    #[default]
    #[serde(rename = "1.2")]
    V12,
    /// 1.3.
    #[serde(rename = "1.3")]
    V13,
}

impl Settings {
    /// All listeners: those of the short form, then `[[listeners]]`.
    pub fn all_listeners(&self) -> Vec<Listener> {
        let short = self.tls_certificate.as_ref().zip(self.tls_key.as_ref()).map(|(certificate_file, key_file)| {
            let files = CertificateFiles { certificate_file: certificate_file.clone(), key_file: key_file.clone() };
            ListenerTls { certificates: vec![files], client_authentication: None, minimum: TlsVersion::default() }
        });
        let listen = self.listen.iter().map(|&address| Listener {
            address,
            tls: short.clone(),
            connections: None,
            odd_names: OddNames::default(),
        });
        listen.chain(self.listeners.iter().cloned()).collect()
    }
}

/// What all of them do with names that have `_` or `.` in them; none when they differ.
pub(crate) fn odd_names(settings: &Settings) -> Option<OddNames> {
    let mut all = settings.all_listeners().into_iter().map(|listener| listener.odd_names);
    let first = all.next()?;
    all.all(|other| other == first).then_some(first)
}

/// What means nothing about the listeners, each with its place and what to do.
pub(super) fn problems(settings: &Settings) -> Vec<String> {
    let mut problems = Vec::new();
    if settings.listen.is_empty() && settings.listeners.is_empty() {
        problems.push("listen: is empty, so nobody could connect; give an address such as 0.0.0.0:8080".to_owned());
    }
    match (&settings.tls_certificate, &settings.tls_key) {
        (Some(_), None) => problems.push("tls_key: is missing beside tls_certificate; give --tls-key FILE".to_owned()),
        (None, Some(_)) => {
            problems.push("tls_certificate: is missing beside tls_key; give --tls-certificate FILE".to_owned());
        }
        (Some(_), Some(_)) if settings.listen.is_empty() => problems.push(
            "tls_certificate: is for the addresses of listen, and there is none; write it into tls of [[listeners]]"
                .to_owned(),
        ),
        _ => {}
    }
    for (index, listener) in settings.listeners.iter().enumerate() {
        if listener.connections == Some(0) {
            problems.push(format!(
                "listeners.{index}.connections: is zero, so nobody could connect; give a number, or leave it out"
            ));
        }
        if listener.tls.as_ref().is_some_and(|tls| tls.certificates.is_empty()) {
            problems.push(format!(
                "listeners.{index}.tls.certificates: is empty, so no handshake could end; give \
                 {{certificate_file = …, key_file = …}}, or leave tls out"
            ));
        }
    }
    for (index, listener) in settings.listeners.iter().enumerate() {
        let clients = listener.tls.as_ref().and_then(|tls| tls.client_authentication.as_ref());
        if clients.is_some_and(|clients| clients.crl_file.is_none() && clients.crl_overdue != Overdue::default()) {
            problems.push(format!(
                "listeners.{index}.tls.client_authentication.crl_overdue: says what becomes of a list, and there is none; \
                 give crl_file, or take it out"
            ));
        }
    }
    problems.extend(doubles(&settings.all_listeners()));
    problems
}

/// Addresses that are given twice. Port 0 is another port each time.
fn doubles(listeners: &[Listener]) -> impl Iterator<Item = String> {
    listeners.iter().enumerate().filter_map(|(index, listener)| {
        let address = listener.address;
        let before = listeners[..index].iter().any(|other| other.address == address);
        (before && address.port() != 0)
            .then(|| format!("listen, listeners: {address} is given twice; take one of them out, or change its port"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_listeners_do_with_odd_names_is_known_where_they_agree() {
        let listener =
            |text: &str| serde_json::from_str::<Listener>(&format!("{{\"address\": \"127.0.0.1:0\"{text}}}"));
        let said = |texts: &[&str], listen: &[SocketAddr]| {
            let listeners = texts.iter().map(|text| listener(text).unwrap()).collect();
            odd_names(&Settings { listeners, listen: listen.to_vec(), ..Settings::default() })
        };
        let (drop, pass) = (",\"odd_names\":\"drop\"", ",\"odd_names\":\"pass\"");
        assert_eq!(said(&[drop, drop], &[]), Some(OddNames::Drop));
        assert_eq!(said(&[pass], &[]), Some(OddNames::Pass));
        assert_eq!(said(&[drop, pass], &[]), None);
        assert_eq!(said(&["", ""], &[]), Some(OddNames::Refuse));
        // The short form refuses.
        assert_eq!(said(&[drop], &["127.0.0.1:1".parse().unwrap()]), None);
        assert!(listener(",\"odd_names\":\"keep\"").is_err());
    }
}
