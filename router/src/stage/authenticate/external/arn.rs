//! What is called, as policies of API Gateway name it.
//!
//! `arn:PARTITION:execute-api:REGION:ACCOUNT:API/STAGE/METHOD/path`: region, API and stage are those of the private API that
//! the route leads to, where it is one; `postern` stands for what nobody knows.

use crate::snapshot::Target;

/// The API that a route leads to, and what its ARNs begin with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Api {
    start: Box<str>,
    pub(super) account: Box<str>,
    pub(super) id: Box<str>,
    pub(super) stage: Box<str>,
}

/// What the name and the path of a destination tell.
#[derive(PartialEq, Eq)]
struct Told<'t> {
    partition: &'static str,
    region: &'t str,
    id: &'t str,
    stage: &'t str,
}

impl Api {
    /// The one of `targets`. Where they lead to several APIs it is none of them: a policy about one must not open another.
    pub(super) fn of(targets: &[Target], account: Option<&str>) -> Self {
        let told = match targets {
            [first, rest @ ..] if rest.iter().all(|other| are_same(first, other)) => {
                Told::of(first.destination.host().to_str().unwrap_or_default(), &first.prefix)
            }
            _ => None,
        };
        Self::new(&told.unwrap_or(UNKNOWN), account.unwrap_or(WORD))
    }

    fn new(told: &Told<'_>, account: &str) -> Self {
        let Told { partition, region, id, stage } = told;
        Self {
            start: format!("arn:{partition}:execute-api:{region}:{account}:{id}/{stage}").into(),
            account: account.into(),
            id: (*id).into(),
            stage: (*stage).into(),
        }
    }

    /// The ARN of a request; `path` is canonical.
    pub(super) fn arn(&self, method: &str, path: &str) -> String {
        format!("{}/{method}{path}", self.start)
    }
}

fn are_same(one: &Target, other: &Target) -> bool {
    one.destination.host() == other.destination.host() && one.prefix == other.prefix
}

impl<'t> Told<'t> {
    /// `API.execute-api.REGION.amazonaws.com`, also with an endpoint's id behind the API's; the stage is the first segment
    /// in front of the forwarded path.
    fn of(host: &'t str, prefix: &'t str) -> Option<Self> {
        let (id, rest) = host.split_once(".execute-api.")?;
        let id = id.split_once("-vpce-").map_or(id, |(id, _)| id);
        let (region, partition) = match rest.strip_suffix(".amazonaws.com") {
            Some(region) => (region, "aws"),
            None => (rest.strip_suffix(".amazonaws.com.cn")?, "aws-cn"),
        };
        let word = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        let stage = prefix.trim_start_matches('/').split('/').next().filter(|stage| !stage.is_empty());
        (word(id) && word(region)).then_some(Self { partition, region, id, stage: stage.unwrap_or(WORD) })
    }
}

const WORD: &str = "postern";
const UNKNOWN: Told<'static> = Told { partition: "aws", region: WORD, id: WORD, stage: WORD };

#[cfg(test)]
mod tests {
    use super::*;

    fn start(host: &str, prefix: &str, account: Option<&str>) -> String {
        let told = Told::of(host, prefix);
        Api::new(&told.unwrap_or(UNKNOWN), account.unwrap_or(WORD)).arn("GET", "/a/")
    }

    #[test]
    fn an_arn_names_the_api_that_the_route_leads_to() {
        for (host, prefix, account, expected) in [
            (
                "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com",
                "/prod/v1",
                Some("123456789012"),
                "arn:aws:execute-api:eu-west-1:123456789012:a1b2c3d4e5/prod/GET/a/",
            ),
            (
                "a1b2c3d4e5-vpce-0abc.execute-api.eu-west-1.amazonaws.com",
                "",
                None,
                "arn:aws:execute-api:eu-west-1:postern:a1b2c3d4e5/postern/GET/a/",
            ),
            (
                "a1.execute-api.cn-north-1.amazonaws.com.cn",
                "/x",
                None,
                "arn:aws-cn:execute-api:cn-north-1:postern:a1/x/GET/a/",
            ),
            (
                "orders.internal.example.com",
                "/prod",
                None,
                "arn:aws:execute-api:postern:postern:postern/postern/GET/a/",
            ),
            ("a.execute-api.evil.com", "", None, "arn:aws:execute-api:postern:postern:postern/postern/GET/a/"),
            ("a.b.execute-api.x.amazonaws.com", "", None, "arn:aws:execute-api:postern:postern:postern/postern/GET/a/"),
        ] {
            assert_eq!(start(host, prefix, account), expected, "{host}");
        }
    }
}
