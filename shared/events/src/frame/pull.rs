//! What a pull answers with, line by line, for those who read it: the hello, perhaps a snapshot, then segments, told
//! apart by counts alone, so that no event and no entity can pose as a header.

use serde::Serialize;

use super::{SegmentHeader, SnapshotHeader};
use crate::id::Position;
use crate::limits::MAX_SAFE_INTEGER;
use crate::protocol::{Hello, HelloLine};

/// Appends a value as one line of JSON.
pub fn write_line<T: Serialize>(lines: &mut Vec<u8>, value: &T) {
    // Our own header types have text keys and finite numbers, so they always are JSON.
    let written = serde_json::to_writer(&mut *lines, value);
    debug_assert!(written.is_ok(), "a header is always JSON");
    lines.push(b'\n');
}

/// A whole part of a pull's answer.
#[derive(Debug, PartialEq)]
pub enum PullItem<'a> {
    /// The first line.
    Hello(Box<Hello>),
    /// A snapshot of which all lines have come: its entity lines. Only right behind the hello. It may well lie at or
    /// before the reader's cursor; the caller decides whether it replaces what it has.
    Snapshot(SnapshotHeader, Vec<&'a str>),
    /// A segment of which all lines have come: its events with their positions, those at or before the
    /// reader's cursor left out.
    Segment(SegmentHeader, Vec<(Position, &'a str)>),
}

/// An answer that must not be applied any further; what came before it is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TornPull {
    /// The answer ends within a line, a snapshot or a segment.
    #[error("the answer ends too early")]
    Unfinished,
    /// Where a header must stand, there is none.
    #[error("a header is missing or damaged")]
    NoHeader,
    /// A segment begins behind cursor + 1: events are missing between.
    #[error("positions are missing before {first}")]
    Gap {
        /// Where the segment begins.
        first: Position,
    },
}

/// What the next line may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expected {
    Hello,
    SnapshotOrSegment,
    Segment,
}

/// Reads the decoded lines of a pull.
pub struct PullReader<'a> {
    rest: &'a str,
    cursor: Position,
    expected: Expected,
}

impl<'a> PullReader<'a> {
    /// A reader that has everything through `cursor`.
    pub fn new(lines: &'a str, cursor: Position) -> Self {
        Self { rest: lines, cursor, expected: Expected::Hello }
    }

    /// A reader of what goes on behind an answer that was read through `cursor`, as on a live connection: segments alone.
    pub fn going_on(lines: &'a str, cursor: Position) -> Self {
        Self { rest: lines, cursor, expected: Expected::Segment }
    }

    /// The last position that was read, by itself or in a snapshot.
    pub fn cursor(&self) -> Position {
        self.cursor
    }

    /// The next part, or `None` at the end of the answer.
    pub fn next_item(&mut self) -> Result<Option<PullItem<'a>>, TornPull> {
        let expected = self.expected;
        if expected == Expected::Hello {
            return self.hello().map(Some);
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let line = self.line()?.as_bytes();
        self.expected = Expected::Segment;
        if expected == Expected::SnapshotOrSegment
            && let Some(header) = SnapshotHeader::parse(line)
        {
            return self.snapshot(header).map(Some);
        }
        let header = SegmentHeader::parse(line).ok_or(TornPull::NoHeader)?;
        self.segment(header).map(Some)
    }

    fn hello(&mut self) -> Result<PullItem<'a>, TornPull> {
        let line: HelloLine = serde_json::from_str(self.line()?).map_err(|_| TornPull::NoHeader)?;
        if line.hello.cursor.0 > MAX_SAFE_INTEGER {
            return Err(TornPull::NoHeader);
        }
        self.expected = Expected::SnapshotOrSegment;
        self.cursor = line.hello.cursor;
        Ok(PullItem::Hello(Box::new(line.hello)))
    }

    fn snapshot(&mut self, header: SnapshotHeader) -> Result<PullItem<'a>, TornPull> {
        // Collected as they come: a count alone reserves nothing.
        let mut entities = Vec::new();
        for _ in 0..header.entities {
            entities.push(self.line()?);
        }
        self.cursor = self.cursor.max(header.through);
        Ok(PullItem::Snapshot(header, entities))
    }

    fn segment(&mut self, header: SegmentHeader) -> Result<PullItem<'a>, TornPull> {
        if header.first > self.cursor.next() {
            return Err(TornPull::Gap { first: header.first });
        }
        if header.has_batch_line() {
            self.line()?;
        }
        let mut events = Vec::new();
        for index in 0..header.events() {
            let line = self.line()?;
            let position = match &header.positions {
                Some(positions) => positions[index as usize],
                None => Position(header.first.0 + index),
            };
            if position > self.cursor {
                events.push((position, line));
            }
        }
        self.cursor = self.cursor.max(header.last);
        Ok(PullItem::Segment(header, events))
    }

    fn line(&mut self) -> Result<&'a str, TornPull> {
        let (line, rest) = self.rest.split_once('\n').ok_or(TornPull::Unfinished)?;
        self.rest = rest;
        Ok(line)
    }
}
