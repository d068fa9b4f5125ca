//! What an event takes on disk: in PostgreSQL's table of segments, and in the broker's streams.

use anyhow::{Context, Result};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use tidelog_runtime::broker::Broker;
use tidelog_store::segments;

use super::target::Target;

/// Bytes stored at a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    /// Of the table `segments`, by `pg_relation_size`.
    log_bytes: u64,
    push: StreamSize,
    log: StreamSize,
}

/// What JetStream says of a stream.
#[derive(Debug, Clone, Copy, Deserialize)]
struct StreamSize {
    bytes: u64,
    messages: u64,
    last_seq: u64,
}

impl Stored {
    /// Looks.
    pub(super) async fn look(target: &Target) -> Result<Self> {
        let mut connection = target.pool.acquire().await?;
        let config = target.broker.config();
        Ok(Self {
            log_bytes: segments::relation_bytes(&mut connection).await?,
            push: stream_size(&target.broker, &config.push_stream()).await?,
            log: stream_size(&target.broker, &config.log_stream()).await?,
        })
    }

    /// Bytes that the log grew by since `before`.
    pub(super) fn log_growth(&self, before: &Self) -> u64 {
        self.log_bytes.saturating_sub(before.log_bytes)
    }

    /// Bytes that were written to both streams since `before`; what they dropped meanwhile counts by the mean.
    pub(super) fn broker_growth(&self, before: &Self) -> f64 {
        let growth = |now: StreamSize, before: StreamSize| {
            let mean = now.bytes as f64 / now.messages.max(1) as f64;
            mean * now.last_seq.saturating_sub(before.last_seq) as f64
        };
        growth(self.push, before.push) + growth(self.log, before.log)
    }
}

async fn stream_size(broker: &Broker, stream: &str) -> Result<StreamSize> {
    let subject = format!("$JS.API.STREAM.INFO.{stream}");
    let answer = broker.client().request(subject, Bytes::new()).await.context("JetStream did not answer")?;
    let mut answer: Value = serde_json::from_slice(&answer.payload)?;
    serde_json::from_value(answer["state"].take())
        .with_context(|| format!("JetStream has no stream {stream}"))
}
