//! Takes news from LOG, for as long as the service runs: a broker that goes away, or comes back without its streams,
//! is waited for. Messages come without their payloads, since the log itself is what is folded.

use std::time::Duration;

use anyhow::Context;
use async_nats::HeaderMap;
use async_nats::jetstream::consumer::pull::Stream;
use async_nats::jetstream::message::Acker;
use futures_util::StreamExt;
use tidelog_events::frame::{LAST_HEADER, SPACE_HEADER};
use tidelog_events::id::{Position, SpaceId};
use tidelog_runtime::broker::{self, Broker};
use tidelog_runtime::readiness::Check;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// The broker says that it is there this often; two misses and the consumer is asked for anew.
const HEARTBEAT: Duration = Duration::from_secs(5);
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(250);
/// Messages asked for at once.
const MESSAGES: usize = 1024;

/// A space's log goes on.
pub(crate) struct News {
    pub(crate) space: SpaceId,
    /// It reaches at least this.
    pub(crate) last: Position,
    /// To be told when it is folded; none where a sweep found it.
    pub(crate) message: Option<Acker>,
}

/// Feeds the worker until `shutdown`.
pub(crate) async fn run(broker: Broker, news: mpsc::Sender<News>, ready: Check, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        let fed = tokio::select! {
            fed = feed(&broker, &news, &ready) => fed,
            () = shutdown.cancelled() => return,
        };
        match fed {
            Ok(()) => return,
            Err(error) => {
                ready.fail(format!("{error:#}"));
                tracing::warn!(error = format!("{error:#}"), "the broker hands out no news; asking again");
                sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
}

/// Passes news on until the worker is gone (ok) or the consumer is (an error).
async fn feed(broker: &Broker, news: &mpsc::Sender<News>, ready: &Check) -> anyhow::Result<()> {
    let mut messages = open(broker).await?;
    ready.pass();
    while let Some(message) = messages.next().await {
        let (message, acker) = message.context("the consumer failed")?.split();
        let Some((space, last)) = message.headers.as_ref().and_then(segment) else {
            tracing::warn!(subject = %message.subject, "a message of LOG names no segment; left out");
            acknowledge(&acker).await;
            continue;
        };
        if news.send(News { space, last, message: Some(acker) }).await.is_err() {
            return Ok(());
        }
    }
    anyhow::bail!("the consumer ended")
}

/// Which space's log goes on, and how far.
fn segment(headers: &HeaderMap) -> Option<(SpaceId, Position)> {
    let space = SpaceId::new(headers.get(SPACE_HEADER)?.as_str()).ok()?;
    let last = headers.get(LAST_HEADER)?.as_str().parse().ok()?;
    Some((space, Position(last)))
}

async fn open(broker: &Broker) -> anyhow::Result<Stream> {
    let consumer = broker.projector_consumer().await.context("no consumer")?;
    consumer
        .stream()
        .max_messages_per_batch(MESSAGES)
        .heartbeat(HEARTBEAT)
        .expires(4 * HEARTBEAT)
        .messages()
        .await
        .context("the consumer cannot be read")
}

/// Tells the broker that the message is settled. A lost acknowledgement costs a redelivery, which `applied` makes harmless.
pub(crate) async fn acknowledge(message: &Acker) {
    broker::acknowledge(message.ack()).await;
}
