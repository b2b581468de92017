//! Names of API Gateway: which of them choose an API, and which lead to an endpoint ("How to invoke a private API").

/// What a name of API Gateway is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AwsName<'n> {
    /// `{api}.execute-api.{region}.amazonaws.com`, also with an endpoint's id behind the API's: chooses the API.
    Api { api: &'n str, region: &'n str },
    /// `vpce-….execute-api.{region}.vpce.amazonaws.com`: leads to an endpoint, and chooses nothing.
    Endpoint { region: &'n str },
}

/// Reads a name, with or without a port; nothing when it is not one of API Gateway's. The end is not looked at closely:
/// there are partitions with others.
pub(crate) fn read(name: &str) -> Option<AwsName<'_>> {
    let name = name.split(':').next().unwrap_or(name);
    let (first, rest) = name.split_once(".execute-api.")?;
    let (region, end) = rest.split_once('.')?;
    if first.is_empty() || first.contains('.') || !end.contains("amazonaws.") {
        return None;
    }
    match end.strip_prefix("vpce.") {
        Some(_) => Some(AwsName::Endpoint { region }),
        // The API's id has no hyphen: what follows one is the endpoint's.
        None => Some(AwsName::Api { api: first.split('-').next().unwrap_or(first), region }),
    }
}

/// The region of a certificate that every API of the region answers with: `*.execute-api.{region}.amazonaws.com`.
pub(crate) fn wildcard_region(name: &str) -> Option<&str> {
    let (region, end) = name.strip_prefix("*.execute-api.")?.split_once('.')?;
    end.starts_with("amazonaws.").then_some(region)
}

/// The first segment of a target: the stage, where API Gateway looks for one.
pub(crate) fn first_segment(target: &str) -> &str {
    let path = target.split('?').next().unwrap_or(target);
    path.trim_start_matches('/').split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_choose_an_api_are_told_from_those_that_lead_to_an_endpoint() {
        let api = |region| Some(AwsName::Api { api: "a1b2c3d4e5", region });
        assert_eq!(read("a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com"), api("eu-west-1"));
        assert_eq!(read("a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com:8443"), api("eu-west-1"));
        assert_eq!(read("a1b2c3d4e5-vpce-0abc.execute-api.us-east-1.amazonaws.com"), api("us-east-1"));
        assert_eq!(read("a1b2c3d4e5.execute-api.cn-north-1.amazonaws.com.cn"), api("cn-north-1"));
        let endpoint = Some(AwsName::Endpoint { region: "eu-west-1" });
        assert_eq!(read("vpce-0abc-1.execute-api.eu-west-1.vpce.amazonaws.com"), endpoint);
        assert_eq!(read("vpce-0abc-1-eu-west-1a.execute-api.eu-west-1.vpce.amazonaws.com"), endpoint);
        for other in ["orders.apis.internal.example.com", "execute-api.eu-west-1.amazonaws.com", "a.execute-api.x"] {
            assert_eq!(read(other), None, "{other}");
        }
        assert_eq!(wildcard_region("*.execute-api.eu-west-1.amazonaws.com"), Some("eu-west-1"));
        assert_eq!(wildcard_region("*.apis.internal.example.com"), None);
    }

    #[test]
    fn the_stage_is_the_first_segment() {
        for (target, stage) in [("/prod/orders?x=/y", "prod"), ("/prod", "prod"), ("/", ""), ("/?a", "")] {
            assert_eq!(first_segment(target), stage, "{target}");
        }
    }
}
