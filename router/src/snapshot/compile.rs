//! A checked file becomes a snapshot. Off the serving threads; may take its time, may fail for one route
//! without failing for another.
//!
//! The sole maker of destinations. Must never know the snapshot in use.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use postern_config::check::{Boundary, reached_by};
use postern_config::condition::{Condition, ConditionType, Status as ConditionStatus};
use postern_config::document::{
    AnyOf, Authenticator, Breaker as BreakerPolicy, Destination as Entry, IdentityToken, Jwks, JwtIssuer, Mode,
    PathHandling, Protocol, Rewrite, RouteTimeouts, SignedFor,
};
use postern_config::merged::{IssuerKeys, Quarantined, Reading, Refused};
use postern_config::route::{Route, RouteTarget};
use postern_config::secrets::Secrets;
use postern_config::value::{HostName, HostPattern, Name, Period, Scheme, Segment, Share, Template};
use rustls::pki_types::ServerName;

use super::destination::DestinationParts;
use super::plan::{
    BODY_MAX, Chance, ClaimPath, PathPart, PathPlan, RoutePlan, Target, Telemetry, Timeouts, TokenPlan, WEBSOCKET_IDLE,
};
use super::{Destination, HostSet, Snapshot, Speaks, TlsPlan, table};
use crate::breaker::Breakers;
use crate::limiter::Quota;
use crate::rights::compile::RightsCompiler;
use crate::stage::authenticate::external::{Authorizer, External};
use crate::stage::authenticate::{CertificateRealm, Issuer, KeyRealm, Realm, Way};
use crate::upstream::{ClientConfigs, Verify};

/// What is fixed at start and matters here.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options {
    /// Whether destinations that name loopback networks may be dialled there.
    pub(crate) allow_loopback: bool,
    /// Whether the router has a key for identity tokens.
    pub(crate) signs_identity: bool,
}

/// Compiles what a file says. Routes that cannot be compiled are put aside in the snapshot. `breakers` go on where a
/// destination and what its policy says stay as they were.
pub(crate) fn compile(
    reading: Reading,
    secrets: &Secrets,
    breakers: &Breakers,
    options: Options,
    now: i64,
) -> Snapshot {
    let Reading { header, content, digest, quarantined, ignored } = reading;
    let counts = content.counts();
    let document = content.boundary.document();
    let mut compiler = Compiler::new(&content.boundary, &content.keys, secrets, breakers, options);
    compiler.notes.extend(ignored.iter().map(|at| format!("{at} is not known to this router and was ignored")));
    compiler.quarantined = quarantined;

    let mut entries = Vec::with_capacity(content.routes.len());
    for route in &content.routes {
        match compiler.route(route) {
            Ok(plan) => entries.push(table::Entry {
                plan: Arc::new(plan),
                root: &route.root,
                matching: &route.matching,
                held_since: route.origin.held_since,
                lease_until: route.lease_until,
            }),
            Err(why) => compiler.quarantined.push(Quarantined { id: route.id.clone(), why }),
        }
    }
    let settable = compiler.settable(&content.routes);
    let table = table::build(entries, document.paths.iter().map(|rule| &rule.prefix));
    Snapshot {
        header,
        digest,
        loaded_at: now,
        counts,
        held: content.routes.iter().filter(|route| is_held(route)).count() as u64,
        refused: refused_by_reason(&content.refused),
        hosts: HostSet::new(document.hosts.iter()),
        table,
        settable,
        served: compiler.destinations.keys().cloned().collect(),
        quarantined: compiler.quarantined,
        notes: compiler.notes,
    }
}

fn timeouts(said: &RouteTimeouts) -> Timeouts {
    let defaults = Timeouts::default();
    Timeouts {
        connect: or(said.connect, defaults.connect),
        first_byte: or(said.first_byte, defaults.first_byte),
        idle: or(said.idle, defaults.idle),
        total: said.total.map(Period::duration),
    }
}

fn or(period: Option<Period>, default: Duration) -> Duration {
    period.map_or(default, Period::duration)
}

fn is_held(route: &Route) -> bool {
    route.conditions.iter().any(|one| one.kind == ConditionType::Held && one.status == ConditionStatus::True)
}

/// A registration counts for each of its reasons, and once for each.
fn refused_by_reason(refused: &[Refused]) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for one in refused {
        let is_why = |one: &&Condition| one.status == ConditionStatus::False || one.kind == ConditionType::Conflicted;
        let reasons: BTreeSet<_> =
            one.conditions.iter().filter(is_why).map(|one| format!("{:?}", one.reason)).collect();
        reasons.into_iter().for_each(|reason| *counts.entry(reason).or_default() += 1);
    }
    counts
}

/// What routes share while they are compiled.
struct Compiler<'b> {
    boundary: &'b Boundary,
    breakers: &'b Breakers,
    options: Options,
    issuers: HashMap<Name, Arc<Issuer>>,
    realms: HashMap<Name, Arc<Realm>>,
    key_realms: HashMap<Name, Arc<KeyRealm>>,
    certificate_realms: HashMap<Name, Arc<CertificateRealm>>,
    authorizers: HashMap<Name, Arc<Authorizer>>,
    destinations: HashMap<Arc<str>, Arc<Destination>>,
    rights: RightsCompiler<'b>,
    tls: ClientConfigs,
    texts: HashSet<Arc<str>>,
    quarantined: Vec<Quarantined>,
    notes: Vec<String>,
}

impl<'b> Compiler<'b> {
    fn new(
        boundary: &'b Boundary,
        keys: &[IssuerKeys],
        secrets: &Secrets,
        breakers: &'b Breakers,
        options: Options,
    ) -> Self {
        let identity = &boundary.document().identity;
        let mut notes = Vec::new();
        let mut issuers = HashMap::new();
        for document in &identity.jwt {
            match Issuer::compile(&with_keys(document, keys), secrets) {
                Ok(issuer) => {
                    notes.extend(issuer.notes().iter().map(|note| format!("identity.jwt {}: {note}", document.name)));
                    issuers.insert(document.name.clone(), Arc::new(issuer));
                }
                Err(why) => notes.push(format!("identity.jwt {}: {why}", document.name)),
            }
        }
        let mut realms = HashMap::new();
        for document in &identity.basic {
            let realm = Realm::compile(document);
            notes.extend(realm.notes().iter().map(|note| format!("identity.basic {}: {note}", document.name)));
            realms.insert(document.name.clone(), Arc::new(realm));
        }
        let mut key_realms = HashMap::new();
        for document in &identity.api_key {
            match KeyRealm::compile(document, secrets) {
                Ok(realm) => {
                    notes
                        .extend(realm.notes().iter().map(|note| format!("identity.api_key {}: {note}", document.name)));
                    key_realms.insert(document.name.clone(), Arc::new(realm));
                }
                Err(why) => notes.push(format!("identity.api_key {}: {why}", document.name)),
            }
        }
        let certificate_realms = identity.mtls.iter().map(|document| {
            let realm = CertificateRealm::compile(document);
            (document.name.clone(), Arc::new(realm))
        });
        Self {
            boundary,
            breakers,
            options,
            issuers,
            realms,
            key_realms,
            certificate_realms: certificate_realms.collect(),
            authorizers: HashMap::new(),
            destinations: HashMap::new(),
            rights: RightsCompiler::new(boundary),
            tls: ClientConfigs::default(),
            texts: HashSet::new(),
            quarantined: Vec::new(),
            notes,
        }
    }

    fn route(&mut self, route: &Route) -> Result<RoutePlan, String> {
        let policies = &route.policies;
        let timeouts = timeouts(&policies.timeouts);
        let breaker = policies.breaker.as_ref().map(|policy| (policy, timeouts));
        let targets =
            route.destinations.iter().map(|target| self.target(target, breaker)).collect::<Result<Box<[_]>, _>>()?;
        // What is off is not looked at: the credentials are the destination's.
        let proof = policies.authentication.as_ref().filter(|any_of| any_of.mode != Mode::Off);
        let ways = proof.iter().flat_map(|any_of| &any_of.any_of);
        let ways = ways.map(|way| self.way(way, &targets)).collect::<Result<Box<[_]>, _>>()?;
        let identity_headers = policies.identity_headers.iter().flatten().filter_map(|(header, claim)| {
            let path = claim.split('.').map(Into::into).collect();
            Some((header.as_str().parse::<HeaderName>().ok()?, ClaimPath(path)))
        });
        let (identity_headers, identity_headers_tried) = match policies.identity_headers_mode {
            Mode::Enforce => (identity_headers.collect(), Box::default()),
            Mode::Shadow => (Box::default(), identity_headers.collect()),
            Mode::Off => (Box::default(), Box::default()),
        };
        let identity_token = policies.identity_token.as_ref().filter(|token| token.mode != Mode::Off);
        if let Some(token) = identity_token.filter(|_| !self.options.signs_identity) {
            let answers = if token.mode == Mode::Shadow { "would answer 503; shadow" } else { "answers 503" };
            self.notes
                .push(format!("{} asks for an identity token, and the router has no key: it {answers}", route.id));
        }
        // Each from a layer of its own; in one header the destination could read either.
        if let Some(token) = &policies.identity_token
            && policies.identity_headers.iter().flatten().any(|(name, _)| name.as_str() == token.header())
        {
            return Err(format!("the header {} would hold an identity token and a claim", token.header()));
        }
        Ok(RoutePlan {
            id: route.id.as_str().into(),
            owner: self.shared(route.owner.as_str()),
            origins: self.origins(route),
            targets,
            ways,
            insists: proof.is_none_or(|any_of| any_of.mode == Mode::Enforce),
            signed_as_asked: self.is_signed_as_asked(proof, route),
            rights: self.rights.rights(route)?,
            limits: policies.limits.iter().flatten().map(|limit| Quota::compile(limit, route.id.as_str())).collect(),
            identity_headers,
            identity_headers_tried,
            identity_token: identity_token.map(token_plan).transpose()?.map(Box::new),
            timeouts,
            telemetry: Telemetry {
                access_log: Chance::of(policies.telemetry.access_log.unwrap_or(Share::ALL)),
                audit: policies.telemetry.audit.map(Chance::of),
                traces: policies.telemetry.traces.map(Chance::of),
            },
            body_max: policies.body.max.map_or(BODY_MAX, |size| size.bytes()),
            path: path_plan(route),
            raw_path: policies.path == Some(PathHandling::Raw),
            websocket: (policies.websocket == Some(true)).then(|| or(policies.timeouts.idle, WEBSOCKET_IDLE)),
        })
    }

    /// Where nobody says: a destination that is sent the very name that its route answers to is one that SDKs sign for by
    /// asking the router. A wildcard may cover a name by chance.
    fn is_signed_as_asked(&self, proof: Option<&AnyOf>, route: &Route) -> bool {
        let hosts = match route.matching.hosts.as_slice() {
            [] => &self.boundary.document().hosts,
            own => own,
        };
        let is_own = |target: &RouteTarget| hosts.contains(&HostPattern::Exact(target.host.clone()));
        proof.is_some_and(|any_of| match any_of.signed_for {
            Some(signed_for) => signed_for == SignedFor::Router,
            None => any_of.any_of.contains(&Authenticator::Iam) && route.destinations.iter().all(is_own),
        })
    }

    /// In the same words for all routes that are alike, and those are kept once.
    fn origins(&mut self, route: &Route) -> Arc<str> {
        let registration = route.registration();
        let origins = self.boundary.origins(&registration);
        let words: Vec<String> = origins.iter().map(|(policy, layer)| format!("{policy} from {layer}")).collect();
        self.shared(&words.join(", "))
    }

    fn way(&mut self, way: &Authenticator, targets: &[Target]) -> Result<Way, String> {
        let compiled = match way {
            Authenticator::None => Some(Way::None),
            Authenticator::Iam => Some(Way::Iam),
            Authenticator::Jwt(name) => self.issuers.get(name).cloned().map(Way::Jwt),
            Authenticator::Basic(name) => self.realms.get(name).cloned().map(Way::Basic),
            Authenticator::Mtls(name) => self.certificate_realms.get(name).cloned().map(Way::Mtls),
            Authenticator::ApiKey(name) => self.key_realms.get(name).cloned().map(Way::ApiKey),
            Authenticator::External(name) => {
                Some(Way::External(Arc::new(External::on(self.authorizer(name)?, targets))))
            }
        };
        compiled.ok_or_else(|| format!("{way} could not be compiled, so nobody could be proved"))
    }

    /// The authorizer of that name, made once for all routes that name it. It is dialled as any destination is.
    fn authorizer(&mut self, name: &Name) -> Result<Arc<Authorizer>, String> {
        if let Some(known) = self.authorizers.get(name) {
            return Ok(Arc::clone(known));
        }
        let boundary = self.boundary.document();
        let document = boundary.identity.external.iter().find(|one| one.name == *name);
        let document = document.ok_or_else(|| format!("there is no authorizer \"{name}\" in the file"))?;
        let failed = |why| format!("external:{name} cannot be asked: {why}");
        let entry = reached_by(&boundary.destinations, document).map_err(|(_, why)| failed(why))?;
        let (url, host, via) = (document.url.clone(), document.host().clone(), entry.name.clone());
        let destination = self.destination(entry, &RouteTarget { url, host, weight: 1, via }).map_err(failed)?;
        let authorizer = Arc::new(Authorizer::compile(document, destination).map_err(failed)?);
        self.authorizers.insert(name.clone(), Arc::clone(&authorizer));
        Ok(authorizer)
    }

    /// What a route waits for decides what fails, so only those that wait as long share a breaker.
    fn target(&mut self, target: &RouteTarget, breaker: Option<(&BreakerPolicy, Timeouts)>) -> Result<Target, String> {
        let entry = self
            .boundary
            .destination(&target.via)
            .ok_or_else(|| format!("there is no destination \"{}\" in the file", target.via))?;
        let destination = self.destination(entry, target)?;
        let breaker = breaker.and_then(|(policy, Timeouts { connect, first_byte, total, idle: _ })| {
            let key = format!("{connect:?} {first_byte:?} {total:?} {}", destination.key());
            self.breakers.breaker(&key, destination.name(), policy)
        });
        Ok(Target { destination, prefix: target.url.prefix().into(), weight: target.weight.into(), breaker })
    }

    /// The destination of a target, made once for all routes that lead there.
    fn destination(&mut self, entry: &Entry, target: &RouteTarget) -> Result<Arc<Destination>, String> {
        let url = &target.url;
        let names_loopback = entry.addresses.iter().any(postern_config::value::Network::is_loopback);
        if names_loopback && !self.options.allow_loopback {
            return Err("its destination names loopback addresses, which --allow-loopback-destinations alone permits"
                .to_owned());
        }
        let dial = entry.dial.as_ref().unwrap_or(&url.host);
        let networks: Vec<String> = entry.addresses.iter().map(ToString::to_string).collect();
        // A host that the registration names is sent as it stands there: a client may have signed for it.
        let host = match url.port == url.scheme.default_port() || target.host != url.host {
            true => target.host.to_string(),
            false => format!("{}:{}", target.host, url.port),
        };
        let speaks = speaks(entry.protocol, url.scheme);
        // Everything that a connection depends on stands in the key: two targets share one only when all of
        // it is the same.
        let key: Arc<str> = format!(
            "{}://{dial}:{}|{speaks:?}|{}|{host}|{:?}|{}",
            url.scheme.as_str(),
            url.port,
            target.host,
            entry.tls,
            networks.join(","),
        )
        .into();
        if let Some(known) = self.destinations.get(&key) {
            return Ok(Arc::clone(known));
        }
        let destination = Arc::new(Destination::new(DestinationParts {
            key: Arc::clone(&key),
            name: self.shared(entry.name.as_str()),
            dial: dial.clone(),
            port: url.port,
            host: HeaderValue::from_str(&host).map_err(|error| error.to_string())?,
            tls: match url.scheme {
                Scheme::Http => None,
                Scheme::Https => Some(self.tls_plan(entry, &target.host, speaks)?),
            },
            speaks,
            addresses: entry.addresses.clone().into_boxed_slice(),
            allow_loopback: self.options.allow_loopback && names_loopback,
        }));
        self.destinations.insert(key, Arc::clone(&destination));
        Ok(destination)
    }

    fn tls_plan(&mut self, entry: &Entry, host: &HostName, speaks: Speaks) -> Result<TlsPlan, String> {
        let verify = Verify::of(entry.tls.server_name.as_ref(), host);
        let mut config = |speaks| {
            self.tls
                .config(&entry.tls.roots, verify.clone(), entry.tls.client_certificate.as_ref(), speaks)
                .map_err(|error| error.to_string())
        };
        let (config, http1) = (config(speaks)?, config(Speaks::Http1)?);
        let server_name = ServerName::try_from(host.as_str().to_owned()).map_err(|error| error.to_string())?;
        Ok(TlsPlan { server_name, config, http1 })
    }

    /// One copy of a text that many routes share.
    fn shared(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let shared: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&shared));
        shared
    }

    /// Every header that some policy of the file may set.
    fn settable(&self, routes: &[Route]) -> Box<[HeaderName]> {
        let document = self.boundary.document();
        let layers = [&document.defaults.policies, &document.overrides.policies].into_iter();
        let names: BTreeSet<&str> = routes
            .iter()
            .map(|route| &route.policies)
            .chain(layers)
            .flat_map(|policies| {
                let headers = policies.identity_headers.iter().flatten().map(|(name, _)| name.as_str());
                headers.chain(policies.identity_token.iter().map(IdentityToken::header))
            })
            .collect();
        names.into_iter().filter_map(|name| name.parse().ok()).collect()
    }
}

/// An issuer with the keys that were fetched for it, as if they had been written out.
fn with_keys<'d>(document: &'d JwtIssuer, keys: &[IssuerKeys]) -> Cow<'d, JwtIssuer> {
    match keys.iter().find(|keys| keys.are_of(document)) {
        Some(keys) => Cow::Owned(JwtIssuer { jwks: Some(Jwks { keys: keys.keys.clone() }), ..document.clone() }),
        None => Cow::Borrowed(document),
    }
}

fn token_plan(token: &IdentityToken) -> Result<TokenPlan, String> {
    let path = |claim: &String| ClaimPath(claim.split('.').map(Into::into).collect());
    Ok(TokenPlan {
        header: token.header().parse().map_err(|_| "the header of its identity token is none".to_owned())?,
        audience: token.audience.as_str().into(),
        ttl: i64::try_from(token.ttl().duration().as_secs()).unwrap_or(60),
        claims: token.claims.iter().map(|(name, claim)| (name.as_str().into(), path(claim))).collect(),
        mode: token.mode,
    })
}

/// What is spoken over a scheme; the check of the boundary left no others.
fn speaks(protocol: Protocol, scheme: Scheme) -> Speaks {
    match (protocol, scheme) {
        (Protocol::Http1, _) | (Protocol::Auto, Scheme::Http) => Speaks::Http1,
        (Protocol::H2 | Protocol::H2c, _) => Speaks::Http2,
        (Protocol::Auto, Scheme::Https) => Speaks::Either,
    }
}

fn path_plan(route: &Route) -> PathPlan {
    match &route.rewrite {
        None => PathPlan::Keep,
        Some(Rewrite { prefix: Some(prefix), .. }) => PathPlan::ReplaceRoot {
            segments: route.root.segments().count(),
            with: match prefix.as_str() {
                "/" => "".into(),
                path => path.into(),
            },
        },
        Some(Rewrite { path: Some(path), .. }) => PathPlan::Template(path_parts(path, route.matching.path.as_ref())),
        Some(_) => PathPlan::Keep,
    }
}

/// Each variable of a rewrite is a place in the request's path.
fn path_parts(path: &Template, matched: Option<&Template>) -> Box<[PathPart]> {
    let place = |wanted: &str| {
        matched.into_iter().flat_map(Template::segments).position(|segment| match segment {
            Segment::Literal(_) => false,
            Segment::Variable(name) | Segment::Rest(name) => name == wanted,
        })
    };
    let part = |segment: &Segment| match segment {
        Segment::Literal(text) => Some(PathPart::Literal(format!("/{text}").into())),
        Segment::Variable(name) => place(name).map(PathPart::Segment),
        Segment::Rest(name) => place(name).map(PathPart::Rest),
    };
    path.segments().iter().filter_map(part).collect()
}
