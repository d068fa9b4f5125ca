//! Segments with their lines at hand, for the answers that are not stored frames: decoded within bounds, cut to
//! what was asked for, filtered by entity type.

use std::collections::BTreeSet;

use tidelog_events::frame::{
    Decoder, FrameError, SegmentBatch, SegmentBody, SegmentHeader, TornSegment, Unsafe, inspect,
};
use tidelog_events::id::Position;
use tidelog_store::segments::Segment;

/// A segment that must not reach a reader: what is stored is not what was committed.
#[derive(Debug, thiserror::Error)]
#[error("the segment from position {first} on is damaged")]
pub(crate) struct DamagedSegment {
    first: Position,
    #[source]
    damage: Damage,
}

#[derive(Debug, thiserror::Error)]
enum Damage {
    #[error(transparent)]
    Frame(#[from] DamagedFrame),
    #[error(transparent)]
    Lines(#[from] TornSegment),
    #[error("nothing says which batch its first event came in")]
    Origin,
}

/// A stored frame that is not what was written.
#[derive(Debug, thiserror::Error)]
pub(super) enum DamagedFrame {
    #[error(transparent)]
    Content(#[from] FrameError),
    #[error(transparent)]
    Unsafe(#[from] Unsafe),
    #[error("something stands behind the frame")]
    Trailing,
}

impl DamagedSegment {
    fn at(first: Position) -> impl Fn(Damage) -> Self {
        move |damage| Self { first, damage }
    }
}

/// Looks at a stored frame without decoding it; returns the bytes that it decodes to.
pub(super) fn inspect_frame(stored: &[u8]) -> Result<u64, DamagedFrame> {
    let frame = inspect(stored)?;
    if frame.frame_bytes == stored.len() { Ok(frame.content_bytes) } else { Err(DamagedFrame::Trailing) }
}

/// Looks at a segment's frame without decoding it; returns the bytes that it decodes to.
pub(super) fn inspect_stored(segment: &Segment) -> Result<u64, DamagedSegment> {
    inspect_frame(&segment.frame).map_err(|error| DamagedSegment::at(segment.header.first)(error.into()))
}

/// Decodes as many of the segments as decode to `limit_bytes`, and at least one.
pub(crate) fn decode(
    segments: &[Segment],
    limit_bytes: u64,
    decoder: &mut Decoder,
) -> Result<Vec<Vec<u8>>, DamagedSegment> {
    let mut bodies = Vec::with_capacity(segments.len());
    let mut bytes = 0;
    for segment in segments {
        let content_bytes = inspect_stored(segment)?;
        bytes += content_bytes;
        if bytes > limit_bytes && !bodies.is_empty() {
            break;
        }
        let body = decoder.decode_one(&segment.frame, content_bytes as usize).map_err(DamagedFrame::from);
        bodies.push(body.map_err(|error| DamagedSegment::at(segment.header.first)(error.into()))?);
    }
    Ok(bodies)
}

/// A segment, or what is left of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DecodedSegment<'a> {
    pub(super) header: SegmentHeader,
    batch_line: Option<&'a str>,
    events: Vec<&'a str>,
}

impl<'a> DecodedSegment<'a> {
    /// Takes a decoded body apart.
    pub(crate) fn split(header: &SegmentHeader, body: &'a [u8]) -> Result<Self, DamagedSegment> {
        let damaged = DamagedSegment::at(header.first);
        let split =
            SegmentBody::split(body, header.first, header.last).map_err(|error| damaged(error.into()))?;
        let lines = (split.events.len() + usize::from(split.batch_line.is_some())) as u64;
        if lines != header.lines {
            return Err(damaged(TornSegment { events: header.events(), lines }.into()));
        }
        if header.batches.first().is_none_or(|batch| batch.first != header.first) {
            return Err(damaged(Damage::Origin));
        }
        Ok(Self { header: header.clone(), batch_line: split.batch_line, events: split.events })
    }

    /// What lies behind `after` and at or before `through`; `None` where that is nothing.
    pub(super) fn cut(mut self, after: Position, through: Position) -> Option<Self> {
        let before = self.header.first;
        self.header.first = before.max(after.next());
        self.header.last = self.header.last.min(through);
        if self.header.first > self.header.last {
            return None;
        }
        let skipped = (self.header.first.0 - before.0) as usize;
        self.events.drain(..skipped);
        self.events.truncate(self.header.events() as usize);
        cut_batches(&mut self.header.batches, self.header.first, self.header.last);
        self.count_lines();
        Some(self)
    }

    /// The events with their positions.
    pub(crate) fn events(&self) -> impl Iterator<Item = (Position, &'a str)> {
        let first = self.header.first.0;
        let positions = self.header.positions.as_deref();
        self.events.iter().enumerate().map(move |(index, line)| {
            let position = positions.map_or(Position(first + index as u64), |positions| positions[index]);
            (position, *line)
        })
    }

    /// The batch that the event at `position` came in.
    pub(crate) fn batch_at(&self, position: Position) -> &SegmentBatch {
        &self.header.batches[batch_index(&self.header.batches, position)]
    }

    /// Bytes that [`Self::write_body`] writes.
    pub(super) fn body_bytes(&self) -> usize {
        self.batch_line.iter().chain(&self.events).map(|line| line.len() + 1).sum()
    }

    /// Appends the lines behind the header line.
    pub(super) fn write_body(&self, lines: &mut Vec<u8>) {
        for line in self.batch_line.iter().chain(&self.events) {
            lines.extend_from_slice(line.as_bytes());
            lines.push(b'\n');
        }
    }

    /// Keeps the events that `keep` says; the segment still covers the positions of the others.
    fn filter(mut self, keep: &impl Fn(&str) -> bool) -> Self {
        let (positions, events): (Vec<_>, Vec<_>) = self.events().filter(|(_, line)| keep(line)).unzip();
        let origins: BTreeSet<usize> =
            positions.iter().map(|position| batch_index(&self.header.batches, *position)).collect();
        // A header names a batch even where nothing of it is left: readers refuse one without.
        let origins = if origins.is_empty() { BTreeSet::from([0]) } else { origins };
        let mut index = 0..;
        self.header.batches.retain(|_| index.next().is_some_and(|index| origins.contains(&index)));
        self.header.positions = Some(positions);
        self.batch_line = None;
        self.events = events;
        self.count_lines();
        self
    }

    fn count_lines(&mut self) {
        self.header.lines = (self.events.len() + usize::from(self.batch_line.is_some())) as u64;
    }
}

/// Which of the batches the event at `position` came in.
fn batch_index(batches: &[SegmentBatch], position: Position) -> usize {
    batches.partition_point(|batch| batch.first <= position).saturating_sub(1)
}

fn cut_batches(batches: &mut Vec<SegmentBatch>, first: Position, last: Position) {
    batches.drain(..batch_index(batches, first));
    batches.retain(|batch| batch.first <= last);
    if let Some(batch) = batches.first_mut() {
        batch.first = batch.first.max(first);
    }
}

/// Keeps the events that `keep` says. What remains covers the same positions without a gap: a segment without
/// events is left out, and its neighbour covers it; if none has events, one remains that says so.
pub(super) fn filter<'a>(
    segments: Vec<DecodedSegment<'a>>,
    keep: impl Fn(&str) -> bool,
) -> Vec<DecodedSegment<'a>> {
    let mut kept: Vec<DecodedSegment<'a>> = Vec::with_capacity(segments.len());
    for segment in segments {
        let segment = segment.filter(&keep);
        match kept.last_mut() {
            Some(before) if segment.events.is_empty() => before.header.last = segment.header.last,
            Some(before) if before.events.is_empty() => {
                let first = before.header.first;
                *before = segment;
                before.header.first = first;
            }
            _ => kept.push(segment),
        }
    }
    kept
}

#[cfg(test)]
mod tests;
