//! The admin API: what support sees of any space, and what they may do.
#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]

mod admin {
    mod audit;
    mod audit_pages;
    mod devices;
    mod docs;
    mod events;
    mod explain;
    mod inspect;
    mod listener;
    mod past;
    mod pipeline;
    mod quarantine;
    mod spaces;
    mod state;
}
