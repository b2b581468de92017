//! What a client signed with an AWS key, held against what its destination will get.
//!
//! The router has no keys and cannot tell whether a signature is right. It can tell of some that they are wrong: made
//! for another region or service, too long ago, or over a header that does not arrive as it was signed. AWS would answer
//! such a request with a 403 that says nothing; here it is said which it was. Which Host and path were signed cannot be seen:
//! it is taken to be what was asked for where the route says so.
//! Sources: AWS Signature Version 4 (elements of a request), `execute-api` endpoints of API Gateway.

use std::borrow::Cow;
use std::time::Duration;

use smallvec::SmallVec;
use time::PrimitiveDateTime;
use time::macros::format_description;

use super::iam;
use crate::http1::{Fields, text};
use crate::reject::{Reason, Rejection};

/// How far clocks may differ where nobody says anything: as far as they may for AWS.
pub(crate) const SKEW: Duration = Duration::from_secs(300);

/// What a well-formed signature says of itself.
pub(crate) struct Signed<'r> {
    /// `YYYYMMDD`.
    day: &'r str,
    /// None in a SigV4A signature, which is made for a set of regions.
    region: Option<&'r str>,
    service: &'r str,
    /// When it was made, `YYYYMMDDTHHMMSSZ`.
    at: Option<&'r str>,
    /// For how long it is good, when it says so: in a query.
    expires: Option<Duration>,
    headers: SmallVec<[&'r str; 12]>,
}

impl<'r> Signed<'r> {
    /// Reads the signature of a request; `None` when there is none that is well-formed.
    pub(crate) fn read(headers: &'r Fields, query: Option<&'r str>) -> Option<Self> {
        match headers.get("authorization").and_then(text) {
            Some(value) => Self::of_header(value, headers.get("x-amz-date").and_then(text)),
            None => Self::of_query(query?),
        }
    }

    fn of_header(value: &'r str, at: Option<&'r str>) -> Option<Self> {
        let (_, credentials) = value.split_once(' ')?;
        let parts = || credentials.split(',').filter_map(|part| part.trim_start_matches(' ').split_once('='));
        let named = |wanted| parts().find(|(name, _)| *name == wanted).map(|(_, value)| value);
        Self::of(named("Credential")?, &["/"], named("SignedHeaders")?, &[";"], at, None)
    }

    fn of_query(query: &'r str) -> Option<Self> {
        let named = |wanted| iam::parameters(query).find(|(name, _)| *name == wanted).map(|(_, value)| value);
        let expires = named("X-Amz-Expires").and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let (slashes, semicolons) = (&["/", "%2F", "%2f"], &[";", "%3B", "%3b"]);
        let at = named("X-Amz-Date");
        Self::of(named("X-Amz-Credential")?, slashes, named("X-Amz-SignedHeaders")?, semicolons, at, expires)
    }

    fn of(
        credential: &'r str,
        slashes: &[&str],
        headers: &'r str,
        semicolons: &[&str],
        at: Option<&'r str>,
        expires: Option<Duration>,
    ) -> Option<Self> {
        let (day, region, service) = match iam::split(credential, slashes).as_slice() {
            [_, day, region, service, "aws4_request"] => (*day, Some(*region), *service),
            [_, day, service, "aws4_request"] => (*day, None, *service),
            _ => return None,
        };
        Some(Self { day, region, service, at, expires, headers: iam::split(headers, semicolons).into() })
    }

    /// Whether a header is signed.
    pub(crate) fn covers(&self, name: &str) -> bool {
        self.headers.iter().any(|signed| signed.eq_ignore_ascii_case(name))
    }

    /// Whether it may be right for a destination that is sent `host`, at `now` in Unix seconds, when clocks may differ
    /// by `skew`; zero leaves time to the destination. `asked` is there where what was asked for is what is signed. `arrives`
    /// says of a header whether it arrives as the client sent it.
    ///
    /// # Errors
    /// What makes it wrong, with what was signed and what the destination would get.
    pub(crate) fn fits(
        &self,
        host: &str,
        asked: Option<AskedFor<'_>>,
        now: i64,
        skew: Duration,
        arrives: impl Fn(&str) -> bool,
    ) -> Result<(), Rejection> {
        if let Some((service, region)) = endpoint(host)
            && (self.service != service || self.region.is_some_and(|signed| signed != region))
        {
            let signed = self.region.map_or(Cow::Borrowed("any region"), Cow::Borrowed);
            let told = format!("signed for {} in {signed}, and the destination is {service} in {region}", self.service);
            return Err(Rejection::new(Reason::Sigv4ScopeMismatch, told));
        }
        if let Some(asked) = asked {
            asked.is_sent(host)?;
        }
        if let Some(name) = self.headers.iter().find(|name| **name != "host" && !arrives(name)) {
            let told = format!("the header {name} is signed, and does not arrive as it was sent");
            return Err(Rejection::new(Reason::Sigv4HeaderMismatch, told));
        }
        self.is_timely(now, skew)
    }

    /// AWS takes a signature for five minutes, a presigned URL for as long as it says.
    fn is_timely(&self, now: i64, skew: Duration) -> Result<(), Rejection> {
        let Some(at) = self.at.filter(|_| !skew.is_zero()) else { return Ok(()) };
        let stale = |why: &str| Err(Rejection::new(Reason::Sigv4DateSkew, format!("signed at {at}: {why}")));
        let Some(made) = instant(at) else { return stale("that is no time") };
        if !at.starts_with(self.day) {
            return stale("that is not the day of its credential");
        }
        let skew = i64::try_from(skew.as_secs()).unwrap_or(i64::MAX);
        let good_for = self.expires.map_or(skew, |time| i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
        match now.saturating_sub(made) {
            ahead if ahead < skew.saturating_neg() => stale("that is yet to come"),
            past if past > good_for => stale("that is too long ago"),
            _ => Ok(()),
        }
    }
}

/// What a client asked for, and so signed.
pub(crate) struct AskedFor<'r> {
    /// Host, in the client's own case and with its port.
    pub(crate) host: &'r str,
    /// Path and query.
    pub(crate) target: &'r str,
    /// Path and query that the destination is sent for it.
    pub(crate) sent: Cow<'r, str>,
}

impl AskedFor<'_> {
    /// Whether the destination is sent the same, and as Host `host`. Signers leave case and the ports of the schemes out of
    /// a host.
    ///
    /// # Errors
    /// Which of the two differs, with both.
    fn is_sent(&self, host: &str) -> Result<(), Rejection> {
        let bare = |host: &str| -> usize {
            [":443", ":80"].iter().find_map(|port| host.strip_suffix(port)).map_or(host.len(), str::len)
        };
        let same_host = self.host[..bare(self.host)].eq_ignore_ascii_case(&host[..bare(host)]);
        let (reason, what, asked, sent) = match (same_host, self.target == self.sent) {
            (true, true) => return Ok(()),
            (false, _) => (Reason::Sigv4HostMismatch, "Host", self.host, host),
            (true, false) => (Reason::Sigv4PathMismatch, "path", self.target, &*self.sent),
        };
        Err(Rejection::new(reason, format!("signed for the {what} {asked}, and the destination is sent {sent}")))
    }
}

/// The service and region that a host of AWS is an endpoint of; `None` for a name of one's own.
fn endpoint(host: &str) -> Option<(&'static str, &str)> {
    const ENDPOINTS: [(&str, &str, &[&str]); 2] = [
        ("execute-api", "execute-api", &["amazonaws.com", "amazonaws.com.cn", "api.aws"]),
        ("lambda-url", "lambda", &["on.aws"]),
    ];
    let (_, rest) = host.split_once('.')?;
    ENDPOINTS.iter().find_map(|(label, service, domains)| {
        let (region, domain) = rest.strip_prefix(label)?.strip_prefix('.')?.split_once('.')?;
        domains.contains(&domain).then_some((*service, region))
    })
}

fn instant(text: &str) -> Option<i64> {
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    PrimitiveDateTime::parse(text, format).ok().map(|at| at.assume_utc().unix_timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    const API: &str = "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com";
    const NOW: i64 = 1_767_225_600; // 2026-01-01T00:00:00Z

    fn judged(credential: &str, headers: &str, at: &str, host: &str) -> Result<(), Reason> {
        let signed = Signed::of(credential, &["/"], headers, &[";"], Some(at), None).unwrap();
        let skew = Duration::from_secs(300);
        signed.fits(host, None, NOW, skew, |name| name != "x-forwarded-for").map_err(|rejection| rejection.reason)
    }

    #[test]
    fn what_was_signed_must_be_what_the_destination_gets() {
        let here = "AKIDTESTTESTTEST/20260101/eu-west-1/execute-api/aws4_request";
        let there = "AKIDTESTTESTTEST/20260101/us-east-1/execute-api/aws4_request";
        let other = "AKIDTESTTESTTEST/20260101/eu-west-1/s3/aws4_request";
        let anywhere = "AKIDTESTTESTTEST/20260101/execute-api/aws4_request";
        let (names, at) = ("host;x-amz-date", "20260101T000000Z");
        let scope = Err(Reason::Sigv4ScopeMismatch);
        for (name, credential, headers, host, expected) in [
            ("right", here, names, API, Ok(())),
            ("another region", there, names, API, scope),
            ("another service", other, names, API, scope),
            ("a set of regions", anywhere, names, API, Ok(())),
            ("a name of one's own tells nothing", there, names, "api.internal.example.com", Ok(())),
            ("an endpoint in a VPC", there, names, "a1-vpce-0abc.execute-api.eu-west-1.amazonaws.com", scope),
            ("in China", here, names, "a1.execute-api.cn-north-1.amazonaws.com.cn", scope),
            ("a function's URL", here, names, "abc.lambda-url.eu-west-1.on.aws", scope),
            ("no endpoint, whatever it looks like", there, names, "a.execute-api.eu-west-1.example.com", Ok(())),
            ("a header of the router's", here, "host;x-forwarded-for", API, Err(Reason::Sigv4HeaderMismatch)),
        ] {
            assert_eq!(judged(credential, headers, at, host), expected, "{name}");
        }
    }

    #[test]
    fn what_is_signed_by_asking_for_it_is_held_against_what_is_sent() {
        let (host, path) = (Err(Reason::Sigv4HostMismatch), Err(Reason::Sigv4PathMismatch));
        let is_sent = |asked: (&str, &str), sent: (&str, &str)| {
            AskedFor { host: asked.0, target: asked.1, sent: sent.1.into() }.is_sent(sent.0)
        };
        for (asked, sent, expected) in [
            (("api.example.com", "/a?b"), ("api.example.com", "/a?b"), Ok(())),
            (("API.example.com:443", "/"), ("api.example.com", "/"), Ok(())),
            (("api.example.com", "/"), ("api.example.com:80", "/"), Ok(())),
            (("api.example.com:8443", "/"), ("api.example.com", "/"), host),
            (("api.example.com:8443", "/"), ("api.example.com:8443", "/"), Ok(())),
            (("www.example.com", "/"), ("api.example.com", "/"), host),
            (("www.example.com", "/a"), ("api.example.com", "/b"), host),
            (("api.example.com", "/A"), ("api.example.com", "/a"), path),
            (("api.example.com", "/a?b=1"), ("api.example.com", "/a?b=2"), path),
            (("api.example.com", "/a"), ("api.example.com", "/v1/a"), path),
        ] {
            let found = is_sent(asked, sent).map_err(|rejection| rejection.reason);
            assert_eq!(found, expected, "{asked:?} {sent:?}");
        }
        let told = is_sent(("a.example", "/"), ("b.example", "/")).unwrap_err();
        assert_eq!(told.detail, "signed for the Host a.example, and the destination is sent b.example");
    }

    #[test]
    fn a_signature_is_good_for_five_minutes_around_its_time() {
        let here = "AKIDTESTTESTTEST/20260101/eu-west-1/execute-api/aws4_request";
        let before = "AKIDTESTTESTTEST/20251231/eu-west-1/execute-api/aws4_request";
        let skewed = Err(Reason::Sigv4DateSkew);
        for (credential, at, expected) in [
            (here, "20260101T000500Z", Ok(())),
            (here, "20260101T000501Z", skewed),
            (before, "20251231T235500Z", Ok(())),
            (before, "20251231T235459Z", skewed),
            (here, "20251231T235959Z", skewed),
            (here, "20260101T250000Z", skewed),
            (here, "20260101", skewed),
        ] {
            assert_eq!(judged(credential, "host", at, API), expected, "{at}");
        }
        let query = |expires| {
            format!(
                "X-Amz-Credential={}&X-Amz-SignedHeaders=host&X-Amz-Date=20251231T230000Z&X-Amz-Expires={expires}",
                before.replace('/', "%2F")
            )
        };
        for (expires, expected) in [("3600", Ok(())), ("3599", skewed), ("604800", Ok(()))] {
            let query = query(expires);
            let signed = Signed::of_query(&query).unwrap();
            let found = signed.fits(API, None, NOW, Duration::from_secs(300), |_| true);
            assert_eq!(found.map_err(|rejection| rejection.reason), expected, "{expires}");
        }
    }
}
