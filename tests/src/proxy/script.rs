//! Scripts of trouble: pure functions of a seed, so that a run can be repeated by its number.

use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;

use super::{Direction, Fault};

/// Faults, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Never empty.
    pub steps: Vec<Step>,
}

/// A fault, and how long nothing else happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What the network does.
    pub fault: Fault,
    /// For how long.
    pub lasts: Duration,
}

/// Faults of a script.
const FAULTS: usize = 32;

impl Script {
    /// Every connection is cut about once a second.
    pub fn cuts(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let cut = |_| Step { fault: Fault::Cut, lasts: millis(&mut random, 700..1300) };
        Self { steps: (0..FAULTS).map(cut).collect() }
    }

    /// All that a network does, in any order, with pauses.
    pub fn mixed(seed: u64) -> Self {
        let mut random = Rng::with_seed(seed);
        let mut steps = Vec::new();
        for _ in 0..FAULTS {
            steps.extend(any(&mut random));
            steps.push(Step { fault: Fault::Pass, lasts: millis(&mut random, 200..800) });
        }
        Self { steps }
    }
}

/// Any fault, with what makes it felt and ends it.
fn any(random: &mut Rng) -> Vec<Step> {
    let lasts = millis(random, 200..1200);
    let cut = Step { fault: Fault::Cut, lasts: Duration::ZERO };
    let fault = match random.u8(..5) {
        0 => Fault::Delay(millis(random, 5..60)),
        1 => Fault::Throttle { bytes_per_second: random.u32(20_000..200_000) },
        2 => Fault::Cut,
        // Whoever could reconnect is refused.
        3 => return vec![cut, Step { fault: Fault::Refuse, lasts }],
        // A host that comes back resets what it does not know.
        _ => {
            let lost = if random.bool() { Direction::ToTarget } else { Direction::FromTarget };
            return vec![Step { fault: Fault::HalfOpen(lost), lasts }, cut];
        }
    };
    vec![Step { fault, lasts }]
}

fn millis(random: &mut Rng, range: Range<u64>) -> Duration {
    Duration::from_millis(random.u64(range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_a_script_and_another_seed_another() {
        for script in [Script::cuts, Script::mixed] {
            assert_eq!(script(7), script(7));
            assert_ne!(script(7), script(8));
        }
    }

    #[test]
    fn a_mixed_script_has_every_fault_and_leaves_nothing_half_open() {
        let named = |fault: Fault| match fault {
            Fault::Pass => 0,
            Fault::Delay(_) => 1,
            Fault::Throttle { .. } => 2,
            Fault::Cut => 3,
            Fault::HalfOpen(Direction::ToTarget) => 4,
            Fault::HalfOpen(Direction::FromTarget) => 5,
            Fault::Refuse => 6,
        };
        let mut seen = [0; 7];
        for seed in 0..10 {
            let steps = Script::mixed(seed).steps;
            for (step, next) in steps.iter().zip(steps.iter().cycle().skip(1)) {
                seen[named(step.fault)] += 1;
                let half_open = matches!(step.fault, Fault::HalfOpen(_));
                assert!(!half_open || next.fault == Fault::Cut, "{step:?} then {next:?}");
            }
        }
        assert!(seen.iter().all(|times| *times > 10), "{seen:?}");
    }
}
