//! The days of a plan, as far as nothing goes wrong: bursts of events on a few workouts, and syncs where there is
//! network.

use super::{Action, DAY_MS, MINUTE_MS, PlannedEvent, Step, SyncPlan, UserPlan, chance, some_time, workout};
use crate::fault::{Fault, FaultSet};

/// Events that belong together, on average.
const BURST_EVENTS: u32 = 5;

/// Lays out the events of all phones and their syncs.
pub(super) fn lay_out(plan: &mut UserPlan, events: u32, faults: &FaultSet, rng: &mut fastrand::Rng) {
    let outages: Vec<_> = plan.phones.iter().map(|_| outages(plan.length_ms, faults, rng)).collect();
    for (phone, outages) in outages.iter().enumerate() {
        for outage in outages {
            plan.add(outage.from_ms, phone, Action::GoOffline);
            if chance(0.9, rng) {
                plan.add(outage.to_ms, phone, Action::Sync(SyncPlan::default()));
            }
        }
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
        let phone = rng.usize(..plan.phones.len());
        plan.add_burst(count, phone, workouts, &outages[phone], rng);
        left -= count;
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

    fn add_burst(
        &mut self,
        events: u32,
        phone: usize,
        workouts: u32,
        outages: &[Outage],
        rng: &mut fastrand::Rng,
    ) {
        let mut at_ms = rng.i64(0..self.length_ms);
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
struct Outage {
    from_ms: i64,
    to_ms: i64,
}

impl Outage {
    fn has(&self, at_ms: i64) -> bool {
        (self.from_ms..self.to_ms).contains(&at_ms)
    }
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
