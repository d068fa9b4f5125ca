//! The limits that hold for everyone, device and server alike (invariant 10). What an operator may
//! tighten is in the configuration; nothing may exceed these.

/// Bytes of a space, device, user or entity id.
pub const MAX_ID_BYTES: usize = 128;
/// Events of a batch.
pub const MAX_BATCH_EVENTS: usize = 1000;
/// Bytes of a push body, decoded.
pub const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;
/// Bytes of one line, its `\n` not counted.
pub const MAX_LINE_BYTES: usize = 64 * 1024;
/// Levels of nested objects and arrays in an event line.
pub const MAX_NESTING: usize = 32;
/// The greatest whole number that every platform's JSON keeps: 2⁵³ − 1.
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;
/// zstd window of a frame, in bytes.
pub const MAX_WINDOW_BYTES: u64 = 8 * 1024 * 1024;
/// Events of one pull, when the caller asks for more.
pub const MAX_PULL_EVENTS: u64 = 10_000;
/// Events of one pull, when the caller does not say.
pub const DEFAULT_PULL_EVENTS: u64 = 1000;
/// Seconds that a pull may wait for news.
pub const MAX_WAIT_SECONDS: u64 = 60;
/// Quarantined events that a hello lists.
pub const MAX_HELLO_QUARANTINED: usize = 100;
/// Entities of one page, when the caller asks for more.
pub const MAX_READ_ENTITIES: u64 = 1000;
/// Entities of one page, when the caller does not say.
pub const DEFAULT_READ_ENTITIES: u64 = 100;
/// Conditions of one read of entities.
pub const MAX_CONDITIONS: usize = 16;
