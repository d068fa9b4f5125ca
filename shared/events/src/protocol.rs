//! What gateway, ingest and devices say to each other, as JSON. Names are camelCase, times UTC.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use crate::code::{Fault, Refusal};
use crate::id::{DeviceId, Epoch, EventId, Position, Sequence, SpaceId, UserId};
use crate::report::DeviceReport;

/// The header that names a request: the caller's own name for it, of at most 64 of `A-Za-z0-9._-`, or the one that it
/// was given.
pub const REQUEST_ID_HEADER: &str = "tidelog-request-id";

/// A server's time in UTC milliseconds, written `2026-11-22T19:15:20.123Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ToSchema)]
#[schema(value_type = String, format = "date-time", example = "2026-11-22T19:15:20.123Z")]
pub struct UtcTime(pub i64);

impl fmt::Display for UtcTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_millisecond(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{time:.3}")
    }
}

impl FromStr for UtcTime {
    type Err = jiff::Error;
    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse::<jiff::Timestamp>().map(|time| Self(time.as_millisecond()))
    }
}

impl Serialize for UtcTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for UtcTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An event of the calling device that lies in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuarantinedEvent {
    /// The device's number for it.
    pub device_sequence: Sequence,
    /// Its id.
    pub event_id: EventId,
    /// Why it lies there.
    pub code: Fault,
    /// Why, for people.
    pub detail: String,
}

/// What the server has of the calling device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceState {
    /// The device's committed watermark: the last sequence that the server has dealt with; 0 for none.
    pub last_sequence: Sequence,
    /// That event's id.
    pub last_event_id: Option<EventId>,
    /// The device's quarantined events, the latest sequences, at most 100.
    pub quarantined: Vec<QuarantinedEvent>,
    /// Whether there are more of them.
    pub more_quarantined: bool,
}

/// The first thing that a reader is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hello {
    /// The server's time, just before the answer was sent.
    pub server_time: UtcTime,
    /// The log's incarnation; null for a space that nothing was pushed to.
    pub epoch: Option<Epoch>,
    /// The space's last position.
    pub head: Position,
    /// The position through which the log has been pruned.
    pub horizon: Position,
    /// The schema version that the server judges events by.
    pub schema_version: u32,
    /// What the answer begins behind: the reader's cursor, or 0 where that lies beyond the head.
    pub cursor: Position,
    /// The calling device; null where the caller named none.
    pub device: Option<DeviceState>,
}

/// The hello as a line of a pull.
#[derive(Debug, Serialize, Deserialize)]
pub struct HelloLine {
    /// The hello.
    pub hello: Hello,
}

/// What became of an event that was not simply accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum EventStatus {
    /// The log has it already.
    Duplicate,
    /// It lies in quarantine.
    Quarantined,
}

/// The receipt of one event that was not simply accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EventReceipt {
    /// The device's number for it; null where the batch had none.
    pub device_sequence: Option<Sequence>,
    /// Its id.
    pub event_id: EventId,
    /// What became of it.
    pub status: EventStatus,
    /// Why it is quarantined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Fault>,
    /// Why, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A device's watermark, as a push answer tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceMark {
    /// The last sequence that the server has dealt with.
    pub last_sequence: Sequence,
    /// That event's id.
    pub last_event_id: EventId,
}

/// A batch that ingest has committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Committed {
    /// The space's last position.
    pub head: Position,
    /// Position of the first event that was appended; null where none was.
    pub first: Option<Position>,
    /// Position of the last event that was appended; null where none was.
    pub last: Option<Position>,
    /// The device's watermark; null for a batch without sequences.
    pub device: Option<DeviceMark>,
    /// The events that were not simply accepted.
    pub receipts: Vec<EventReceipt>,
}

/// What ingest tells the waiting gateway about a push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// The gateway's number for the push.
    pub push_id: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// A command that ingest has carried out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// Of a released event: its position in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
}

/// What became of a push, or of a command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// It is in the log.
    Committed(Committed),
    /// It was a command, and is carried out.
    Done(Done),
    /// Nothing of it was stored.
    #[serde(rename_all = "camelCase")]
    Refused {
        /// Why.
        code: Refusal,
        /// Why, for people.
        detail: String,
        /// With `sequence-gap`: the sequence that must come next.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expected: Option<Sequence>,
    },
}

/// The answer to a push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PushAnswer {
    /// True: in the log. False (status 202): durable in the broker only; keep the events and push again.
    pub committed: bool,
    /// The space's last position.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<Position>,
    /// Position of the first event that was appended; null where none was.
    pub first: Option<Position>,
    /// Position of the last event that was appended; null where none was.
    pub last: Option<Position>,
    /// The device's watermark after this push.
    pub device: Option<DeviceMark>,
    /// The server's time.
    pub server_time: UtcTime,
    /// The events that were not simply accepted.
    pub receipts: Vec<EventReceipt>,
}

impl PushAnswer {
    /// The HTTP status that goes with it.
    pub fn status(&self) -> u16 {
        if self.committed { 200 } else { 202 }
    }
}

/// Where an event of a device went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeviceEvent {
    /// The device's number for it.
    pub device_sequence: Sequence,
    /// Its id.
    pub event_id: EventId,
    /// Its position in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// Why it lies in quarantine instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<Fault>,
}

/// What a gateway tells ingest of a device that pulled, or whose push was refused. A hint: it may get lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceHint {
    /// The space.
    pub space: SpaceId,
    /// The device.
    pub device_id: DeviceId,
    /// Whose it must be for this to be believed; absent where a backend spoke for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The last position that it said it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Position>,
    /// The version of its app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_version: Option<String>,
    /// How it stands, by its own account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<DeviceReport>,
    /// Why its push was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<RefusedPush>,
}

/// A push of a device that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefusedPush {
    /// Why.
    pub code: Refusal,
    /// Why, for people.
    pub detail: String,
    /// When.
    pub at: UtcTime,
}

/// What ingest tells all gateways of a device that was named, revoked or restored. A hint: it may get lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProfileHint {
    /// The personal space of the device's user.
    pub space: SpaceId,
    /// The device.
    pub device_id: DeviceId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_in_milliseconds_and_read_back() {
        let check = |text: &str, millis: i64| {
            assert_eq!(text.parse::<UtcTime>().unwrap(), UtcTime(millis));
            assert_eq!(UtcTime(millis).to_string(), text);
        };
        check("1970-01-01T00:00:00.000Z", 0);
        check("2025-08-06T10:30:00.120Z", 1_754_476_200_120);
    }
}
