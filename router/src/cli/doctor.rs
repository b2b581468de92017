//! `doctor`: goes where a route leads, and tells the usual causes of 403 and 502 apart.
//!
//! Reads the same file, with the same settings, as the router beside it. Must never judge: that is `crate::doctor`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use postern_config::check::Boundary;
use postern_config::merged::{self, Content, FileKey};
use postern_config::problem::did_you_mean;
use postern_config::route::Route;
use postern_config::secrets::Secrets;
use postern_config::value::Period;
use postern_config::{file, limits};
use serde_json::{Value, json};

use super::paint::{diagnosed, painted};
use super::settings::{self, Settings};
use super::{FOUND_PROBLEMS, Output, WRONG_USAGE, read};
use crate::breaker::Breakers;
use crate::doctor::answer::{self, Asked as How};
use crate::doctor::network::{self, Look};
use crate::doctor::visit::{Visited, visit};
use crate::doctor::{Place, ROUTE, Step, first_found, question};
use crate::explain::Asked;
use crate::freshness::unix_now;
use crate::snapshot::compile::{Options, compile};
use crate::snapshot::{RoutePlan, Snapshot, Target, Timeouts};
use crate::stage::identify::Request;

#[derive(Args)]
pub(super) struct Doctor {
    /// A route as ROOT#NAME, or a request as 'METHOD URL'
    route: String,
    /// The merged file [default: the router's]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The router's settings file, where it has one
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// As the router was started: destinations that name loopback networks may be dialled there
    #[arg(long)]
    allow_loopback_destinations: bool,
    /// The path that is asked for [default: the route's root, or its template]
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// The method that is asked with, also one that changes something [default: GET, else HEAD or OPTIONS]
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// A header of the request, as 'name: value'; may be given several times. Nobody's credentials are sent but these
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// Only this destination, where the route leads to several
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    /// How long each of name, connection and answer may take; never longer than the route lets it
    #[arg(long, value_name = "PERIOD", default_value = "5s")]
    timeout: Period,
    /// How it is told
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// What was found of a route.
struct Findings {
    generation: u64,
    route: Step,
    visits: Vec<(Place, Vec<Step>)>,
}

/// Why there is nothing to tell.
enum Stopped {
    /// The question is none.
    Usage(String),
    /// The visit was not possible.
    Failed(String),
}

pub(super) fn run(asked: &Doctor) -> ExitCode {
    let findings = match asked.examine() {
        Ok(findings) => findings,
        Err(Stopped::Usage(why)) => {
            eprintln!("{why}");
            return ExitCode::from(WRONG_USAGE);
        }
        Err(Stopped::Failed(why)) => {
            eprintln!("{why}");
            return ExitCode::from(FOUND_PROBLEMS);
        }
    };
    match asked.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&findings.to_json()).unwrap_or_default()),
        Output::Text => println!("{}", painted(&findings.to_text().join("\n"), diagnosed)),
    }
    match findings.first_found() {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::from(FOUND_PROBLEMS),
    }
}

impl Doctor {
    fn examine(&self) -> Result<Findings, Stopped> {
        let flags = match self.allow_loopback_destinations {
            true => json!({"allow_loopback_destinations": true}),
            false => json!({}),
        };
        let settings = settings::load(self.settings.as_deref(), &flags);
        let settings = settings.map_err(|error| Stopped::Usage(error.to_string()))?.settings;
        let (snapshot, content) = self.compiled(&settings)?;
        let now = unix_now();
        let (plan, route) = match self.route.contains(' ') {
            true => match self.by_request(&snapshot, &content, now)? {
                Ok(found) => found,
                Err(step) => return Ok(Findings::without(&snapshot, step)),
            },
            false => match self.by_id(&snapshot, &content)? {
                Ok(found) => found,
                Err(step) => return Ok(Findings::without(&snapshot, step)),
            },
        };
        let request = self.request(&content.boundary, &route)?;
        let request = match question::request(&snapshot, request, fastrand::u128(..)) {
            Ok(request) => request,
            Err(rejection) => return Ok(Findings::without(&snapshot, question::refused(&rejection))),
        };
        let visits = self.visits(&settings, &snapshot, &content.boundary, &plan, &route, &request)?;
        let generation = snapshot.header.generation;
        Ok(Findings { generation, route: question::judge(&snapshot, &plan, &request, now), visits })
    }

    /// The file as the router would compile it, and what stands in it.
    fn compiled(&self, settings: &Settings) -> Result<(Snapshot, Content), Stopped> {
        let path = self.config.as_ref().unwrap_or(&settings.config);
        let usage = |error: &dyn std::fmt::Display| Stopped::Usage(format!("{}: {error}", path.display()));
        let bytes = read(path).map_err(Stopped::Usage)?;
        let key = settings.file_key.as_ref().and_then(|key| FileKey::new(key.expose()));
        let reading = merged::read(&bytes, key.as_ref()).map_err(|error| usage(&error))?;
        let secrets =
            file::read_bounded(&path.with_file_name(postern_config::secrets::FILE_NAME), limits::BOUNDARY_BYTES);
        let secrets = secrets.ok().and_then(|bytes| Secrets::from_bytes(&bytes).ok()).unwrap_or_default();
        let options = Options {
            allow_loopback: settings.allow_loopback_destinations,
            signs_identity: settings.identity_token.key_file.is_some(),
        };
        let content = reading.content.clone();
        Ok((compile(reading, &secrets, &Breakers::default(), options, unix_now()), content))
    }

    /// The route that answers a request.
    fn by_request(
        &self,
        snapshot: &Snapshot,
        content: &Content,
        now: i64,
    ) -> Result<Result<(Arc<RoutePlan>, Route), Step>, Stopped> {
        let asked = Asked::parse(&self.route, &self.headers).map_err(|error| Stopped::Usage(error.to_string()))?;
        let request = match question::request(snapshot, asked, 0) {
            Ok(request) => request,
            Err(rejection) => return Ok(Err(question::refused(&rejection))),
        };
        Ok(question::answering(snapshot, &request, now).and_then(|plan| {
            let route = content.routes.iter().find(|route| route.id == *plan.id).cloned();
            match route {
                Some(route) => Ok((plan, route)),
                None => Err(Step::failed(ROUTE, format!("{} is not in the file", plan.id), "look at the file")),
            }
        }))
    }

    /// The route of that name.
    fn by_id(&self, snapshot: &Snapshot, content: &Content) -> Result<Result<(Arc<RoutePlan>, Route), Step>, Stopped> {
        let id = self.route.as_str();
        let plan = snapshot.table.routes().iter().find(|plan| *plan.id == *id);
        let route = content.routes.iter().find(|route| route.id == id);
        if let (Some(plan), Some(route)) = (plan, route) {
            return Ok(Ok((Arc::clone(plan), route.clone())));
        }
        if let Some(aside) = snapshot.quarantined.iter().find(|one| one.id == id) {
            let found = format!("{id} is put aside by this router: {}", aside.why);
            return Ok(Err(Step::failed(
                ROUTE,
                found,
                "if the router was started otherwise, give this command the same flags and settings; else mend it: a router that \
                 puts a route aside answers as if there were no such route",
            )));
        }
        if let Some(refused) = content.refused.iter().find(|one| one.id == id) {
            let why: Vec<String> = refused.conditions.iter().map(postern_config::condition::Condition::told).collect();
            let found = format!("{id} is a registration that was refused: {}", why.join("; "));
            return Ok(Err(Step::failed(
                ROUTE,
                found,
                "its pipeline has to register it anew; docs/conditions.md has each reason",
            )));
        }
        let known = content.routes.iter().map(|route| route.id.as_str());
        let hint = did_you_mean(id, known).map_or_else(String::new, |hint| format!(" ({hint})"));
        Err(Stopped::Usage(format!("there is no route \"{id}\"{hint}: write ROOT#NAME, or a request as 'METHOD URL'")))
    }

    /// The request that the route is visited with.
    fn request(&self, boundary: &Boundary, route: &Route) -> Result<Asked, Stopped> {
        let usage = |error: &dyn std::fmt::Display| Stopped::Usage(error.to_string());
        let mut headers = self.headers.clone();
        let line = match self.route.split_once(' ') {
            Some((method, url)) => {
                let own = if question::is_harmless(method) {
                    method
                } else {
                    question::method(None, &route.matching.methods)
                };
                format!("{} {url}", self.method.as_deref().unwrap_or(own))
            }
            None => {
                let method = question::method(self.method.as_deref(), &route.matching.methods);
                let hosts = &boundary.document().hosts;
                let (line, conditions) = question::line(route, hosts, method, self.path.as_deref());
                let name = |header: &str| header.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
                let given: Vec<String> = headers.iter().map(|header| name(header)).collect();
                headers.extend(conditions.into_iter().filter(|header| !given.contains(&name(header))));
                line
            }
        };
        Asked::parse(&line, &headers).map_err(|error| usage(&error))
    }

    /// Every target that is meant, visited.
    fn visits(
        &self,
        settings: &Settings,
        snapshot: &Snapshot,
        boundary: &Boundary,
        plan: &RoutePlan,
        route: &Route,
        request: &Request,
    ) -> Result<Vec<(Place, Vec<Step>)>, Stopped> {
        let meant = |via: &str| self.destination.as_ref().is_none_or(|name| name == via);
        let targets = plan.targets.iter().zip(&route.destinations).filter(|(_, target)| meant(target.via.as_str()));
        let mut visits = Vec::new();
        for (target, registered) in targets {
            let Some(entry) = boundary.destination(&registered.via) else { continue };
            let outbound = || question::outbound(snapshot, plan, target, request);
            let place = question::place(entry, plan, target, outbound());
            let place = place.map_err(|flaw| Stopped::Failed(format!("what would be sent is no request: {flaw}")))?;
            let visited = visit(&settings.dns_servers, &target.destination, outbound(), self.patience(plan.timeouts));
            let visited = visited.map_err(Stopped::Failed)?;
            let steps = self.judged(settings, snapshot, &place, plan, target, request, &visited);
            visits.push((place, steps));
        }
        match (visits.is_empty(), &self.destination) {
            (true, Some(name)) => {
                let names: Vec<&str> = route.destinations.iter().map(|target| target.via.as_str()).collect();
                Err(Stopped::Usage(format!("{} does not lead to \"{name}\", but to {}", route.id, names.join(", "))))
            }
            _ => Ok(visits),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "what was asked, and what came of it")]
    fn judged(
        &self,
        settings: &Settings,
        snapshot: &Snapshot,
        place: &Place,
        plan: &RoutePlan,
        target: &Target,
        request: &Request,
        visited: &Visited,
    ) -> Vec<Step> {
        let now = unix_now();
        let skew = settings.limits.signature_skew.duration();
        let how = How {
            signed: question::signature(snapshot, plan, target, request, now, skew),
            credentials: !self.headers.is_empty(),
            public: network::is_public(&visited.sighting),
            now,
        };
        let resolver = resolver(&settings.dns_servers);
        let look = Look { resolver: &resolver, patience: self.patience(plan.timeouts).connect, now };
        let mut steps = network::judge(place, &visited.sighting, &look);
        steps.extend(answer::judge(place, &visited.outcome, &how));
        steps
    }

    /// What serving would wait, or less.
    fn patience(&self, route: Timeouts) -> Timeouts {
        let most = self.timeout.duration();
        Timeouts {
            connect: route.connect.min(most),
            first_byte: route.first_byte.min(most),
            idle: route.idle.min(most),
            total: Some(route.total.unwrap_or(most * 3).min(most * 3)),
        }
    }
}

/// Who is asked for names, in words.
fn resolver(servers: &[SocketAddr]) -> String {
    match servers {
        [] => "the system's name servers".to_owned(),
        servers => servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

impl Findings {
    /// Of a route that leads nowhere.
    fn without(snapshot: &Snapshot, route: Step) -> Self {
        Self { generation: snapshot.header.generation, route, visits: Vec::new() }
    }

    fn first_found(&self) -> Option<&Step> {
        let all: Vec<&Step> =
            std::iter::once(&self.route).chain(self.visits.iter().flat_map(|(_, steps)| steps)).collect();
        first_found(&all)
    }

    fn to_json(&self) -> Value {
        let visits = self.visits.iter().map(|(place, steps)| {
            json!({
                "destination": place.destination, "dialled": format!("{}:{}", place.dial, place.port), "host": place.host,
                "method": place.method, "target": place.target, "steps": steps,
            })
        });
        json!({
            "generation": self.generation, "look_at": self.first_found().map(|step| step.step), "route": self.route,
            "visits": visits.collect::<Vec<_>>(),
        })
    }

    fn to_text(&self) -> Vec<String> {
        let mut lines = vec![self.route.to_text()];
        for (place, steps) in &self.visits {
            lines.extend([String::new(), place.to_text()]);
            lines.extend(steps.iter().map(Step::to_text));
        }
        lines.push(String::new());
        lines.push(match self.first_found() {
            None => "nothing found".to_owned(),
            Some(step) => format!("look at {} first", step.step),
        });
        lines
    }
}
