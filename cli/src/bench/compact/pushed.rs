//! What was pushed, where the answers to the pushes placed it: the truth with which everything else is compared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use tidelog_events::frame::{BatchLines, Decoder};
use tidelog_events::id::{DeviceId, Position};
use tidelog_events::limits::MAX_BODY_BYTES;
use tidelog_events::protocol::UtcTime;
use tidelog_events::schema::Schema;

use super::super::reader::{Observation, Seen};

/// A batch that was committed.
#[derive(Debug, Clone)]
pub(super) struct Pushed {
    pub(super) first: Position,
    pub(super) last: Position,
    pub(super) device: Arc<DeviceId>,
    pub(super) frame: Bytes,
    /// It was received between these.
    pub(super) began: UtcTime,
    pub(super) answered: UtcTime,
}

impl Pushed {
    fn events(&self) -> u64 {
        self.last.0 + 1 - self.first.0
    }
}

/// The batches of each space.
#[derive(Debug)]
pub(super) struct PushedLog {
    spaces: Vec<Mutex<Vec<Pushed>>>,
}

impl PushedLog {
    /// Of so many spaces.
    pub(super) fn new(spaces: usize) -> Self {
        Self { spaces: (0..spaces).map(|_| Mutex::default()).collect() }
    }

    /// Adds a batch.
    pub(super) fn add(&self, space: usize, pushed: Pushed) {
        self.spaces[space].lock().unwrap_or_else(PoisonError::into_inner).push(pushed);
    }

    /// The batches of a space, in order of position.
    pub(super) fn of(&self, space: usize) -> Vec<Pushed> {
        let mut batches = self.spaces[space].lock().unwrap_or_else(PoisonError::into_inner).clone();
        batches.sort_by_key(|batch| batch.first);
        batches
    }
}

/// Bytes of the frames.
pub(super) fn frame_bytes(batches: &[Pushed]) -> u64 {
    batches.iter().map(|batch| batch.frame.len() as u64).sum()
}

/// How many of a space's first events had certainly been received at that time.
pub(super) fn received_by(batches: &[Pushed], time: UtcTime) -> u64 {
    batches.iter().take_while(|batch| batch.answered <= time).map(Pushed::events).sum()
}

/// Whether anything through `through` was received after that time, by the phones' own clock.
pub(super) fn has_later(batches: &[Pushed], through: Position, time: UtcTime) -> bool {
    batches.iter().any(|batch| batch.first <= through && batch.began > time)
}

/// Folds what was pushed to a space, batch by batch, and compares each observation with it at its position. Returns
/// what all of it folds to.
pub(super) fn compare(batches: &[Pushed], observations: &[Observation], schema: &Schema) -> Result<Seen> {
    let places = observations.iter().flat_map(|observation| [observation.base, observation.through]);
    let places: BTreeSet<Position> = places.collect();
    let mut seen = Seen::default();
    let mut truths = BTreeMap::from([(Position::ZERO, seen.observe())]);
    let mut decoder = Decoder::new()?;
    for batch in batches {
        let body = decoder.decode_one(&batch.frame, MAX_BODY_BYTES)?;
        let lines = BatchLines::split(&body)?;
        ensure!(lines.events.len() as u64 == batch.events(), "a batch was not appended as a whole");
        for (position, line) in (batch.first.0..).map(Position).zip(lines.events) {
            seen.event(position, line, &batch.device, schema).context("pushes were answered wrongly")?;
            if places.contains(&position) {
                truths.insert(position, seen.observe());
            }
        }
    }
    for observation in observations {
        let nothing = || format!("nothing was pushed to position {}", observation.through);
        let truth = truths.get(&observation.through).with_context(nothing)?;
        let before = truths.get(&observation.base).with_context(nothing)?;
        ensure!(
            observation.digest == truth.digest.wrapping_sub(before.digest),
            "the events behind {} and through {} are not the ones that were pushed",
            observation.base,
            observation.through
        );
        ensure!(
            observation.state == truth.state,
            "the state through {}, of which a snapshot through {} is a part, is not what was pushed",
            observation.through,
            observation.base
        );
    }
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use tidelog_events::frame::Encoder;

    use super::super::super::workout::Recorder;
    use super::*;

    /// Batches of three events of two phones, in turn.
    fn batches(count: u64) -> Vec<Pushed> {
        let mut recorders = [1, 2].map(|seed| Recorder::of_workouts(seed, 10));
        let mut encoder = Encoder::new().unwrap();
        let batch = |number: u64| {
            let phone = number % 2;
            let mut lines = format!("{{\"batch\":{{\"deviceId\":\"phone-{phone}\"}}}}\n").into_bytes();
            for _ in 0..3 {
                recorders[phone as usize].record(&mut lines);
            }
            Pushed {
                first: Position(number * 3 + 1),
                last: Position(number * 3 + 3),
                device: Arc::new(DeviceId::new(format!("phone-{phone}")).unwrap()),
                frame: encoder.encode(&lines).unwrap().into(),
                began: UtcTime(number as i64 * 10),
                answered: UtcTime(number as i64 * 10 + 5),
            }
        };
        (0..count).map(batch).collect()
    }

    fn schema() -> Schema {
        Schema::parse(include_str!("../../../../config/fitness.yaml")).unwrap()
    }

    fn observed(batches: &[Pushed]) -> Observation {
        compare(batches, &[], &schema()).unwrap().observe()
    }

    #[test]
    fn who_has_seen_what_was_pushed_is_believed_with_and_without_a_snapshot() {
        let all = batches(8);
        let half = observed(&all[..4]);
        let whole = observed(&all);
        let rebased = Observation {
            base: half.through,
            digest: whole.digest.wrapping_sub(half.digest),
            ..whole.clone()
        };
        assert!(compare(&all, &[half, whole, rebased], &schema()).is_ok());
    }

    #[test]
    fn another_order_another_state_and_another_length_are_noticed() {
        let all = batches(8);
        let whole = observed(&all);
        let mut swapped = all.clone();
        let (one, other) = (swapped[2].frame.clone(), swapped[4].frame.clone());
        (swapped[2].frame, swapped[4].frame) = (other, one);
        let swapped = observed(&swapped);
        assert_eq!(swapped.state, whole.state, "the fold does not depend on the order");
        assert!(compare(&all, &[swapped], &schema()).is_err());
        let stale = Observation { state: observed(&all[..7]).state, ..whole.clone() };
        assert!(compare(&all, &[stale], &schema()).is_err());
        assert!(compare(&all[..7], &[whole], &schema()).is_err());
        assert!(compare(&all[1..], &[], &schema()).is_err(), "a gap");
    }

    #[test]
    fn times_of_receipt_are_told_apart_by_what_is_certain() {
        let log = PushedLog::new(1);
        batches(4).into_iter().rev().for_each(|batch| log.add(0, batch));
        let batches = log.of(0);
        assert_eq!(received_by(&batches, UtcTime(14)), 3);
        assert_eq!(received_by(&batches, UtcTime(15)), 6);
        assert!(!has_later(&batches, Position(6), UtcTime(10)));
        assert!(has_later(&batches, Position(6), UtcTime(9)));
    }
}
