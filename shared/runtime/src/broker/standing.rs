//! How the streams and their consumers stand: for whoever watches. Nothing is created or changed here.

use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::stream::{DirectGetError, DirectGetErrorKind};
use tidelog_events::frame::{FIRST_HEADER, LAST_HEADER};
use tidelog_events::protocol::UtcTime;

use super::streams::bounded;
use super::{Broker, BrokerError, INGEST_CONSUMER, PROJECTOR_CONSUMER};

/// A stream and the consumer that works through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamStanding {
    /// Messages stored, whether they are done with or not.
    pub messages: u64,
    /// Bytes stored.
    pub bytes: u64,
    /// Bytes at which it is full.
    pub max_bytes: u64,
    /// Stream sequence of the newest message: how many there ever were.
    pub last_sequence: u64,
    /// The consumer.
    pub consumer: ConsumerStanding,
}

/// A consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsumerStanding {
    /// Messages that nobody was handed yet.
    pub pending: u64,
    /// Messages that were handed out and not acknowledged yet.
    pub in_flight: u64,
    /// Those of them that were handed out more than once.
    pub redelivered: u64,
    /// The stream sequence through which all are acknowledged.
    pub ack_floor: u64,
    /// Messages that were handed out and acknowledged, ever.
    pub settled: u64,
}

impl StreamStanding {
    /// The stream sequence of the oldest message that is not acknowledged, if there is one.
    pub fn oldest_open(&self) -> Option<u64> {
        let consumer = self.consumer;
        (consumer.pending + consumer.in_flight > 0).then_some(consumer.ack_floor + 1)
    }
}

impl Broker {
    /// PUSH, and ingest's consumer.
    ///
    /// # Errors
    /// [`BrokerError::Missing`]: one of them is not there.
    pub async fn push_standing(&self) -> Result<StreamStanding, BrokerError> {
        self.standing(self.config().push_stream(), INGEST_CONSUMER).await
    }

    /// LOG, and the projector's consumer.
    ///
    /// # Errors
    /// [`BrokerError::Missing`]: one of them is not there.
    pub async fn log_standing(&self) -> Result<StreamStanding, BrokerError> {
        self.standing(self.config().log_stream(), PROJECTOR_CONSUMER).await
    }

    async fn standing(&self, stream: String, consumer: &str) -> Result<StreamStanding, BrokerError> {
        let jetstream = &self.shared.jetstream;
        let consumer: PullConsumer =
            bounded(jetstream.get_consumer_from_stream(consumer, stream.clone())).await?;
        let stream = bounded(jetstream.get_stream(stream)).await?;
        let (stream, consumer) = (stream.cached_info(), consumer.cached_info());
        let in_flight = consumer.num_ack_pending as u64;
        Ok(StreamStanding {
            messages: stream.state.messages,
            bytes: stream.state.bytes,
            max_bytes: u64::try_from(stream.config.max_bytes).unwrap_or(u64::MAX),
            last_sequence: stream.state.last_sequence,
            consumer: ConsumerStanding {
                pending: consumer.num_pending,
                in_flight,
                redelivered: consumer.num_redelivered as u64,
                ack_floor: consumer.ack_floor.stream_sequence,
                settled: consumer.delivered.stream_sequence.saturating_sub(in_flight),
            },
        })
    }

    /// When the message of PUSH with that stream sequence was published; `None` where it is gone.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`]: the broker does not answer.
    pub async fn pushed_at(&self, sequence: u64) -> Result<Option<UtcTime>, BrokerError> {
        let stream = self.shared.jetstream.get_stream_no_info(self.config().push_stream()).await?;
        let message = bounded(stream.direct_get(sequence)).await;
        let milliseconds = |time: i128| UtcTime(i64::try_from(time / 1_000_000).unwrap_or_default());
        Ok(found(message)?.map(|message| milliseconds(message.time.unix_timestamp_nanos())))
    }

    /// How many events the segment has that LOG holds at that stream sequence; `None` where it is gone.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`]: the broker does not answer.
    pub async fn announced_events(&self, sequence: u64) -> Result<Option<u64>, BrokerError> {
        let stream = self.shared.jetstream.get_stream_no_info(self.config().log_stream()).await?;
        let message = found(bounded(stream.direct_get(sequence)).await)?;
        Ok(message.and_then(|message| {
            let position = |name: &str| message.headers.get(name)?.as_str().parse::<u64>().ok();
            position(LAST_HEADER)?.checked_sub(position(FIRST_HEADER)?)?.checked_add(1)
        }))
    }
}

fn found<T>(message: Result<T, BrokerError>) -> Result<Option<T>, BrokerError> {
    match message {
        Ok(message) => Ok(Some(message)),
        Err(BrokerError::Missing(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

impl From<DirectGetError> for BrokerError {
    fn from(error: DirectGetError) -> Self {
        match error.kind() {
            DirectGetErrorKind::NotFound => Self::Missing(error.into()),
            _ => Self::Unavailable(error.into()),
        }
    }
}
