//! What a pull answers with, line by line, for those who read it: the hello, then segments, told apart by
//! counts alone, so that no event can pose as a header.

use serde::Serialize;

use super::SegmentHeader;
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
    /// A segment of which all lines have come: its events with their positions, those at or before the
    /// reader's cursor left out.
    Segment(SegmentHeader, Vec<(Position, &'a str)>),
}

/// An answer that must not be applied any further; what came before it is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TornPull {
    /// The answer ends within a line or a segment.
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

/// Reads the decoded lines of a pull.
pub struct PullReader<'a> {
    rest: &'a str,
    cursor: Position,
    said_hello: bool,
}

impl<'a> PullReader<'a> {
    /// A reader that has everything through `cursor`.
    pub fn new(lines: &'a str, cursor: Position) -> Self {
        Self { rest: lines, cursor, said_hello: false }
    }

    /// The last position that was read.
    pub fn cursor(&self) -> Position {
        self.cursor
    }

    /// The next part, or `None` at the end of the answer.
    pub fn next_item(&mut self) -> Result<Option<PullItem<'a>>, TornPull> {
        if !self.said_hello {
            let line: HelloLine = serde_json::from_str(self.line()?).map_err(|_| TornPull::NoHeader)?;
            if line.hello.cursor.0 > MAX_SAFE_INTEGER {
                return Err(TornPull::NoHeader);
            }
            self.said_hello = true;
            self.cursor = line.hello.cursor;
            return Ok(Some(PullItem::Hello(Box::new(line.hello))));
        }
        if self.rest.is_empty() {
            return Ok(None);
        }
        let header = SegmentHeader::parse(self.line()?.as_bytes()).ok_or(TornPull::NoHeader)?;
        self.segment(header).map(Some)
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
