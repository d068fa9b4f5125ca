//! Looks at the events of stored segments one after the other, in either direction.

use std::ops::{ControlFlow, RangeInclusive};

use serde::Deserialize;
use serde_json::value::RawValue;
use tidelog_events::frame::SegmentBatch;
use tidelog_events::id::{Position, Sequence};
use tidelog_events::stamp::Stamp;
use tidelog_store::segments::Segment;

use crate::codecs::Codecs;
use crate::problem::Problem;
use crate::pull::{DECODED_PER_STORED, DamagedSegment, DecodedSegment, decode};
use crate::work;

/// An event of the log as it stands in its segment.
pub(super) struct LoggedEvent<'a> {
    pub(super) position: Position,
    pub(super) batch: &'a SegmentBatch,
    pub(super) line: &'a str,
}

/// In which direction a history is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Forwards,
    Backwards,
}

/// Looks at the segment's events at those positions, until `look` has seen enough.
pub(super) fn scan(
    segment: &Segment,
    positions: &RangeInclusive<Position>,
    direction: Direction,
    codecs: &Codecs,
    mut look: impl FnMut(&LoggedEvent<'_>) -> Result<ControlFlow<()>, Problem>,
) -> Result<ControlFlow<()>, Problem> {
    let damaged = |error: DamagedSegment| Problem::internal(&error);
    let mut scan = |bodies: Vec<Vec<u8>>| -> Result<ControlFlow<()>, Problem> {
        for body in &bodies {
            let decoded = DecodedSegment::split(&segment.header, body).map_err(damaged)?;
            let mut events: Vec<_> =
                decoded.events().filter(|(position, _)| positions.contains(position)).collect();
            if direction == Direction::Backwards {
                events.reverse();
            }
            for (position, line) in events {
                let event = LoggedEvent { position, batch: decoded.batch_at(position), line };
                if look(&event)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    };
    work::run(segment.frame.len() as u64 * DECODED_PER_STORED, || {
        let decoded = codecs.with(|codec| decode(std::slice::from_ref(segment), 0, &mut codec.decoder));
        scan(decoded.map_err(|error| Problem::internal(&error))?.map_err(damaged)?)
    })
}

/// What an event line says of itself, as far as that can be read. A line in quarantine may say nothing, and lie.
#[derive(Debug, Default)]
pub(super) struct LineFacts {
    pub(super) event_type: Option<String>,
    pub(super) entity_id: Option<String>,
    pub(super) sequence: Option<Sequence>,
    pub(super) stamp: Option<Stamp>,
}

impl LineFacts {
    pub(super) fn read(line: &[u8]) -> Self {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Line<'a> {
            #[serde(borrow, rename = "type")]
            event_type: Option<&'a RawValue>,
            #[serde(borrow)]
            entity_id: Option<&'a RawValue>,
            #[serde(borrow)]
            device_sequence: Option<&'a RawValue>,
            #[serde(borrow)]
            timestamp: Option<&'a RawValue>,
        }
        let Ok(line) = serde_json::from_slice::<Line<'_>>(line) else { return Self::default() };
        Self {
            event_type: line.event_type.and_then(read),
            entity_id: line.entity_id.and_then(read),
            sequence: line.device_sequence.and_then(read),
            stamp: line.timestamp.and_then(read),
        }
    }
}

fn read<'a, T: Deserialize<'a>>(value: &'a RawValue) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_as_far_as_it_can_be() {
        let check = |line: &str, expect: (Option<&str>, Option<&str>, Option<u64>, bool)| {
            let facts = LineFacts::read(line.as_bytes());
            let sequence = facts.sequence.map(|sequence| sequence.0);
            let read =
                (facts.event_type.as_deref(), facts.entity_id.as_deref(), sequence, facts.stamp.is_some());
            assert_eq!(read, expect, "{line}");
        };
        let all = r#"{"type":"\u0041","entityId":"w-1","deviceSequence":7,"timestamp":1754476200000,"payload":{"x":1e400}}"#;
        check(all, (Some("A"), Some("w-1"), Some(7), true));
        check(r#"{"type":7,"entityId":null,"timestamp":"yesterday"}"#, (None, None, None, false));
        check(r#"{"type":"A","timestamp":"2025-08-06T10:30:00Z"}"#, (Some("A"), None, None, true));
        check(r#"{"type":"A","type":"B"}"#, (None, None, None, false));
        check("{", (None, None, None, false));
        check("\u{0}", (None, None, None, false));
        assert!(LineFacts::read(b"\xff\xfe").event_type.is_none());
    }
}
