//! A segment as readers get it: a header frame that counts, then the body frame that the log stores.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Encoder, FrameError, line_frame, write_line};
use crate::id::{DeviceId, Position, UserId};
use crate::limits::MAX_SAFE_INTEGER;
use crate::protocol::UtcTime;

/// Message headers of LOG and of head hints: the space, and the positions of the segment's first and last event.
pub const SPACE_HEADER: &str = "Tidelog-Space";
/// See [`SPACE_HEADER`].
pub const FIRST_HEADER: &str = "Tidelog-First";
/// See [`SPACE_HEADER`]. In a head hint: the space's head.
pub const LAST_HEADER: &str = "Tidelog-Last";

/// Which batch a run of a segment's positions came in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SegmentBatch {
    /// Position of the batch's first event here.
    pub first: Position,
    /// The device that recorded it.
    pub device_id: DeviceId,
    /// Its author.
    pub user_id: UserId,
    /// When the gateway took it.
    pub received_at: UtcTime,
    /// True for an event that lay in quarantine before: its sequence is below its device's watermark.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub released: bool,
}

/// Counts what follows it. Readers trust these counts alone to tell control lines from events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SegmentHeader {
    /// Position of the first event.
    pub first: Position,
    /// Position of the last event.
    pub last: Position,
    /// Lines that follow before the next header: the events, and a batch line before them where the segment
    /// is one batch.
    pub lines: u64,
    /// The batches, in order of position.
    pub batches: Vec<SegmentBatch>,
    /// Where events were filtered out: the positions of those that are here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positions: Option<Vec<Position>>,
}

#[derive(Serialize, Deserialize)]
struct SegmentLine<H> {
    segment: H,
}

impl SegmentHeader {
    /// Events that follow.
    pub fn events(&self) -> u64 {
        match &self.positions {
            Some(positions) => positions.len() as u64,
            None => self.last.0.saturating_add(1).saturating_sub(self.first.0),
        }
    }

    /// Whether a batch line stands before the events: where the segment is one batch as it was pushed.
    pub fn has_batch_line(&self) -> bool {
        self.lines > self.events()
    }

    /// The header's line, ended.
    pub fn line(&self) -> Vec<u8> {
        let mut line = Vec::with_capacity(256);
        write_line(&mut line, &SegmentLine { segment: self });
        line
    }

    /// The header frame.
    pub fn frame(&self, encoder: &mut Encoder) -> Result<Vec<u8>, FrameError> {
        line_frame(&self.line(), encoder)
    }

    /// Reads a header line; `None` where the line is something else, or counts that cannot be.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let line: SegmentLine<Self> = serde_json::from_slice(line).ok()?;
        let header = line.segment;
        let possible = Position::ZERO < header.first
            && header.first <= header.last
            && header.last.0 <= MAX_SAFE_INTEGER
            && header.positions.as_ref().is_none_or(|positions| header.may_hold(positions));
        if !possible {
            return None;
        }
        let events = header.events();
        let counts = (header.lines == events || header.lines == events + 1)
            && header.batches.first().is_some_and(|batch| batch.first >= header.first);
        counts.then_some(header)
    }

    /// Whether positions ascend within the segment.
    fn may_hold(&self, positions: &[Position]) -> bool {
        positions.is_sorted_by(|one, next| one < next)
            && positions.first().is_none_or(|first| *first >= self.first)
            && positions.last().is_none_or(|last| *last <= self.last)
    }

    /// The batch that the event at `position` came in.
    pub fn batch_at(&self, position: Position) -> Option<&SegmentBatch> {
        let behind = self.batches.partition_point(|batch| batch.first <= position);
        self.batches.get(behind.checked_sub(1)?)
    }
}

/// A stored body whose lines are not as many as its row counts: damage that must not reach a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a segment of {events} events holds {lines} lines")]
pub struct TornSegment {
    /// Events that the row counts.
    pub events: u64,
    /// Lines in the body.
    pub lines: u64,
}

/// The decoded body of a segment: its event lines by position.
pub struct SegmentBody<'a> {
    /// The batch line, without its `\n`, where the segment is one batch.
    pub batch_line: Option<&'a str>,
    /// The event lines, without their `\n`.
    pub events: Vec<&'a str>,
}

impl<'a> SegmentBody<'a> {
    /// Takes a decoded body apart by counts alone.
    pub fn split(body: &'a [u8], first: Position, last: Position) -> Result<Self, TornSegment> {
        let events = last.0 + 1 - first.0;
        let text = std::str::from_utf8(body).ok().and_then(|text| text.strip_suffix('\n'));
        let mut lines: Vec<_> = text.map(|text| text.split('\n').collect()).unwrap_or_default();
        let count = lines.len() as u64;
        if count == events {
            Ok(Self { batch_line: None, events: lines })
        } else if count == events + 1 {
            Ok(Self { batch_line: Some(lines.remove(0)), events: lines })
        } else {
            Err(TornSegment { events, lines: count })
        }
    }
}
