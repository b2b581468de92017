//! WebSockets through the router: they pass whole where a route lets them, nothing passes before both sides have
//! agreed, and their end is told and not just cut.

mod ends;
mod extended;
mod handshakes;
mod many;
mod streams;

use std::time::Duration;

use postern_tests::{Router, Site, boundary_with, registration};

const PATIENCE: Duration = Duration::from_secs(20);

/// A site with one route that lets WebSockets be opened, at `/ws`, with more policies.
fn site(port: u16, policies: &str) -> Site {
    Site::new(&boundary_with(&[port], ""), &[registration("/ws", port, &open(policies))])
}

fn open(policies: &str) -> String {
    format!("policies: {{websocket: true{policies}}}")
}

/// A router with settings of its own, ready.
fn router(site: &Site, settings: &[(&str, &str)]) -> Router {
    let router = Router::start(&site.merged(), &[], settings);
    router.until_ready();
    router
}
