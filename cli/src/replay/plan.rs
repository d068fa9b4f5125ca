//! What is sent in which order: pure, and for `--shuffle` reproduced by its seed.

use std::ops::Range;

use fastrand::Rng;
use tidelog_events::limits::MAX_BATCH_EVENTS;

/// Sends of one device that go out at the same time, as ranges of event indices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// Index of the device.
    pub(super) device: usize,
    /// One range, or several at once.
    pub(super) sends: Vec<Range<usize>>,
}

/// The ranges of an orderly device: in order, each `batch` long.
pub(super) fn orderly(events: usize, batch: usize) -> impl Iterator<Item = Range<usize>> {
    (0..events).step_by(batch).map(move |start| start..(start + batch).min(events))
}

/// Devices at random turns, batches doubled, overlapping and out of order. Carried out one step after the other it
/// ends with every event sent behind its predecessor, even if each batch that came too early is refused.
pub(super) fn shuffled(events_by_device: &[usize], batch: usize, rng: &mut Rng) -> Vec<Step> {
    let mut queues: Vec<_> = events_by_device
        .iter()
        .enumerate()
        .map(|(device, &events)| {
            let steps = disorderly(events, batch, rng);
            steps.into_iter().rev().map(|sends| Step { device, sends }).collect::<Vec<_>>()
        })
        .collect();
    let mut plan = Vec::new();
    while !queues.is_empty() {
        let turn = rng.usize(..queues.len());
        match queues[turn].pop() {
            Some(step) => plan.push(step),
            None => drop(queues.swap_remove(turn)),
        }
    }
    plan
}

fn disorderly(events: usize, batch: usize, rng: &mut Rng) -> Vec<Vec<Range<usize>>> {
    let mut steps = Vec::new();
    let mut batches = orderly(events, batch).peekable();
    while let Some(this) = batches.next() {
        match rng.u8(..8) {
            0 => steps.push(vec![this.clone(), this]),
            1 => {
                let back = rng.usize(1..=batch).min(MAX_BATCH_EVENTS - this.len());
                let longer = this.start.saturating_sub(back)..this.end;
                steps.push(vec![longer]);
            }
            2 => {
                let before = this.start.saturating_sub(batch)..this.start;
                let again = if before.is_empty() { this.clone() } else { before };
                steps.push(vec![this]);
                steps.push(vec![again]);
            }
            3 => match batches.next() {
                // The later batch first; again afterwards, for it may have been refused as a gap.
                Some(next) => {
                    steps.push(vec![next.clone(), this]);
                    steps.push(vec![next]);
                }
                None => steps.push(vec![this]),
            },
            _ => steps.push(vec![this]),
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server does that refuses each batch that comes too early: how far a device gets.
    fn reached(plan: &[Step], device: usize) -> usize {
        let sends = plan.iter().filter(|step| step.device == device).flat_map(|step| &step.sends);
        sends.fold(0, |mark, send| if send.start <= mark { mark.max(send.end) } else { mark })
    }

    #[test]
    fn an_orderly_device_sends_each_event_once() {
        let ranges: Vec<_> = orderly(120, 50).collect();
        assert_eq!(ranges, [0..50, 50..100, 100..120]);
        assert_eq!(orderly(0, 50).count(), 0);
    }

    #[test]
    fn a_shuffled_plan_is_complete_whatever_the_seed() {
        let events = [1, 49, 50, 51, 777, 2];
        for seed in 0..300 {
            let batch = 1 + (seed as usize % 60);
            let plan = shuffled(&events, batch, &mut Rng::with_seed(seed));
            for (device, &count) in events.iter().enumerate() {
                assert_eq!(reached(&plan, device), count, "seed {seed}, device {device}");
            }
            let ranges = plan.iter().flat_map(|step| step.sends.iter().map(|send| (step.device, send)));
            for (device, range) in ranges {
                assert!(!range.is_empty() && range.end <= events[device], "seed {seed}: {range:?}");
                assert!(range.len() <= 2 * batch, "seed {seed}: {range:?}");
            }
        }
    }

    #[test]
    fn a_shuffled_plan_doubles_overlaps_reorders_and_interleaves() {
        let plan = shuffled(&[2000, 2000], 50, &mut Rng::with_seed(7));
        assert_eq!(plan, shuffled(&[2000, 2000], 50, &mut Rng::with_seed(7)));
        assert!(plan.iter().any(|step| step.sends.len() == 2 && step.sends[0] == step.sends[1]));
        assert!(plan.iter().any(|step| step.sends.len() == 2 && step.sends[0].start > step.sends[1].start));
        assert!(plan.iter().any(|step| step.sends[0].len() > 50));
        assert!(plan.windows(2).any(|pair| pair[0].device == 1 && pair[1].device == 0));
    }
}
