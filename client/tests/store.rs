//! The device's store against a real SQLite file, with answers written by hand. What needs a server is tested with one,
//! elsewhere.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what is not there fails the test")]

mod store {
    mod answers;
    mod compaction;
    mod device;
    mod following;
    mod forks;
    mod opening;
    mod pulling;
    mod queries;
    mod recording;
    mod syncing;
}
