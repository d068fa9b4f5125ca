//! What the documents tell people to type, typed; and the programs that they show, run.
#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]

mod documents {
    mod blocks;
    mod cookbook;
    mod log_consumer;
}
