//! Every bound of this side, in one place, with its reason. All of them count per core.

use std::time::Duration;

/// Idle connections kept to one destination. Fewer than are in use at once would be closed and dialled again without end.
pub(super) const IDLE_PER_DESTINATION: usize = 512;

/// Idle connections kept to all destinations together. Each costs a socket and no buffer.
pub(super) const IDLE: usize = 2_048;

/// How long a connection is kept without use: below the 60 s of an ALB, far below the 310 s of a private API,
/// so that it is the router that closes.
pub(super) const IDLE_FOR: Duration = Duration::from_secs(50);

/// How old a connection may get, give or take a tenth: what DNS and certificates say now is looked at again.
pub(super) const AGE: Duration = Duration::from_secs(3_600);

/// How often connections that were idle for too long are looked for.
pub(super) const REAP_EVERY: Duration = Duration::from_secs(10);

/// Requests lost on kept connections that are sent once more in vain: a tenth of all to a destination, and so many at
/// once, for those that it loses together when it fails.
pub(super) const REQUESTS_PER_REPEAT: u32 = 10;
pub(super) const REPEATS_AT_ONCE: u32 = 64;

/// Interim answers to one request (1xx) that are let pass.
pub(super) const INTERIM: u32 = 16;

/// Names whose addresses are remembered. Names come from compiled destinations alone, of which a boundary has no
/// more than this.
pub(super) const NAMES: usize = 10_000;

/// Addresses taken from one answer.
pub(super) const ADDRESSES: usize = 64;

/// Addresses tried for one connection: more would not fit into the deadline.
pub(super) const CANDIDATES: usize = 8;

/// Bounds of how long an answer is believed, whatever its TTL says.
pub(super) const TTL: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// How long past its TTL the last good answer is used while the name server fails.
pub(super) const STALE_FOR: Duration = Duration::from_secs(60);

/// How long a failure is believed, and how long until a failing name server is asked again.
pub(super) const NEGATIVE_FOR: Duration = Duration::from_secs(1);

/// How long a lookup may take in all. It outlives the request that began it: its answer serves the next one.
pub(super) const LOOKUP: Duration = Duration::from_secs(5);

/// How long a request waits for a fresh answer while it has an older one.
pub(super) const LOOKUP_PATIENCE: Duration = Duration::from_millis(500);

/// How long the second address family may lag behind the first (RFC 8305 §3 has 50 ms; a cache lives longer).
pub(super) const FAMILY_GRACE: Duration = Duration::from_millis(250);

/// When the next address is tried beside one that has not answered yet (RFC 8305 §5).
pub(super) const STAGGER: Duration = Duration::from_millis(250);

/// Largest PEM file read.
pub(super) const PEM_BYTES: u64 = 4 * 1024 * 1024;

/// Streams at once on one session, where the destination allows as many.
pub(super) const STREAMS: usize = 100;

/// Sessions with one destination.
pub(super) const SESSIONS: usize = 64;

/// What a destination may send of one answer before we take it, and of all of a session together.
pub(super) const WINDOW: u32 = 64 * 1024;
pub(super) const SESSION_WINDOW: u32 = 1024 * 1024;

/// The most bytes of one answer's fields, counted with 32 for each (RFC 9113 §6.5.2).
pub(super) const HEADER_LIST: u32 = 16 * 1024;

/// No table of fields is kept: with one, a byte on the wire could stand for thousands in memory.
pub(super) const HEADER_TABLE: u32 = 0;

/// What is buffered of a request that a destination does not take.
pub(super) const SEND_BUFFER: usize = 64 * 1024;

/// How long a destination that agreed on HTTP/1.1 is not asked for HTTP/2 again.
pub(super) const HTTP1_FOR: Duration = Duration::from_secs(60);

/// How long a session that is in doubt may take to answer a ping.
pub(super) const PONG: Duration = Duration::from_secs(10);

/// How long the end of an answer without a body is waited for before its stream is reset.
pub(super) const SEE_OFF: Duration = Duration::from_secs(1);

/// How long a session is silent before TCP asks whether the peer is there, and how often it asks then.
pub(super) const SESSION_SILENCE: Duration = Duration::from_secs(15);
pub(super) const SESSION_PROBE: Duration = Duration::from_secs(5);
