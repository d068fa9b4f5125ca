//! Every process is killed again and again while recorded workouts go in, and nothing is missing, nothing there twice,
//! and everything folded right.

use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use tokio::time::{Instant, sleep_until};

use super::harness::{SOON, Stack};

const ROLES: [&str; 5] = ["gateway", "ingest", "projector", "nats", "postgres"];
/// How often each is killed.
const KILLS: usize = 3;
/// The longest pause before a process is killed once more.
const PAUSE_MILLIS: u64 = 400;

#[tokio::test(flavor = "multi_thread")]
async fn invariants_2_to_5_hold_whatever_is_killed_and_whenever_seeds_0_to_4() {
    survives(0..5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_2_to_5_hold_whatever_is_killed_and_whenever_seeds_5_to_9() {
    survives(5..10).await;
}

/// Replays the recorded workouts once for each seed, on a stack of its own, while its processes are killed.
async fn survives(seeds: Range<u64>) {
    for seed in seeds {
        println!("seed {seed}");
        let stack = Stack::start_in(tempfile::tempdir().unwrap(), &[], &SOON).await;
        let killing = async {
            let mut rng = Rng::with_seed(seed);
            let killings = ROLES.map(|role| kill_again_and_again(&stack, role, rng.fork()));
            join_all(killings).await;
        };
        let shuffle = seed.to_string();
        let replay = async { stack.replay(&["--shuffle", &shuffle, "--batch", "3"]).await };
        let ((), text) = tokio::join!(killing, replay);
        assert!(text.contains("in 4 spaces"), "seed {seed}: {text}");
        // What lay in quarantine would be missing, and shows here.
        stack.verify_from_outside().await;
        stack.verify_entities_from_outside().await;
    }
}

/// Kills a role's process; once another has taken its place, that one, and so on.
async fn kill_again_and_again(stack: &Stack, role: &str, mut rng: Rng) {
    for _ in 0..KILLS {
        let pause = Duration::from_millis(rng.u64(0..PAUSE_MILLIS));
        sleep_until(Instant::now() + pause).await;
        stack.kill(role).await;
    }
}
