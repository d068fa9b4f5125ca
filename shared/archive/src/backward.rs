//! A space's whole log from its end to its beginning: what is asked for first where the latest events are of interest.

use tidelog_events::id::{Epoch, Position, SpaceId};
use tidelog_store::archive::Archived;
use tidelog_store::segments::Segment;
use tidelog_store::{archive, segments, spaces};

use crate::{History, HistoryChunk, HistoryError, Source};

/// Segments of the log that are read at once, and their stored bytes; always at least one. Less than a forward reader
/// takes: who reads backwards mostly wants few.
const LOG_SEGMENTS: i64 = 100;
const LOG_BYTES: i64 = 1024 * 1024;

/// Reads a space's history backwards from a position, a chunk at a time ([`History::before`]).
#[derive(Debug)]
pub struct BackwardReader {
    history: History,
    space: SpaceId,
    before: Position,
    /// The log's incarnation at the first look, once there was one.
    epoch: Option<Epoch>,
}

/// What lies before the cursor.
enum Next {
    Archived(Archived),
    Stored(Vec<Segment>),
}

impl BackwardReader {
    pub(crate) fn new(history: History, space: SpaceId, before: Position) -> Self {
        Self { history, space, before, epoch: None }
    }

    /// Everything from this position on was read.
    pub fn cursor(&self) -> Position {
        self.before
    }

    /// What comes before; its segments are in order of position, and the last one may end at or behind the cursor. `None`
    /// at the beginning.
    pub async fn next_chunk(&mut self) -> Result<Option<HistoryChunk>, HistoryError> {
        if self.before.0 <= 1 {
            return Ok(None);
        }
        let (source, segments) = match self.look().await? {
            Next::Stored(segments) => (Source::Log, segments),
            Next::Archived(listed) => {
                let mut segments = self.history.segments_of(&self.space, &listed).await?;
                segments.retain(|segment| segment.header.first < self.before);
                (Source::Archive, segments)
            }
        };
        let mut next = self.before;
        for segment in segments.iter().rev() {
            let (first, last) = (segment.header.first, segment.header.last);
            if first >= next || last.next() < next {
                return Err(self.gap());
            }
            next = first;
        }
        if next == self.before {
            return Err(self.gap());
        }
        self.before = next;
        Ok(Some(HistoryChunk { source, segments }))
    }

    /// Archive and log at one moment, as a forward reader looks at them.
    async fn look(&mut self) -> Result<Next, HistoryError> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let mut moment = self.history.pool.begin_with(begin).await?;
        let space = spaces::find(&mut moment, &self.space).await?;
        let epoch = space.map(|space| space.epoch);
        if self.epoch.is_some() && epoch != self.epoch {
            return Err(HistoryError::Replaced { space: self.space.clone() });
        }
        self.epoch = epoch;
        let last = self.last();
        let behind = Position(last.0 - 1);
        if let Some(listed) = archive::behind(&mut moment, &self.space, behind, 1).await?.pop() {
            return Ok(Next::Archived(listed));
        }
        let stored = segments::ending_with(&mut moment, &self.space, last, LOG_SEGMENTS, LOG_BYTES).await?;
        Ok(Next::Stored(stored))
    }

    /// The position before the cursor, from 1 on.
    fn last(&self) -> Position {
        Position(self.before.0.saturating_sub(1).max(1))
    }

    fn gap(&self) -> HistoryError {
        HistoryError::Gap { space: self.space.clone(), position: self.last() }
    }
}
