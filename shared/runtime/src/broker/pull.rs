//! Pulls the messages of a consumer: asks for more in time, and when it stops, goes on until the broker owes nothing any
//! more. What a broker sends to somebody who has gone counts as handed out, and would come again only after `ack_wait`.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::consumer::pull::BatchConfig;
use async_nats::{Subject, Subscriber, jetstream};
use futures_util::StreamExt;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::connection::Link;
use super::error::Cause;
use super::{Broker, REQUEST_TIMEOUT};

/// A request for messages stands so long: whoever stops waits for its end. Shorter ones are made again more often.
const EXPIRES: Duration = Duration::from_millis(500);

/// A request of which nothing was heard for so long after its end is lost.
const LATE: Duration = Duration::from_secs(2);

/// The header that tells how much of a request that has ended was not delivered.
const NOT_DELIVERED: &str = "Nats-Pending-Messages";

const HEARTBEAT: u16 = 100;
const OK: u16 = 200;
const NOTHING: u16 = 404;
const EXPIRED: u16 = 408;
const ENDED: u16 = 409;

/// How much one request asks for.
#[derive(Debug, Clone, Copy)]
pub struct PullMeasure {
    /// Messages.
    pub messages: usize,
    /// Bytes of them; 0 for no limit. One message may always come.
    pub bytes: usize,
}

/// Why a consumer cannot be pulled from just now. It is to be looked up again.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The request could not be sent.
    #[error("messages cannot be asked for")]
    Unsent(#[source] Cause),
    /// The broker is away, or has forgotten the request.
    #[error("the broker does not answer")]
    Silent,
    /// The consumer is gone, or cannot be had.
    #[error("the consumer is not to be had: {0}")]
    Refused(String),
}

/// The messages of a consumer, as they come.
pub struct Pull {
    consumer: PullConsumer,
    context: jetstream::Context,
    link: Arc<Link>,
    inbox: Subject,
    answers: Subscriber,
    request: BatchConfig,
    /// Messages that were asked for and may still come.
    owed: usize,
    asked_at: Instant,
    /// Which connection was asked.
    connects: u64,
}

impl Broker {
    /// Pulls from a consumer.
    ///
    /// # Errors
    /// [`PullError::Unsent`]: the connection takes nothing.
    pub async fn pull(&self, consumer: PullConsumer, measure: PullMeasure) -> Result<Pull, PullError> {
        let inbox = Subject::from(self.client().new_inbox());
        let subscribing = timeout(REQUEST_TIMEOUT, self.client().subscribe(inbox.clone())).await;
        let answers = subscribing
            .map_err(|elapsed| PullError::Unsent(elapsed.into()))?
            .map_err(|error| PullError::Unsent(error.into()))?;
        let max_bytes = match measure.bytes {
            0 => 0,
            bytes => bytes.max(self.client().max_payload()),
        };
        let request = BatchConfig {
            batch: measure.messages,
            expires: Some(EXPIRES),
            max_bytes,
            ..BatchConfig::default()
        };
        Ok(Pull {
            consumer,
            context: self.shared.jetstream.clone(),
            link: self.shared.link.clone(),
            inbox,
            answers,
            request,
            owed: 0,
            asked_at: Instant::now(),
            connects: 0,
        })
    }
}

impl Pull {
    /// The next message. `None` at the end: `stop` is cancelled, and whatever was asked for has come.
    ///
    /// # Errors
    /// The consumer must be looked up anew. What came until then was given out.
    pub async fn next(&mut self, stop: &CancellationToken) -> Option<Result<jetstream::Message, PullError>> {
        loop {
            let is_stopping = stop.is_cancelled();
            if is_stopping && self.owed == 0 {
                return None;
            }
            // In time, so that there is always a request at the broker.
            if !is_stopping
                && self.owed <= self.request.batch / 2
                && let Err(error) = self.ask().await
            {
                return Some(Err(error));
            }
            let answer = tokio::select! {
                biased;
                answer = self.answers.next() => answer,
                () = stop.cancelled(), if !is_stopping => continue,
                () = self.link.remade_after(self.connects) => {
                    // The requests went with the connection.
                    self.owed = 0;
                    continue;
                }
                () = sleep_until(self.asked_at + EXPIRES + LATE) => return Some(Err(PullError::Silent)),
            };
            let Some(message) = answer else { return Some(Err(PullError::Silent)) };
            match message.status.map_or(OK, |status| status.as_u16()) {
                OK => {
                    self.owed = self.owed.saturating_sub(1);
                    return Some(Ok(jetstream::Message { message, context: self.context.clone() }));
                }
                HEARTBEAT => {}
                NOTHING | EXPIRED => self.ended(&message),
                ENDED if is_full(&message) => self.ended(&message),
                _ => return Some(Err(self.refused(&message))),
            }
        }
    }

    async fn ask(&mut self) -> Result<(), PullError> {
        self.connects = self.link.connects();
        let asking = self.consumer.request_batch(self.request.clone(), self.inbox.clone());
        match timeout(REQUEST_TIMEOUT, asking).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(PullError::Unsent(error.into())),
            Err(elapsed) => return Err(PullError::Unsent(elapsed.into())),
        }
        self.owed += self.request.batch;
        self.asked_at = Instant::now();
        Ok(())
    }

    /// A request has ended before all of it was delivered.
    fn ended(&mut self, message: &async_nats::Message) {
        let header = message.headers.as_ref().and_then(|headers| headers.get(NOT_DELIVERED));
        let undelivered = header.and_then(|count| count.as_str().parse().ok()).unwrap_or(self.request.batch);
        self.owed = self.owed.saturating_sub(undelivered);
    }

    fn refused(&mut self, message: &async_nats::Message) -> PullError {
        self.owed = 0;
        let status = message.status.map(|status| status.to_string()).unwrap_or_default();
        PullError::Refused(message.description.clone().unwrap_or(status))
    }
}

/// Whether the request ended because the next message would have been too much for it.
fn is_full(message: &async_nats::Message) -> bool {
    let description = message.description.as_deref().unwrap_or_default();
    ["Message Size Exceeds MaxBytes", "Batch Completed"].iter().any(|full| description.contains(full))
}
