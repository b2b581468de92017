//! The dashboard for Grafana: traffic, destinations, configuration, the process, the syncer.

use serde_json::{Value, json};

use super::super::registry as r;
use super::query::{count_rate, gauge, increase, percentile, rate, samples, syncer};

/// What a panel's axis shows, in Grafana's words.
type Unit = &'static str;
const PER_SECOND: Unit = "reqps";
const SECONDS: Unit = "s";
const SHARE: Unit = "percentunit";
const NUMBER: Unit = "short";
const BYTES: Unit = "bytes";

/// One graph: its title, its unit, its queries with what their lines are called.
struct Panel(&'static str, Unit, Vec<(String, &'static str)>);

/// Which routes and destinations are looked at.
const ROUTE: &str = "route=~\"$route\",owner=~\"$owner\"";
const DESTINATION: &str = "destination=~\"$destination\"";

/// The whole file.
pub(super) fn dashboard() -> String {
    let rows = [
        ("Traffic", traffic()),
        ("Destinations", destinations()),
        ("Configuration", configuration()),
        ("Clients and process", process()),
        ("Syncer", of_syncer()),
    ];
    let mut panels = Vec::new();
    let (mut id, mut y) = (0, 0);
    for (title, row) in rows {
        id += 1;
        let place = json!({"h": 1, "w": 24, "x": 0, "y": y});
        panels
            .push(json!({"id": id, "type": "row", "title": title, "collapsed": false, "gridPos": place, "panels": []}));
        y += 1;
        for (index, panel) in row.iter().enumerate() {
            id += 1;
            let place = json!({"h": 8, "w": 8, "x": index % 3 * 8, "y": y + index / 3 * 8});
            panels.push(drawn(panel, id, &place));
        }
        y += row.len().div_ceil(3) * 8;
    }
    let board = json!({
        "uid": "postern",
        "title": "Postern",
        "description": "Made from the registry of metrics; docs/metrics.md says what each means.",
        "tags": ["postern"],
        "schemaVersion": 39,
        "editable": true,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "utc",
        "templating": {"list": [
            {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
            variable("owner", &format!("label_values({}, owner)", samples(&r::REQUESTS, ""))),
            variable("route", &format!("label_values({}, route)", samples(&r::REQUESTS, "owner=~\"$owner\""))),
            variable("destination", &format!("label_values({}, destination)", samples(&r::ATTEMPTS, ""))),
        ]},
        "annotations": {"list": []},
        "panels": panels,
    });
    format!("{board:#}\n")
}

fn variable(name: &str, query: &str) -> Value {
    json!({
        "name": name, "label": name, "type": "query", "datasource": source(), "definition": query,
        "query": {"query": query, "refId": name}, "includeAll": true, "allValue": ".*", "multi": true, "refresh": 2, "sort": 1,
        "current": {"text": ["All"], "value": ["$__all"]},
    })
}

fn source() -> Value {
    json!({"type": "prometheus", "uid": "${source}"})
}

fn drawn(Panel(title, unit, queries): &Panel, id: usize, place: &Value) -> Value {
    let target = |(index, (expr, legend)): (usize, &(String, &str))| {
        let name = char::from(b"ABCDEFGH"[index]).to_string();
        json!({"refId": name, "datasource": source(), "expr": expr, "legendFormat": legend, "range": true})
    };
    let targets: Vec<Value> = queries.iter().enumerate().map(target).collect();
    json!({
        "id": id, "type": "timeseries", "title": title, "datasource": source(), "gridPos": place,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": {"fillOpacity": 8}}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": targets,
    })
}

fn traffic() -> Vec<Panel> {
    let errors = rate(&r::REQUESTS, &format!("{ROUTE},status=\"5xx\""), &["route"]);
    let requests = rate(&r::REQUESTS, ROUTE, &["route"]);
    let times = |share| percentile(&r::REQUEST_DURATION, share, ROUTE, &[]);
    let phase = |share| percentile(&r::PHASES, share, "", &["phase"]);
    vec![
        Panel("Requests by class", PER_SECOND, vec![(rate(&r::REQUESTS, ROUTE, &["status"]), "{{status}}")]),
        Panel("Requests by route", PER_SECOND, vec![(format!("topk(10, {requests})"), "{{route}}")]),
        Panel(
            "Requests by method",
            PER_SECOND,
            vec![(rate(&r::REQUESTS, ROUTE, &["http_request_method"]), "{{http_request_method}}")],
        ),
        Panel("Share of 5xx", SHARE, vec![(format!("topk(10, {errors} / {requests})"), "{{route}}")]),
        Panel(
            "Refused and broken off",
            PER_SECOND,
            vec![(rate(&r::REJECTIONS, "", &["reason", "fault"]), "{{reason}} ({{fault}})")],
        ),
        Panel(
            "Refused by route",
            PER_SECOND,
            vec![(
                format!("topk(10, {})", rate(&r::ROUTE_REJECTIONS, ROUTE, &["route", "reason"])),
                "{{route}} {{reason}}",
            )],
        ),
        Panel("Duration", SECONDS, vec![(times("50"), "p50"), (times("95"), "p95"), (times("99"), "p99")]),
        Panel(
            "Slowest routes (p99)",
            SECONDS,
            vec![(format!("topk(10, {})", percentile(&r::REQUEST_DURATION, "99", ROUTE, &["route"])), "{{route}}")],
        ),
        Panel("Phases (p99)", SECONDS, vec![(phase("99"), "{{phase}}")]),
        Panel(
            "Under way",
            NUMBER,
            vec![(gauge(&r::ACTIVE_REQUESTS, "", &[]), "requests"), (gauge(&r::TUNNELS, "", &[]), "WebSockets")],
        ),
        Panel(
            "Decisions of policies",
            PER_SECOND,
            vec![(rate(&r::DECISIONS, "", &["kind", "mode", "verdict"]), "{{kind}} {{mode}} {{verdict}}")],
        ),
        Panel(
            "Would be refused (shadow)",
            PER_SECOND,
            vec![(format!("topk(10, {})", rate(&r::SHADOW_DENIALS, ROUTE, &["route"])), "{{route}}")],
        ),
    ]
}

fn destinations() -> Vec<Panel> {
    let by = &["destination"];
    let attempts = rate(&r::ATTEMPTS, DESTINATION, by);
    vec![
        Panel("Attempts", PER_SECOND, vec![(attempts.clone(), "{{destination}}")]),
        Panel(
            "Failures",
            PER_SECOND,
            vec![(
                rate(&r::DESTINATION_FAILURES, DESTINATION, &["destination", "reason"]),
                "{{destination}} {{reason}}",
            )],
        ),
        Panel(
            "Answers with 5xx",
            PER_SECOND,
            vec![(rate(&r::DESTINATION_ANSWERS, &format!("{DESTINATION},status=\"5xx\""), by), "{{destination}}")],
        ),
        Panel(
            "First byte (p99)",
            SECONDS,
            vec![(percentile(&r::DESTINATION_FIRST_BYTE, "99", DESTINATION, by), "{{destination}}")],
        ),
        Panel(
            "TCP and TLS (p99)",
            SECONDS,
            vec![(percentile(&r::DESTINATION_CONNECT, "99", DESTINATION, by), "{{destination}}")],
        ),
        Panel(
            "New connections",
            PER_SECOND,
            vec![(count_rate(&r::DESTINATION_CONNECT, DESTINATION, by), "{{destination}}")],
        ),
        Panel(
            "Over a kept connection",
            SHARE,
            vec![(format!("{} / {attempts}", rate(&r::DESTINATION_REUSED, DESTINATION, by)), "{{destination}}")],
        ),
        Panel(
            "Connections",
            NUMBER,
            vec![(
                gauge(&r::OPEN_CONNECTIONS, DESTINATION, &["destination", "http_connection_state"]),
                "{{destination}} {{http_connection_state}}",
            )],
        ),
        Panel(
            "Breakers (0 closed, 1 half-open, 2 open)",
            NUMBER,
            vec![(
                format!("max by (destination, mode) ({})", samples(&r::BREAKER_STATE, DESTINATION)),
                "{{destination}} {{mode}}",
            )],
        ),
        Panel("Streams of HTTP/2", NUMBER, vec![(gauge(&r::STREAMS, DESTINATION, by), "{{destination}}")]),
        Panel("Addresses that were not dialled", PER_SECOND, vec![(rate(&r::DIALS_REFUSED, "", &[]), "refused")]),
    ]
}

fn configuration() -> Vec<Panel> {
    let one = |family| samples::<0>(family, "");
    vec![
        Panel(
            "Generation",
            NUMBER,
            vec![(one(&r::GENERATION), "{{instance}}"), (one(&r::PINNED), "pinned at {{instance}}")],
        ),
        Panel("Age", SECONDS, vec![(one(&r::CONFIG_AGE), "{{instance}}")]),
        Panel(
            "From store to serving",
            SECONDS,
            vec![
                (one(&r::READ_TO_SERVING), "{{instance}}"),
                (one(&r::CONFIG_READ), "read at {{instance}}"),
                (one(&r::CONFIG_COMPILE), "compile at {{instance}}"),
            ],
        ),
        Panel(
            "Routes",
            NUMBER,
            vec![
                (format!("max({})", one(&r::ROUTES)), "served"),
                (format!("max({})", one(&r::ROUTES_STALE)), "stale"),
                (format!("max({})", one(&r::ROUTES_HELD)), "held"),
                (format!("max({})", one(&r::ROUTES_QUARANTINED)), "quarantined"),
                (format!("max({})", one(&r::ROUTES_REFUSED)), "refused"),
            ],
        ),
        Panel(
            "Refused registrations",
            NUMBER,
            vec![(format!("max by (reason) ({})", samples(&r::ROUTES_REFUSED_BY_REASON, "")), "{{reason}}")],
        ),
        Panel(
            "Files",
            NUMBER,
            vec![
                (increase(&r::LOADS, &[], "5m"), "went live"),
                (increase(&r::LOAD_FAILURES, &["reason"], "5m"), "{{reason}}"),
                (gauge(&r::CONFIG_REJECTED, "", &[]), "refused and lies there"),
            ],
        ),
    ]
}

fn process() -> Vec<Panel> {
    vec![
        Panel(
            "Connections of clients",
            NUMBER,
            vec![(gauge(&r::CONNECTIONS, "", &[]), "open"), (gauge(&r::HANDSHAKES_OPEN, "", &[]), "handshakes")],
        ),
        Panel(
            "New connections of clients",
            PER_SECOND,
            vec![
                (rate(&r::ACCEPTED, "", &[]), "taken"),
                (rate(&r::CONNECTIONS_REFUSED, "", &[]), "beyond the bound"),
                (rate(&r::ACCEPT_FAILURES, "", &[]), "lost"),
            ],
        ),
        Panel(
            "TLS handshakes",
            PER_SECOND,
            vec![
                (rate(&r::HANDSHAKES, "", &[]), "done"),
                (rate(&r::HANDSHAKES_RESUMED, "", &[]), "of these resumed"),
                (rate(&r::HANDSHAKE_FAILURES, "", &["reason"]), "{{reason}}"),
            ],
        ),
        Panel(
            "Until a certificate expires",
            SECONDS,
            vec![(samples(&r::CERTIFICATE_EXPIRY, ""), "{{instance}} {{listener}}")],
        ),
        Panel(
            "Processors",
            NUMBER,
            vec![(
                format!("rate({}[5m]) and on (instance) {}", samples(&r::CPU, ""), samples(&r::BUILD, "")),
                "{{instance}}",
            )],
        ),
        Panel(
            "Memory",
            BYTES,
            vec![(
                format!("{} and on (instance) {}", samples(&r::RESIDENT, ""), samples(&r::BUILD, "")),
                "{{instance}}",
            )],
        ),
        Panel(
            "Open files",
            NUMBER,
            vec![(
                format!("{} and on (instance) {}", samples(&r::OPEN_FILES, ""), samples(&r::BUILD, "")),
                "{{instance}}",
            )],
        ),
        Panel(
            "Lines lost",
            NUMBER,
            vec![
                (increase(&r::LOG_DROPPED, &[], "5m"), "access log"),
                (increase(&r::AUDIT_LOST, &[], "5m"), "audit log"),
            ],
        ),
        Panel(
            "Clients told to wait",
            PER_SECOND,
            vec![
                (rate(&r::LOCKOUTS, "", &[]), "after wrong passwords"),
                (rate(&r::LOCKOUTS_TRIED, "", &[]), "would be (shadow)"),
            ],
        ),
    ]
}

fn of_syncer() -> Vec<Panel> {
    let rated = |name: &str, by: &str| format!("sum by ({by}) (rate({}[5m]))", syncer(name));
    vec![
        Panel("Passes", NUMBER, vec![(rated("passes_total", "result"), "{{result}}")]),
        Panel(
            "Failed reads",
            NUMBER,
            vec![(rated("source_failures_total", "source, reason"), "{{source}} {{reason}}")],
        ),
        Panel(
            "Since the last pass",
            SECONDS,
            vec![(format!("time() - {}", syncer("last_success_timestamp_seconds")), "{{instance}}")],
        ),
        Panel(
            "Routes",
            NUMBER,
            vec![(syncer("routes"), "routes"), (syncer("stale_routes"), "stale"), (syncer("held_routes"), "held")],
        ),
        Panel("Issuers", NUMBER, vec![(syncer("issuer_up"), "{{issuer}}")]),
        Panel(
            "Until keys are used no more",
            SECONDS,
            vec![(format!("{} - time()", syncer("issuer_keys_until_timestamp_seconds")), "{{issuer}}")],
        ),
    ]
}
