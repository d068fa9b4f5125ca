//! One phone: records batches, compresses them, pushes one at a time, and notes what became of each.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use tidelog_events::admit::After;
use tidelog_events::frame::{BatchHeader, Encoder, write_batch};
use tidelog_events::id::{DeviceId, EventId, Sequence, SpaceId};
use tokio::time::Instant;

use super::connection::{Connection, Received};
use super::workout::Recorder;

/// zstd contexts that the phones share: as many as are at work at once.
#[derive(Clone, Default)]
pub(super) struct Encoders {
    idle: Arc<Mutex<Vec<Encoder>>>,
}

impl Encoders {
    fn with<T>(&self, work: impl FnOnce(&mut Encoder) -> T) -> Result<T> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let reused = idle().pop();
        let mut encoder = match reused {
            Some(encoder) => encoder,
            None => Encoder::new()?,
        };
        let done = work(&mut encoder);
        idle().push(encoder);
        Ok(done)
    }
}

/// A phone and its connection.
pub(super) struct Phone {
    device: DeviceId,
    path: String,
    connection: Connection,
    encoders: Encoders,
    recorder: Recorder,
    last: Option<After>,
    /// Events of its batches.
    pub(super) batch: u32,
    lines: Vec<u8>,
}

/// A batch on its way.
pub(super) struct Batch {
    frame: Bytes,
    /// Bytes of its event lines.
    pub(super) json_bytes: u64,
    last: Option<After>,
}

impl Batch {
    /// Its frame.
    pub(super) fn frame(&self) -> &Bytes {
        &self.frame
    }
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It is in the log, its last event at this position.
    Committed { last: u64 },
    /// The broker has it; when it is in the log is not known.
    Accepted,
    /// It was in the log already.
    AlreadyCommitted,
    /// The stack is at a limit and said so, and how long to wait: nothing was taken.
    AtLimit { retry_after: Duration },
}

/// Any other answer.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    body: Bytes,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a batch was refused: {} {}", self.status, String::from_utf8_lossy(&self.body))
    }
}

impl std::error::Error for Refused {}

/// A push's answer, as far as it matters here.
#[derive(Deserialize)]
struct Answer {
    committed: bool,
    last: Option<u64>,
}

impl Phone {
    /// A phone that pushes to `space` what its recorder records.
    pub(super) fn new(
        space: &SpaceId,
        device: DeviceId,
        recorder: Recorder,
        batch: u32,
        connection: Connection,
        encoders: Encoders,
    ) -> Self {
        Self {
            path: format!("/v1/spaces/{space}/events"),
            recorder,
            last: None,
            lines: Vec::new(),
            device,
            connection,
            encoders,
            batch,
        }
    }

    /// Records the next batch.
    pub(super) fn record(&mut self) -> Result<Batch> {
        let header = BatchHeader { device_id: Some(self.device.clone()), user_id: None, after: self.last };
        let nothing: [&str; 0] = [];
        self.lines.clear();
        self.lines.extend(write_batch(&header, nothing));
        let begin = self.lines.len();
        let mut last_id = None;
        for _ in 0..self.batch {
            last_id = Some(EventId(self.recorder.record(&mut self.lines)));
        }
        let json_bytes = (self.lines.len() - begin) as u64;
        let frame = self.encoders.with(|encoder| encoder.encode(&self.lines))??;
        let last = After { device_sequence: Sequence(self.recorder.sequence()), event_id: last_id };
        Ok(Batch { frame: frame.into(), json_bytes, last: Some(last) })
    }

    /// The sequence of the last event that it has recorded.
    pub(super) fn sequence(&self) -> u64 {
        self.recorder.sequence()
    }

    /// Pushes it once.
    pub(super) async fn push(&mut self, batch: &Batch) -> Result<Pushed> {
        let Received { status, retry_after, body } =
            self.connection.push(&self.path, batch.frame.clone()).await?;
        match status {
            StatusCode::OK | StatusCode::ACCEPTED => {
                let answer: Answer =
                    serde_json::from_slice(&body).context("the gateway's answer is not a push answer")?;
                self.last = batch.last;
                Ok(match answer.last {
                    Some(last) if answer.committed => Pushed::Committed { last },
                    None if answer.committed => Pushed::AlreadyCommitted,
                    _ => Pushed::Accepted,
                })
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Ok(Pushed::AtLimit { retry_after: retry_after.unwrap_or_default() })
            }
            _ => Err(Refused { status, body }.into()),
        }
    }
}

/// When a push began, and what it led to.
#[derive(Debug, Clone, Copy)]
pub(super) struct PushRecord {
    /// The phone's space, by its number.
    pub(super) space: u32,
    pub(super) began: Instant,
    pub(super) answered: Instant,
    /// Position of the last event.
    pub(super) last: u64,
}
