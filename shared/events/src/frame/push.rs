//! A batch between gateway and ingest, as one broker message: this header in the message's header
//! `Tidelog-Batch`, and as its payload the frame of the accepted events, then a frame of the quarantined ones:
//! for each a line with the reason, then its own line. Either frame is left out where it would be empty.

use serde::{Deserialize, Serialize};

use super::write_line;
use crate::admit::After;
use crate::code::Fault;
use crate::id::{DeviceId, EventId, Sequence, SpaceId, UserId};
use crate::limits::{MAX_BATCH_EVENTS, MAX_SAFE_INTEGER};
use crate::protocol::UtcTime;

/// What ingest must know of a batch without decoding it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PushHeader {
    /// The space that was pushed to.
    pub space: SpaceId,
    /// The author.
    pub user_id: UserId,
    /// The device; absent where each event is a device of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<DeviceId>,
    /// Sequence of the first event; 1 where there is no device.
    pub first: Sequence,
    /// Sequence of the last event; the number of events where there is no device.
    pub last: Sequence,
    /// Id of the last event.
    pub last_event_id: EventId,
    /// The event before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
    /// When the gateway took it.
    pub received_at: UtcTime,
    /// The schema version that judged it.
    pub schema_version: u32,
    /// Bytes of the first frame: the accepted events.
    pub accepted_bytes: usize,
    /// Events of the second frame.
    #[serde(default)]
    pub quarantined: u64,
    /// Where the receipt goes, and the number that the gateway knows the push by.
    pub reply_to: String,
    /// The gateway's number for the push.
    pub push_id: u64,
}

/// Why an event is quarantined; its line comes next in the second frame. Ordered by sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct QuarantineReason {
    /// Its sequence; where there is no device, its place in the batch, from 1.
    pub device_sequence: Sequence,
    /// Its id.
    pub event_id: EventId,
    /// Why.
    pub code: Fault,
    /// Why, for people.
    pub detail: String,
}

/// A message that no gateway of ours wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message's header and frames do not fit together")]
pub struct UnreadablePush;

impl PushHeader {
    /// The name of the message header that carries this.
    pub const NAME: &str = "Tidelog-Batch";

    /// Events of the batch, quarantined ones included.
    pub fn events(&self) -> u64 {
        self.last.0.saturating_add(1).saturating_sub(self.first.0)
    }

    /// Events of the first frame.
    pub fn accepted(&self) -> u64 {
        self.events().saturating_sub(self.quarantined)
    }

    /// Whether the numbers can be true.
    pub fn is_consistent(&self) -> bool {
        self.first > Sequence::ZERO
            && self.first <= self.last
            && self.last.0 <= MAX_SAFE_INTEGER
            && self.events() <= MAX_BATCH_EVENTS as u64
            && self.quarantined <= self.events()
            && (self.accepted() == 0) == (self.accepted_bytes == 0)
    }
}

/// The two frames of a payload: accepted events and quarantined lines, each empty where there are none.
pub fn split_push<'a>(
    header: &PushHeader,
    payload: &'a [u8],
) -> Result<(&'a [u8], &'a [u8]), UnreadablePush> {
    let (accepted, quarantined) = payload.split_at_checked(header.accepted_bytes).ok_or(UnreadablePush)?;
    if header.is_consistent() && quarantined.is_empty() == (header.quarantined == 0) {
        Ok((accepted, quarantined))
    } else {
        Err(UnreadablePush)
    }
}

/// Appends a quarantined event to the lines of the second frame.
pub fn write_quarantined(lines: &mut Vec<u8>, reason: &QuarantineReason, line: &[u8]) {
    write_line(lines, reason);
    lines.extend_from_slice(line);
    lines.push(b'\n');
}

/// Takes the decoded second frame apart; `expected` events must be in it, by sequence.
pub fn read_quarantined(
    lines: &[u8],
    expected: u64,
) -> Result<Vec<(QuarantineReason, Vec<u8>)>, UnreadablePush> {
    let text = lines.strip_suffix(b"\n").ok_or(UnreadablePush)?;
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let (pairs, rest) = lines.as_chunks::<2>();
    let read = |[reason, line]: &[&[u8]; 2]| {
        let reason: QuarantineReason = serde_json::from_slice(reason).map_err(|_| UnreadablePush)?;
        Ok((reason, line.to_vec()))
    };
    let events = pairs.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let ordered = events.windows(2).all(|pair| pair[0].0.device_sequence < pair[1].0.device_sequence);
    if rest.is_empty() && ordered && events.len() as u64 == expected {
        Ok(events)
    } else {
        Err(UnreadablePush)
    }
}
