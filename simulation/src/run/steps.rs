//! The steps of a plan, one by one.

use tidelog_client::store::{NewEvent, OpenError};
use tidelog_events::id::{EntityId, UserId};

use super::phone::Phone;
use super::world::World;
use crate::check::Logged;
use crate::fault::Fault;
use crate::finding::{Finding, SimulationError, Stop, Wrong};
use crate::plan::{Action, PlannedEvent, Step};
use crate::server::{Disturbance, Server};

impl<S: Server> World<'_, S> {
    pub(super) fn take_step(&mut self, step: &Step) -> Result<(), Stop> {
        if let Action::Disturb(disturbance) = step.action {
            return self.disturb(disturbance);
        }
        // The phone is taken out of the world while something happens to it.
        let Some(mut phone) = self.phones[step.phone].take() else {
            return Err(SimulationError::Own(format!("phone {} is not there yet", step.phone)).into());
        };
        let taken = self.happen(&mut phone, &step.action);
        self.phones[step.phone] = Some(phone);
        taken
    }

    fn happen(&mut self, phone: &mut Phone, action: &Action) -> Result<(), Stop> {
        if phone.store().is_none() {
            self.open(phone, None)?;
        }
        // Whatever the app does, it does after what has come by then. One that was killed at that is open again.
        let _ = self.follow(phone, false)?;
        match action {
            Action::Record(event) => self.record(phone, event)?,
            Action::Sync(sync) => self.sync_as_planned(phone, sync)?,
            Action::Compact => self.compact(phone)?,
            Action::GoOffline => {
                self.disconnect(phone);
                self.counts.add_fault(Fault::Offline);
            }
            Action::ArmKill(kill) => phone.arm(*kill),
            Action::KeepCopy => phone.keep_copy()?,
            Action::Restore => self.restore(phone)?,
            Action::Clone { to, same_identity } => self.clone_phone(phone, *to, *same_identity)?,
            Action::SetClock { ahead_ms, reboot } => self.set_clock(phone, *ahead_ms, *reboot)?,
            Action::SwitchUser => self.switch_user(phone)?,
            Action::UpdateApp => {
                self.note(phone, "updates its app");
                phone.older_app = false;
                self.open(phone, None)?;
            }
            Action::Disturb(_) => {}
        }
        Ok(())
    }

    fn record(&mut self, phone: &mut Phone, event: &PlannedEvent) -> Result<(), Stop> {
        let entity_id = EntityId::new(event.entity_id.as_str());
        let entity_id = entity_id.map_err(|error| SimulationError::Own(error.to_string()))?;
        let new = NewEvent::new(event.event_type, entity_id, event.payload.clone());
        let space = self.space.clone();
        let recorded = self.at_store(phone, Some(event), |store, now| store.record(&space, new, now))?;
        if let Some(recorded) = recorded {
            self.discover(phone, Some(event))?;
            if !phone.held.contains(&recorded.event_id) {
                let what = format!("a phone does not list what it has just recorded: {}", recorded.event_id);
                return Err(Finding::new(Wrong::Store, what).into());
            }
            if !event.is_valid {
                self.counts.add_fault(Fault::OlderApp);
            }
            let (device, sequence) = (&recorded.device_id, recorded.device_sequence);
            self.note(
                phone,
                format!(
                    "{} {} as {device} {sequence} {}",
                    event.event_type, recorded.event_id, recorded.timestamp
                ),
            );
        }
        // What a record does to the state is the least of what can go wrong: looked at now and then.
        if self.rng.u32(..4) == 0 { self.look_at(phone) } else { Ok(()) }
    }

    fn compact(&mut self, phone: &mut Phone) -> Result<(), Stop> {
        let space = self.space.clone();
        self.at_store(phone, None, |store, _| store.compact(&space))?;
        self.look_at(phone)
    }

    fn restore(&mut self, phone: &mut Phone) -> Result<(), Stop> {
        let Some(forgotten) = phone.restore_copy()? else { return Ok(()) };
        let at_server = self.at_server()?;
        self.model.forgotten(&forgotten, &at_server);
        self.counts.add_fault(Fault::Restored);
        self.note(phone, format!("restored, forgets {}", forgotten.len()));
        self.open(phone, None)?;
        self.look_at(phone)
    }

    fn clone_phone(&mut self, phone: &Phone, to: usize, same_identity: bool) -> Result<(), Stop> {
        let identity = if same_identity { None } else { Some(self.identity(to)?) };
        let mut clone = phone.clone_to(to, &self.folder, identity, self.now_ms)?;
        self.counts.add_fault(Fault::Cloned);
        self.note(phone, format!("cloned to {to}, same identity: {same_identity}"));
        self.open(&mut clone, None)?;
        self.look_at(&mut clone)?;
        self.phones[to] = Some(clone);
        Ok(())
    }

    /// The clock is changed under the running app; a phone that boots starts it anew.
    fn set_clock(&mut self, phone: &mut Phone, ahead_ms: i64, reboot: bool) -> Result<(), Stop> {
        self.counts.add_fault(Fault::ClockJump);
        self.note(phone, format!("sets its clock {ahead_ms} ms ahead, reboots: {reboot}"));
        phone.clock.ahead_ms = ahead_ms;
        if reboot {
            phone.clock.reboot(phone.number, self.now_ms);
            self.open(phone, None)?;
        }
        Ok(())
    }

    fn switch_user(&mut self, phone: &mut Phone) -> Result<(), Stop> {
        let other = UserId::new(format!("{}-sibling", self.user));
        let other = other.map_err(|error| SimulationError::Own(error.to_string()))?;
        let opened = phone.open(&other, self.scene.schemas, self.rng.fork());
        self.counts.add_fault(Fault::OtherUser);
        self.note(phone, "another user logs in, and out again");
        match opened {
            Err(OpenError::OtherUser { bound_to, .. }) if bound_to == self.user => self.open(phone, None),
            opened => {
                let what =
                    format!("another user opened a store, or was refused for another reason: {opened:?}");
                Err(Finding::new(Wrong::Store, what).into())
            }
        }
    }

    fn disturb(&mut self, disturbance: Disturbance) -> Result<(), Stop> {
        if !self.server.disturb(&self.space, disturbance) {
            return Ok(());
        }
        self.note_server(format!("the server: {disturbance:?}"));
        match disturbance {
            // A prune counts when phones are told of it, as one that the server does by itself.
            Disturbance::KeepCopy | Disturbance::Prune => {}
            Disturbance::CommitLate => self.counts.add_fault(Fault::CommittedLate),
            Disturbance::LosePush => self.counts.add_fault(Fault::LostInBroker),
            Disturbance::Refuse(_) => self.counts.add_fault(Fault::Refused),
            Disturbance::Restore => {
                self.counts.add_fault(Fault::ServerRestored);
                (self.epoch, self.horizon) = (None, None);
                self.logged = Logged::default();
                let at_server = self.at_server()?;
                self.model.server_restored(&at_server);
            }
        }
        Ok(())
    }
}
