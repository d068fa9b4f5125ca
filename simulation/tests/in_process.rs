//! Many seeds, each a small world with everything that can go wrong: nothing is lost, nothing comes twice, and all say
//! the same.

#![expect(clippy::expect_used, reason = "the tests' own function")]

use std::io::{Write, stderr};
use std::thread::available_parallelism;
use std::time::Instant;

use tidelog_simulation::in_memory::{simulate, simulate_all, small};
use tidelog_simulation::schemas::Schemas;

/// Seeds that run unless the environment says otherwise.
const SEEDS: u64 = 10_000;

/// Of so many seeds, one is run over live connections, too.
const LIVE_SHARE: u64 = 20;

/// Failed seeds that are told in full.
const TOLD: usize = 3;

fn seeds() -> u64 {
    let asked = std::env::var("TIDELOG_SIMULATION_SEEDS").ok();
    asked.map_or(SEEDS, |seeds| seeds.parse().expect("TIDELOG_SIMULATION_SEEDS is a number"))
}

#[test]
fn whatever_phones_do_everything_is_kept_once_and_all_say_the_same() {
    let schemas = Schemas::fitness().unwrap();
    let plans: Vec<_> = (1..=seeds()).map(small).collect();
    let threads = available_parallelism().map_or(1, Into::into);
    let begun = Instant::now();
    let summary = simulate_all(&plans, threads, &schemas, false).unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    // Not captured: the figures belong to the test's result, good or bad.
    writeln!(stderr(), "{summary}; {:.0} seeds a minute", 60.0 * summary.seeds as f64 / seconds).unwrap();
    for report in summary.failed.iter().take(TOLD) {
        println!("{report}");
    }
    let failed: Vec<u64> = summary.failed.iter().map(|report| report.options.seed).collect();
    assert_eq!(failed, [0; 0]);
    assert!(summary.least_phones >= 3 && summary.least_events >= 60 && summary.least_kinds >= 5, "{summary}");
}

#[test]
fn invariant_9_losing_live_messages_delays_and_never_breaks() {
    let schemas = Schemas::fitness().unwrap();
    let plans: Vec<_> = (1..=seeds() / LIVE_SHARE).map(small).collect();
    let threads = available_parallelism().map_or(1, Into::into);
    let summary = simulate_all(&plans, threads, &schemas, true).unwrap();
    writeln!(stderr(), "live: {summary}, {} followed", summary.counts.followed).unwrap();
    for report in summary.failed.iter().take(TOLD) {
        println!("{report}");
    }
    let failed: Vec<u64> = summary.failed.iter().map(|report| report.options.seed).collect();
    assert_eq!(failed, [0; 0]);
    assert!(summary.counts.followed > 10 * summary.seeds, "{}", summary.counts.followed);
}

#[test]
fn a_seed_goes_the_same_way_every_time() {
    let schemas = Schemas::fitness().unwrap();
    for seed in 1..=5 {
        let [one, other] = [(); 2].map(|()| simulate(small(seed), &schemas).unwrap());
        assert_eq!(one.counts, other.counts, "seed {seed}");
    }
}

#[test]
fn a_larger_world_with_several_users_converges() {
    let schemas = Schemas::fitness().unwrap();
    let mut options = small(1);
    (options.users, options.events) = (4, 1200);
    let report = simulate(options, &schemas).unwrap();
    assert!(report.is_clean(), "{report}");
}
