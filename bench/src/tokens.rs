//! Tokens for the gateway's job, as an issuer would sign them, each in a request of its own.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, ValueEnum};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rustls::pki_types::PrivatePkcs1KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;

use crate::Outcome;

#[derive(Args)]
pub(crate) struct Options {
    /// How they are signed; also the id of the key
    #[arg(long)]
    kind: Kind,
    /// The key: a PEM file (PKCS #1) for rs, the secret itself for hs
    #[arg(long)]
    key: PathBuf,
    #[arg(long)]
    issuer: String,
    #[arg(long)]
    audience: String,
    /// How many
    #[arg(long)]
    count: usize,
    /// How many different callers have them
    #[arg(long)]
    callers: usize,
    /// What is asked for with each
    #[arg(long)]
    path: String,
    /// Where the requests go, one a line, as `load` wants them
    #[arg(long)]
    out: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Hs,
    Rs,
}

/// Writes the requests.
pub(crate) fn run(options: &Options) -> Outcome {
    let (algorithm, name, key) = match options.kind {
        Kind::Hs => (Algorithm::HS256, "hs", EncodingKey::from_secret(&std::fs::read(&options.key)?)),
        Kind::Rs => {
            let key = PrivatePkcs1KeyDer::from_pem_file(&options.key)?;
            (Algorithm::RS256, "rs", EncodingKey::from_rsa_der(key.secret_pkcs1_der()))
        }
    };
    let head = Header { kid: Some(name.to_owned()), ..Header::new(algorithm) };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut requests = String::new();
    for number in 0..options.count {
        let caller = number % options.callers;
        let claims = json!({
            "iss": options.issuer, "aud": options.audience, "sub": format!("caller-{caller}"),
            "team": format!("team-{}", caller % 20), "scope": "items:read items:write", "jti": number.to_string(),
            "iat": now - 60, "exp": now + 86_400,
        });
        writeln!(requests, "{}\tAuthorization: Bearer {}", options.path, encode(&head, &claims, &key)?)?;
    }
    std::fs::write(&options.out, requests)?;
    Ok(json!({ "tokens": options.count }))
}
