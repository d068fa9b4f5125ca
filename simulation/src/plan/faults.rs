//! What goes wrong in a plan, sprinkled over its days. Each kind has a rate; what a kind needs (a copy before a
//! restoration, events of a clone) comes with it.

use super::{
    Action, DAY_MS, Kill, MINUTE_MS, PhonePlan, RequestFault, Step, SyncPlan, UserPlan, chance, some_time,
    workout,
};
use crate::fault::{Fault, FaultSet};
use crate::server::{Cut, Disturbance};

const YEAR_MS: i64 = 365 * DAY_MS;

/// For so many events the rates below are.
const RATED_EVENTS: f64 = 60.0;

/// Devices keep what is confirmed for 7 days, for a server that is restored and asks again: no restoration may go
/// further back.
const OLDEST_SERVER_COPY_MS: i64 = 6 * DAY_MS;

/// Puts faults into a plan.
pub(super) fn sprinkle(plan: &mut UserPlan, events: u32, faults: &FaultSet, rng: &mut fastrand::Rng) {
    let mut sprinkler = Sprinkler { plan, events, faults, rng };
    sprinkler.older_apps();
    sprinkler.clones();
    sprinkler.requests();
    for _ in 0..sprinkler.count(Fault::Restored, 0.6) {
        sprinkler.restoration();
    }
    for _ in 0..sprinkler.count(Fault::ClockJump, 0.8) {
        sprinkler.clock_jump();
    }
    for _ in 0..sprinkler.count(Fault::OtherUser, 0.4) {
        sprinkler.anywhere(Action::SwitchUser);
    }
    sprinkler.disturbances();
    sprinkler.prunes_meanwhile();
    sprinkler.plan.steps.sort_by_key(|step| step.at_ms);
    // Kills stand directly before what they interrupt.
    for _ in 0..sprinkler.count(Fault::Killed, 2.0) {
        sprinkler.kill();
    }
}

struct Sprinkler<'a> {
    plan: &'a mut UserPlan,
    events: u32,
    faults: &'a FaultSet,
    rng: &'a mut fastrand::Rng,
}

impl Sprinkler<'_> {
    /// How often something happens that does so `rate` times in [`RATED_EVENTS`].
    fn count(&mut self, fault: Fault, rate: f64) -> u32 {
        if !self.faults.has(fault) {
            return 0;
        }
        let expected = rate * f64::from(self.events) / RATED_EVENTS;
        expected.floor() as u32 + u32::from(chance(expected.fract(), self.rng))
    }

    fn some_phone(&mut self) -> usize {
        let phones = self.plan.phones.iter().filter(|phone| !phone.is_clone).count();
        self.rng.usize(..phones)
    }

    fn some_moment(&mut self) -> i64 {
        self.rng.i64(0..self.plan.length_ms)
    }

    /// Nothing happens after the end: a running stack's clock does not go beyond it.
    fn add(&mut self, at_ms: i64, phone: usize, action: Action) {
        let at_ms = at_ms.min(self.plan.length_ms);
        self.plan.steps.push(Step { at_ms, phone, action });
    }

    fn anywhere(&mut self, action: Action) {
        let (at_ms, phone) = (self.some_moment(), self.some_phone());
        self.add(at_ms, phone, action);
    }

    /// Two phones of five have an older app, and some of what they record is not known any more.
    fn older_apps(&mut self) {
        if !self.faults.has(Fault::OlderApp) {
            return;
        }
        for phone in 0..self.plan.phones.len() {
            if !chance(0.4, self.rng) {
                continue;
            }
            self.plan.phones[phone].older_app = true;
            let update_ms = 2 * self.some_moment();
            for step in &mut self.plan.steps {
                if let Action::Record(event) = &mut step.action
                    && step.phone == phone
                    && step.at_ms < update_ms
                    && chance(0.2, self.rng)
                {
                    workout::make_retired(event, self.rng);
                }
            }
            if update_ms < self.plan.length_ms {
                self.add(update_ms, phone, Action::UpdateApp);
            }
        }
        self.plan.steps.sort_by_key(|step| step.at_ms);
    }

    /// A clone takes over half of what its original still has to do.
    fn clones(&mut self) {
        for _ in 0..self.count(Fault::Cloned, 0.5) {
            let (at_ms, from) = (self.some_moment(), self.some_phone());
            let to = self.plan.phones.len();
            self.plan.phones.push(PhonePlan { older_app: false, is_clone: true });
            for step in &mut self.plan.steps {
                // An update of the app is everybody's own.
                let is_for_either = !matches!(step.action, Action::UpdateApp);
                if step.phone == from && step.at_ms > at_ms && is_for_either && self.rng.bool() {
                    step.phone = to;
                }
            }
            let same_identity = self.rng.bool();
            self.add(at_ms, from, Action::Clone { to, same_identity });
        }
    }

    /// A third of all syncs are disturbed on the way.
    fn requests(&mut self) {
        use RequestFault::{Cut as CutOff, Delay, Duplicate, Reorder};
        let mut kinds =
            vec![CutOff(Cut::Before), CutOff(Cut::During), CutOff(Cut::After), Duplicate, Delay, Reorder];
        kinds.retain(|kind| self.faults.has(kind.kind()));
        for step in &mut self.plan.steps {
            let Action::Sync(SyncPlan { faults, tries_again, .. }) = &mut step.action else { continue };
            *tries_again = self.rng.bool();
            while chance(0.36, self.rng)
                && let Some(kind) = self.rng.choice(&kinds)
            {
                faults.push((self.rng.u32(..3), *kind));
            }
        }
    }

    fn restoration(&mut self) {
        let (copied_ms, phone) = (self.some_moment(), self.some_phone());
        let restored_ms = copied_ms + some_time(MINUTE_MS, 20 * DAY_MS, self.rng);
        self.add(copied_ms, phone, Action::KeepCopy);
        self.add(restored_ms.min(self.plan.length_ms), phone, Action::Restore);
    }

    /// Minutes or years, forwards or back; most are set right again.
    fn clock_jump(&mut self) {
        let (at_ms, phone) = (self.some_moment(), self.some_phone());
        let by_ms = some_time(2 * MINUTE_MS, 30 * YEAR_MS, self.rng);
        let ahead_ms = if self.rng.bool() { by_ms } else { -by_ms };
        let reboot = chance(0.3, self.rng);
        self.add(at_ms, phone, Action::SetClock { ahead_ms, reboot });
        if chance(0.6, self.rng) {
            let right_ms = at_ms + some_time(MINUTE_MS, 20 * DAY_MS, self.rng);
            let reboot = chance(0.3, self.rng);
            self.add(right_ms, phone, Action::SetClock { ahead_ms: 0, reboot });
        }
    }

    fn disturbances(&mut self) {
        let single = [
            (Fault::Refused, 0.7, Disturbance::Refuse(if self.rng.bool() { 429 } else { 503 })),
            (Fault::CommittedLate, 0.7, Disturbance::CommitLate),
            (Fault::LostInBroker, 0.7, Disturbance::LosePush),
            (Fault::Pruned, 0.5, Disturbance::Prune),
        ];
        for (fault, rate, disturbance) in single {
            for _ in 0..self.count(fault, rate) {
                self.anywhere(Action::Disturb(disturbance));
            }
        }
        for _ in 0..self.count(Fault::ServerRestored, 0.3) {
            let kept_ms = self.some_moment();
            let restored_ms = kept_ms + some_time(MINUTE_MS, OLDEST_SERVER_COPY_MS, self.rng);
            self.add(kept_ms, 0, Action::Disturb(Disturbance::KeepCopy));
            self.add(restored_ms, 0, Action::Disturb(Disturbance::Restore));
        }
    }

    /// Every other phone that comes back after weeks finds the log pruned beyond what it knows.
    fn prunes_meanwhile(&mut self) {
        let is_back = |step: &&Step| matches!(&step.action, Action::Sync(sync) if sync.after_weeks);
        let backs: Vec<i64> = self.plan.steps.iter().filter(is_back).map(|step| step.at_ms).collect();
        for back_ms in backs {
            if self.faults.has(Fault::Pruned) && self.rng.bool() {
                let at_ms = back_ms - some_time(MINUTE_MS, 10 * DAY_MS, self.rng);
                self.add(at_ms, 0, Action::Disturb(Disturbance::Prune));
            }
        }
    }

    /// Half of the kills are within syncs, where a step follows upon a step.
    fn kill(&mut self) {
        let wants_sync = self.rng.bool();
        let may_be_killed = |step: &Step| match step.action {
            Action::Sync(_) => wants_sync,
            Action::Record(_) | Action::Compact => !wants_sync,
            _ => false,
        };
        let steps: Vec<usize> =
            (0..self.plan.steps.len()).filter(|&index| may_be_killed(&self.plan.steps[index])).collect();
        let Some(&index) = self.rng.choice(&steps) else { return };
        let commits = if wants_sync { self.rng.u32(..6) } else { self.rng.u32(..2) };
        let action = Action::ArmKill(Kill { commits, dies_within_next: self.rng.bool() });
        let Step { at_ms, phone, .. } = self.plan.steps[index];
        self.plan.steps.insert(index, Step { at_ms, phone, action });
    }
}
