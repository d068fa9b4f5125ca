//! How syncing stands, as an app shows it.

use std::time::Duration;

use tidelog_events::code::Refusal;
use tidelog_events::id::SpaceId;
use tidelog_events::protocol::UtcTime;
use tidelog_events::report::SyncFailureCause;

use super::{Failure, NoToken};
use crate::store::{Closed, SpaceStatus, StoreError};
use crate::transport::Unreachable;

/// How a space's syncing stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own that an app shows")]
pub struct SyncStatus {
    /// The space.
    pub space: SpaceId,
    /// Events that are not synced yet.
    pub pending: u64,
    /// Events that the server did not accept, those left out that the app has dismissed.
    pub rejected: u64,
    /// The server's time when everything was synced last.
    pub last_synced_at: Option<UtcTime>,
    /// Why the last attempt failed; `None` when it did not.
    pub last_error: Option<SyncFailure>,
    /// When the next attempt begins, by the device's wall clock; `None` while offline or paused.
    pub next_attempt_at: Option<UtcTime>,
    /// Whether there is a network, as far as the app says.
    pub online: bool,
    /// Whether an attempt is under way.
    pub syncing: bool,
    /// Whether the app has paused syncing.
    pub paused: bool,
    /// Whether a live connection brings the log, and has brought all of it: what other devices record is here at once.
    pub live: bool,
}

/// Why an attempt to sync did not end well. Whatever was recorded is still there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyncFailure {
    /// No whole answer came.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// The server refused.
    #[error(transparent)]
    Refused(#[from] Failure),
    /// The server refused a fresh token, too.
    #[error("the server does not accept the token, nor the one that the app gave in its place")]
    Unauthorized,
    /// The app has no token.
    #[error(transparent)]
    NoToken(#[from] NoToken),
    /// The app's token is another user's than the store.
    #[error("the token is one of `{token_of}`, to whom the store does not belong; open that user's store")]
    OtherUser {
        /// Whose it is.
        token_of: String,
    },
    /// The space was erased on the server, and with it on this device.
    #[error("the space was erased")]
    Erased,
    /// The app has paused syncing.
    #[error("syncing is paused")]
    Paused,
    /// The app says that there is no network.
    #[error("there is no network")]
    Offline,
    /// The server wants no request for a while.
    #[error("the server wants no request for another {} s", left.as_secs_f64().ceil())]
    NotYet {
        /// For how long.
        left: Duration,
    },
    /// The time that the app gave was over. The rest goes on another time.
    #[error("the time was over before everything was synced")]
    OutOfTime,
    /// The store does not have the space.
    #[error("the store has no space `{0}`")]
    NoSuchSpace(SpaceId),
    /// The store failed.
    #[error("{0}")]
    Store(String),
    /// The store or the syncer was closed.
    #[error("syncing has ended")]
    Closed,
}

impl SyncFailure {
    /// A word for it that stays the same; the server's code where it is the server's.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Refused(failure) => failure.code.map_or("refused", Refusal::as_str),
            Self::Unauthorized => "unauthorized",
            Self::NoToken(_) => "no-token",
            Self::OtherUser { .. } => "other-user",
            Self::Erased => "space-erased",
            Self::Paused => "paused",
            Self::Offline => "offline",
            Self::NotYet { .. } => "not-yet",
            Self::OutOfTime => "out-of-time",
            Self::NoSuchSpace(_) => "no-such-space",
            Self::Store(_) => "store-failed",
            Self::Closed => "closed",
        }
    }

    /// What it is counted as; `None` for what is no failed attempt: the app, or the space's end, has stopped it.
    pub(super) fn cause(&self) -> Option<SyncFailureCause> {
        match self {
            Self::Unreachable(unreachable) => Some(unreachable.cause),
            Self::Refused(failure) => Some(failure.cause),
            Self::Unauthorized | Self::NoToken(_) | Self::OtherUser { .. } => {
                Some(SyncFailureCause::Unauthorized)
            }
            Self::Offline => Some(SyncFailureCause::Offline),
            Self::Store(_) => Some(SyncFailureCause::Store),
            Self::Erased
            | Self::Paused
            | Self::NotYet { .. }
            | Self::OutOfTime
            | Self::NoSuchSpace(_)
            | Self::Closed => None,
        }
    }

    /// How long the server asked to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(failure) => failure.retry_after,
            _ => None,
        }
    }

    /// Whether the server will not sync with this device until somebody does something about it: the app is too old, or
    /// the device was revoked. Everything that was recorded stays, and is synced when that has changed.
    pub fn is_lasting(&self) -> bool {
        let code = if let Self::Refused(failure) = self { failure.code } else { None };
        matches!(code, Some(Refusal::ClientTooOld | Refusal::DeviceRevoked))
    }

    /// Whether there is nothing to sync any more.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Erased | Self::NoSuchSpace(_) | Self::Closed)
    }
}

impl From<StoreError> for SyncFailure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Closed(Closed) => Self::Closed,
            StoreError::NoSuchSpace(space) => Self::NoSuchSpace(space),
            error => Self::Store(error.to_string()),
        }
    }
}

impl From<Closed> for SyncFailure {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

/// What an attempt to sync several spaces came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Each space.
    pub spaces: Vec<SpaceReport>,
}

/// What an attempt to sync a space came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceReport {
    /// The space.
    pub space: SpaceId,
    /// Whether everything was synced, or why not.
    pub outcome: Result<(), SyncFailure>,
    /// Events that are still to be pushed.
    pub pending: u64,
    /// Positions that are still to be pulled, as far as the device was told.
    pub behind: u64,
}

impl Report {
    /// Whether everything of every space was synced.
    pub fn is_synced(&self) -> bool {
        self.spaces.iter().all(|space| space.outcome.is_ok())
    }

    /// Events that are still to be pushed.
    pub fn pending(&self) -> u64 {
        self.spaces.iter().map(|space| space.pending).sum()
    }
}

impl SpaceReport {
    pub(super) fn new(stands: &SpaceStatus, outcome: Result<(), SyncFailure>) -> Self {
        let behind = stands.head.0.saturating_sub(stands.cursor.0);
        Self { space: stands.space.clone(), outcome, pending: stands.pending, behind }
    }
}
