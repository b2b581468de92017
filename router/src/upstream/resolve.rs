//! Names to addresses.
//!
//! Owns the DNS client and what it answered: one query in flight per name, answers believed for their TTL within
//! [1 s, 60 s], the last good answer for 60 s more while the name server fails. Lives on one core. Must never know
//! HTTP, nor which addresses are allowed: that is asked at the socket, for every single one.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::RecordType;
use hickory_resolver::{TokioResolver, system_conf};
use postern_config::value::HostName;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::limits;

/// Resolves names on one core. Clones share what was learned.
#[derive(Clone)]
pub(crate) struct Resolver(Rc<Shared>);

struct Shared {
    client: TokioResolver,
    names: RefCell<HashMap<HostName, Slot>>,
    lookups: Cell<u64>,
}

/// Why a name has no addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unresolved {
    /// The name server knows of none.
    #[error("no such name, or no addresses: {0}")]
    Absent(Rc<str>),
    /// The name server failed.
    #[error("the name server failed: {0}")]
    Failed(Rc<str>),
    /// No answer in time.
    #[error("no answer from the name server in time")]
    Late,
    /// More names than are remembered are being looked up at once.
    #[error("too many names are being looked up")]
    TooMany,
}

/// Why there is no resolver.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up name resolution: {0}")]
pub(crate) struct ResolverError(#[from] NetError);

type Outcome = Result<Rc<[IpAddr]>, Unresolved>;

/// What is known of one name.
struct Slot {
    /// What is answered until `settled_until`.
    outcome: Outcome,
    settled_until: Instant,
    /// The last addresses that the name server gave, and until when they may stand in for newer ones.
    good: Option<(Rc<[IpAddr]>, Instant)>,
    in_flight: Option<watch::Receiver<Option<Outcome>>>,
}

impl Resolver {
    /// Asks these name servers; with none of them, the ones the system names, and then the hosts file too.
    /// To be called on the core that uses it.
    ///
    /// # Errors
    /// When the system's configuration cannot be read.
    pub(crate) fn new(servers: &[SocketAddr]) -> Result<Self, ResolverError> {
        let (config, mut options) = if servers.is_empty() {
            system_conf::read_system_conf()?
        } else {
            (explicit(servers), ResolverOpts::default())
        };
        options.use_hosts_file = if servers.is_empty() { ResolveHosts::Always } else { ResolveHosts::Never };
        // What is remembered is remembered here, where it can outlive its TTL.
        options.cache_size = 0;
        // Three tries fit into the default connect deadline of 2 s; a name server that needed longer has the
        // answer by the second.
        options.timeout = Duration::from_millis(600);
        options.attempts = 2;
        options.max_active_requests = 256;
        let client = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()?;
        Ok(Self(Rc::new(Shared { client, names: RefCell::default(), lookups: Cell::new(0) })))
    }

    /// The addresses of `name`, no later than `deadline`.
    ///
    /// # Errors
    /// When none are known.
    pub(crate) async fn resolve(&self, name: &HostName, deadline: Instant) -> Outcome {
        // RFC 6761 §6.3: never asked of a server.
        if name.as_str() == "localhost" {
            return Ok(Rc::new([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]));
        }
        let now = Instant::now();
        let (mut answer, older) = match self.known(name, now) {
            Known::Settled(outcome) => return outcome,
            Known::Asked(answer, older) => (answer, older),
        };
        let patience = if older.is_some() { deadline.min(now + limits::LOOKUP_PATIENCE) } else { deadline };
        let answered = timeout_at(patience, answer.wait_for(Option::is_some)).await;
        match (answered, older) {
            (Ok(Ok(outcome)), _) => outcome.clone().unwrap_or(Err(Unresolved::Late)),
            (_, Some(addresses)) => Ok(addresses),
            (Ok(Err(_)) | Err(_), None) => Err(Unresolved::Late),
        }
    }

    /// How many lookups were begun.
    pub(crate) fn lookups(&self) -> u64 {
        self.0.lookups.get()
    }

    /// What is known of a name without waiting; begins a lookup when that is nothing and none is under way.
    fn known(&self, name: &HostName, now: Instant) -> Known {
        let mut names = self.0.names.borrow_mut();
        if let Some(slot) = names.get_mut(name) {
            if slot.settled_until > now {
                return Known::Settled(slot.outcome.clone());
            }
            let older = slot.older(now);
            let answer = slot.in_flight.get_or_insert_with(|| self.begin(name)).clone();
            return Known::Asked(answer, older);
        }
        if names.len() >= limits::NAMES && !make_room(&mut names, now) {
            return Known::Settled(Err(Unresolved::TooMany));
        }
        let answer = self.begin(name);
        let in_flight = Some(answer.clone());
        names.insert(name.clone(), Slot { outcome: Err(Unresolved::Late), settled_until: now, good: None, in_flight });
        Known::Asked(answer, None)
    }

    /// Begins a lookup that goes on when the request that wanted it is gone.
    fn begin(&self, name: &HostName) -> watch::Receiver<Option<Outcome>> {
        self.0.lookups.set(self.0.lookups.get() + 1);
        let (tell, answer) = watch::channel(None);
        let (shared, name) = (Rc::clone(&self.0), name.clone());
        tokio::task::spawn_local(async move {
            let found = timeout(limits::LOOKUP, query(&shared.client, &name)).await.unwrap_or(Err(Unresolved::Late));
            // Nobody waiting any more is no fault.
            let _ = tell.send(Some(shared.settle(&name, found, Instant::now())));
        });
        answer
    }
}

enum Known {
    Settled(Outcome),
    Asked(watch::Receiver<Option<Outcome>>, Option<Rc<[IpAddr]>>),
}

impl Shared {
    /// Notes what a lookup found, and says what holds now.
    fn settle(&self, name: &HostName, found: Result<Found, Unresolved>, now: Instant) -> Outcome {
        let mut names = self.names.borrow_mut();
        let older = names.get(name).and_then(|slot| slot.good.clone().filter(|(_, until)| *until > now));
        let (outcome, good, settled_until) = match (found, older) {
            (Ok(Found { addresses, ttl }), _) => {
                let until = now + ttl.clamp(limits::TTL.0, limits::TTL.1);
                (Ok(Rc::clone(&addresses)), Some((addresses, until + limits::STALE_FOR)), until)
            }
            (Err(why), Some((addresses, until))) => {
                tracing::warn!(name = name.as_str(), error = %why, "using the last good addresses");
                (Ok(Rc::clone(&addresses)), Some((addresses, until)), now + limits::NEGATIVE_FOR)
            }
            (Err(why), None) => (Err(why), None, now + limits::NEGATIVE_FOR),
        };
        let slot = Slot { outcome: outcome.clone(), settled_until, good, in_flight: None };
        names.insert(name.clone(), slot);
        outcome
    }
}

impl Slot {
    fn older(&self, now: Instant) -> Option<Rc<[IpAddr]>> {
        self.good.as_ref().filter(|(_, until)| *until > now).map(|(addresses, _)| Rc::clone(addresses))
    }
}

/// Forgets what is of no use any more; failing that, the name that has to be looked up next.
fn make_room(names: &mut HashMap<HostName, Slot>, now: Instant) -> bool {
    names.retain(|_, slot| slot.in_flight.is_some() || slot.settled_until > now || slot.older(now).is_some());
    if names.len() < limits::NAMES {
        return true;
    }
    let next = names
        .iter()
        .filter(|(_, slot)| slot.in_flight.is_none())
        .min_by_key(|(_, slot)| slot.settled_until)
        .map(|(name, _)| name.clone());
    next.is_some_and(|name| names.remove(&name).is_some())
}

struct Found {
    addresses: Rc<[IpAddr]>,
    ttl: Duration,
}

/// Asks for both families at once. The slower one has a moment once the faster has brought something.
async fn query(client: &TokioResolver, name: &HostName) -> Result<Found, Unresolved> {
    // A name with a dot is asked as it stands: a search list would let the container's configuration decide which
    // host is meant. A single label means something only with it.
    let asked = if name.parent().is_some() { format!("{name}.") } else { name.to_string() };
    let mut v4 = std::pin::pin!(client.lookup(asked.as_str(), RecordType::A));
    let mut v6 = std::pin::pin!(client.lookup(asked.as_str(), RecordType::AAAA));
    let (first, second) = tokio::select! {
        first = &mut v4 => {
            let second = follow(&first, v6).await;
            (first, second)
        }
        first = &mut v6 => {
            let second = follow(&first, v4).await;
            (first, second)
        }
    };
    merge(first, second)
}

type Answered = Result<Lookup, NetError>;

async fn follow(first: &Answered, second: impl Future<Output = Answered>) -> Answered {
    match first {
        Ok(lookup) if addresses(lookup).next().is_some() => {
            timeout(limits::FAMILY_GRACE, second).await.unwrap_or(Err(NetError::Timeout))
        }
        _ => second.await,
    }
}

/// One family is enough; a name without either is absent only when the name server said so for both.
fn merge(first: Answered, second: Answered) -> Result<Found, Unresolved> {
    let answers = [first, second];
    let found: Vec<IpAddr> = answers.iter().flatten().flat_map(addresses).take(limits::ADDRESSES).collect();
    if !found.is_empty() {
        let ttls = answers.iter().flatten().flat_map(Lookup::answers).map(|record| record.ttl);
        let ttl = Duration::from_secs(ttls.min().unwrap_or(0).into());
        return Ok(Found { addresses: found.into(), ttl });
    }
    let errors: Vec<NetError> = answers.into_iter().filter_map(Result::err).collect();
    match errors.iter().find(|error| !is_absence(error)) {
        Some(NetError::Timeout) => Err(Unresolved::Late),
        Some(error) => Err(Unresolved::Failed(error.to_string().into())),
        None => Err(Unresolved::Absent(errors.first().map_or_else(|| "empty answer".into(), |e| e.to_string().into()))),
    }
}

fn addresses(lookup: &Lookup) -> impl Iterator<Item = IpAddr> + '_ {
    lookup.answers().iter().filter_map(|record| record.data.ip_addr())
}

fn is_absence(error: &NetError) -> bool {
    use hickory_resolver::proto::op::ResponseCode::{NXDomain, NoError};
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => matches!(none.response_code, NXDomain | NoError),
        _ => false,
    }
}

fn explicit(servers: &[SocketAddr]) -> ResolverConfig {
    let servers = servers
        .iter()
        .map(|server| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()]
                .into_iter()
                .map(|mut connection| {
                    connection.port = server.port();
                    connection
                })
                .collect();
            NameServerConfig::new(server.ip(), true, connections)
        })
        .collect();
    ResolverConfig::from_name_servers(servers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_table_forgets_what_is_needed_least() {
        let now = Instant::now();
        let slot = |settled_until, in_flight: bool| Slot {
            outcome: Err(Unresolved::Late),
            settled_until,
            good: None,
            in_flight: in_flight.then(|| watch::channel(None).1),
        };
        let name = |place: usize| format!("n{place}.internal").parse::<HostName>().unwrap();
        let later = |seconds| now + Duration::from_secs(seconds);
        let mut names: HashMap<_, _> =
            (0..limits::NAMES).map(|place| (name(place), slot(later(1 + place as u64), false))).collect();
        assert!(make_room(&mut names, now));
        assert!(names.len() == limits::NAMES - 1 && !names.contains_key(&name(0)));
        // What is over goes first.
        assert!(make_room(&mut names, later(100)));
        assert_eq!(names.len(), limits::NAMES - 100);
        // What somebody waits for does not go.
        let mut busy: HashMap<_, _> = (0..limits::NAMES).map(|place| (name(place), slot(now, true))).collect();
        assert!(!make_room(&mut busy, later(1)));
        assert_eq!(busy.len(), limits::NAMES);
    }
}
