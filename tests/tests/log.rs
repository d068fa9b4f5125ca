//! The log from outside: what a push does, what a pull answers.

#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]

mod log {
    mod access;
    mod backend;
    mod bad_input;
    mod batches;
    mod clocks;
    mod devices;
    mod entities;
    mod forks;
    mod frames;
    mod horizon;
    mod late;
    mod long_poll;
    mod merged;
    mod own_devices;
    mod pull;
    mod push;
    mod quarantine;
    mod quarantined_history;
    mod readers;
    mod refusals;
    mod request_ids;
    mod schema;
    mod too_large;
    mod types;
    mod watermark;
}
