//! The archive: what is written there comes back or is noticed to be damaged, in a folder as in a bucket, and a space's
//! history reads as if nothing had ever been pruned.
#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]

mod archive {
    mod away;
    mod command;
    mod contract;
    mod devices;
    mod history;
    mod place;
    mod pruning;
}
