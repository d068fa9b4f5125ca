//! The days of a plan, as far as nothing goes wrong: bursts of events on a few workouts, and syncs where there is
//! network.

use std::ops::Range;

use super::{Action, DAY_MS, MINUTE_MS, PlannedEvent, Step, SyncPlan, UserPlan, chance, some_time, workout};
use crate::fault::{Fault, FaultSet};

/// Events that belong together, on average.
const BURST_EVENTS: u32 = 5;

/// Three users of five have a phone that is away for so long, if the plan has so many days.
const AWAY_CHANCE: f64 = 0.6;
const AWAY_MS: Range<i64> = 15 * DAY_MS..25 * DAY_MS;

/// Lays out the events of all phones and their syncs.
pub(super) fn lay_out(plan: &mut UserPlan, events: u32, faults: &FaultSet, rng: &mut fastrand::Rng) {
    let mut outages: Vec<_> = plan.phones.iter().map(|_| outages(plan.length_ms, faults, rng)).collect();
    let absence = absence(plan, faults, rng);
    for (phone, outages) in outages.iter().enumerate() {
        for outage in outages {
            plan.add(outage.from_ms, phone, Action::GoOffline);
            let is_away =
                absence.is_some_and(|absence| absence.phone == phone && absence.outage.has(outage.to_ms));
            if chance(0.9, rng) && !is_away {
                plan.add(outage.to_ms, phone, Action::Sync(SyncPlan::default()));
            }
        }
    }
    if let Some(Absence { phone, outage }) = absence {
        outages[phone].push(outage);
    }
    for (phone, outages) in outages.iter().enumerate() {
        for _ in 0..2 {
            let at_ms = rng.i64(0..plan.length_ms);
            plan.add_sync(at_ms, phone, outages);
            plan.add(rng.i64(0..plan.length_ms), phone, Action::Compact);
        }
    }
    let workouts = rng.u32(2..=6).max(events / 100);
    let mut left = events;
    while left > 0 {
        let count = rng.u32(1..2 * BURST_EVENTS).min(left);
        let is_first = left == events;
        left -= count;
        match absence {
            Some(absence) if is_first => plan.add_absence(count, absence, workouts, rng),
            _ => {
                let (at_ms, phone) = (rng.i64(0..plan.length_ms), rng.usize(..plan.phones.len()));
                plan.add_burst(count, at_ms, phone, workouts, &outages[phone], rng);
            }
        }
    }
    // A stable sort: what has the same time stays in the order in which it was added.
    plan.steps.sort_by_key(|step| step.at_ms);
}

impl UserPlan {
    fn add(&mut self, at_ms: i64, phone: usize, action: Action) {
        self.steps.push(Step { at_ms, phone, action });
    }

    fn add_sync(&mut self, at_ms: i64, phone: usize, outages: &[Outage]) {
        if !outages.iter().any(|outage| outage.has(at_ms)) {
            self.add(at_ms, phone, Action::Sync(SyncPlan::default()));
        }
    }

    /// The first events of a phone's absence, and its end.
    fn add_absence(&mut self, events: u32, absence: Absence, workouts: u32, rng: &mut fastrand::Rng) {
        let Absence { phone, outage } = absence;
        let at_ms = outage.from_ms + rng.i64(0..DAY_MS);
        self.add_burst(events, at_ms, phone, workouts, &[outage], rng);
        let sync = SyncPlan { after_weeks: true, ..SyncPlan::default() };
        self.add(outage.to_ms, phone, Action::Sync(sync));
    }

    fn add_burst(
        &mut self,
        events: u32,
        mut at_ms: i64,
        phone: usize,
        workouts: u32,
        outages: &[Outage],
        rng: &mut fastrand::Rng,
    ) {
        let mut workout = rng.u32(..workouts);
        for number in 0..events {
            if chance(0.15, rng) {
                workout = rng.u32(..workouts);
            }
            let event = if number == 0 && chance(0.3, rng) {
                workout::creation(workout, rng)
            } else {
                workout::some_event(workout, rng)
            };
            self.add_record(at_ms, phone, event);
            if chance(0.1, rng) {
                self.add_sync(at_ms, phone, outages);
            }
            // Some events come within one millisecond.
            at_ms += if chance(0.1, rng) { 0 } else { rng.i64(1..2 * MINUTE_MS) };
        }
        if chance(0.5, rng) {
            self.add_sync(at_ms, phone, outages);
        }
    }

    fn add_record(&mut self, at_ms: i64, phone: usize, event: PlannedEvent) {
        self.add(at_ms, phone, Action::Record(event));
    }
}

/// A span without network.
#[derive(Clone, Copy)]
struct Outage {
    from_ms: i64,
    to_ms: i64,
}

/// The weeks that a phone is away.
#[derive(Clone, Copy)]
struct Absence {
    phone: usize,
    outage: Outage,
}

impl Outage {
    fn has(&self, at_ms: i64) -> bool {
        (self.from_ms..self.to_ms).contains(&at_ms)
    }
}

/// Which phone is away for weeks, and when; there must be others that go on.
fn absence(plan: &UserPlan, faults: &FaultSet, rng: &mut fastrand::Rng) -> Option<Absence> {
    let may_be = plan.length_ms >= AWAY_MS.end && plan.phones.len() > 1;
    if !faults.has(Fault::Away) || !may_be || !chance(AWAY_CHANCE, rng) {
        return None;
    }
    let lasts_ms = rng.i64(AWAY_MS);
    let from_ms = rng.i64(0..=plan.length_ms - lasts_ms);
    let outage = Outage { from_ms, to_ms: from_ms + lasts_ms };
    Some(Absence { phone: rng.usize(..plan.phones.len()), outage })
}

/// When a phone is without network: from minutes to weeks.
fn outages(length_ms: i64, faults: &FaultSet, rng: &mut fastrand::Rng) -> Vec<Outage> {
    if !faults.has(Fault::Offline) {
        return Vec::new();
    }
    let some = |_| {
        let from_ms = rng.i64(0..length_ms);
        let longest = (21 * DAY_MS).min(length_ms - from_ms);
        Outage { from_ms, to_ms: from_ms + some_time(5 * MINUTE_MS, longest, rng) }
    };
    (0..2).map(some).collect()
}
