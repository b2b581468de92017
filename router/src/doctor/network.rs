//! What is wrong on the way to a destination: its name, its addresses, the connection, the certificate.
//!
//! Must never know what the destination answers.

use std::net::IpAddr;
use std::time::Duration;

use postern_config::value::{Forbidden, Timestamp, forbidden, is_private};

use super::names::{self, AwsName};
use super::{ADDRESS, CONNECT, NAME, Place, SNI, Step, TLS, Trust};
use crate::reject::Reason;
use crate::snapshot::AddressRefused;
use crate::upstream::Unresolved;
use crate::upstream::probe::{NotConnected, Secured, Seen, Sighting, Unproved, Went};
use crate::upstream::shown::Leaf;

/// A certificate that ends sooner than this is told of: those of AWS are renewed two months ahead, others are forgotten.
const ENDS_SOON: i64 = 14 * 86_400;

/// Who looked, how long, and when.
pub(crate) struct Look<'a> {
    /// Who was asked for the name, in words.
    pub(crate) resolver: &'a str,
    pub(crate) patience: Duration,
    /// Seconds after 1970.
    pub(crate) now: i64,
}

/// Judges the way, as far as one could go it.
pub(crate) fn judge(place: &Place, sighting: &Sighting, look: &Look<'_>) -> Vec<Step> {
    let seen = match &sighting.resolved {
        Ok(seen) => seen,
        Err(why) => {
            let before = [ADDRESS, CONNECT, TLS, SNI].map(|step| Step::skipped(step, "there is no address"));
            return std::iter::once(unresolved(place, why, look)).chain(before).collect();
        }
    };
    let connect = connect(place, seen, look);
    let (tls, sni) = match &place.tls {
        None => {
            let plain = "plain http: nothing is verified, and no name is asked for";
            (Step::skipped(TLS, plain), Step::skipped(SNI, plain))
        }
        Some(trust) => (tls(place, trust, seen, look), sni(place, seen)),
    };
    vec![name(place, seen, sighting.took, look), address(place, seen), connect, tls, sni]
}

/// Whether some address went all the way, so that a request can be sent.
pub(crate) fn is_open(sighting: &Sighting) -> bool {
    let is_open = |seen: &Seen| matches!(seen.went, Went::Connected { tls: None | Some(Ok(_)), .. });
    sighting.resolved.as_ref().is_ok_and(|seen| seen.iter().any(is_open))
}

/// Whether a name of a private API came to addresses of the internet.
pub(crate) fn is_public(sighting: &Sighting) -> bool {
    let public = |seen: &Seen| !is_private(seen.address) && forbidden(seen.address).is_none();
    sighting.resolved.as_ref().is_ok_and(|seen| seen.iter().any(public))
}

const PRIVATE_DNS: &str = "turn on private DNS of the execute-api endpoint in the router's VPC, or let the boundary \
                           dial the endpoint itself (dial: vpce-….execute-api.REGION.vpce.amazonaws.com)";

fn unresolved(place: &Place, why: &Unresolved, look: &Look<'_>) -> Step {
    let found = format!("{}: {why}, by {}", place.dial, look.resolver);
    let remedy = match (why, names::read(&place.dial)) {
        (Unresolved::Absent(_), Some(AwsName::Endpoint { region })) => {
            format!(
                "look whether the endpoint is still there and in {region}, and write its name into dial of the boundary"
            )
        }
        (Unresolved::Absent(_), Some(AwsName::Api { .. })) => PRIVATE_DNS.to_owned(),
        (Unresolved::Absent(_), None) => {
            "look for a slip in the name; a private hosted zone must be associated with the router's VPC".to_owned()
        }
        (Unresolved::Failed(_) | Unresolved::Late | Unresolved::TooMany, _) => {
            "look at the name server: dns_servers of the settings or the VPC's resolver, and port 53 on the way to it"
                .to_owned()
        }
    };
    Step::failed(NAME, found, remedy)
}

fn name(place: &Place, seen: &[Seen], took: Duration, look: &Look<'_>) -> Step {
    let addresses = list(seen.iter().map(|one| one.address.to_string()));
    Step::ok(NAME, format!("{} is {addresses}, by {} in {}", place.dial, look.resolver, millis(took)))
}

fn address(place: &Place, seen: &[Seen]) -> Step {
    let refused: Vec<(IpAddr, AddressRefused)> = seen
        .iter()
        .filter_map(|one| match one.went {
            Went::Refused(why) => Some((one.address, why)),
            _ => None,
        })
        .collect();
    let networks = match place.networks.is_empty() {
        true => "destination names no addresses, so any public one may be dialled".to_owned(),
        false => format!("addresses of {}: {}", place.destination, place.networks.join(", ")),
    };
    let Some(&(first, why)) = refused.first() else {
        return Step::ok(ADDRESS, format!("every address may be dialled ({networks})"));
    };
    let told = list(refused.iter().map(|(address, why)| format!("{address} is not dialled: {why}")));
    if refused.len() < seen.len() && refused.iter().all(|(address, why)| is_of_no_matter(place, *address, *why)) {
        return Step::ok(ADDRESS, format!("the others may be dialled; {told} ({networks})"));
    }
    if refused.len() < seen.len() {
        let remedy = "the others are used; find out who put these behind the name";
        return Step::unclear(ADDRESS, format!("{told} ({networks})"), remedy);
    }
    Step::failed(ADDRESS, format!("{told} ({networks})"), forbidden_remedy(place, first, why))
}

/// Whether an address is of the family that the boundary names nothing of: endpoints have both, and one is enough.
fn is_of_no_matter(place: &Place, address: IpAddr, why: AddressRefused) -> bool {
    let is_outside = matches!(why, AddressRefused::Outside | AddressRefused::Forbidden(Forbidden::Loopback));
    is_outside && !place.networks.iter().any(|network| network.contains(':') == address.is_ipv6())
}

fn forbidden_remedy(place: &Place, address: IpAddr, why: AddressRefused) -> String {
    let is_public = !is_private(address) && forbidden(address).is_none();
    match (why, names::read(&place.dial)) {
        (AddressRefused::Outside, Some(_)) if is_public => {
            format!(
                "this is API Gateway's public address, so private DNS is off here or it is another VPC: {PRIVATE_DNS}"
            )
        }
        (AddressRefused::Outside, _) => {
            "if the address is right, operations add its network to addresses of the destination; if not, somebody \
             changed the name"
                .to_owned()
        }
        (AddressRefused::Private, _) => {
            "operations name its network in addresses of the destination: private ones are dialled only where they are \
             named"
                .to_owned()
        }
        (AddressRefused::Forbidden(_), _) => {
            "this kind of address is never dialled, whatever the boundary says: find out who put it behind the name"
                .to_owned()
        }
    }
}

fn connect(place: &Place, seen: &[Seen], look: &Look<'_>) -> Step {
    let port = place.port;
    let mut open = Vec::new();
    let mut broken = Vec::new();
    let mut remedy = None;
    for Seen { address, went } in seen {
        match went {
            Went::Refused(_) | Went::NotTried => {}
            Went::Connected { took, .. } => open.push(format!("{address} in {}", millis(*took))),
            Went::Unconnected(why) => {
                remedy.get_or_insert(unconnected_remedy(why));
                broken.push(unconnected(*address, why, look));
            }
        }
    }
    match (open.is_empty(), remedy) {
        (true, None) => Step::skipped(CONNECT, "no address may be dialled"),
        (false, None) => Step::ok(CONNECT, format!("port {port} of {}", list(open.into_iter()))),
        (true, Some(remedy)) => Step::failed(CONNECT, format!("port {port} of {}", list(broken.into_iter())), remedy),
        (false, Some(_)) => Step::failed(
            CONNECT,
            format!("port {port} of {}; of {}", list(broken.into_iter()), list(open.into_iter())),
            "some addresses work and some do not: look at the endpoint's interface or the target in that subnet or zone, \
             and take it out of the name until it is mended",
        ),
    }
}

fn unconnected(address: IpAddr, why: &NotConnected, look: &Look<'_>) -> String {
    match why {
        NotConnected::Refused => format!("{address}: connection refused"),
        NotConnected::Silent => format!("{address}: timed out, no answer within {}", millis(look.patience)),
        NotConnected::Failed(words) => format!("{address}: {words}"),
    }
}

fn unconnected_remedy(why: &NotConnected) -> &'static str {
    match why {
        NotConnected::Refused => {
            "nothing listens on that port: start the service, or mend the port of the registration's URL"
        }
        NotConnected::Silent => {
            "something drops the packets: let the security group of the endpoint or service take the router's on that \
             port, and look at network ACLs and routes between the subnets"
        }
        NotConnected::Failed(_) => "look at the routes of the router's subnet to that address",
    }
}

fn tls(place: &Place, trust: &Trust, seen: &[Seen], look: &Look<'_>) -> Step {
    let handshakes = seen.iter().filter_map(|one| match &one.went {
        Went::Connected { tls: Some(tls), .. } => Some((one.address, tls)),
        _ => None,
    });
    let (mut proved, mut broken): (Option<&Secured>, Option<(IpAddr, &Unproved)>) = (None, None);
    for (address, tls) in handshakes {
        match tls {
            Ok(secured) => _ = proved.get_or_insert(secured),
            Err(unproved) => _ = broken.get_or_insert((address, unproved)),
        }
    }
    match (broken, proved) {
        (Some((address, unproved)), _) => unbelieved(place, trust, address, unproved, look),
        (None, Some(secured)) => believed(secured, trust, look),
        (None, None) => Step::skipped(TLS, "there is no connection"),
    }
}

fn believed(secured: &Secured, trust: &Trust, look: &Look<'_>) -> Step {
    let Secured { version, leaf: Some(leaf) } = secured else {
        return Step::ok(TLS, format!("{}, verified for {}", secured.version, trust.name));
    };
    let found = format!("{version}, verified for {}; the certificate {}", trust.name, told(leaf, look.now));
    match leaf.valid.1 - look.now < ENDS_SOON {
        true => Step::unclear(TLS, found, "it ends soon: see that it is renewed"),
        false => Step::ok(TLS, found),
    }
}

fn unbelieved(place: &Place, trust: &Trust, address: IpAddr, unproved: &Unproved, look: &Look<'_>) -> Step {
    let reason = unproved.reason.code();
    let told = unproved.leaf.as_ref().map(|leaf| told(leaf, look.now));
    let shown = told.map_or_else(|| unproved.words.clone(), |told| format!("the certificate {told}"));
    match unproved.reason {
        Reason::TlsNameMismatch => {
            let found = format!("{reason}: {address} does not prove to be {}; {shown}", trust.name);
            Step::failed(TLS, found, name_remedy(place, unproved.leaf.as_ref()))
        }
        Reason::TlsExpired => {
            let remedy = "let the destination's owner renew it; if its dates are right, the clock here is wrong";
            Step::failed(TLS, format!("{reason}: {address} is out of its time; {shown}"), remedy)
        }
        Reason::TlsUnknownIssuer => {
            let found = format!("{reason}: {address} is signed by nobody in roots ({}); {shown}", trust.roots);
            let remedy = "for a private authority operations set tls: {roots: {pem_file: …}} of the destination; a server \
                          that leaves out the certificate between must send it";
            Step::failed(TLS, found, remedy)
        }
        Reason::DestinationConnectTimeout => {
            let found = format!("{address} connects, and the handshake takes longer than {}", millis(look.patience));
            Step::failed(TLS, found, "look whether the port speaks TLS, and how loaded the destination is")
        }
        _ => {
            let remedy = "look whether the port speaks TLS at all, and whether it wants a client certificate \
                          (tls.client_certificate)";
            Step::failed(TLS, format!("{reason}: {address}: {}", unproved.words), remedy)
        }
    }
}

fn name_remedy(place: &Place, leaf: Option<&Leaf>) -> String {
    let region = leaf.and_then(|leaf| leaf.names.iter().find_map(|name| names::wildcard_region(name)));
    match (region, names::read(&place.host)) {
        (Some(region), Some(AwsName::Api { region: asked, .. })) if region != asked => {
            format!("the endpoint is of {region} and the API of {asked}: mend dial, or destination.host")
        }
        (Some(region), _) => format!(
            "API Gateway is behind that name: set destination.host of the registration to \
             API_ID.execute-api.{region}.amazonaws.com"
        ),
        (None, _) => "set destination.host to a name that the certificate has, or tls.server_name in the boundary; \
                      verification cannot be turned off"
            .to_owned(),
    }
}

fn sni(place: &Place, seen: &[Seen]) -> Step {
    let host = &place.host;
    let asked = host.split(':').next().unwrap_or(host);
    let dialled = if place.dial == asked { String::new() } else { format!(", dialled as {}", place.dial) };
    let found = format!("SNI and Host are both {asked}{dialled}");
    let shown = seen.iter().filter_map(|one| match &one.went {
        Went::Connected { tls: Some(Err(unproved)), .. } => unproved.leaf.as_ref(),
        Went::Connected { tls: Some(Ok(secured)), .. } => secured.leaf.as_ref(),
        _ => None,
    });
    let region = shown.flat_map(|leaf| &leaf.names).find_map(|name| names::wildcard_region(name));
    match (region, names::read(host)) {
        (_, Some(AwsName::Api { .. })) | (None, None) => Step::ok(SNI, found),
        (Some(region), None) => Step::failed(
            SNI,
            format!(
                "{found}, and API Gateway is behind it, which knows no such name: it shows its certificate of {region}"
            ),
            format!(
                "set destination.host to API_ID.execute-api.{region}.amazonaws.com; a private custom domain must be \
                     associated with this endpoint before it shows its own certificate"
            ),
        ),
        (_, Some(AwsName::Endpoint { region })) => Step::failed(
            SNI,
            format!("{found}: the endpoint's own name, which chooses no API"),
            format!(
                "set destination.host to API_ID.execute-api.{region}.amazonaws.com, and leave the endpoint to dial"
            ),
        ),
    }
}

/// A certificate in words.
fn told(leaf: &Leaf, now: i64) -> String {
    let Leaf { names, issuer, own_issuer, valid: (from, to) } = leaf;
    let names = if names.is_empty() { "no DNS name".to_owned() } else { names.join(", ") };
    let by = if *own_issuer { "itself".to_owned() } else { issuer.clone() };
    let day = |at: i64| Timestamp::from_unix(at).to_string().split('T').next().unwrap_or_default().to_owned();
    let time = match now {
        now if now < *from => format!("is not valid before {}", day(*from)),
        now if now > *to => format!("expired on {}", day(*to)),
        now => format!("is good until {} ({} days)", day(*to), (to - now) / 86_400),
    };
    format!("is for {names}, signed by {by}, and {time}")
}

fn millis(took: Duration) -> String {
    format!("{} ms", took.as_millis())
}

/// Some are named, the rest are counted.
fn list(all: impl Iterator<Item = String>) -> String {
    const NAMED: usize = 8;
    let mut all: Vec<String> = all.collect();
    let more = all.len().saturating_sub(NAMED);
    all.truncate(NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{}{more}", all.join(", "))
}
