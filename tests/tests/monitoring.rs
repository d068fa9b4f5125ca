//! The dashboard, the alert rules and the runbook name only metrics that exist, and belong together.
#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]

mod monitoring {
    mod alerts;
    mod dashboard;
    mod names;
    mod promql;
    mod promtool;
    mod repository;
    mod runbook;
    mod table;
}
