//! Work on a body in the middle of a request: at once where it is short, and where it is long without holding up the
//! other requests of the thread.

/// Bytes that are decoded, read and judged, or encoded, in well under a millisecond.
const SHORT_BYTES: u64 = 128 * 1024;

/// Whether work on so many decoded bytes is short.
pub(crate) fn is_short(bytes: u64) -> bool {
    bytes <= SHORT_BYTES
}

/// Runs work on so many decoded bytes. Handing the thread's other requests to another one costs more than most pushes
/// and pulls take altogether.
pub(crate) fn run<T>(bytes: u64, work: impl FnOnce() -> T) -> T {
    if is_short(bytes) { work() } else { tokio::task::block_in_place(work) }
}
