//! Every bound of the documents and the merged file, in one place, with its reason.

/// Largest boundary document read, in bytes. What people write stays below 4 MiB, which holds some 20 000 path rules; a
/// million revoked tokens take 21 MB.
pub const BOUNDARY_BYTES: u64 = 32 * 1024 * 1024;

/// Largest single registration file read, in bytes. A DynamoDB item ends at 400 KB; a file may hold
/// a list of them.
pub const REGISTRATION_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Largest merged file read, in bytes: 100 000 routes take some 60 MB, so this leaves a factor of four.
pub const MERGED_FILE_BYTES: u64 = 256 * 1024 * 1024;

/// Most registrations taken from one source.
pub const REGISTRATIONS: usize = 200_000;

/// Most host patterns in a boundary, and in one destination.
pub const HOSTS: usize = 10_000;

/// Most destinations in a boundary.
pub const DESTINATIONS: usize = 10_000;

/// Most path rules in a boundary.
pub const PATH_RULES: usize = 20_000;

/// Most issuers of tokens, and most realms of users.
pub const ISSUERS: usize = 1_000;

/// Most values, and most claims, that the tokens of one issuer are held against: each is looked at for every token.
pub const TOKEN_RULES: usize = 64;

/// Most keys of one issuer: large ones publish some ten, and each is compiled with every generation.
pub const ISSUER_KEYS: usize = 100;

/// The most bytes of a request's body when nobody says anything: what a private API takes.
pub const BODY_BYTES: u64 = 10 * 1024 * 1024;

/// Most users of one realm.
pub const USERS: usize = 10_000;

/// Most named policies of a boundary, and most groups.
pub const POLICIES: usize = 1_000;

/// Longest text of Cedar, in bytes: some hundred lines.
pub const CEDAR_BYTES: usize = 16 * 1024;

/// Most statements in one text of Cedar. Each is asked at every request; with two hundred a decision takes more than a
/// tenth of a millisecond.
pub const CEDAR_STATEMENTS: usize = 64;

/// Most claims that policies may read: all of them are made ready once for each token.
pub const CLAIMS: usize = 64;

/// Most scopes, roles, networks or policies in one demand.
pub const DEMANDED: usize = 256;

/// Most revoked tokens of one issuer that are written out, of each kind.
pub const REVOKED_WORDS: usize = 10_000;

/// Most of one boundary that are kept as digests: with 16 bytes each, 16 MB in every router.
pub const REVOKED_DIGESTS: usize = 1_000_000;

/// Most wrong passwords before a client is told to wait: beyond it nobody ever is.
pub const LOCKOUT_FAILURES: u32 = 1_000_000;

/// Most consumers of one realm of keys, and most ids that it calls revoked.
pub const CONSUMERS: usize = 10_000;

/// Most keys of one consumer: one in use, and one to change over to.
pub const CONSUMER_KEYS: usize = 2;

/// Most clients of one realm of certificates.
pub const CERTIFICATE_CLIENTS: usize = 10_000;

/// Most names of one kind by which one client is known.
pub const CERTIFICATE_NAMES: usize = 64;

/// Most authorizers of a boundary: each is held against every destination.
pub const AUTHORIZERS: usize = 100;

/// Most identity sources of one authorizer: each is looked for at every request.
pub const IDENTITY_SOURCES: usize = 8;

/// Longest time for which an authorizer's answer is remembered, in milliseconds: an hour, as API Gateway has it.
pub const VERDICT_MILLIS: u128 = 3_600_000;

/// Longest time that an authorizer may take, in milliseconds: API Gateway gives up after 30 s.
pub const AUTHORIZER_MILLIS: u128 = 30_000;

/// Most calls of one authorizer that a core has under way.
pub const AUTHORIZER_CALLS: u32 = 1_000;

/// Most limits of one set of policies, and of one realm of keys: each is counted at every request that it holds for.
pub const LIMITS: usize = 16;

/// Most requests at once that a limit lets through.
pub const BURST: u32 = 1_000_000;

/// Most failures that a breaker waits for.
pub const BREAKER_FAILURES: u32 = 100_000;

/// Shortest time over which a breaker counts, in milliseconds: in less there is nothing to tell chance from failure by.
pub const BREAKER_WITHIN_MILLIS: u128 = 100;

/// Longest time over which a breaker counts, and for which it opens, in milliseconds: an hour.
pub const BREAKER_MILLIS: u128 = 3_600_000;

/// Longest request target and longest root path, in bytes: what a private API Gateway accepts.
pub const PATH_BYTES: usize = 8_192;

/// Most segments of a root or a template: deeper trees are mistakes and cost memory.
pub const PATH_SEGMENTS: usize = 64;

/// Most weighted destinations of one route.
pub const ROUTE_DESTINATIONS: usize = 64;

/// Most hosts of one route.
pub const MATCH_HOSTS: usize = 256;

/// Most methods, header or query conditions of one route.
pub const MATCH_CONDITIONS: usize = 16;

/// Deepest nesting of a document: ours need eight levels.
pub const NESTING: usize = 32;

/// Most nodes of one YAML text: as many as fill the largest registration file with short fields.
pub const YAML_NODES: usize = 8_000_000;

/// Most anchors, and most references to them, in one YAML text.
pub const YAML_REFERENCES: usize = 1_000;

/// Most nodes that references may repeat in one YAML text: what keeps a small file from becoming a large one.
pub const YAML_REPEATED: usize = 100_000;

/// Longest value of a header or query condition, in bytes: longer ones are refused on the wire anyway.
pub const MATCH_VALUE_BYTES: usize = 4_096;

/// Longest timeout, in seconds: a day. Longer ones hold memory for nobody.
pub const TIMEOUT_SECONDS: u64 = 86_400;

/// Farthest that a generation number may jump in one file: a wild number is a sign of tampering,
/// and would lock every later file out.
pub const GENERATION_JUMP: u64 = 1_000_000;

/// Generations kept beside the merged file.
pub const HISTORY: usize = 50;
