//! The end: everybody syncs until nothing is left, and then all must say the same.

use tidelog_events::id::Position;

use super::sync::SyncEnd;
use super::world::{World, failed};
use crate::check::{
    Ending, PhoneEnding, Replay, Truth, check_log, check_phone, check_read_model, check_stamps,
};
use crate::fault::Fault;
use crate::finding::{Finding, SimulationError, Stop, Wrong, server_error};
use crate::plan::SyncPlan;
use crate::server::{LogEvent, QuarantinedAt, Server};

/// Rounds of syncs that must be enough.
const MOST_ROUNDS: u32 = 20;
/// The longest that a phone waits when it is told to come again later.
const LONGEST_WAIT_MS: i64 = 60_000;

impl<S: Server> World<'_, S> {
    /// All phones sync, in turn, until a whole round brings nobody anything new.
    pub(super) fn sync_all(&mut self) -> Result<(), Stop> {
        let mut before = None;
        for _ in 0..MOST_ROUNDS {
            let mut all_synced = true;
            for number in 0..self.phones.len() {
                let Some(mut phone) = self.phones[number].take() else { continue };
                if phone.store().is_none() {
                    self.open(&mut phone, None)?;
                }
                let end = self.sync(&mut phone, &SyncPlan::default());
                all_synced &= phone.late.is_empty();
                self.phones[number] = Some(phone);
                let end = end?;
                all_synced &= end == SyncEnd::Synced;
                if let SyncEnd::Later(Some(after)) = end {
                    self.now_ms += i64::try_from(after.as_millis()).unwrap_or(0).min(LONGEST_WAIT_MS);
                }
            }
            self.read_log()?;
            let after = self.logged.events.len();
            if all_synced && before.replace(after) == Some(after) {
                return Ok(());
            }
        }
        Err(Finding::new(Wrong::Stuck, format!("phones are not synced after {MOST_ROUNDS} rounds")).into())
    }

    /// Compares everybody with everybody, and with the model.
    pub(super) fn look_at_the_end(&mut self) -> Result<Vec<Finding>, Stop> {
        let log = std::mem::take(&mut self.logged).events;
        let schema = &self.scene.schemas.server;
        let replay = Replay::of(&log, schema, &mut self.rng)
            .map_err(|error| SimulationError::Own(format!("an entity line cannot be read back: {error}")))?;
        let kept = self.model.must_be_kept(self.phones.iter().flatten().map(|phone| &phone.held));
        let quarantine = self.quarantine()?;
        self.count(&log, &quarantine, kept.len());
        let read_model =
            self.server.read_model(&self.space, Position(log.len() as u64)).map_err(server_error)?;
        let ending = Ending { model: &self.model, kept, log, quarantine };
        let mut findings = check_log(&ending);
        findings.extend(check_stamps(&ending.log, &self.single_devices(), self.now_ms));
        findings.extend(replay.check_plainly(&ending.log, schema));
        let by_snapshot = self.counts.snapshots > 0;
        let truth = Truth { log: &ending.log, replay, schema, model: &self.model, by_snapshot };
        findings.extend(check_read_model(&read_model, &truth));
        for phone in self.phones.iter_mut().flatten() {
            let number = phone.number;
            let Some(store) = phone.store() else { continue };
            let phone = PhoneEnding::of(number, store, &self.space).map_err(failed)?;
            findings.extend(check_phone(&phone, &truth));
        }
        Ok(findings)
    }

    fn count(&mut self, log: &[LogEvent], quarantine: &[QuarantinedAt], kept: usize) {
        self.counts.phones = self.phones.iter().flatten().count() as u64;
        self.counts.recorded = self.model.len() as u64;
        self.counts.invalid = self.model.invalid() as u64;
        self.counts.forgotten = (self.model.len() - kept) as u64;
        self.counts.logged = log.len() as u64;
        self.counts.quarantined = quarantine.len() as u64;
        self.counts.pruned_spaces = u64::from(self.counts.faults.contains_key(&Fault::Pruned));
    }
}
