//! What a device asks a gateway, and what it is told. The wire is a matter of the [`Transport`].

mod http;
mod live;

use std::collections::BTreeSet;
use std::time::Duration;

pub use http::{HttpLive, HttpTransport, InvalidAddress};
pub use live::{LiveEnd, LiveMessage, LiveStream, NeverLive, NotLive};
use tidelog_events::code::Refusal;
use tidelog_events::id::{DeviceId, Position, Sequence, SpaceId};
use tidelog_events::protocol::{DeviceEvent, PushAnswer, UtcTime};
use tidelog_events::report::{DeviceReport, SyncFailureCause};

/// A request about one space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `GET /v1/spaces/{space}/log`.
    Pull(PullRequest),
    /// `POST /v1/spaces/{space}/events`.
    Push(PushRequest),
    /// `GET /v1/spaces/{space}/devices/{deviceId}/events`.
    OwnEvents(OwnEventsRequest),
}

impl Request {
    /// The space that it is about.
    pub fn space(&self) -> &SpaceId {
        match self {
            Self::Pull(request) => &request.space,
            Self::Push(request) => &request.space,
            Self::OwnEvents(request) => &request.space,
        }
    }
}

/// Asks for what the log has behind a cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    /// The space.
    pub space: SpaceId,
    /// The cursor.
    pub after: Position,
    /// Events of the answer, at most.
    pub limit: u64,
    /// The device whose watermark the hello is to tell.
    pub device: DeviceId,
    /// Entity types to leave all others out, or `None` for everything.
    pub types: Option<BTreeSet<String>>,
    /// What the device tells of itself along with it.
    pub report: Option<Box<DeviceReport>>,
}

/// Offers a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushRequest {
    /// The space.
    pub space: SpaceId,
    /// The device that numbered the events.
    pub device: DeviceId,
    /// Sequence of the first event.
    pub first: Sequence,
    /// Sequence of the last event.
    pub last: Sequence,
    /// The batch: a push body's lines (`tidelog_events::frame::write_batch`), not compressed.
    pub body: Vec<u8>,
}

/// Asks what the server has of a device's own events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnEventsRequest {
    /// The space.
    pub space: SpaceId,
    /// The device.
    pub device: DeviceId,
    /// The first sequence of interest.
    pub from: Sequence,
    /// The last one; the gateway takes at most 10,000 at once.
    pub to: Sequence,
}

/// What the server said.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The decoded lines of a pull.
    Pulled(String),
    /// To a push: committed (200) or in the broker only (202).
    Pushed(PushAnswer),
    /// What it has of a device's events.
    OwnEvents(Vec<DeviceEvent>),
    /// It refused: nothing was stored.
    Refused(Refused),
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// The problem's code; `None` where the answer was no problem document that we know.
    pub code: Option<Refusal>,
    /// The problem's detail, for people.
    pub detail: String,
    /// With `sequence-gap`: the sequence that must come next.
    pub expected: Option<Sequence>,
    /// With `clock-ahead`: the server's time.
    pub server_time: Option<UtcTime>,
    /// How long to wait before the next request.
    pub retry_after: Option<Duration>,
}

/// No answer, or half of one: the server may or may not have acted on the request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server cannot be reached: {detail}")]
pub struct Unreachable {
    /// What it is counted as.
    pub cause: SyncFailureCause,
    /// What happened, for people.
    pub detail: String,
}

impl Unreachable {
    /// The connection broke, or what came over it cannot be read.
    pub fn broken(detail: impl Into<String>) -> Self {
        Self { cause: SyncFailureCause::Broken, detail: detail.into() }
    }
}

/// Carries requests to a gateway. One request is under way at a time for each space.
pub trait Transport: Send + Sync + 'static {
    /// Sends a request with this token, and waits for the whole answer.
    fn send(
        &self,
        request: &Request,
        token: &str,
    ) -> impl Future<Output = Result<Answer, Unreachable>> + Send;

    /// Opens a live connection: a pull whose answer does not end, and has no limit. A transport that has none is polled.
    fn live(
        &self,
        _request: &PullRequest,
        _token: &str,
    ) -> impl Future<Output = Result<impl LiveStream, NotLive>> + Send {
        async { Err::<NeverLive, _>(NotLive::Unavailable("this transport has none".to_owned())) }
    }
}
