//! What `tidelog simulate` is asked for.

use std::ops::RangeInclusive;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use tidelog_simulation::fault::FaultSet;
use tidelog_simulation::plan::Options;

/// Options of `tidelog simulate`.
#[derive(Debug, Clone, clap::Args)]
pub struct SimulateOptions {
    /// A seed, or all from A to B, both included. The same seed has the same plan
    #[arg(long, value_name = "N|A..B", default_value = "1")]
    pub(super) seed: Seeds,
    /// Users, each with a space of their own
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    users: u32,
    /// Phones of each user; clones come on top
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    devices: u32,
    /// Events that all users record together, for each seed
    #[arg(long, value_name = "N", default_value_t = 300)]
    events: u32,
    /// Simulated days
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// What may go wrong: `all`, `none`, or names with commas between them
    #[arg(long, value_name = "LIST", default_value = "all")]
    faults: FaultSet,
    /// Kill a process of the stack with SIGKILL about every so many seconds; `tidelog up` starts it again
    #[arg(long, value_name = "SECONDS", conflicts_with = "in_process")]
    pub(super) kill: Option<f64>,
    /// Let a simulated day take so many seconds at least: as many as `clock.day_seconds` of a stack that is to prune
    /// meanwhile what is past its retention
    #[arg(long, value_name = "SECONDS", conflicts_with = "in_process")]
    pub(super) pace: Option<f64>,
    /// Let the phones pull over live connections, and keep them while they are online
    #[arg(long)]
    pub(super) live: bool,
    /// Against a server in this process that has the stack's rules, but not its storage
    #[arg(long)]
    pub(super) in_process: bool,
    /// One JSON object a seed, and nothing else
    #[arg(long)]
    pub(super) json: bool,
}

impl SimulateOptions {
    /// What to simulate with one seed.
    pub(super) fn of_seed(&self, seed: u64) -> Options {
        Options {
            seed,
            users: self.users,
            devices: self.devices,
            events: self.events,
            days: self.days,
            faults: self.faults.clone(),
        }
    }
}

/// `N` or `A..B`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seeds(pub(super) RangeInclusive<u64>);

impl FromStr for Seeds {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let (first, last) = text.split_once("..").unwrap_or((text, text));
        let number =
            |text: &str| text.parse::<u64>().context("write the seed as a number, or several as 1..20");
        let (first, last) = (number(first)?, number(last)?);
        ensure!(first <= last, "the first seed is greater than the last");
        Ok(Self(first..=last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_one_or_a_range_with_both_ends() {
        let seeds = |text: &str| text.parse::<Seeds>().ok().map(|Seeds(seeds)| seeds);
        assert_eq!(seeds("7"), Some(7..=7));
        assert_eq!(seeds("1..20"), Some(1..=20));
        for wrong in ["", "1..", "..2", "2..1", "a", "1..=2"] {
            assert_eq!(seeds(wrong), None, "{wrong}");
        }
    }
}
