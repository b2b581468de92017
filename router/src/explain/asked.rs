//! A request as somebody asks about it: from the words of a command line, or from a query.
//!
//! Must never know what becomes of it.

use std::net::IpAddr;

use postern_config::value::Timestamp;
use serde_json::{Map, Value};

use crate::client_certificate::ClientCertificate;
use crate::http1::RequestHead;
use crate::stage::identify::OddNames;

/// A request as it is asked about.
pub(crate) struct Asked {
    pub(super) head: RequestHead,
    pub(super) tls: bool,
    pub(super) assumed: Assumed,
}

/// What is taken for granted of a request.
#[derive(Default)]
pub(crate) struct Assumed {
    /// Where it comes from; from this machine when left out.
    pub(crate) client: Option<IpAddr>,
    /// When it comes, in seconds after 1970; now when left out.
    pub(crate) at: Option<i64>,
    /// What its token says; then none is looked for.
    pub(crate) claims: Option<Map<String, Value>>,
    /// What its client shows, wherever the route's realms take certificates from; nothing when left out.
    pub(crate) certificate: Option<ClientCertificate>,
    /// What its listener does with names that have twins; as by default when left out.
    pub(crate) odd_names: Option<OddNames>,
}

/// Why a question is none.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum AskError {
    #[error("\"{0}\" is not a request: write 'GET https://api.example.com/orders/1'")]
    Line(String),
    #[error("\"{0}\" is not a header: write 'name: value'")]
    Header(String),
    #[error("the claims are no JSON object: write {{\"sub\": \"alice\", \"scope\": \"read\"}}")]
    Claims,
    #[error("unknown parameter {0}: there are request, header, client, at, as and odd_names")]
    Parameter(String),
    #[error("\"{0}\" is no address")]
    Client(String),
    #[error("\"{0}\" is no time: write 2026-12-24T18:00:00Z")]
    At(String),
    #[error("\"{0}\" is nothing that a listener does with odd names: write refuse, drop or pass")]
    OddNames(String),
}

impl Asked {
    /// Reads `METHOD URL`, and headers as `name: value`. The URL's path is taken as it is written.
    pub(crate) fn parse(line: &str, headers: &[String]) -> Result<Self, AskError> {
        let bad = || AskError::Line(line.to_owned());
        let (method, url) = line.trim().split_once(' ').ok_or_else(bad)?;
        let url = url.trim();
        let (tls, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(bad()),
        };
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(at);
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        let mut text = format!("{method} {target} HTTP/1.1\r\n");
        let mut host = authority;
        for header in headers {
            let bad = || AskError::Header(header.clone());
            let (name, value) = header.split_once(':').ok_or_else(bad)?;
            let (name, value) = (name.trim(), value.trim());
            if name.is_empty() || value.contains(['\r', '\n']) {
                return Err(bad());
            }
            match name.eq_ignore_ascii_case("host") {
                true => host = value,
                false => text.push_str(&format!("{name}: {value}\r\n")),
            }
        }
        text.push_str(&format!("host: {host}\r\n\r\n"));
        // The same codec as serving; what it refuses of a line that was put together here is the line or a header.
        let head = RequestHead::parse(text.as_bytes()).map_err(|flaw| match (flaw, headers) {
            (crate::http1::Flaw::Field, [header, ..]) => AskError::Header(header.clone()),
            _ => bad(),
        })?;
        Ok(Self { head, tls, assumed: Assumed::default() })
    }

    /// The same from a query: `request=GET https://host/path&header=name: value…&client=…&at=…&as={claims}&odd_names=drop`.
    pub(crate) fn from_query(query: &str) -> Result<Self, AskError> {
        let (mut line, mut headers, mut assumed) = (String::new(), Vec::new(), Assumed::default());
        for (name, value) in parameters(query) {
            match &*name {
                "request" => line = value,
                "header" => headers.push(value),
                "client" => assumed.client = Some(value.parse().map_err(|_| AskError::Client(value))?),
                "at" => assumed.at = Some(value.parse::<Timestamp>().map_err(|_| AskError::At(value))?.unix()),
                "as" => assumed.claims = Some(claims(value.as_bytes())?),
                "odd_names" => assumed.odd_names = Some(odd_names(&value)?),
                _ => return Err(AskError::Parameter(name)),
            }
        }
        Ok(Self::parse(&line, &headers)?.assuming(assumed))
    }

    /// The same, where its listener does that with odd names unless it was said already.
    pub(crate) fn heard_where(mut self, odd_names: Option<OddNames>) -> Self {
        self.assumed.odd_names = self.assumed.odd_names.or(odd_names);
        self
    }

    /// The request itself.
    pub(crate) fn head(self) -> RequestHead {
        self.head
    }

    /// The same, with this taken for granted.
    pub(crate) fn assuming(self, assumed: Assumed) -> Self {
        Self { assumed, ..self }
    }
}

/// What a listener does with odd names, in the words of its settings.
///
/// # Errors
/// When it is something else.
pub(crate) fn odd_names(text: &str) -> Result<OddNames, AskError> {
    match text {
        "refuse" => Ok(OddNames::Refuse),
        "drop" => Ok(OddNames::Drop),
        "pass" => Ok(OddNames::Pass),
        _ => Err(AskError::OddNames(text.to_owned())),
    }
}

/// The claims of a token that somebody is taken to have.
///
/// # Errors
/// When they are no JSON object.
pub(crate) fn claims(bytes: &[u8]) -> Result<Map<String, Value>, AskError> {
    serde_json::from_slice(bytes).map_err(|_| AskError::Claims)
}

/// The parameters of a query, decoded.
pub(crate) fn parameters(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    crate::snapshot::table::parameters(query).map(|(name, value)| (name.into_owned(), value.into_owned()))
}
