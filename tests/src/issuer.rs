//! An issuer that publishes its keys over TLS and does as it is told: rotates, fails, stalls, lies.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::origin::Reply;
use crate::tls::{Authority, Certificate, TlsOrigin, Validity};
use crate::tokens::Signer;

/// A running issuer. `/keys` has its keys, `/.well-known/openid-configuration` says so.
pub struct PublishingIssuer {
    server: TlsOrigin,
    keys: Arc<Mutex<Reply>>,
    discovery: Arc<Mutex<Option<Reply>>>,
}

impl PublishingIssuer {
    /// One whose certificate that authority signed, publishing those keys.
    pub fn start(authority: &Authority, keys: &[&Signer]) -> Self {
        Self::showing(&authority.sign(&["localhost"], Validity::Now), keys)
    }

    /// One that shows this certificate.
    pub fn showing(certificate: &Certificate, keys: &[&Signer]) -> Self {
        let keys = Arc::new(Mutex::new(jwks_reply(keys)));
        let discovery: Arc<Mutex<Option<Reply>>> = Arc::default();
        let (published, told) = (Arc::clone(&keys), Arc::clone(&discovery));
        let server = TlsOrigin::answering(certificate, move |request| match request.target.as_str() {
            "/keys" => published.lock().unwrap().clone(),
            "/.well-known/openid-configuration" => {
                told.lock().unwrap().clone().unwrap_or_else(|| Reply::Body(404, Vec::new()))
            }
            _ => Reply::Body(404, Vec::new()),
        });
        Self { server, keys, discovery }
    }

    /// Where its keys are.
    pub fn keys_url(&self) -> String {
        format!("https://localhost:{}/keys", self.server.origin().port())
    }

    /// Where it says where its keys are.
    pub fn discovery_url(&self) -> String {
        format!("https://localhost:{}/.well-known/openid-configuration", self.server.origin().port())
    }

    /// Publishes other keys from now on.
    pub fn publish(&self, keys: &[&Signer]) {
        self.answer(jwks_reply(keys));
    }

    /// Answers so from now on where its keys were.
    pub fn answer(&self, reply: Reply) {
        *self.keys.lock().unwrap() = reply;
    }

    /// Says of itself that it is `issuer`.
    pub fn call_itself(&self, issuer: &str) {
        let document = json!({"issuer": issuer, "jwks_uri": self.keys_url()});
        *self.discovery.lock().unwrap() = Some(Reply::ok(document.to_string()));
    }

    /// How often its keys were asked for.
    pub fn asked(&self) -> usize {
        self.server.origin().received().iter().filter(|request| request.target == "/keys").count()
    }
}

fn jwks_reply(keys: &[&Signer]) -> Reply {
    let keys: Vec<Value> = keys.iter().map(|signer| signer.jwk()).collect();
    Reply::ok(json!({"keys": keys}).to_string())
}
