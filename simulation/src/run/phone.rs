//! A simulated phone: its files, its clocks, its app, and answers that are still on their way to it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tidelog_client::store::{EventStore, OpenError, StoreOptions};
use tidelog_client::transport::{Answer, Request};
use tidelog_client::{BootId, Moment};
use tidelog_events::id::{DeviceId, EventId, UserId};

use super::kill::Killer;
use crate::check::Shadow;
use crate::plan::Kill;
use crate::schemas::Schemas;

/// A phone.
pub(super) struct Phone {
    pub(super) number: usize,
    pub(super) older_app: bool,
    /// How many times its file became an older one: what it does since is another life.
    pub(super) lives: u32,
    /// The events that its file must hold.
    pub(super) held: BTreeSet<EventId>,
    /// The last row of its own events that was looked at.
    pub(super) last_row: u64,
    /// What its log must amount to.
    shadow: Shadow,
    pub(super) clock: PhoneClock,
    pub(super) late: Vec<Late>,
    pub(super) copy: Option<Copy>,
    path: PathBuf,
    identity: DeviceId,
    killer: Killer,
    /// None only while its file is changed.
    store: Option<EventStore>,
}

/// A copy of a phone's files, kept for later.
#[derive(Debug, Clone)]
pub(super) struct Copy {
    path: PathBuf,
    held: BTreeSet<EventId>,
}

/// An answer on its way.
#[derive(Debug, Clone)]
pub(super) struct Late {
    pub(super) request: Request,
    pub(super) answer: Answer,
    pub(super) sent: Moment,
    /// It comes when so many syncs have begun.
    pub(super) after_syncs: u32,
}

/// A phone's clocks.
#[derive(Debug, Clone)]
pub(super) struct PhoneClock {
    /// By how much the wall clock is ahead of the true time.
    pub(super) ahead_ms: i64,
    booted_at_ms: i64,
    boot: BootId,
    boots: u32,
}

impl PhoneClock {
    fn new(number: usize, now_ms: i64) -> Self {
        let mut clock = Self { ahead_ms: 0, booted_at_ms: now_ms, boot: BootId(Arc::from("")), boots: 0 };
        clock.reboot(number, now_ms);
        clock
    }

    pub(super) fn reboot(&mut self, number: usize, now_ms: i64) {
        self.boots += 1;
        self.booted_at_ms = now_ms;
        self.boot = BootId(format!("phone {number}, boot {}", self.boots).into());
    }

    pub(super) fn moment(&self, now_ms: i64) -> Moment {
        Moment {
            wall_ms: now_ms + self.ahead_ms,
            monotonic_ms: now_ms - self.booted_at_ms,
            boot: self.boot.clone(),
        }
    }
}

impl Phone {
    /// A phone whose app was never opened.
    pub(super) fn new(number: usize, folder: &Path, identity: DeviceId, now_ms: i64) -> Self {
        Self {
            number,
            older_app: false,
            lives: 1,
            held: BTreeSet::new(),
            last_row: 0,
            shadow: Shadow::default(),
            clock: PhoneClock::new(number, now_ms),
            late: Vec::new(),
            copy: None,
            path: folder.join(format!("phone-{number}.sqlite")),
            identity,
            killer: Killer::default(),
            store: None,
        }
    }

    /// Another phone with a copy of this one's files; with its identity, too, unless it has one of its own.
    pub(super) fn clone_to(
        &self,
        number: usize,
        folder: &Path,
        identity: Option<DeviceId>,
        now_ms: i64,
    ) -> io::Result<Self> {
        let identity = identity.unwrap_or_else(|| self.identity.clone());
        let mut clone = Self::new(number, folder, identity, now_ms);
        copy_files(&self.path, &clone.path)?;
        clone.older_app = self.older_app;
        clone.held.clone_from(&self.held);
        Ok(clone)
    }

    /// Opens the app's store. Whatever the app had in memory is gone, answers on their way too.
    pub(super) fn open(
        &mut self,
        user: &UserId,
        schemas: &Schemas,
        random: fastrand::Rng,
    ) -> Result<(), OpenError> {
        self.store = None;
        self.late.clear();
        let schema = if self.older_app { &schemas.device_older } else { &schemas.device };
        let options = StoreOptions {
            user: user.clone(),
            schema: Arc::clone(schema),
            identity: self.identity.clone(),
            random,
        };
        self.killer = Killer::default();
        self.store = Some(EventStore::open_over(connect(&self.path, &self.killer)?, options)?);
        Ok(())
    }

    /// What is needed to look at what it shows.
    pub(super) fn in_view(&mut self) -> Option<(&EventStore, &mut Shadow, &BTreeSet<EventId>)> {
        self.store.as_ref().map(|store| (store, &mut self.shadow, &self.held))
    }

    /// The app's store.
    pub(super) fn store(&mut self) -> Option<&mut EventStore> {
        self.store.as_mut()
    }

    pub(super) fn is_dead(&self) -> bool {
        self.killer.is_dead()
    }

    pub(super) fn arm(&self, kill: Kill) {
        self.killer.arm(kill);
    }

    /// Copies its files while no statement runs.
    pub(super) fn keep_copy(&mut self) -> io::Result<()> {
        let path = self.path.with_extension("copy");
        copy_files(&self.path, &path)?;
        self.copy = Some(Copy { path, held: self.held.clone() });
        Ok(())
    }

    /// Its files become the copy, which stays. The events that it has forgotten by that; `None` without a copy.
    pub(super) fn restore_copy(&mut self) -> io::Result<Option<BTreeSet<EventId>>> {
        let Some(copy) = self.copy.clone() else { return Ok(None) };
        self.store = None;
        copy_files(&copy.path, &self.path)?;
        let forgotten = self.held.difference(&copy.held).copied().collect();
        self.held = copy.held;
        self.lives += 1;
        Ok(Some(forgotten))
    }
}

fn connect(path: &Path, killer: &Killer) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    // A killed app does not tidy up: what it leaves behind is what the next one finds.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let killer = killer.clone();
    connection.commit_hook(Some(move || killer.stops_commit()))?;
    Ok(connection)
}

/// Copies a database with its write-ahead log, over whatever is there.
fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    let beside = |path: &Path, suffix: &str| {
        let mut name = OsString::from(path);
        name.push(suffix);
        PathBuf::from(name)
    };
    for suffix in ["", "-wal", "-shm"] {
        remove_if_there(&beside(to, suffix))?;
    }
    fs::copy(from, to)?;
    match fs::copy(beside(from, "-wal"), beside(to, "-wal")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
