//! Syncing: what to ask the server and when, and what its answers mean.

mod control;
mod cycle;
mod dispatch;
mod judge;
mod live;
mod restamp;
mod scheduler;
mod status;
mod syncer;
mod tokens;
mod worker;

pub use cycle::{Cycle, CycleOptions, Failure, Progress};
pub(crate) use judge::{Held, Judgement, Told, judge};
pub use live::{MAX_PRESENCES, PresenceError, Presences};
pub(crate) use restamp::{Believable, Correction, RecordedAt, ServerTime, corrections};
pub use status::{Report, SpaceReport, SyncFailure, SyncStatus};
pub use syncer::{SyncOptions, Syncer};
pub use tokens::{NoToken, TokenSource};
