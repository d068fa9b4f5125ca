//! A body around a snapshot that is larger than an answer may be in memory: its parts are read while they are sent, some
//! at a time, and no connection is held between. What is missing or damaged breaks the body off.

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use sqlx::PgPool;
use std::collections::VecDeque;
use tidelog_events::frame::FrameError;
use tidelog_events::id::{Position, SpaceId};
use tidelog_runtime::database::within;
use tidelog_store::snapshot_parts::{self, Part};

use super::answer::DECODED_PER_STORED;
use super::read::{READ_TIMEOUT, SnapshotRead};
use super::snapshot::{DamagedSnapshot, EntityWriter};
use crate::codecs::Codecs;
use crate::work;

/// Stored bytes of parts that are read at once.
const READ_BYTES: i64 = 1024 * 1024;

/// Why a body broke off: the reader notices, and asks again.
#[derive(Debug, thiserror::Error)]
pub(super) enum BrokenOff {
    #[error(transparent)]
    Damaged(#[from] DamagedSnapshot),
    #[error("the parts of a snapshot cannot be read")]
    Database(#[from] sqlx::Error),
    #[error("zstd failed")]
    Codec(#[from] FrameError),
}

/// A snapshot on its way to a reader.
pub(super) struct Entities {
    pool: PgPool,
    codecs: Codecs,
    space: SpaceId,
    through: Position,
    writer: EntityWriter,
    /// Parts that are read and not yet sent, and the number of the first that is not read.
    read: VecDeque<Part>,
    next: u32,
}

impl Entities {
    /// The entities of that snapshot, from what was read of it on.
    pub(super) fn new(
        pool: PgPool,
        codecs: Codecs,
        space: SpaceId,
        SnapshotRead { snapshot, parts }: &SnapshotRead,
        writer: EntityWriter,
    ) -> Self {
        let next = parts.last().map_or(0, |part| part.part + 1);
        Self { pool, codecs, space, through: snapshot.through, writer, read: parts.clone().into(), next }
    }

    /// The body that has them behind the first `at` of the other bytes.
    pub(super) fn into_body(self, others: Vec<u8>, at: usize) -> Body {
        let mut before = Bytes::from(others);
        let behind = Some(before.split_off(at)).filter(|behind| !behind.is_empty());
        let entities = self.stream().inspect(|sent| {
            if let Err(error) = sent {
                metrics::counter!("tidelog_gateway_broken_off_pulls_total").increment(1);
                tracing::error!(error = error as &dyn std::error::Error, "a pull's answer broke off");
            }
        });
        let before = stream::iter([Ok(before)]);
        Body::from_stream(before.chain(entities).chain(stream::iter(behind.map(Ok))))
    }

    fn stream(self) -> impl Stream<Item = Result<Bytes, BrokenOff>> {
        stream::try_unfold(self, |mut entities| async move {
            Ok(entities.next().await?.map(|bytes| (bytes, entities)))
        })
    }

    /// What comes next; `None` when all that the header counts was there.
    async fn next(&mut self) -> Result<Option<Bytes>, BrokenOff> {
        while !self.writer.is_done() {
            let Some(part) = self.read.pop_front() else {
                self.read_more().await?;
                continue;
            };
            let mut bytes = Vec::new();
            let (codecs, writer) = (&self.codecs, &mut self.writer);
            let written = work::run(part.frame.len() as u64 * DECODED_PER_STORED, || {
                codecs.with(|codec| writer.write(&part, codec, &mut bytes))
            });
            written??;
            if !bytes.is_empty() {
                return Ok(Some(bytes.into()));
            }
        }
        Ok(None)
    }

    async fn read_more(&mut self) -> Result<(), BrokenOff> {
        let Self { pool, space, through, next, .. } = self;
        let types = self.writer.types();
        let read = within(READ_TIMEOUT, async {
            let mut connection = pool.acquire().await?;
            match &types {
                None => snapshot_parts::from(&mut connection, space, *through, *next, READ_BYTES).await,
                Some(types) => {
                    snapshot_parts::of_types(&mut connection, space, *through, *next, READ_BYTES, types).await
                }
            }
        });
        let read = read.await?;
        let Some(last) = read.last() else { return Ok(self.writer.end()?) };
        self.next = last.part + 1;
        self.read = read.into();
        Ok(())
    }
}
