//! Every bound of the syncer that is not one of the documents' own (`postern_config::limits`), with its reason.

use std::time::Duration;

/// Largest single registration taken, in bytes as JSON. Ours are some 300 to 2 000 bytes; without a bound one
/// team could fill the merged file, which ends at 256 MiB for everybody.
pub const ITEM_BYTES: usize = 32 * 1024;

/// Most bytes taken from the registrations' store at once: 200 000 items of the usual size stay far below.
pub const OBSERVED_BYTES: usize = 512 * 1024 * 1024;

/// Most pages of one scan. Pages without items are legal, so this is what ends a scan that never does.
pub const SCAN_PAGES: usize = 20_000;

/// How often a scan is taken again because the table moved meanwhile, before the pass gives up.
pub const SCAN_ATTEMPTS: u32 = 3;

/// How long a whole scan may take.
pub const SCAN_TIME: Duration = Duration::from_secs(120);

/// How often the table is scanned while nothing tells whether it moved: there is no `#registry` item, or the
/// last scan is doubted because it lost too much.
pub const SCAN_WITHOUT_VERSION: Duration = Duration::from_secs(30);

/// Pairs of host and method that one registration may claim. More is a mistake, and would cost memory by the
/// product of two lists that a stranger writes.
pub const CLAIMS_PER_REGISTRATION: usize = 1_024;

/// Conditions told about one registration; the first ones are those that matter.
pub const CONDITIONS: usize = 16;

/// Longest message of a condition, in characters.
pub const MESSAGE_CHARS: usize = 600;

/// Longest id shown for something that is no registration, in characters.
pub const ID_CHARS: usize = 300;

/// Longest refused registration shown in the merged file, in bytes as JSON.
pub const REFUSED_BYTES: usize = 4 * 1024;

/// Bytes of refused registrations shown in one merged file; what comes later is named and not shown. Otherwise
/// whoever may write many bad items could grow the file until no router takes it.
pub const REFUSED_TOTAL_BYTES: usize = 32 * 1024 * 1024;

/// Registration files read from one directory.
pub const FILES: usize = 100_000;

/// Connections served at once on the admin address.
pub const ADMIN_CONNECTIONS: usize = 64;

/// How long an order may take that waits for a pass: 100 000 routes take a few seconds.
pub const ORDER_TIME: Duration = Duration::from_secs(60);

/// How long a client of the admin address may take for its request.
pub const ADMIN_TIME: Duration = Duration::from_secs(10);

/// Longest answer read from an admin address, in bytes: the conditions of 100 000 registrations.
pub const ANSWER_BYTES: usize = 256 * 1024 * 1024;

/// How long a router may take to tell what it serves.
pub const ROUTER_TIME: Duration = Duration::from_secs(2);

/// Longest wait after a failure of a source.
pub const BACKOFF_MOST: Duration = Duration::from_secs(60);

/// Largest answer of an issuer, in bytes: sets of keys have some 2 to 20 KB, with certificates in them up to 100.
pub const ISSUER_BYTES: usize = 1024 * 1024;

/// Issuers that are asked at once.
pub const FETCHES: usize = 16;

/// Largest secret, in bytes: what Secrets Manager holds at most.
pub const SECRET_BYTES: u64 = 64 * 1024;

/// How long a boundary that refers to a secret for the first time waits for it, in seconds: what is published before
/// would refuse whom the secret lets in. A removal from the boundary is not put off for longer.
pub const SECRET_PATIENCE: i64 = 15;

/// How long a secret stays beside the merged file after the last generation that names it, in seconds: a router may be
/// about to read that generation.
pub const SUPERSEDED_FOR: i64 = 60;

/// Least time between two heartbeats on the status table that say the same: each is a write.
pub const BEAT_EVERY: Duration = Duration::from_secs(5);

/// How long a heartbeat counts at least, and three intervals where those are longer. It is dated by the clock of whoever
/// writes it, so clocks may be apart by half of this: beyond that a task that lives could count as gone.
pub const BEAT_LEAST: Duration = Duration::from_secs(30);

/// How long a task is still told of after its heartbeat was over, in seconds. DynamoDB takes days to remove what has expired.
pub const GONE_FOR: i64 = 3_600;

/// Entries posted to the status table at once.
pub const POSTS: usize = 8;

/// Entries posted before it is looked again at what stands: a pipeline that waits for one is not behind ten thousand.
pub const POSTS_IN_A_ROW: usize = 400;

/// How often the status table is read whole, in case somebody else wrote there.
pub const BOARD_EVERY: Duration = Duration::from_secs(600);

/// After how long an entry of a later version than a healthy task knows is one of an earlier life, in seconds: the
/// registrations were made anew, and count from the start.
pub const OUTLIVED: i64 = 600;

/// Largest thing posted, in bytes: the conditions of one registration.
pub const POSTED_BYTES: u64 = 1024 * 1024;

/// Longest name of a task.
pub const TASK_CHARS: usize = 128;

/// How often a pipeline that waits asks the status table.
pub const ASK_EVERY: Duration = Duration::from_millis(500);

/// Most that wait for early fetches, over all issuers: each holds one of the connections of the admin address.
pub const WAITING: usize = ADMIN_CONNECTIONS / 2;
