//! A log that is read on and on for one reader: what is there, in pieces of bounded size, then each segment as it is
//! committed. The pieces, one after the other, are a pull's answer that does not end.

use axum::body::Body;
use bytes::Bytes;
use sqlx::PgPool;
use tidelog_events::frame::{SegmentHeader, inspect};
use tidelog_events::id::{DeviceId, Epoch, Position, SpaceId};
use tidelog_events::live::CloseReason;
use tidelog_events::protocol::UtcTime;
use tidelog_events::schema::Schema;
use tidelog_runtime::config::LimitsConfig;
use tidelog_store::segments::Segment;

use super::answer::{self, Answer};
use super::read::{LogQuery, LogRead, read_log};
use super::request::{PullParams, PullRequest};
use super::snapshot::EntityWriter;
use super::stream::Entities;
use crate::auth::Caller;
use crate::codecs::Codecs;
use crate::problem::Problem;
use crate::work;

/// What a segment's header decodes to, at most: it lists a thousand batches in far less.
const HEADER_BYTES_MAX: usize = 1024 * 1024;

/// What a reader gets next.
pub(crate) enum Piece {
    /// At once.
    Whole(Bytes),
    /// Too large for that: a snapshot, as it is read.
    Streamed(Body),
}

/// Why a log cannot be read on for a reader.
#[derive(Debug)]
pub(crate) struct TailEnd {
    pub(crate) reason: CloseReason,
    pub(crate) detail: String,
}

impl TailEnd {
    fn replaced() -> Self {
        Self {
            reason: CloseReason::LogReplaced,
            detail: "the log was replaced: begin with a hello".to_owned(),
        }
    }

    fn pruned() -> Self {
        let detail = "the log was pruned behind the cursor: connect again for the snapshot".to_owned();
        Self { reason: CloseReason::SlowReader, detail }
    }
}

impl From<Problem> for TailEnd {
    fn from(problem: Problem) -> Self {
        Self { reason: CloseReason::Refused(problem.code), detail: problem.detail().to_owned() }
    }
}

/// One reader's.
pub(crate) struct Tail {
    space: SpaceId,
    request: PullRequest,
    /// The last position that the reader was given.
    cursor: Position,
    /// The log's incarnation, once there is one.
    epoch: Option<Epoch>,
    /// Stored bytes of a piece, at most, unless one segment has more.
    piece_bytes: u64,
}

/// What reading draws on.
#[derive(Clone, Copy)]
pub(crate) struct TailMeans<'a> {
    pub(crate) pool: &'a PgPool,
    pub(crate) codecs: &'a Codecs,
    pub(crate) schema: &'a Schema,
}

impl Tail {
    /// A reader that asks as a pull does, for frames or lines.
    pub(crate) fn new(
        space: SpaceId,
        params: PullParams,
        as_lines: bool,
        piece_bytes: u64,
        (limits, schema): (&LimitsConfig, &Schema),
    ) -> Result<Self, Problem> {
        let request = PullRequest::endless(params, as_lines, limits, schema)?;
        Ok(Self { space, cursor: request.after, request, epoch: None, piece_bytes })
    }

    pub(crate) fn device(&self) -> Option<&DeviceId> {
        self.request.device.as_ref()
    }

    /// Reads as the device that the caller's token is bound to, where it is bound to one.
    pub(crate) fn act_as(&mut self, caller: &Caller) -> Result<(), Problem> {
        self.request.device = caller.acting_device(self.request.device.as_ref())?.cloned();
        Ok(())
    }

    pub(crate) fn cursor(&self) -> Position {
        self.cursor
    }

    pub(crate) fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    /// The hello, with what lies behind the reader's cursor.
    pub(crate) async fn begin(&mut self, means: TailMeans<'_>, now: UtcTime) -> Result<Piece, Problem> {
        let read = self.read(means.pool, self.request.device.as_slice()).await?;
        self.epoch = read.epoch;
        let hello = read.hello(self.request.device.as_ref(), means.schema.version(), now);
        let answer = work::run(answer::work_bytes(&read, &self.request), || {
            means.codecs.with(|codec| {
                let bytes = self.piece_bytes;
                answer::answer(&read, Some(hello), &self.request, means.schema, bytes, codec)
            })
        });
        let Answer { body, entities_at, through, .. } =
            answer.map_err(|error| Problem::internal(&error))?.map_err(|error| Problem::internal(&error))?;
        self.cursor = through;
        Ok(match entities_at.zip(read.snapshot.as_ref()) {
            None => Piece::Whole(body.into()),
            Some((at, snapshot)) => {
                let writer = EntityWriter::new(&snapshot.snapshot, &self.request);
                let (pool, codecs) = (means.pool.clone(), means.codecs.clone());
                let entities = Entities::new(pool, codecs, self.space.clone(), snapshot, writer);
                Piece::Streamed(entities.into_body(body, at))
            }
        })
    }

    /// What the log has behind what the reader was given; `None` where that is nothing.
    pub(crate) async fn next(&mut self, means: TailMeans<'_>) -> Result<Option<Bytes>, TailEnd> {
        let read = self.read(means.pool, &[]).await?;
        if self.epoch.is_some_and(|epoch| read.epoch != Some(epoch)) || read.head < self.cursor {
            return Err(TailEnd::replaced());
        }
        self.epoch = read.epoch;
        if read.snapshot.is_some() {
            return Err(TailEnd::pruned());
        }
        if read.segments.is_empty() { Ok(None) } else { Ok(Some(self.write(&read, means)?)) }
    }

    /// A segment that was just committed, as this reader gets it. `None` where it does not follow what the reader was given.
    pub(crate) fn follow(
        &mut self,
        announced: &AnnouncedSegment,
        means: TailMeans<'_>,
    ) -> Result<Option<Bytes>, TailEnd> {
        if announced.header.first != self.cursor.next() {
            return Ok(None);
        }
        if answer::is_passed_on(&self.request) {
            self.cursor = announced.header.last;
            return Ok(Some(announced.payload.clone()));
        }
        let read = LogRead {
            head: announced.header.last,
            cursor: self.cursor,
            segments: vec![announced.segment()],
            ..LogRead::default()
        };
        Ok(Some(self.write(&read, means)?))
    }

    async fn read(&self, pool: &PgPool, devices: &[DeviceId]) -> Result<LogRead, Problem> {
        let query = LogQuery {
            space: &self.space,
            after: self.cursor,
            events: self.request.limit,
            bytes: self.piece_bytes,
            devices,
        };
        // Boxed, so that a reader that waits holds little memory.
        Box::pin(read_log(pool, &query)).await
    }

    fn write(&mut self, read: &LogRead, means: TailMeans<'_>) -> Result<Bytes, Problem> {
        let answer = work::run(answer::work_bytes(read, &self.request), || {
            means.codecs.with(|codec| {
                answer::answer(read, None, &self.request, means.schema, self.piece_bytes, codec)
            })
        });
        let answer =
            answer.map_err(|error| Problem::internal(&error))?.map_err(|error| Problem::internal(&error))?;
        self.cursor = answer.through;
        Ok(answer.body.into())
    }
}

/// A segment as it was told of, checked once for all its readers.
#[derive(Debug)]
pub(crate) struct AnnouncedSegment {
    header: SegmentHeader,
    payload: Bytes,
    body_at: usize,
}

impl AnnouncedSegment {
    /// Takes a payload apart: a header frame, then a body frame. `None` for anything else.
    pub(crate) fn read(payload: &Bytes, codecs: &Codecs) -> Option<Self> {
        let header_frame = inspect(payload).ok()?;
        let (head, body) = payload.split_at_checked(header_frame.frame_bytes)?;
        let line = codecs.with(|codec| codec.decoder.decode_one(head, HEADER_BYTES_MAX)).ok()?;
        let header = SegmentHeader::parse(line.ok()?.trim_ascii_end())?;
        let is_whole = inspect(body).ok()?.frame_bytes == body.len();
        is_whole.then(|| Self { header, payload: payload.clone(), body_at: head.len() })
    }

    /// Its last position.
    pub(crate) fn last(&self) -> Position {
        self.header.last
    }

    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.payload.len()
    }

    fn segment(&self) -> Segment {
        Segment { header: self.header.clone(), frame: self.payload[self.body_at..].to_vec() }
    }
}
