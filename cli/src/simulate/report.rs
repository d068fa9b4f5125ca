//! What a simulation says: a line a seed, and at the end what was done and what was checked; or one JSON object a seed.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Result, bail};
use serde::Serialize;
use tidelog_simulation::{Counts, SeedReport, Summary};

use super::options::SimulateOptions;

/// A seed that was carried out.
#[derive(Debug, Serialize)]
pub(super) struct TimedSeed {
    #[serde(flatten)]
    pub(super) report: SeedReport,
    pub(super) seconds: f64,
}

/// Prints as seeds come in.
pub(super) struct Printer {
    is_json: bool,
    summary: Summary,
    users: u64,
    seconds: f64,
}

impl Printer {
    /// Says what is going to be simulated.
    pub(super) fn new(options: &SimulateOptions, address: &str) -> Self {
        let one = options.of_seed(*options.seed.0.start());
        if !options.json {
            println!(
                "simulating seeds {} to {}, each {} users with {} phones, {} events in {} days, against {address}",
                options.seed.0.start(),
                options.seed.0.end(),
                one.users,
                one.devices,
                one.events,
                one.days
            );
        }
        Self { is_json: options.json, summary: Summary::default(), users: 0, seconds: 0.0 }
    }

    /// Prints a seed.
    pub(super) fn seed(&mut self, seed: TimedSeed) -> Result<()> {
        if self.is_json {
            println!("{}", serde_json::to_string(&seed)?);
        } else {
            print!("{}", line(&seed));
        }
        self.users += u64::from(seed.report.options.users);
        self.seconds += seed.seconds;
        self.summary.add(seed.report);
        Ok(())
    }

    /// Prints the table. Fails with the first thing that was wrong, if anything was.
    pub(super) fn finish(&self, kills: &BTreeMap<String, u64>) -> Result<()> {
        if !self.is_json {
            print!("{}", self.table(kills));
        } else if !kills.is_empty() {
            eprintln!("killed: {}", serde_json::to_string(kills)?);
        }
        let Some(first) = self.summary.failed.first() else { return Ok(()) };
        let finding = first.failures.iter().find_map(|failure| failure.findings.first());
        let what = finding.map_or("", |finding| &finding.what);
        let event = finding.and_then(|finding| finding.event.as_ref());
        let event = event
            .map_or(String::new(), |event| format!("; the first event: {} of {}", event.line, event.device));
        bail!(
            "{} of {} seeds failed, the first is {}: {what}{event}",
            self.summary.failed.len(),
            self.summary.seeds,
            first.options.seed
        )
    }

    fn table(&self, kills: &BTreeMap<String, u64>) -> String {
        let (summary, counts) = (&self.summary, &self.summary.counts);
        let mut table = Table::default();
        table.title("done");
        table.row("seeds", summary.seeds, format!("in {:.1} s, added up", self.seconds));
        table.row("users", self.users, "");
        table.row("phones", counts.phones, "clones too");
        table.row("events recorded", counts.recorded, format!("{} of them invalid", counts.invalid));
        table.row("syncs", counts.syncs, format!("{} requests", counts.requests));
        for (fault, count) in &counts.faults {
            table.row(fault.name(), *count, "");
        }
        for (role, count) in kills {
            table.row(&format!("{role} killed"), *count, "");
        }
        table.row("spaces pruned", counts.pruned_spaces, "while their phones synced");
        if counts.followed > 0 {
            table.row("followed live", counts.followed, "times that something came on an open connection");
        }
        table.row("snapshots", counts.snapshots, "that phones got in place of pruned events");
        table.title("checked");
        table.row("in the log once", counts.logged, "valid events, gapless positions, as they were recorded");
        table.row("in quarantine once", counts.quarantined, "invalid events");
        table.row(
            "forgotten",
            counts.forgotten,
            "by phones and servers that were restored, before anybody else had them",
        );
        table.row(
            "states compared",
            counts.phones + 3 * self.users,
            "phones, read models, replays, plain folds: bytes and hash",
        );
        table.row(
            "looks in between",
            counts.looks,
            "a phone shows the log through its cursor and its own events",
        );
        table.title("wrong");
        let failed = || summary.failed.iter();
        table.row("seeds", failed().count() as u64, "");
        table.row("lost", failed().map(|report| report.lost as u64).sum(), "");
        table.row("twice", failed().map(|report| report.twice as u64).sum(), "");
        table.row("divergent", failed().map(|report| report.divergent as u64).sum(), "");
        table.0
    }
}

fn line(TimedSeed { report, seconds }: &TimedSeed) -> String {
    let Counts { phones, recorded, requests, faults, .. } = &report.counts;
    let result = if report.is_clean() { "converged" } else { "FAILED" };
    let faults: Vec<_> = faults.iter().map(|(fault, count)| format!("{fault} {count}")).collect();
    let faults = if faults.is_empty() { "no faults".to_owned() } else { faults.join(", ") };
    let (seed, users) = (report.options.seed, report.options.users);
    let mut line = format!(
        "seed {seed}  {result}  {users} users  {phones} phones  {recorded} events  {requests} requests  {seconds:.1} s  {faults}\n"
    );
    for failure in &report.failures {
        let _ = writeln!(line, "{failure}");
    }
    line
}

#[derive(Default)]
struct Table(String);

impl Table {
    fn title(&mut self, title: &str) {
        let _ = writeln!(self.0, "{title}");
    }

    fn row(&mut self, what: &str, count: u64, more: impl AsRef<str>) {
        let row = format!("  {what:<20}{count:>10}  {}", more.as_ref());
        let _ = writeln!(self.0, "{}", row.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use tidelog_simulation::fault::{Fault, FaultSet};
    use tidelog_simulation::plan::Options;

    use super::*;

    fn seed() -> TimedSeed {
        let options =
            Options { seed: 7, users: 2, devices: 3, events: 40, days: 30, faults: FaultSet::all() };
        let mut report = SeedReport::new(options);
        report.counts = Counts { phones: 7, recorded: 40, requests: 90, ..Counts::default() };
        report.counts.faults.insert(Fault::Cloned, 1);
        TimedSeed { report, seconds: 1.25 }
    }

    #[test]
    fn a_seed_is_one_line() {
        let expected = "seed 7  converged  2 users  7 phones  40 events  90 requests  1.2 s  cloned 1\n";
        assert_eq!(line(&seed()), expected);
    }

    #[test]
    fn a_seed_is_one_json_object_that_says_how_to_repeat_it() {
        let json = serde_json::to_value(seed()).unwrap();
        assert_eq!((&json["options"]["seed"], &json["options"]["events"]), (&7.into(), &40.into()));
        assert_eq!((&json["counts"]["faults"]["cloned"], &json["lost"]), (&1.into(), &0.into()));
        assert_eq!(json["seconds"], 1.25);
    }
}
