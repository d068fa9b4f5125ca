//! A space's whole log: what was pruned from the archive, what was not from PostgreSQL, as if nothing had ever been
//! pruned. Positions follow each other without a gap, whatever the compactor does meanwhile.

use sqlx::PgPool;
use tidelog_events::frame::{DamagedArchive, Decoder, read_archive};
use tidelog_events::id::{DeviceId, Epoch, Position, SpaceId};
use tidelog_store::archive::Archived;
use tidelog_store::segments::{Segment, SequenceRange};
use tidelog_store::{archive, segments, spaces};

use crate::{Archive, ArchiveError, BackwardReader, DeviceReader};

/// Segments of the log that are read at once, and their stored bytes; always at least one.
const LOG_SEGMENTS: i64 = 1000;
const LOG_BYTES: i64 = 4 * 1024 * 1024;

/// Where a space's history is read.
#[derive(Debug, Clone)]
pub struct History {
    pub(crate) pool: PgPool,
    archive: Archive,
}

/// Where events were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// In an object of the archive: they were pruned.
    Archive,
    /// In PostgreSQL.
    Log,
}

/// Segments that follow each other. The first may begin at or before the reader's cursor.
#[derive(Debug)]
pub struct HistoryChunk {
    /// Where all of them were found.
    pub source: Source,
    /// The segments, in order.
    pub segments: Vec<Segment>,
}

/// Why history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The database did not answer.
    #[error("the database cannot be read")]
    Database(#[from] sqlx::Error),
    /// The archive did not give what is listed.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// An object that has its hash, and does not hold what is listed: it was written wrongly.
    #[error("the archived {object} is damaged")]
    Damaged {
        /// The object.
        object: String,
        /// What is wrong with it; nothing where it is whole and holds something else.
        #[source]
        source: Option<DamagedArchive>,
    },
    /// Nothing has the next position, although the log goes on.
    #[error("the history of {space} has nothing at position {position}, and goes on behind it")]
    Gap {
        /// The space.
        space: SpaceId,
        /// The position behind the reader's cursor.
        position: Position,
    },
    /// The space was erased, or the database restored to an older state, since the first look.
    #[error("the log of {space} was replaced while it was read: begin again")]
    Replaced {
        /// The space.
        space: SpaceId,
    },
}

impl History {
    /// What PostgreSQL and the archive together have.
    pub fn new(pool: PgPool, archive: Archive) -> Self {
        Self { pool, archive }
    }

    /// Reads everything behind a position, in order.
    pub fn behind(&self, space: &SpaceId, after: Position) -> HistoryReader {
        HistoryReader { history: self.clone(), space: space.clone(), cursor: after, epoch: None }
    }

    /// Reads everything before a position, from there back to the beginning. The position before it must be there.
    pub fn before(&self, space: &SpaceId, before: Position) -> BackwardReader {
        BackwardReader::new(self.clone(), space.clone(), before)
    }

    /// Reads the archived segments that may hold a device's sequences. Ask the log for them *before*: what is pruned
    /// meanwhile is then found twice, never not at all.
    ///
    /// Costs an object for each that holds such sequences. For the device of an event without a counter
    /// ([`DeviceId::of_event`]) nothing is listed: objects are read from the latest back until it is found, so an event
    /// that the archive does not have costs all objects of the space. The device's watermark says whether to ask at all.
    pub fn of_device(&self, space: &SpaceId, device: &DeviceId, range: SequenceRange) -> DeviceReader {
        DeviceReader::new(self.clone(), space.clone(), device.clone(), range)
    }

    /// The segments of an object, if it is the one that is listed.
    pub(crate) async fn segments_of(
        &self,
        space: &SpaceId,
        listed: &Archived,
    ) -> Result<Vec<Segment>, HistoryError> {
        let damaged = |source| HistoryError::Damaged { object: listed.object.clone(), source };
        let object = self.archive.fetch(&listed.object, &listed.sha256).await?;
        let mut decoder = Decoder::new().map_err(|error| damaged(Some(error.into())))?;
        let (header, segments) = read_archive(&object, &mut decoder).map_err(|error| damaged(Some(error)))?;
        let is_listed = header.space == *space
            && (header.epoch, header.first, header.last) == (listed.epoch, listed.first, listed.last);
        if !is_listed {
            return Err(damaged(None));
        }
        Ok(segments.into_iter().map(|(header, frame)| Segment { header, frame: frame.to_vec() }).collect())
    }
}

/// Reads a space's history from a position on, a chunk at a time: an object of the archive, or a few MiB of the log.
#[derive(Debug)]
pub struct HistoryReader {
    history: History,
    space: SpaceId,
    cursor: Position,
    /// The log's incarnation at the first look, once there was one.
    epoch: Option<Epoch>,
}

/// What lies behind the cursor.
enum Next {
    Archived(Archived),
    Stored(Vec<Segment>),
    Nothing,
}

impl HistoryReader {
    /// The last position that was read.
    pub fn cursor(&self) -> Position {
        self.cursor
    }

    /// What comes next; `None` at the head, where more may come later.
    pub async fn next_chunk(&mut self) -> Result<Option<HistoryChunk>, HistoryError> {
        let (source, segments) = match self.look().await? {
            Next::Nothing => return Ok(None),
            Next::Stored(segments) => (Source::Log, segments),
            Next::Archived(listed) => {
                let mut segments = self.history.segments_of(&self.space, &listed).await?;
                segments.retain(|segment| segment.header.last > self.cursor);
                (Source::Archive, segments)
            }
        };
        for segment in &segments {
            if segment.header.first > self.cursor.next() {
                return Err(self.gap());
            }
            self.cursor = segment.header.last;
        }
        Ok(Some(HistoryChunk { source, segments }))
    }

    /// Archive and log at one moment: what is pruned between two looks at both would be in neither.
    async fn look(&mut self) -> Result<Next, HistoryError> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let mut moment = self.history.pool.begin_with(begin).await?;
        let space = spaces::find(&mut moment, &self.space).await?;
        let epoch = space.as_ref().map(|space| space.epoch);
        if self.epoch.is_some() && epoch != self.epoch {
            return Err(HistoryError::Replaced { space: self.space.clone() });
        }
        self.epoch = epoch;
        if let Some(listed) = archive::behind(&mut moment, &self.space, self.cursor, 1).await?.pop() {
            return Ok(Next::Archived(listed));
        }
        let cursors = [(&self.space, self.cursor)];
        let stored = segments::behind_each(&mut moment, &cursors, LOG_SEGMENTS, LOG_BYTES).await?;
        if !stored.is_empty() {
            Ok(Next::Stored(stored.into_iter().map(|(_, segment)| segment).collect()))
        } else if space.is_some_and(|space| space.head > self.cursor) {
            Err(self.gap())
        } else {
            Ok(Next::Nothing)
        }
    }

    fn gap(&self) -> HistoryError {
        HistoryError::Gap { space: self.space.clone(), position: self.cursor.next() }
    }
}
