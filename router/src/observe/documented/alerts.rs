//! The alerts that operations begin with: what is wrong, for how long, and what to do first.

use super::super::registry as r;
use super::query::{increase, percentile, rate, samples, syncer};

/// One rule.
struct Alert {
    name: &'static str,
    expr: String,
    /// How long it must hold.
    wait: &'static str,
    severity: Severity,
    summary: &'static str,
    first: &'static str,
}

/// What it asks for.
enum Severity {
    /// Somebody now.
    Page,
    /// Somebody on the next working day.
    Ticket,
}

fn alert(
    name: &'static str,
    expr: String,
    wait: &'static str,
    severity: Severity,
    summary: &'static str,
    first: &'static str,
) -> Alert {
    Alert { name, expr, wait, severity, summary, first }
}

/// The whole file.
pub(super) fn alerts() -> String {
    let head = "# Made from the registry of metrics; `POSTERN_UPDATE_GOLDEN=1 cargo test -p postern-router documented` \
                writes it anew.\n# docs/metrics.md says what each metric means, docs/incidents.md how to go on.\ngroups:\n";
    let groups = [
        ("postern-traffic", traffic()),
        ("postern-configuration", configuration()),
        ("postern-process", process()),
        ("postern-syncer", of_syncer()),
    ];
    groups.iter().fold(head.to_owned(), |out, (name, alerts)| {
        let rules: String = alerts.iter().map(rule).collect();
        format!("{out}  - name: {name}\n    rules:\n{rules}")
    })
}

fn rule(alert: &Alert) -> String {
    let severity = match alert.severity {
        Severity::Page => "page",
        Severity::Ticket => "ticket",
    };
    // A JSON text is a YAML text.
    let text = |text: &str| serde_json::Value::from(text).to_string();
    format!(
        "      - alert: {}\n        expr: {}\n        for: {}\n        labels:\n          severity: {severity}\n        \
         annotations:\n          summary: {}\n          description: {}\n",
        alert.name,
        text(&alert.expr),
        alert.wait,
        text(alert.summary),
        text(alert.first)
    )
}

fn traffic() -> Vec<Alert> {
    let of_route = ["route", "owner"];
    let errors = rate(&r::REQUESTS, "status=\"5xx\"", &of_route);
    let requests = rate(&r::REQUESTS, "", &of_route);
    let failures = rate(&r::DESTINATION_FAILURES, "", &["destination"]);
    let attempts = rate(&r::ATTEMPTS, "", &["destination"]);
    vec![
        alert(
            "PosternRouteErrors",
            format!("{errors} / {requests} > 0.05 and {errors} > 0.1"),
            "5m",
            Severity::Page,
            "{{ $labels.route }} of {{ $labels.owner }} answers {{ $value | humanizePercentage }} of its requests with 5xx",
            "postern_route_rejections_total says whether the router answered and why; without a reason the destination did.",
        ),
        alert(
            "PosternRouteSlow",
            format!("{} > 2", percentile(&r::REQUEST_DURATION, "99", "route!=\"\"", &of_route)),
            "10m",
            Severity::Ticket,
            "one in a hundred requests of {{ $labels.route }} takes longer than {{ $value | humanizeDuration }}",
            "Compare with postern_destination_first_byte_duration_seconds: what is slow there is slow here.",
        ),
        alert(
            "PosternDestinationFailing",
            format!("{failures} / {attempts} > 0.1 and {failures} > 0.1"),
            "5m",
            Severity::Page,
            "{{ $labels.destination }} fails {{ $value | humanizePercentage }} of the requests that reach for it",
            "postern_destination_failures_total has the reasons; docs/reasons.md says what to do about each.",
        ),
        alert(
            "PosternBreakerOpen",
            // Half-open it stays for as long as nobody asks, which is no harm; one that is tried and fails opens again.
            format!(
                "max by (destination) ({}) == 2 or sum by (destination) (increase({}[1m])) > 0",
                samples(&r::BREAKER_STATE, "mode=\"enforce\""),
                samples(&r::BREAKER_OPENED, "mode=\"enforce\""),
            ),
            "2m",
            Severity::Page,
            "a router sends nothing to {{ $labels.destination }}, which failed too often",
            "postern_destination_failures_total and postern_destination_answers_total say how; docs/breaker.md what follows.",
        ),
        alert(
            "PosternRouterSlow",
            format!("{} > 0.1", percentile(&r::PHASES, "99", "phase=\"router\"", &[])),
            "10m",
            Severity::Ticket,
            "routers take {{ $value | humanizeDuration }} of their own for one in a hundred requests",
            "Too few processors, or many passwords to check: see process_cpu_seconds_total and docs/passwords.md.",
        ),
        alert(
            "PosternKeysMissing",
            format!("{} > 0", rate(&r::REJECTIONS, "reason=\"keys_missing\"", &[])),
            "2m",
            Severity::Page,
            "callers are turned away because their tokens cannot be verified",
            "See postern_syncer_issuer_up, and docs/tokens.md for what an issuer's keys go through.",
        ),
        alert(
            "PosternConnectionsLost",
            format!("{} > 0", increase(&r::ACCEPT_FAILURES, &[], "5m")),
            "0m",
            Severity::Page,
            "connections of clients cannot be taken",
            "Most often there are no file descriptors left: compare process_open_fds with the limit.",
        ),
    ]
}

fn configuration() -> Vec<Alert> {
    let one = |family| samples::<0>(family, "");
    vec![
        alert(
            "PosternNoConfiguration",
            format!("{} == 0 or {} == 1", one(&r::GENERATION), one(&r::TOO_OLD)),
            "1m",
            Severity::Page,
            "{{ $labels.instance }} serves nothing: it has no configuration, or one that is too old",
            "GET /readyz on its admin address says what is missing.",
        ),
        alert(
            "PosternConfigurationStale",
            format!("{} > 300", one(&r::CONFIG_AGE)),
            "2m",
            Severity::Page,
            "what {{ $labels.instance }} serves was last seen to agree with the stores {{ $value | humanizeDuration }} ago",
            "The syncer does not come to the end of its passes: GET /healthz on its admin address says why.",
        ),
        alert(
            "PosternFileRefused",
            format!("{} == 1", one(&r::CONFIG_REJECTED)),
            "2m",
            Severity::Page,
            "the merged file does not go live at {{ $labels.instance }}; the last good one is served",
            "GET /snapshot on its admin address says why, under rejected.",
        ),
        alert(
            "PosternLoadFailures",
            format!("{} > 0", increase(&r::LOAD_FAILURES, &["reason"], "15m")),
            "0m",
            Severity::Ticket,
            "files did not go live: {{ $labels.reason }}",
            "One refused file that a good one followed needs a look at who wrote it.",
        ),
        alert(
            "PosternRoutersDisagree",
            format!("max({0}) - min({0}) > 0", one(&r::GENERATION)),
            "10m",
            Severity::Ticket,
            "routers serve different generations",
            "Each has a syncer of its own: compare their stores and GET /snapshot.",
        ),
        alert(
            "PosternSlowToServe",
            format!("{} > 60", one(&r::READ_TO_SERVING)),
            "5m",
            Severity::Ticket,
            "{{ $labels.instance }} took {{ $value | humanizeDuration }} to serve what the stores say",
            "postern_config_read_seconds, postern_config_compile_seconds and postern_syncer_phase_seconds say where it went.",
        ),
        alert(
            "PosternRoutesQuarantined",
            format!("{} > 0", one(&r::ROUTES_QUARANTINED)),
            "5m",
            Severity::Page,
            "{{ $labels.instance }} put {{ $value }} routes aside",
            "GET /snapshot on its admin address names them, under quarantined.",
        ),
        alert(
            "PosternRoutesStale",
            format!("{} > 0", one(&r::ROUTES_STALE)),
            "1h",
            Severity::Ticket,
            "{{ $value }} routes are served in an older form, because the new one is bad",
            "GET /conditions on the syncer's admin address says what is wrong with the new one.",
        ),
        alert(
            "PosternRoutesHeld",
            format!("{} > 0", one(&r::ROUTES_HELD)),
            "5m",
            Severity::Page,
            "the shrink guard keeps {{ $value }} routes whose registrations are gone",
            "Were they meant to go? Then POST /release at the syncer; docs/syncer.md says what else there is.",
        ),
        alert(
            "PosternPinned",
            format!("{} > 0", one(&r::PINNED)),
            "24h",
            Severity::Ticket,
            "routes have been pinned to generation {{ $value }} for a day",
            "Registrations change nothing until the pin is taken off: docs/incidents.md.",
        ),
        alert(
            "PosternCertificateExpires",
            format!("{} < 14 * 24 * 3600", samples(&r::CERTIFICATE_EXPIRY, "")),
            "1h",
            Severity::Ticket,
            "a certificate of {{ $labels.listener }} expires in {{ $value | humanizeDuration }}",
            "Replace its files; they are read again without a restart.",
        ),
        alert(
            "PosternCertificateExpiresToday",
            format!("{} < 24 * 3600", samples(&r::CERTIFICATE_EXPIRY, "")),
            "5m",
            Severity::Page,
            "a certificate of {{ $labels.listener }} expires in {{ $value | humanizeDuration }}",
            "Replace its files; they are read again without a restart.",
        ),
        alert(
            "PosternCertificateRefused",
            format!("{} == 1", samples(&r::CERTIFICATE_REFUSED, "")),
            "10m",
            Severity::Ticket,
            "the new files of a certificate of {{ $labels.listener }} are not used",
            "postern_listener_certificate_reloads_total and the router's diagnostics say why.",
        ),
    ]
}

fn process() -> Vec<Alert> {
    let build = samples(&r::BUILD, "");
    vec![
        alert(
            "PosternGone",
            format!("absent({build})"),
            "2m",
            Severity::Page,
            "no router is scraped",
            "Either none runs, or Prometheus does not find their admin addresses.",
        ),
        alert(
            "PosternAuditLost",
            format!("{} > 0", increase(&r::AUDIT_LOST, &[], "15m")),
            "0m",
            Severity::Page,
            "lines of the audit log were lost",
            "Its disk is full or too slow: docs/audit.md.",
        ),
        alert(
            "PosternAccessLogDropped",
            format!("{} > 0", increase(&r::LOG_DROPPED, &[], "15m")),
            "0m",
            Severity::Ticket,
            "lines of the access log were dropped",
            "Whatever takes them is slower than traffic.",
        ),
    ]
}

fn of_syncer() -> Vec<Alert> {
    vec![
        alert(
            "PosternSyncerFailing",
            format!("time() - {} > 300", syncer("last_success_timestamp_seconds")),
            "2m",
            Severity::Page,
            "no pass of {{ $labels.instance }} succeeded for {{ $value | humanizeDuration }}",
            "Routers serve on with what they have; GET /healthz on its admin address says what fails.",
        ),
        alert(
            "PosternSourceFailing",
            format!("{} == 0", syncer("source_up")),
            "5m",
            Severity::Ticket,
            "{{ $labels.instance }} cannot read the {{ $labels.source }}",
            "postern_syncer_source_failures_total has the reasons.",
        ),
        alert(
            "PosternIssuerFailing",
            format!("{} == 0", syncer("issuer_up")),
            "30m",
            Severity::Ticket,
            "the keys of issuer {{ $labels.issuer }} cannot be fetched",
            "The last ones are used for a day; docs/tokens.md.",
        ),
        alert(
            "PosternIssuerKeysEnd",
            format!("{} - time() < 6 * 3600", syncer("issuer_keys_until_timestamp_seconds")),
            "5m",
            Severity::Page,
            "the keys of issuer {{ $labels.issuer }} will be used for {{ $value | humanizeDuration }} and no longer",
            "From then on its callers get 503; see why they cannot be fetched in GET /conditions.",
        ),
        alert(
            "PosternSecretUnknown",
            format!("{} == 0", syncer("secret_known")),
            "2m",
            Severity::Page,
            "the secret at {{ $labels.place }} was never read",
            "Whoever needs it is refused; docs/secrets.md says what the role needs.",
        ),
        alert(
            "PosternSecretFailing",
            format!("{} == 0", syncer("secret_up")),
            "30m",
            Severity::Ticket,
            "the secret at {{ $labels.place }} cannot be read again",
            "The last one stays in force; docs/secrets.md.",
        ),
        alert(
            "PosternNotProgrammed",
            format!("{} == 0", syncer("programmed")),
            "10m",
            Severity::Ticket,
            "not every router serves the generation that {{ $labels.instance }} wrote",
            "GET /conditions on its admin address says which.",
        ),
    ]
}
