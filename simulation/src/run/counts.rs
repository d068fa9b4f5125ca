//! What was done in a run, in numbers.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::fault::Fault;

/// Numbers of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Phones, clones too.
    pub phones: u64,
    /// Events that were recorded.
    pub recorded: u64,
    /// Those of them that the server's schema does not take.
    pub invalid: u64,
    /// Events that were forgotten with a file or by a restored server before anybody else had them.
    pub forgotten: u64,
    /// Events of the logs.
    pub logged: u64,
    /// Events in quarantine.
    pub quarantined: u64,
    /// Syncs that were begun.
    pub syncs: u64,
    /// Requests.
    pub requests: u64,
    /// Spaces that were pruned while phones synced.
    pub pruned_spaces: u64,
    /// Snapshots that phones got.
    pub snapshots: u64,
    /// Times that something came on a live connection behind its first answer.
    pub followed: u64,
    /// Looks at what a phone shows.
    pub looks: u64,
    /// Faults that happened, by kind.
    pub faults: BTreeMap<Fault, u64>,
}

impl Counts {
    pub(super) fn add_fault(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        self.phones += other.phones;
        self.recorded += other.recorded;
        self.invalid += other.invalid;
        self.forgotten += other.forgotten;
        self.logged += other.logged;
        self.quarantined += other.quarantined;
        self.syncs += other.syncs;
        self.requests += other.requests;
        self.pruned_spaces += other.pruned_spaces;
        self.snapshots += other.snapshots;
        self.followed += other.followed;
        self.looks += other.looks;
        for (fault, count) in &other.faults {
            *self.faults.entry(*fault).or_default() += count;
        }
    }
}
