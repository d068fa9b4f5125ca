//! A reader that takes nothing on trust: it pulls a space's log, folds what comes, and can say afterwards exactly what
//! it has seen, so that this can be compared with what was pushed.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use hyper::StatusCode;
use tidelog_events::fold::{Change, State, StateHash};
use tidelog_events::frame::{Decoder, PullItem, PullReader, SegmentHeader, SnapshotHeader};
use tidelog_events::id::{DeviceId, Position, SpaceId};
use tidelog_events::schema::Schema;
use tokio::time::sleep;

use super::connection::{Connection, Form};
use super::load::AT_LIMIT_PAUSE;
use super::pull::DECODED_MAX;

/// A part of a space's log, or a snapshot and what follows it, folded.
#[derive(Debug, Default)]
pub(super) struct Seen {
    base: Position,
    through: Position,
    digest: u64,
    pub(super) state: State,
}

/// What was seen of a space at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Observation {
    /// Through here it came as a snapshot.
    pub(super) base: Position,
    /// Through here it is folded.
    pub(super) through: Position,
    /// A sum over the events between, each with its position: their order and every byte of them.
    pub(super) digest: u64,
    /// What all of it folds to.
    pub(super) state: StateHash,
}

impl Seen {
    /// Takes an event in, which must be the next one.
    pub(super) fn event(
        &mut self,
        position: Position,
        line: &str,
        device: &Arc<DeviceId>,
        schema: &Schema,
    ) -> Result<()> {
        ensure!(position == self.through.next(), "position {position} comes right behind {}", self.through);
        let change = Change::read(line, device, schema);
        self.state.apply(change.with_context(|| format!("the event at {position} cannot be folded"))?);
        let mut hasher = DefaultHasher::new();
        (position.0, line).hash(&mut hasher);
        self.digest = self.digest.wrapping_add(hasher.finish());
        self.through = position;
        Ok(())
    }

    /// Takes in the events of a segment.
    pub(super) fn segment<'l>(
        &mut self,
        header: &SegmentHeader,
        events: impl IntoIterator<Item = (Position, &'l str)>,
        schema: &Schema,
    ) -> Result<()> {
        let mut device = None::<Arc<DeviceId>>;
        for (position, line) in events {
            let batch = header.batch_at(position).context("a segment names no device for an event")?;
            let device = match &device {
                Some(device) if **device == batch.device_id => device,
                _ => device.insert(Arc::new(batch.device_id.clone())),
            };
            self.event(position, line, device, schema)?;
        }
        Ok(())
    }

    /// Begins anew with a snapshot.
    fn snapshot(&mut self, header: &SnapshotHeader, lines: Vec<&str>, schema: &Schema) -> Result<()> {
        let mut state = State::from_lines(lines, schema)?;
        ensure!(*state.hash() == header.state_hash, "a snapshot has another hash than it says");
        *self = Self { base: header.through, through: header.through, digest: 0, state };
        Ok(())
    }

    /// What was seen so far.
    pub(super) fn observe(&mut self) -> Observation {
        let state = self.state.hash().clone();
        Observation { base: self.base, through: self.through, digest: self.digest, state }
    }
}

/// What readers got.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reads {
    pub(super) answers: u64,
    pub(super) events: u64,
    pub(super) snapshots: u64,
    /// Of the answers' bodies, as they came.
    pub(super) bytes: u64,
    /// Answers that the stack is at a limit, after which they have asked again.
    pub(super) at_limit: u64,
}

impl Reads {
    /// Adds another's.
    pub(super) fn add(&mut self, other: Self) {
        self.answers += other.answers;
        self.events += other.events;
        self.snapshots += other.snapshots;
        self.bytes += other.bytes;
        self.at_limit += other.at_limit;
    }
}

/// Reads one space.
pub(super) struct Reader {
    connection: Connection,
    schema: Arc<Schema>,
    space: SpaceId,
    /// Who it says that it is.
    device: Option<DeviceId>,
    decoder: Decoder,
    seen: Seen,
    pub(super) reads: Reads,
}

impl Reader {
    /// One that has nothing yet.
    pub(super) fn new(
        connection: Connection,
        schema: &Arc<Schema>,
        space: &SpaceId,
        device: Option<DeviceId>,
    ) -> Result<Self> {
        Ok(Self {
            connection,
            schema: Arc::clone(schema),
            space: space.clone(),
            device,
            decoder: Decoder::new()?,
            seen: Seen::default(),
            reads: Reads::default(),
        })
    }

    /// The last position that it has.
    pub(super) fn cursor(&self) -> Position {
        self.seen.through
    }

    /// What it has seen so far.
    pub(super) fn observe(&mut self) -> Observation {
        self.seen.observe()
    }

    /// Pulls once; returns whether it has everything that was there then.
    pub(super) async fn pull(&mut self, limit: u64) -> Result<bool> {
        let after = self.cursor();
        let device = self.device.as_ref().map(|device| format!("&deviceId={device}")).unwrap_or_default();
        let path = format!("/v1/spaces/{}/log?after={after}&limit={limit}{device}", self.space);
        let answer = self.ask(&path).await?;
        self.reads.answers += 1;
        self.reads.bytes += answer.len() as u64;
        self.take(&answer)
            .with_context(|| format!("a pull of {} behind {after} was answered wrongly", self.space))
    }

    /// Pulls until it has everything.
    pub(super) async fn pull_all(&mut self, limit: u64) -> Result<()> {
        while !self.pull(limit).await? {}
        Ok(())
    }

    async fn ask(&mut self, path: &str) -> Result<Bytes> {
        loop {
            let (status, body) = self.connection.try_pull(path, Form::Frames).await?;
            match status {
                StatusCode::OK => return Ok(body),
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                    self.reads.at_limit += 1;
                    sleep(AT_LIMIT_PAUSE).await;
                }
                _ => bail!("a pull was refused: {status} {}", String::from_utf8_lossy(&body)),
            }
        }
    }

    fn take(&mut self, answer: &[u8]) -> Result<bool> {
        let lines = String::from_utf8(self.decoder.decode_all(answer, DECODED_MAX)?)?;
        let (before, mut head) = (self.cursor(), Position::ZERO);
        let mut items = PullReader::new(&lines, before);
        while let Some(item) = items.next_item()? {
            match item {
                PullItem::Hello(hello) => {
                    ensure!(hello.cursor == before, "it begins behind {}", hello.cursor);
                    head = hello.head;
                }
                PullItem::Snapshot(header, entities) => {
                    ensure!(header.through > before, "it holds a snapshot through {}", header.through);
                    self.seen.snapshot(&header, entities, &self.schema)?;
                    self.reads.snapshots += 1;
                }
                PullItem::Segment(header, events) => {
                    self.reads.events += events.len() as u64;
                    self.seen.segment(&header, events, &self.schema)?;
                }
            }
        }
        ensure!(self.cursor() > before || head == before, "it brings nothing, and the head is {head}");
        Ok(self.cursor() >= head)
    }
}
