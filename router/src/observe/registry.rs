//! Every family of metrics that the router exports, each said once: its name, its kind, its unit, its labels, its help.
//!
//! What is not in here cannot be written ([`Exposition::family`](super::exposition::Exposition::family) takes nothing
//! else), and a test holds `docs/metrics.md`, the dashboard and the alerts against it. Names are those of
//! OpenTelemetry's semantic conventions for HTTP where there are any, behind `postern_`; those of a process are the
//! ones that every Prometheus client library has. Must never know where figures come from.

use std::fmt::Write;

use super::exposition::escaped;

/// What the figures of a family mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only ever rises.
    Counter,
    /// Stands where it stands.
    Gauge,
    /// Counts by upper bound.
    Histogram,
    /// Always 1; what matters is in the labels.
    Info,
}

impl Kind {
    /// As both forms of exposition call it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }

    /// What stands behind the family's name in the names of its samples.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Counter => "_total",
            Self::Info => "_info",
            Self::Gauge | Self::Histogram => "",
        }
    }
}

/// What the registry says of a family.
pub(crate) struct Told {
    /// Without the suffix of its kind.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) unit: Option<&'static str>,
    pub(crate) help: &'static str,
    pub(crate) labels: &'static [&'static str],
}

/// A family with `N` labels. Made in this file alone.
pub(super) struct Family<const N: usize> {
    told: Told,
}

impl<const N: usize> Family<N> {
    pub(super) fn told(&self) -> &Told {
        &self.told
    }

    /// Appends the labels with their values, as they stand between the braces.
    pub(super) fn write_labels(&self, out: &mut String, values: [&str; N]) {
        for (index, (label, value)) in self.told.labels.iter().zip(values).enumerate() {
            let comma = if index > 0 { "," } else { "" };
            // Writing into memory does not fail.
            let _ = write!(out, "{comma}{label}=\"{}\"", escaped(value));
        }
    }
}

macro_rules! families {
    ($($name:ident: $kind:ident $text:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub(super) static $name: Family<{ <[&str]>::len(&[$($label),*]) }> = Family {
            told: Told {
                name: $text,
                kind: Kind::$kind,
                unit: unit($text),
                help: $help,
                labels: &[$($label),*],
            },
        };)*

        /// All of them, in the order in which they are documented.
        #[cfg(test)]
        pub(super) static ALL: &[&Told] = &[$(&$name.told),*];
    };
}

/// The unit that a name ends with.
const fn unit(name: &str) -> Option<&'static str> {
    const fn ends_with(name: &[u8], end: &[u8]) -> bool {
        let mut at = 0;
        while at < end.len() {
            if name.len() < end.len() || name[name.len() - end.len() + at] != end[at] {
                return false;
            }
            at += 1;
        }
        true
    }
    if ends_with(name.as_bytes(), b"_seconds") {
        Some("seconds")
    } else if ends_with(name.as_bytes(), b"_bytes") {
        Some("bytes")
    } else {
        None
    }
}

families! {
    // Requests.
    ACTIVE_REQUESTS: Gauge "postern_http_server_active_requests" []
        "Requests under way.";
    REQUESTS: Counter "postern_requests" ["route", "owner", "http_request_method", "status"]
        "Requests by route, owner, method and class of status; those that no route took have an empty route.";
    REQUEST_DURATION: Histogram "postern_http_server_request_duration_seconds" ["route", "owner"]
        "From a request's head to its answer's last byte, without WebSockets.";
    ROUTE_REJECTIONS: Counter "postern_route_rejections" ["route", "owner", "reason"]
        "Requests of a route that the router answered by itself, or that broke off, by reason.";
    REJECTIONS: Counter "postern_rejections" ["reason", "fault"]
        "Requests that the router answered by itself, or that broke off, by reason.";
    PHASES: Histogram "postern_request_phase_duration_seconds" ["phase"]
        "How long phases of requests took; the router's own is what passed before a destination was asked.";
    DECISIONS: Counter "postern_policy_decisions" ["layer", "kind", "mode", "verdict"]
        "Decisions of policies, and refusals, by layer, kind, mode and verdict.";
    SHADOW_DENIALS: Counter "postern_shadow_denials" ["route", "owner"]
        "Requests that policies with mode: shadow would have refused.";
    LOCKOUTS: Counter "postern_password_lockouts" []
        "Clients told to wait after too many wrong passwords.";
    LOCKOUTS_TRIED: Counter "postern_shadow_password_lockouts" []
        "Clients that a lock-out with mode: shadow would have told to wait after too many wrong passwords.";
    LIMITS_FORGOTTEN: Counter "postern_limit_counts_forgotten" []
        "Counts of limits given up before their time, because more callers were counted at once than there is room for.";
    KEY_HINTS: Counter "postern_key_hints" ["result"]
        "Questions to the syncer for an issuer's keys, by what they led to.";

    // Destinations.
    ATTEMPTS: Counter "postern_destination_attempts" ["destination"]
        "Requests that a destination was tried with, each anew when one was sent once more.";
    DESTINATION_ANSWERS: Counter "postern_destination_answers" ["destination", "status"]
        "Answers of a destination by class of status.";
    DESTINATION_FAILURES: Counter "postern_destination_failures" ["destination", "reason"]
        "Requests that came to nothing at a destination, by reason.";
    DESTINATION_REUSED: Counter "postern_destination_reused" ["destination"]
        "Requests that went over a kept connection.";
    OPEN_CONNECTIONS: Gauge "postern_http_client_open_connections" ["destination", "http_connection_state"]
        "Open connections with a destination; idle ones carry nothing and are kept.";
    SESSIONS: Gauge "postern_destination_sessions" ["destination"]
        "Those of them that speak HTTP/2.";
    STREAMS: Gauge "postern_destination_streams" ["destination"]
        "Requests under way over HTTP/2, of which one connection carries many.";
    DESTINATION_CONNECT: Histogram "postern_destination_connect_duration_seconds" ["destination"]
        "To open a connection with a destination: TCP and TLS.";
    DESTINATION_FIRST_BYTE: Histogram "postern_destination_first_byte_duration_seconds" ["destination"]
        "From the last byte sent to a destination to its answer's head.";
    BREAKER_STATE: Gauge "postern_destination_breaker_state" ["destination", "mode"]
        "How the breakers of a destination stand: 0 closed, 1 half-open, 2 open; of several the worst.";
    BREAKER_OPENED: Counter "postern_destination_breaker_opened" ["destination", "mode"]
        "How often a breaker of a destination opened, also anew after a request that tried it had failed.";
    IDLE: Gauge "postern_destination_connections_idle" []
        "Kept connections to destinations.";
    DIALS: Counter "postern_dials" []
        "Sockets opened to destinations.";
    DIALS_REFUSED: Counter "postern_dials_refused" []
        "Resolved addresses that were not dialled.";

    // Clients.
    CONNECTIONS: Gauge "postern_connections" []
        "Open connections of clients.";
    CORE_CONNECTIONS: Gauge "postern_core_connections" ["core"]
        "Open connections of clients, by core.";
    ACCEPTED: Counter "postern_connections_accepted" []
        "Connections taken.";
    ACCEPT_FAILURES: Counter "postern_accept_failures" []
        "Connections that could not be taken.";
    CONNECTIONS_REFUSED: Counter "postern_connections_refused" []
        "Connections beyond those that one address may have.";
    TUNNELS: Gauge "postern_tunnels" []
        "Open WebSockets.";
    HANDSHAKES_OPEN: Gauge "postern_handshakes_open" []
        "TLS handshakes under way.";
    HANDSHAKES: Counter "postern_handshakes" []
        "TLS handshakes that came to their end.";
    HANDSHAKES_RESUMED: Counter "postern_handshakes_resumed" []
        "Those that resumed a session.";
    HANDSHAKE_FAILURES: Counter "postern_handshake_failures" ["reason"]
        "TLS handshakes that came to nothing, by reason.";
    CERTIFICATE_RELOADS: Counter "postern_listener_certificate_reloads" ["listener", "result"]
        "Changed files of certificates, by what became of them.";
    CERTIFICATE_EXPIRY: Gauge "postern_listener_certificate_expiry_seconds" ["listener"]
        "Until the first of a listener's certificates expires; negative when one has.";
    CERTIFICATE_REFUSED: Gauge "postern_listener_certificate_refused" ["listener"]
        "Whether a file that lies there is not the one that is served.";

    // The configuration.
    GENERATION: Gauge "postern_config_generation" []
        "The generation that is served; 0 for none.";
    CONFIG_AGE: Gauge "postern_config_age_seconds" []
        "Since the stores were last seen to agree with it.";
    READ_TO_SERVING: Gauge "postern_config_store_to_serving_seconds" []
        "From when the syncer read the stores to when the generation was served; of those that came while the router ran.";
    LOADS: Counter "postern_config_loads" []
        "Files that went live.";
    LOAD_FAILURES: Counter "postern_config_load_failures" ["reason"]
        "Files that did not go live, by reason.";
    CONFIG_REJECTED: Gauge "postern_config_rejected" []
        "Whether the file that lies there is not the one served.";
    CONFIG_READ: Gauge "postern_config_read_seconds" []
        "To read and check the last file.";
    CONFIG_COMPILE: Gauge "postern_config_compile_seconds" []
        "To compile the last file.";
    PINNED: Gauge "postern_config_pinned_generation" []
        "The generation whose routes stay; 0 when none is pinned.";
    TOO_OLD: Gauge "postern_config_too_old" []
        "Whether nothing is served because the configuration is older than it may be.";
    ROUTES: Gauge "postern_routes" []
        "Routes that are served.";
    ROUTES_STALE: Gauge "postern_routes_stale" []
        "Routes that are served in an older form.";
    ROUTES_REFUSED: Gauge "postern_routes_refused" []
        "Registrations that the syncer refused.";
    ROUTES_REFUSED_BY_REASON: Gauge "postern_routes_refused_by_reason" ["reason"]
        "The same by reason; one may have several.";
    ROUTES_HELD: Gauge "postern_routes_held" []
        "Routes whose registrations are gone and that the syncer's shrink guard keeps.";
    ROUTES_QUARANTINED: Gauge "postern_routes_quarantined" []
        "Routes that this router put aside.";

    // The process.
    LOG_DROPPED: Counter "postern_access_log_dropped" []
        "Lines of the access log that were dropped.";
    AUDIT_LOST: Counter "postern_audit_lost" []
        "Lines of the audit log that were lost.";
    TRACES_EXPORTED: Counter "postern_traces_exported" []
        "Requests whose spans the collector took.";
    TRACES_DROPPED: Counter "postern_traces_dropped" ["reason"]
        "Requests whose spans were dropped: because there was no room for more, or because the collector did not take them.";
    TRACE_FAILURES: Counter "postern_trace_export_failures" []
        "Batches of spans that the collector did not take.";
    METRIC_PUSHES: Counter "postern_metric_pushes" ["result"]
        "Pushes of these figures to a collector: taken, taken but for some of them, or not taken.";
    BUILD: Info "postern_build" ["version"]
        "What runs here.";
    CPU: Counter "process_cpu_seconds" []
        "Time of all processors.";
    RESIDENT: Gauge "process_resident_memory_bytes" []
        "Memory that is in use.";
    OPEN_FILES: Gauge "process_open_fds" []
        "Open file descriptors.";
    START_TIME: Gauge "process_start_time_seconds" []
        "When the process began, in seconds after 1970.";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_what_both_forms_ask_for() {
        let mut seen = BTreeSet::new();
        for family in ALL {
            let name = family.name;
            assert!(seen.insert(name), "{name} stands twice");
            assert!(name.starts_with("postern_") || name.starts_with("process_"), "{name}");
            assert!(!name.ends_with("_total") && !name.ends_with("_info") && !name.ends_with("_count"), "{name}");
            let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            assert!(plain(name) && family.labels.iter().all(|label| plain(label) && *label != "le"), "{name}");
            assert!(family.help.ends_with('.') && !family.help.contains(['\n', '\\', '"']), "{name}");
            // A duration is in seconds and says so.
            assert!(family.unit.is_some() || !name.contains("duration"), "{name}");
            assert!(family.kind != Kind::Histogram || family.unit == Some("seconds"), "{name}");
        }
    }
}
