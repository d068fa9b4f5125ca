//! How services begin and end: what they refuse to start with, what they wait for, and that a stop in good order costs nobody
//! anything.
#![expect(clippy::panic, clippy::unwrap_used, reason = "what a test cannot do fails it")]

mod lifecycle {
    mod busy_pool;
    mod configuration;
    mod dependencies;
    mod gateway_stop;
    mod keep_alive;
    mod process;
    mod replica_stop;
}
