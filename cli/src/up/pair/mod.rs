//! A PostgreSQL primary with a streaming standby that every commit waits for. When the primary ends, the standby takes its
//! place at once, and the old primary comes back as its standby. One process, this one, starts both, so that there are never
//! two primaries.

mod attach;
mod choice;
mod standing;
mod step;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::door::DatabaseDoor;
use super::supervise::Board;
use crate::local::Postgres;
use crate::terminal::{say, warn};
use attach::{PrimaryAddress, attach};
use choice::choose;
use standing::Standing;
use step::{Moment, PrimaryState, StandbyState, Step};

const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What failed is tried again so much later.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(1);
const STANDING_FILE: &str = "pair.json";

/// The two, and the door to the one that is the primary.
#[derive(Debug)]
pub(super) struct Pair {
    primary: Postgres,
    standby: Standby,
    standing: Standing,
    file: PathBuf,
    door: DatabaseDoor,
    /// Commits may wait for a standby that has been given up.
    must_release: bool,
    start_after: Instant,
    join_after: Instant,
}

#[derive(Debug)]
enum Standby {
    Here(Box<Postgres>),
    /// In the hands of a task, which gives it back.
    Joining {
        task: JoinHandle<(Postgres, Result<()>)>,
        /// The process that it joins: one that was started later waits for no standby.
        primary: Option<u32>,
    },
    /// Lost with a task that had a defect.
    Lost,
}

impl Pair {
    /// Starts both of the members, whose data is in `folder`, and returns when commits wait for the standby; if that cannot be
    /// had, when there is a primary.
    pub(super) async fn start(
        folder: &Path,
        members: [Postgres; 2],
        door: DatabaseDoor,
        database: &str,
    ) -> Result<Self> {
        let file = folder.join(STANDING_FILE);
        let found = [members[0].found(), members[1].found()];
        let primary = choose(Standing::read(&file)?, found).with_context(|| {
            format!("{} cannot be started: look into it, or begin anew with --fresh", folder.display())
        })?;
        let [first, second] = members;
        let (primary_server, standby) = if primary == 0 { (first, second) } else { (second, first) };
        let now = Instant::now();
        let mut pair = Self {
            primary: primary_server,
            standby: Standby::Here(Box::new(standby)),
            standing: Standing { primary, is_synchronous: false },
            file,
            door,
            must_release: false,
            start_after: now,
            join_after: now,
        };
        pair.keep(pair.standing)?;
        pair.primary.start_as_primary().await?;
        pair.primary.create_database(database).await?;
        pair.door.lead_to(Some(pair.primary.port()));
        say(pair.primary.name(), "is the primary");
        pair.join();
        pair.joined().await;
        Ok(pair)
    }

    /// Process ids by name, of those that run.
    pub(super) fn pids(&mut self) -> Vec<(String, Option<u32>)> {
        let mut members = vec![&mut self.primary];
        if let Standby::Here(standby) = &mut self.standby {
            members.push(standby);
        }
        members.into_iter().map(|member| (member.name().to_owned(), pid(member))).collect()
    }

    /// Keeps a primary alive, and a standby behind it, until `stop`.
    pub(super) async fn watch(mut self, board: &Board, stop: &CancellationToken) -> Self {
        while stop.run_until_cancelled(sleep(LOOK_EVERY)).await.is_some() {
            if let Err(error) = self.look(board).await {
                warn(self.primary.name(), &format!("{error:#}"));
            }
        }
        self
    }

    /// Stops both in good order: the standby is there until the primary has given it everything.
    pub(super) async fn stop(self) -> Result<()> {
        let Self { mut primary, standby, .. } = self;
        say(primary.name(), "stopping");
        primary.stop().await?;
        match standby {
            Standby::Here(mut standby) => {
                say(standby.name(), "stopping");
                standby.stop().await
            }
            Standby::Joining { task, .. } => {
                task.abort();
                Ok(())
            }
            Standby::Lost => Ok(()),
        }
    }

    async fn look(&mut self, board: &Board) -> Result<()> {
        if matches!(&self.standby, Standby::Joining { task, .. } if task.is_finished()) {
            self.joined().await;
            self.note(board);
        }
        let now = Instant::now();
        match step::next(self.moment()) {
            Step::FailOver => {
                let failed_over = self.fail_over().await;
                self.note(board);
                failed_over
            }
            Step::StartPrimary if now >= self.start_after => {
                self.start_after = now + TRY_AGAIN_AFTER;
                let started = self.start_primary().await;
                self.note(board);
                started
            }
            Step::Open if now >= self.start_after => {
                self.start_after = now + TRY_AGAIN_AFTER;
                self.open().await
            }
            Step::GoOnAlone => self.go_on_alone(),
            Step::Release if now >= self.join_after => {
                self.join_after = now + TRY_AGAIN_AFTER;
                self.release()
            }
            Step::Join if now >= self.join_after => {
                self.join_after = now + TRY_AGAIN_AFTER;
                self.join();
                Ok(())
            }
            Step::Nothing | Step::StartPrimary | Step::Open | Step::Release | Step::Join => Ok(()),
        }
    }

    fn moment(&mut self) -> Moment {
        Moment {
            primary: match (runs(&mut self.primary), self.door.is_open()) {
                (true, true) => PrimaryState::Serves,
                (true, false) => PrimaryState::Closed,
                (false, _) => PrimaryState::Ended,
            },
            standby: match &mut self.standby {
                Standby::Here(standby) => {
                    if runs(standby) {
                        StandbyState::Runs
                    } else {
                        StandbyState::Ended
                    }
                }
                Standby::Joining { .. } | Standby::Lost => StandbyState::Joining,
            },
            is_synchronous: self.standing.is_synchronous,
            must_release: self.must_release,
        }
    }

    async fn fail_over(&mut self) -> Result<()> {
        let began = Instant::now();
        // Whoever is still served by the old primary's remains is so no longer.
        self.door.lead_to(None);
        self.keep(Standing { primary: 1 - self.standing.primary, is_synchronous: false })?;
        if let Standby::Here(standby) = &mut self.standby {
            std::mem::swap(&mut self.primary, &mut **standby);
            warn(standby.name(), &format!("ended; {} takes its place", self.primary.name()));
        }
        self.primary.promote().await.context("cannot be promoted")?;
        self.door.lead_to(Some(self.primary.port()));
        say(self.primary.name(), &format!("is the primary, after {} ms", began.elapsed().as_millis()));
        Ok(())
    }

    async fn start_primary(&mut self) -> Result<()> {
        warn(self.primary.name(), "ended; starting it again, since no standby has everything");
        self.door.lead_to(None);
        self.keep(Standing { is_synchronous: false, ..self.standing })?;
        self.primary.stop().await?;
        self.primary.start_as_primary().await?;
        self.door.lead_to(Some(self.primary.port()));
        say(self.primary.name(), "is the primary again");
        Ok(())
    }

    /// Ends what a promotion that failed has begun.
    async fn open(&mut self) -> Result<()> {
        self.primary.promote().await.context("cannot be promoted")?;
        self.door.lead_to(Some(self.primary.port()));
        say(self.primary.name(), "is the primary");
        Ok(())
    }

    fn go_on_alone(&mut self) -> Result<()> {
        warn(self.primary.name(), "has lost its standby, and goes on alone until that is back");
        self.keep(Standing { is_synchronous: false, ..self.standing })?;
        self.release()
    }

    /// Has commits wait for nobody; where that fails it stays to be done.
    fn release(&mut self) -> Result<()> {
        self.must_release = true;
        self.primary.require_standby(None)?;
        self.must_release = false;
        Ok(())
    }

    fn release_or_warn(&mut self) {
        if let Err(error) = self.release() {
            warn(self.primary.name(), &format!("{error:#}"));
        }
    }

    /// Begins to make the standby one.
    fn join(&mut self) {
        let (address, primary) = (PrimaryAddress::of(&self.primary), pid(&mut self.primary));
        match std::mem::replace(&mut self.standby, Standby::Lost) {
            Standby::Here(mut standby) => {
                let task = tokio::spawn(async move {
                    let attached = attach(&mut standby, &address).await;
                    (*standby, attached)
                });
                self.standby = Standby::Joining { task, primary };
            }
            other => self.standby = other,
        }
    }

    /// Waits for the end of that.
    async fn joined(&mut self) {
        let Standby::Joining { task, primary } = &mut self.standby else { return };
        let primary = *primary;
        let (mut standby, attached) = match task.await {
            Ok(joined) => joined,
            Err(error) => {
                self.standby = Standby::Lost;
                warn("postgres", &format!("there will be no standby any more: {error}"));
                // It may have had commits wait for the standby that went with it.
                return self.release_or_warn();
            }
        };
        let attached = attached.and_then(|()| {
            let both_run = runs(&mut self.primary) && runs(&mut standby);
            ensure!(both_run && pid(&mut self.primary) == primary, "the primary ended meanwhile");
            self.keep(Standing { is_synchronous: true, ..self.standing })
        });
        let name = standby.name().to_owned();
        self.standby = Standby::Here(Box::new(standby));
        match attached {
            Ok(()) => say(&name, "is the standby, and every commit waits for it"),
            Err(error) => {
                warn(&name, &format!("is no standby yet: {error:#}"));
                self.release_or_warn();
            }
        }
    }

    fn note(&mut self, board: &Board) {
        for (name, pid) in self.pids() {
            board.note(&name, pid);
        }
    }

    /// Keeps it on disk first: only then does it hold.
    fn keep(&mut self, standing: Standing) -> Result<()> {
        standing.write(&self.file)?;
        self.standing = standing;
        Ok(())
    }
}

fn pid(member: &mut Postgres) -> Option<u32> {
    member.process().map(|process| process.id())
}

fn runs(member: &mut Postgres) -> bool {
    member.process().is_some_and(|process| matches!(process.exited(), Ok(None)))
}
