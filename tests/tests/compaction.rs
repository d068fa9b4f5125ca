//! The compactor: what it does to a log changes nothing of what the log says.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what is not there fails the test")]

mod compaction {
    mod archived;
    mod busy;
    mod claims;
    mod concurrency;
    mod cut_off_merges;
    mod damage;
    mod duplicates;
    mod finding;
    mod late;
    mod merging;
    mod places;
    mod proof;
    mod pruning;
    mod retention;
    mod schemas;
    mod seen;
    mod snapshots;
    mod standing;
    mod things;
}
