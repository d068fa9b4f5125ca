//! The laws of the repository: what depends on what, who writes what, and what must be documented.
#![expect(clippy::expect_used, clippy::panic, reason = "what a test cannot do fails it")]

mod laws {
    mod codes;
    mod configuration;
    mod dependencies;
    mod documents;
    mod logs;
    mod metrics;
    mod migrations;
    mod purity;
    mod roles;
    mod sources;
    mod statements;
    mod workspace;
    mod writers;
}
