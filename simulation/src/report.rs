//! What a simulation reports: for each seed what was done and what is wrong, and the means over many.

use std::fmt;

use serde::Serialize;
use tidelog_events::id::UserId;

use crate::finding::{Finding, Wrong};
use crate::plan::Options;
use crate::run::{Counts, UserOutcome};

/// What became of a seed.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SeedReport {
    /// What was simulated.
    pub options: Options,
    /// What was done.
    pub counts: Counts,
    /// Events that are nowhere.
    pub lost: usize,
    /// Events that are somewhere twice.
    pub twice: usize,
    /// Everything else that is wrong.
    pub divergent: usize,
    /// The users with whom something is wrong.
    pub failures: Vec<Failure>,
}

/// What is wrong with a user.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// The user.
    #[serde(serialize_with = "as_text")]
    pub user: UserId,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// The last things that happened to the user.
    pub journal: Vec<String>,
}

impl SeedReport {
    /// The report before anything was done.
    pub fn new(options: Options) -> Self {
        let counts = Counts::default();
        Self { options, counts, lost: 0, twice: 0, divergent: 0, failures: Vec::new() }
    }

    /// Adds what became of a user.
    pub fn add(&mut self, outcome: UserOutcome) {
        self.counts.add(&outcome.counts);
        for finding in &outcome.findings {
            match finding.wrong {
                Wrong::Lost => self.lost += 1,
                Wrong::Twice => self.twice += 1,
                _ => self.divergent += 1,
            }
        }
        if !outcome.findings.is_empty() {
            let UserOutcome { user, findings, journal, .. } = outcome;
            self.failures.push(Failure { user, findings, journal });
        }
    }

    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.failures.is_empty()
    }
}

impl fmt::Display for SeedReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts { phones, recorded, invalid, forgotten, syncs, requests, .. } = self.counts;
        write!(f, "seed {}: {} users, {phones} phones, ", self.options.seed, self.options.users)?;
        write!(
            f,
            "{recorded} events ({invalid} invalid, {forgotten} forgotten with a file), {syncs} syncs, "
        )?;
        write!(f, "{requests} requests; ")?;
        for (fault, count) in &self.counts.faults {
            write!(f, "{fault} {count}, ")?;
        }
        write!(f, "{} lost, {} twice, {} divergent", self.lost, self.twice, self.divergent)?;
        for failure in &self.failures {
            write!(f, "\n{failure}")?;
        }
        Ok(())
    }
}

/// Findings that are told of a user; the rest follows from them, mostly.
const TOLD_FINDINGS: usize = 5;

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {}:", self.user)?;
        for finding in self.findings.iter().take(TOLD_FINDINGS) {
            write!(f, "\n    {:?}: {}", finding.wrong, finding.what)?;
            if let Some(event) = &finding.event {
                let position = event.position.map_or("in no log".to_owned(), |at| format!("position {at}"));
                write!(f, "\n      first event: {} of {}, {position}", event.line, event.device)?;
            }
        }
        for line in &self.journal {
            write!(f, "\n      {line}")?;
        }
        Ok(())
    }
}

/// Many seeds.
#[derive(Debug, Clone, Default)]
pub struct Summary {
    /// How many.
    pub seeds: u64,
    /// What was done, all together.
    pub counts: Counts,
    /// The fewest phones of a seed.
    pub least_phones: u64,
    /// The fewest events of a seed.
    pub least_events: u64,
    /// The fewest kinds of fault of a seed.
    pub least_kinds: u64,
    /// Kinds of fault, all together.
    pub kinds: u64,
    /// Seeds with which something is wrong.
    pub failed: Vec<SeedReport>,
}

impl Summary {
    /// Adds a seed.
    pub fn add(&mut self, report: SeedReport) {
        let Counts { phones, recorded, .. } = report.counts;
        let kinds = report.counts.faults.len() as u64;
        let is_first = self.seeds == 0;
        let least = |least: &mut u64, count| *least = if is_first { count } else { count.min(*least) };
        least(&mut self.least_phones, phones);
        least(&mut self.least_events, recorded);
        least(&mut self.least_kinds, kinds);
        self.seeds += 1;
        self.kinds += kinds;
        self.counts.add(&report.counts);
        if !report.is_clean() {
            self.failed.push(report);
            self.failed.sort_by_key(|report| report.options.seed);
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mean = |count: u64| count as f64 / self.seeds.max(1) as f64;
        let counts = &self.counts;
        write!(f, "{} seeds; on average {:.1} phones", self.seeds, mean(counts.phones))?;
        write!(f, " (at least {}), {:.1} events", self.least_phones, mean(counts.recorded))?;
        write!(f, " (at least {}), {:.1} of them invalid, ", self.least_events, mean(counts.invalid))?;
        write!(f, "{:.1} forgotten, {:.1} syncs, ", mean(counts.forgotten), mean(counts.syncs))?;
        write!(
            f,
            "{:.1} requests, {:.1} looks, {:.1}",
            mean(counts.requests),
            mean(counts.looks),
            mean(self.kinds)
        )?;
        write!(f, " kinds of fault (at least {}):", self.least_kinds)?;
        for (fault, count) in &counts.faults {
            write!(f, " {fault} {:.2},", mean(*count))?;
        }
        write!(f, " {} failed", self.failed.len())
    }
}

fn as_text<S: serde::Serializer>(user: &UserId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(user.as_str())
}
