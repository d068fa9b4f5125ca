//! The plan of a simulation: what every phone does when, and what goes wrong. It follows from the options alone.

mod faults;
mod timeline;
mod workout;

use serde::Serialize;
use serde_json::Value;

use crate::fault::{Fault, FaultSet};
use crate::server::{Cut, Disturbance};

/// What to simulate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Options {
    /// Everything random follows from it.
    pub seed: u64,
    /// Users, each with a space of their own.
    pub users: u32,
    /// Phones of each user; clones come on top.
    pub devices: u32,
    /// Events that all users record together.
    pub events: u32,
    /// Simulated days.
    pub days: u32,
    /// What may go wrong.
    pub faults: FaultSet,
}

/// What all users do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// What it was made of.
    pub options: Options,
    /// Each user's part. Nothing in one depends on another.
    pub users: Vec<UserPlan>,
}

/// What the phones of one user do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UserPlan {
    /// The user's number, from 0.
    pub user: u32,
    /// What is random while the plan is carried out (ids, latencies) follows from it.
    pub seed: u64,
    /// How long it lasts.
    pub length_ms: i64,
    /// Events of a push, at most.
    pub batch_events: usize,
    /// Events of a pull, at most.
    pub pull_events: u64,
    /// The phones from the beginning on and, behind them, clones.
    pub phones: Vec<PhonePlan>,
    /// What happens, in order of time.
    pub steps: Vec<Step>,
}

/// A phone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PhonePlan {
    /// Whether it begins with an older version of the app.
    pub older_app: bool,
    /// Whether another phone becomes this one; until then it is not there.
    pub is_clone: bool,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// When, in milliseconds from the beginning.
    pub at_ms: i64,
    /// To which phone.
    pub phone: usize,
    /// What.
    pub action: Action,
}

/// What happens in a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Action {
    /// The user does something.
    Record(PlannedEvent),
    /// The phone syncs.
    Sync(SyncPlan),
    /// The phone is without network until its next sync.
    GoOffline,
    /// The phone lets confirmed events fold away.
    Compact,
    /// The app is about to be killed.
    ArmKill(Kill),
    /// The phone's files are copied.
    KeepCopy,
    /// The phone's files become that copy.
    Restore,
    /// Another phone gets a copy of this one's files.
    Clone {
        /// The other phone.
        to: usize,
        /// Whether the device's identity, which lies outside backups, is copied, too.
        same_identity: bool,
    },
    /// The wall clock is changed.
    SetClock {
        /// By how much it is ahead of the true time from now on.
        ahead_ms: i64,
        /// Whether the phone boots at that.
        reboot: bool,
    },
    /// Another user logs in, and out again.
    SwitchUser,
    /// An older app becomes the present one.
    UpdateApp,
    /// The server is disturbed.
    #[serde(serialize_with = "as_debug")]
    Disturb(Disturbance),
}

/// An event to record.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedEvent {
    /// Its type.
    pub event_type: &'static str,
    /// The entity's id.
    pub entity_id: String,
    /// Its payload.
    pub payload: Value,
    /// Whether the server's schema takes it.
    pub is_valid: bool,
}

/// A sync, and what happens on the way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SyncPlan {
    /// What befalls which request, counted from 0.
    pub faults: Vec<(u32, RequestFault)>,
    /// Whether the phone tries again at once when it got no answer.
    pub tries_again: bool,
    /// Whether it was without network for weeks.
    pub after_weeks: bool,
}

/// What befalls a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum RequestFault {
    /// It is cut off.
    #[serde(serialize_with = "as_debug")]
    Cut(Cut),
    /// Its answer comes twice.
    Duplicate,
    /// Its answer comes before the first request of a later sync.
    Delay,
    /// Its answer comes after that of the next request.
    Reorder,
}

impl RequestFault {
    /// Its kind.
    pub fn kind(self) -> Fault {
        match self {
            Self::Cut(Cut::Before) => Fault::CutBefore,
            Self::Cut(Cut::During) => Fault::CutDuring,
            Self::Cut(Cut::After) => Fault::CutAfter,
            Self::Duplicate => Fault::Duplicated,
            Self::Delay => Fault::Delayed,
            Self::Reorder => Fault::Reordered,
        }
    }
}

/// When the app is killed. What a file holds then is some number of commits, whatever was under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Kill {
    /// So many commits still come through.
    pub commits: u32,
    /// Whether it lives on until the next commit, which fails, or dies at once after the last one.
    pub dies_within_next: bool,
}

impl Plan {
    /// The plan of these options.
    pub fn of(options: &Options) -> Self {
        let mut rng = fastrand::Rng::with_seed(options.seed);
        let users = (0..options.users)
            .map(|user| {
                let share = options.events / options.users + u32::from(user < options.events % options.users);
                UserPlan::of(options, user, share, rng.fork())
            })
            .collect();
        Self { options: options.clone(), users }
    }
}

impl UserPlan {
    fn of(options: &Options, user: u32, events: u32, mut rng: fastrand::Rng) -> Self {
        let phone = PhonePlan { older_app: false, is_clone: false };
        let mut plan = Self {
            user,
            seed: rng.u64(..),
            length_ms: i64::from(options.days) * DAY_MS,
            batch_events: *rng.choice(&[3, 8, 50]).unwrap_or(&50),
            pull_events: *rng.choice(&[4, 20, 1000]).unwrap_or(&1000),
            phones: vec![phone; options.devices as usize],
            steps: Vec::new(),
        };
        timeline::lay_out(&mut plan, events, &options.faults, &mut rng);
        faults::sprinkle(&mut plan, events, &options.faults, &mut rng);
        plan
    }
}

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

/// A length of time between two others, short ones as often as long ones: so evenly by its logarithm.
fn some_time(from_ms: i64, to_ms: i64, rng: &mut fastrand::Rng) -> i64 {
    let (from, to) = ((from_ms as f64).ln(), (to_ms.max(from_ms) as f64).ln());
    (from + (to - from) * rng.f64()).exp() as i64
}

fn chance(probability: f64, rng: &mut fastrand::Rng) -> bool {
    rng.f64() < probability
}

fn as_debug<T: std::fmt::Debug, S: serde::Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{value:?}"))
}

#[cfg(test)]
mod tests;
