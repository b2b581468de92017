//! How long a message's body is, or that nobody can say (RFC 9112 §6).

use http::{Method, StatusCode};

use super::{Fields, Flaw, Version};

/// Where a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    None,
    /// After so many bytes, of which there is at least one.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection; answers alone.
    UntilClose,
}

impl Framing {
    /// Of a request.
    ///
    /// # Errors
    /// When the fields say it in two ways, or in none that is known.
    pub(super) fn of_request(fields: &Fields, version: Version) -> Result<Self, Flaw> {
        Ok(said(fields, version)?.unwrap_or(Self::None))
    }

    /// Of an answer to a request with `method`.
    ///
    /// # Errors
    /// As for a request; also where the status allows no body, since the connection is not to be trusted then.
    pub(super) fn of_response(
        fields: &Fields,
        version: Version,
        status: StatusCode,
        method: &Method,
    ) -> Result<Self, Flaw> {
        let said = said(fields, version)?;
        let bodiless = *method == Method::HEAD
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        Ok(if bodiless { Self::None } else { said.unwrap_or(Self::UntilClose) })
    }

    /// The exact length, where it is known.
    pub(crate) fn exact(self) -> Option<u64> {
        match self {
            Self::None => Some(0),
            Self::Length(length) => Some(length),
            Self::Chunked | Self::UntilClose => None,
        }
    }
}

/// What the fields say, if they say anything.
fn said(fields: &Fields, version: Version) -> Result<Option<Framing>, Flaw> {
    let mut codings = fields.all("transfer-encoding");
    let coding = codings.next();
    let length = content_length(fields)?;
    let Some(coding) = coding else {
        return Ok(length.map(|length| if length == 0 { Framing::None } else { Framing::Length(length) }));
    };
    if length.is_some() {
        return Err(Flaw::TwoFramings);
    }
    if codings.next().is_some() || version == Version::Http10 {
        return Err(Flaw::TransferEncoding);
    }
    if coding.eq_ignore_ascii_case(b"chunked") {
        return Ok(Some(Framing::Chunked));
    }
    // Two times chunked, or chunked with something behind it, is no coding that is merely unknown.
    let lower = coding.to_ascii_lowercase();
    let odd = lower.is_empty() || memchr::memmem::find(&lower, b"chunked").is_some_and(|at| at + 7 < lower.len());
    Err(if odd { Flaw::TransferEncoding } else { Flaw::TransferCoding })
}

/// The one Content-Length: digits alone, without zeros in front, for which other software has its own readings.
pub(crate) fn content_length(fields: &Fields) -> Result<Option<u64>, Flaw> {
    let mut values = fields.all("content-length");
    let Some(value) = values.next() else { return Ok(None) };
    let plain = matches!(value, [b'0'] | [b'1'..=b'9', ..]) && value.len() <= 19;
    if values.next().is_some() || !plain {
        return Err(Flaw::ContentLength);
    }
    let digits = value.iter().map(|byte| byte.is_ascii_digit().then(|| u64::from(byte - b'0')));
    // Nineteen digits fit.
    let number = digits.into_iter().try_fold(0_u64, |sum, digit| Some(sum * 10 + digit?));
    number.ok_or(Flaw::ContentLength).map(Some)
}
