//! What a simulation asks of a server: to answer devices, and at the end to be looked at from outside.

use tidelog_client::transport::{Answer, PullRequest, Request, Unreachable};
use tidelog_events::code::Fault;
use tidelog_events::fold::StateHash;
use tidelog_events::id::{DeviceId, EventId, Position, Sequence, SpaceId, UserId};

/// Where a request is cut off. The device learns nothing in any of these cases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The server never hears of it.
    Before,
    /// The server gets half of it.
    During,
    /// The server acts on it, and the answer is lost.
    After,
}

/// What befalls the server itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Disturbance {
    /// The space's log is pruned through its head: whoever is behind gets a snapshot.
    Prune,
    /// A copy of the space is kept: log, quarantine and watermarks. It takes the place of an earlier one.
    KeepCopy,
    /// The space becomes what it was when its copy was kept, under a new epoch.
    Restore,
    /// The next push is answered 202: the broker has it. It is committed after one more request about the space.
    CommitLate,
    /// The next push is answered 202, and the broker loses it.
    LosePush,
    /// The next request is refused with this status (429 or 503) and a `Retry-After`.
    Refuse(u16),
}

/// An event of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEvent {
    /// Its position.
    pub position: Position,
    /// The device that recorded it.
    pub device: DeviceId,
    /// Its line, byte for byte, without `\n`.
    pub line: String,
}

/// An event in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantinedAt {
    /// The device that recorded it.
    pub device: DeviceId,
    /// Its sequence.
    pub sequence: Sequence,
    /// Its id.
    pub event_id: EventId,
    /// Why it lies there.
    pub code: Fault,
}

/// What the server has folded.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadModel {
    /// Entity lines (`docs/formats.md`), invisible entities too, by type and id.
    pub lines: Vec<String>,
    /// The state hash that the server keeps.
    pub hash: StateHash,
}

/// A server of devices.
pub trait Server {
    /// Why it cannot be looked at.
    type Error: std::error::Error + Send + Sync + 'static;

    /// A live connection.
    type Live;

    /// A device of `user` asks; `now_ms` is the simulated time, which the server's own time must be.
    fn send(
        &self,
        user: &UserId,
        request: &Request,
        now_ms: i64,
        cut: Option<Cut>,
    ) -> Result<Answer, Unreachable>;

    /// A device of `user` pulls over a live connection: the answer is what came on it until the head was reached. The
    /// connection stays open, unless the server refused it.
    fn connect(
        &self,
        user: &UserId,
        request: &PullRequest,
        now_ms: i64,
        cut: Option<Cut>,
    ) -> Result<(Answer, Option<Self::Live>), Unreachable>;

    /// What has come on a live connection since the last look, as lines of the log; it is waited for until the log is
    /// there through `wanted`, but not for ever. Nothing is told any more on a connection that has ended.
    fn follow(&self, live: &mut Self::Live, wanted: Position, now_ms: i64) -> Result<String, Unreachable>;

    /// The whole log of a space, from position 1 (an archive keeps what was pruned).
    fn log(&self, space: &SpaceId) -> Result<Vec<LogEvent>, Self::Error>;

    /// What lies in quarantine of a device's sequences 1 to `through`.
    fn quarantined(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        through: Sequence,
    ) -> Result<Vec<QuarantinedAt>, Self::Error>;

    /// The read model, when it has been folded through `head`.
    fn read_model(&self, space: &SpaceId, head: Position) -> Result<ReadModel, Self::Error>;

    /// Disturbs the server, once. False: it cannot be disturbed so.
    fn disturb(&self, _space: &SpaceId, _disturbance: Disturbance) -> bool {
        false
    }
}
