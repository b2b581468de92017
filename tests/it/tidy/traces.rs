//! Who may know what of traces and of metrics that are pushed, and who opens sockets.

use super::Row;

pub(super) const LAYERS: &[Row] = &[
    (
        "router/src/",
        &["opentelemetry", "tonic::"],
        &["router/src/trace/", "router/src/push/"],
        "only what sends to a collector knows OpenTelemetry",
    ),
    (
        "router/src/push/",
        &[
            "crate::services", "crate::pipeline", "crate::settings", "crate::snapshot", "crate::admin",
            "observe::Metrics",
        ],
        &[],
        "who pushes gets figures, and knows neither traffic nor where they come from",
    ),
    (
        "router/src/push/otlp.rs",
        &["tokio::", "std::fs", "SystemTime::now", "Instant::now"],
        &[],
        "what is pushed is made without clocks; only who sends does I/O",
    ),
    (
        "router/src/trace/",
        &[
            "tokio::", "std::fs", "SystemTime::now", "Instant::now", "crate::services", "crate::pipeline",
            "crate::settings",
        ],
        &["router/src/trace/collector.rs", "router/src/trace/export.rs", "router/src/trace/outbox.rs"],
        "what is told and kept of a trace is decided without clocks; only who sends does I/O",
    ),
    (
        "router/src/",
        &["\"traceparent", "\"x-amzn-trace-id"],
        &["router/src/trace/"],
        "only trace reads and writes headers about traces",
    ),
    (
        "router/src/",
        &["TcpStream::connect"],
        &[
            "router/src/upstream/connect.rs", "router/src/cli.rs", "router/src/hints.rs",
            "router/src/trace/collector.rs",
        ],
        "one dialer makes every socket towards a destination; hints and collector reach what settings name, not requests",
    ),
];
