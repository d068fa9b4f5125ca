//! Everything of one user: the phones, the true time, the model, and the way to the server.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use tidelog_client::Moment;
use tidelog_client::store::{EventStore, EventsQuery};
use tidelog_client::transport::{Answer, Request, Unreachable};
use tidelog_events::frame::{PullItem, PullReader};
use tidelog_events::id::{DeviceId, Epoch, EventId, Position, Sequence, SpaceId, UserId};

use super::Scene;
use super::counts::Counts;
use super::journal::Journal;
use super::live::LiveEnd;
use super::phone::Phone;
use crate::check::{Logged, Showing, check_shown};
use crate::fault::Fault;
use crate::finding::{Finding, SimulationError, Stop, Wrong, server_error};
use crate::model::Model;
use crate::plan::{PlannedEvent, UserPlan};
use crate::server::{Cut, QuarantinedAt, Server};

/// What has pushed under a device id.
#[derive(Debug, Default)]
pub(super) struct Pushed {
    /// The greatest sequence.
    through: Sequence,
    /// The phones, and which of their lives.
    lives: BTreeSet<(usize, u32)>,
}

/// The world of one user.
pub(super) struct World<'a, S: Server> {
    pub(super) plan: &'a UserPlan,
    pub(super) server: &'a S,
    pub(super) scene: &'a Scene<'a>,
    pub(super) user: UserId,
    pub(super) space: SpaceId,
    pub(super) model: Model,
    pub(super) counts: Counts,
    pub(super) journal: Journal,
    pub(super) rng: fastrand::Rng,
    /// `None`: a clone that is not there yet; or a phone that somebody has in hand.
    pub(super) phones: Vec<Option<Phone>>,
    /// The live connections of the phones.
    pub(super) live: Vec<Option<LiveEnd<S::Live>>>,
    /// The true time.
    pub(super) now_ms: i64,
    pub(super) folder: PathBuf,
    start_ms: i64,
    /// The device ids that have pushed.
    devices: BTreeMap<DeviceId, Pushed>,
    /// The log, as far as it was read.
    pub(super) logged: Logged,
    /// The log's incarnation, as the server told it last; `None` where it has a new one that it has not told yet.
    pub(super) epoch: Option<Epoch>,
    /// Its horizon, likewise.
    pub(super) horizon: Option<Position>,
}

impl<'a, S: Server> World<'a, S> {
    pub(super) fn new(
        plan: &'a UserPlan,
        server: &'a S,
        scene: &'a Scene<'a>,
    ) -> Result<Self, SimulationError> {
        let own = |error: tidelog_events::id::InvalidId| SimulationError::Own(error.to_string());
        let name = format!("{}u{}", scene.prefix, plan.user);
        let start_ms = scene.end_ms - plan.length_ms;
        let folder = scene.folder.join(&name);
        std::fs::create_dir_all(&folder)?;
        let mut world = Self {
            plan,
            server,
            scene,
            user: UserId::new(name.as_str()).map_err(own)?,
            space: SpaceId::new(name).map_err(own)?,
            model: Model::default(),
            counts: Counts::default(),
            journal: Journal::default(),
            rng: fastrand::Rng::with_seed(plan.seed),
            phones: Vec::new(),
            live: plan.phones.iter().map(|_| None).collect(),
            now_ms: start_ms,
            folder,
            start_ms,
            devices: BTreeMap::new(),
            logged: Logged::default(),
            epoch: None,
            horizon: Some(Position::ZERO),
        };
        for (number, phone) in plan.phones.iter().enumerate() {
            let identity = world.identity(number)?;
            let mut new = Phone::new(number, &world.folder, identity, start_ms);
            new.older_app = phone.older_app;
            world.phones.push((!phone.is_clone).then_some(new));
        }
        Ok(world)
    }

    pub(super) fn identity(&self, phone: usize) -> Result<DeviceId, SimulationError> {
        let id = DeviceId::new(format!("{}-phone-{phone}", self.user));
        id.map_err(|error| SimulationError::Own(error.to_string()))
    }

    /// Time goes on, never back.
    pub(super) fn advance_to(&mut self, since_start_ms: i64) {
        self.now_ms = self.now_ms.max(self.start_ms + since_start_ms);
    }

    pub(super) fn note(&mut self, phone: &Phone, what: impl Into<String>) {
        self.journal.note(self.now_ms - self.start_ms, phone.number, what.into());
    }

    pub(super) fn note_server(&mut self, what: String) {
        self.journal.note(self.now_ms - self.start_ms, 0, what);
    }

    /// Opens the phone's app (again), and looks what its store holds: everything that it must, and nothing else but
    /// the event whose recording was broken off, if that came through.
    pub(super) fn open(&mut self, phone: &mut Phone, recording: Option<&PlannedEvent>) -> Result<(), Stop> {
        let random = self.rng.fork();
        self.disconnect(phone);
        if let Err(error) = phone.open(&self.user, self.scene.schemas, random) {
            return Err(Finding::new(Wrong::Store, format!("a store cannot be opened: {error}")).into());
        }
        phone.last_row = 0;
        self.discover(phone, recording)
    }

    /// Looks for what the store says to have recorded since the last look: at most what was asked of it.
    pub(super) fn discover(&mut self, phone: &mut Phone, asked: Option<&PlannedEvent>) -> Result<(), Stop> {
        let query = EventsQuery { after_row: phone.last_row, ..EventsQuery::all() };
        let space = &self.space;
        let listed =
            phone.store().map_or(Ok(Vec::new()), |store| store.events(space, &query)).map_err(failed)?;
        phone.last_row = listed.last().map_or(phone.last_row, |event| event.row);
        let new: Vec<EventId> =
            listed.iter().map(|event| event.event_id).filter(|id| !phone.held.contains(id)).collect();
        match (new.as_slice(), asked) {
            ([], _) => Ok(()),
            ([id], Some(asked)) => {
                phone.held.insert(*id);
                self.model.record(*id, phone.number, asked.clone());
                Ok(())
            }
            _ => {
                let what = format!("a phone lists events that were not recorded on it: {new:?}");
                Err(Finding::new(Wrong::Store, what).into())
            }
        }
    }

    /// Lets the phone's store do something. `None`: the app was killed at it, and is open again; `recording` is the
    /// event that it was about to record.
    pub(super) fn at_store<T, E: std::fmt::Display>(
        &mut self,
        phone: &mut Phone,
        recording: Option<&PlannedEvent>,
        act: impl FnOnce(&mut EventStore, &Moment) -> Result<T, E>,
    ) -> Result<Option<T>, Stop> {
        let now = phone.clock.moment(self.now_ms);
        let store = phone.store().ok_or_else(not_open)?;
        let done = act(store, &now);
        if phone.is_dead() {
            self.counts.add_fault(Fault::Killed);
            self.note(phone, "killed");
            self.open(phone, recording)?;
            return Ok(None);
        }
        done.map(Some).map_err(failed)
    }

    /// Asks the server; time goes by.
    pub(super) fn ask(
        &mut self,
        phone: &Phone,
        request: &Request,
        cut: Option<Cut>,
    ) -> Result<Answer, Unreachable> {
        self.counts.requests += 1;
        if let Request::Push(push) = request {
            let pushed = self.devices.entry(push.device.clone()).or_default();
            pushed.through = push.last.max(pushed.through);
            pushed.lives.insert((phone.number, phone.lives));
        }
        self.now_ms += self.rng.i64(5..200);
        let answer = match request {
            Request::Pull(pull) if self.scene.live => self.connect(phone, pull, cut),
            _ => self.server.send(&self.user, request, self.now_ms, cut),
        };
        self.now_ms += self.rng.i64(5..200);
        if let Ok(Answer::Pulled(lines)) = &answer {
            self.hear(lines);
        }
        answer
    }

    /// What an answer says about the log. It counts as pruned when a phone is told so.
    fn hear(&mut self, lines: &str) {
        let mut reader = PullReader::new(lines, Position::ZERO);
        let Ok(Some(PullItem::Hello(hello))) = reader.next_item() else { return };
        if self.horizon.is_some_and(|known| known < hello.horizon) {
            self.counts.add_fault(Fault::Pruned);
        }
        (self.epoch, self.horizon) = (hello.epoch, Some(hello.horizon));
        self.counts.snapshots += u64::from(matches!(reader.next_item(), Ok(Some(PullItem::Snapshot(..)))));
    }

    /// Compares what the phone shows with the log and with what it recorded.
    pub(super) fn look_at(&mut self, phone: &mut Phone) -> Result<(), Stop> {
        if !self.scene.looks_always {
            return Ok(());
        }
        self.read_log()?;
        let schemas = self.scene.schemas;
        let schema = if phone.older_app { &schemas.older } else { &schemas.server };
        let (store, shadow, held) = phone.in_view().ok_or_else(not_open)?;
        let showing = Showing {
            space: &self.space,
            schema,
            model: &self.model,
            log: &self.logged,
            epoch: self.epoch,
            held,
        };
        let looked = check_shown(store, shadow, &showing).map_err(failed)?;
        self.counts.looks += u64::from(looked?);
        Ok(())
    }

    /// Reads the log: nothing of it may ever change.
    pub(super) fn read_log(&mut self) -> Result<(), Stop> {
        let log = self.server.log(&self.space).map_err(server_error)?;
        Ok(self.logged.update(log)?)
    }

    /// The events that the server has in its log or in quarantine.
    pub(super) fn at_server(&mut self) -> Result<BTreeSet<EventId>, Stop> {
        self.read_log()?;
        let mut at_server: BTreeSet<_> = self.logged.positions.keys().copied().collect();
        at_server.extend(self.quarantine()?.iter().map(|event| event.event_id));
        Ok(at_server)
    }

    /// What lies in quarantine of all devices that have pushed.
    pub(super) fn quarantine(&self) -> Result<Vec<QuarantinedAt>, Stop> {
        let mut found = Vec::new();
        for (device, pushed) in &self.devices {
            let of_device = self.server.quarantined(&self.space, device, pushed.through);
            found.extend(of_device.map_err(server_error)?);
        }
        Ok(found)
    }

    /// The device ids that one life of one phone has pushed under.
    pub(super) fn single_devices(&self) -> BTreeSet<DeviceId> {
        let single = self.devices.iter().filter(|(_, pushed)| pushed.lives.len() == 1);
        single.map(|(device, _)| device.clone()).collect()
    }
}

fn not_open() -> SimulationError {
    SimulationError::Own("a store is not open".to_owned())
}

/// A store failed that nobody had killed.
pub(super) fn failed(error: impl std::fmt::Display) -> Stop {
    Finding::new(Wrong::Store, format!("a store failed: {error}")).into()
}
