//! `tidelog up` as its users run it: processes of their own, killed and started again.
#![expect(clippy::unwrap_used, reason = "what is not there fails the test")]

mod stack {
    mod bench;
    mod chaos;
    mod cluster;
    mod compactions;
    #[cfg(debug_assertions)]
    mod compactor_failpoints;
    mod dashboard;
    mod device;
    mod doctor;
    mod entities;
    #[cfg(debug_assertions)]
    mod failpoints;
    mod fuzz_api;
    mod harness;
    mod live;
    mod replay;
    mod restore;
    mod simulate;
    mod traces;
    mod up;
}
