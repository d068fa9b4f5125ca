//! The image and the stack of containers, as far as they can be looked at without a Docker engine.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what a test cannot do fails it")]

mod images {
    mod compose;
    mod containers;
    mod context;
    mod lint;
    mod readiness;
    mod repository;
    mod servers;
    mod specification;
    mod steps;
    mod token;
}
