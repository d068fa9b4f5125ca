//! Live connections: one a space beside its cycles, which brings what other devices record as it is committed. Losing
//! it, or anything that came over it, delays and never breaks: the cycles find all of it in the log.

mod follower;
mod reconnect;
mod session;

use std::collections::BTreeMap;

use tidelog_events::live::Presence;

pub(super) use follower::Follower;
pub(super) use reconnect::{Ended, Reconnect};

use super::SyncFailure;

/// Presences of a space that are kept; what others say beyond that is not heard.
pub const MAX_PRESENCES: usize = 256;

/// Who is here, by the gateway's name for their connection. Empty while no live connection tells.
pub type Presences = BTreeMap<String, Presence>;

/// Why a presence is not shown to others.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PresenceError {
    /// It is too large.
    #[error("the state of a presence may have {limit} bytes as JSON, and this one has {bytes}")]
    TooLarge {
        /// Its bytes, as JSON.
        bytes: usize,
        /// Bytes that it may have.
        limit: usize,
    },
    /// There is no such space, or syncing has ended.
    #[error(transparent)]
    Sync(#[from] SyncFailure),
}
