//! Takes batches from the broker, a bounded number ahead of the worker, for as long as the service runs: a
//! broker that goes away, or comes back without its streams, is waited for.

use std::time::Duration;

use anyhow::Context;
use async_nats::jetstream::consumer::pull::Stream;
use futures_util::StreamExt;
use tidelog_runtime::broker::Broker;
use tidelog_runtime::readiness::Check;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::config::IngestConfig;
use crate::room::{Held, Room};

/// The broker says that it is there this often; two misses and the consumer is asked for anew.
const HEARTBEAT: Duration = Duration::from_secs(5);
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(250);

/// Feeds the worker until `shutdown`.
pub(crate) async fn run(
    broker: Broker,
    config: IngestConfig,
    room: Room,
    batches: mpsc::Sender<Held>,
    ready: Check,
    shutdown: CancellationToken,
) {
    while !shutdown.is_cancelled() {
        let fed = tokio::select! {
            fed = feed(&broker, &config, &room, &batches, &ready) => fed,
            () = shutdown.cancelled() => return,
        };
        match fed {
            Ok(()) => return,
            Err(error) => {
                ready.fail(format!("{error:#}"));
                tracing::warn!(error = format!("{error:#}"), "the broker hands out no batches; asking again");
                sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
}

/// Passes messages on until the worker is gone (ok) or the consumer is (an error).
async fn feed(
    broker: &Broker,
    config: &IngestConfig,
    room: &Room,
    batches: &mpsc::Sender<Held>,
    ready: &Check,
) -> anyhow::Result<()> {
    let mut messages = open(broker, config).await?;
    ready.pass();
    while let Some(message) = messages.next().await {
        let Some(held) = room.hold(message.context("the consumer failed")?).await else { return Ok(()) };
        if batches.send(held).await.is_err() {
            return Ok(());
        }
    }
    anyhow::bail!("the consumer ended")
}

async fn open(broker: &Broker, config: &IngestConfig) -> anyhow::Result<Stream> {
    let consumer = broker.ingest_consumer().await.context("no consumer")?;
    consumer
        .stream()
        .max_messages_per_batch(config.transaction_batches)
        .max_bytes_per_batch(config.in_hand_bytes)
        .heartbeat(HEARTBEAT)
        .expires(4 * HEARTBEAT)
        .messages()
        .await
        .context("the consumer cannot be read")
}
