//! The streams PUSH and LOG and the consumers of ingest and projector: the one place where they are defined, created, measured
//! and trimmed.

use std::future::{Future, IntoFuture};
use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::context::{CreateStreamError, CreateStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use tokio::time::{Instant, timeout};

use super::{Broker, BrokerConfig, BrokerError, REQUEST_TIMEOUT, Subjects};

/// The durable consumer that all replicas of ingest share.
pub const INGEST_CONSUMER: &str = "ingest";

/// The durable consumer that all replicas of the projector share.
pub const PROJECTOR_CONSUMER: &str = "projector";

/// How long the broker remembers message ids, in memory, at least: longer than a publish is retried. A copy that comes
/// later still costs nothing but the look at a watermark.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(15);

/// Bound of looking up a consumer. One that has no leader just now does not answer, nor later, when it has one.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(1);

const SECONDS_PER_HOUR: u64 = 3600;

/// One of the two streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamKind {
    Push,
    Log,
}

impl StreamKind {
    /// A word for metrics.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Log => "log",
        }
    }
}

/// How full PUSH is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushFill {
    /// Bytes stored.
    pub bytes: u64,
    /// Bytes at which pushes are refused.
    pub max_bytes: u64,
    /// Messages stored.
    pub messages: u64,
    /// Stream sequence of the oldest message.
    pub first_sequence: u64,
    /// Stream sequence of the newest message.
    pub last_sequence: u64,
    /// The stream sequence through which ingest has acknowledged every message.
    pub ack_floor: u64,
}

impl PushFill {
    /// Percent of the stream's size in use, rounded down.
    pub fn percent(&self) -> u64 {
        self.bytes.saturating_mul(100).checked_div(self.max_bytes).unwrap_or(100)
    }
}

impl Broker {
    /// Creates the streams and the consumer, or brings them to the configuration. Idempotent; bounded by a few
    /// seconds.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`]: try again. [`BrokerError::Refused`]: the broker has no room for the streams,
    /// or one exists with settings that cannot be changed.
    pub async fn ensure_streams(&self) -> Result<(), BrokerError> {
        let mut healed = self.shared.healed.lock().await;
        self.put_in_order().await?;
        *healed = Some(Instant::now());
        Ok(())
    }

    /// The consumer of ingest; it and its stream are created if missing.
    ///
    /// # Errors
    /// As [`Broker::ensure_streams`].
    pub async fn ingest_consumer(&self) -> Result<PullConsumer, BrokerError> {
        self.consumer(ingest_consumer(self.config()), StreamKind::Push).await
    }

    /// The consumer of the projector; it and its stream are created if missing.
    ///
    /// # Errors
    /// As [`Broker::ensure_streams`].
    pub async fn projector_consumer(&self) -> Result<PullConsumer, BrokerError> {
        self.consumer(projector_consumer(self.config()), StreamKind::Log).await
    }

    /// Each service creates what it misses itself, and nothing else: it needs no right to another's consumer.
    async fn consumer(&self, consumer: pull::Config, kind: StreamKind) -> Result<PullConsumer, BrokerError> {
        let jetstream = &self.shared.jetstream;
        let stream = self.stream(kind);
        let name = consumer.durable_name.clone().unwrap_or_default();
        let look_up = jetstream.get_consumer_from_stream(&name, &stream.name);
        let looked_up = match timeout(LOOK_UP_TIMEOUT, look_up).await {
            Ok(answer) => answer.map_err(BrokerError::from),
            Err(elapsed) => Err(BrokerError::Unavailable(elapsed.into())),
        };
        match looked_up {
            Err(BrokerError::Missing(_)) => {
                let mut healed = self.shared.healed.lock().await;
                self.create_if_missing(stream.clone()).await?;
                let created = bounded(jetstream.create_consumer_on_stream(consumer, &stream.name)).await?;
                *healed = Some(Instant::now());
                Ok(created)
            }
            found => found,
        }
    }

    /// How full PUSH is, and how much of it ingest is done with.
    ///
    /// # Errors
    /// [`BrokerError::Missing`]: there is no PUSH or no consumer; nothing is created here.
    pub async fn push_fill(&self) -> Result<PushFill, BrokerError> {
        let push = self.config().push_stream();
        let stream = bounded(self.shared.jetstream.get_stream(&push)).await?;
        let consumer: PullConsumer =
            bounded(self.shared.jetstream.get_consumer_from_stream(INGEST_CONSUMER, &push)).await?;
        let info = stream.cached_info();
        Ok(PushFill {
            bytes: info.state.bytes,
            max_bytes: u64::try_from(info.config.max_bytes).unwrap_or(u64::MAX),
            messages: info.state.messages,
            first_sequence: info.state.first_sequence,
            last_sequence: info.state.last_sequence,
            ack_floor: consumer.cached_info().ack_floor.stream_sequence,
        })
    }

    /// Removes the messages of PUSH with a stream sequence below `sequence`; returns how many there were. The
    /// caller makes sure that all of them are committed.
    ///
    /// # Errors
    /// [`BrokerError::Missing`]: there is no PUSH.
    pub async fn purge_push_below(&self, sequence: u64) -> Result<u64, BrokerError> {
        // JetStream reads a purge "below 0" as a purge of everything.
        if sequence <= 1 {
            return Ok(0);
        }
        let stream = self
            .shared
            .jetstream
            .get_stream_no_info(self.config().push_stream())
            .await
            .map_err(BrokerError::from)?;
        Ok(bounded(stream.purge().sequence(sequence)).await?.purged)
    }

    /// Removes both streams and all they hold, if they are there: for installations that were made for a while.
    ///
    /// # Errors
    /// [`BrokerError::Unavailable`]: the broker does not answer.
    pub async fn remove_streams(&self) -> Result<(), BrokerError> {
        for stream in [self.config().push_stream(), self.config().log_stream()] {
            match bounded(self.shared.jetstream.delete_stream(stream)).await {
                Ok(_) | Err(BrokerError::Missing(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Creates a stream that was missing at `missed_at`, once for all who missed it at the same time. Its consumer is
    /// created by who reads it.
    pub(super) async fn heal_stream(&self, kind: StreamKind, missed_at: Instant) -> Result<(), BrokerError> {
        let mut healed = self.shared.healed.lock().await;
        if healed.is_some_and(|at| at > missed_at) {
            return Ok(());
        }
        tracing::warn!(stream = kind.label(), "a stream is missing; creating it");
        self.create_if_missing(self.stream(kind)).await?;
        *healed = Some(Instant::now());
        Ok(())
    }

    async fn put_in_order(&self) -> Result<(), BrokerError> {
        let jetstream = &self.shared.jetstream;
        let config = self.config();
        for kind in [StreamKind::Push, StreamKind::Log] {
            bounded(jetstream.create_or_update_stream(self.stream(kind))).await?;
        }
        bounded(jetstream.create_consumer_on_stream(ingest_consumer(config), config.push_stream())).await?;
        bounded(jetstream.create_consumer_on_stream(projector_consumer(config), config.log_stream())).await?;
        Ok(())
    }

    /// Leaves one that is there as it is, whatever its settings: to change them is for `tidelog migrate` alone.
    async fn create_if_missing(&self, stream: Config) -> Result<(), BrokerError> {
        let created = async {
            match self.shared.jetstream.create_stream(stream).await {
                Err(error) if is_there(&error) => Ok(()),
                created => created.map(drop),
            }
        };
        bounded(Box::pin(created)).await
    }

    fn stream(&self, kind: StreamKind) -> Config {
        match kind {
            StreamKind::Push => push_stream(self.config(), self.subjects()),
            StreamKind::Log => log_stream(self.config(), self.subjects()),
        }
    }
}

fn is_there(error: &CreateStreamError) -> bool {
    let CreateStreamErrorKind::JetStream(refusal) = error.kind() else { return false };
    refusal.error_code() == ErrorCode::STREAM_NAME_EXIST
}

/// Bounds a request as a whole: the wait for its answer is bounded by the client, the wait to send it is not.
pub(super) async fn bounded<T, E: Into<BrokerError>>(
    request: impl IntoFuture<IntoFuture = impl Future<Output = Result<T, E>>>,
) -> Result<T, BrokerError> {
    match timeout(REQUEST_TIMEOUT, request.into_future()).await {
        Ok(answer) => answer.map_err(Into::into),
        Err(elapsed) => Err(BrokerError::Unavailable(elapsed.into())),
    }
}

fn push_stream(config: &BrokerConfig, subjects: &Subjects) -> Config {
    Config {
        name: config.push_stream(),
        description: Some("Batches on their way to the log".to_owned()),
        subjects: vec![subjects.push_all()],
        // Uncommitted batches must never be thrown out to make room for new ones.
        discard: DiscardPolicy::New,
        max_bytes: config.push_max_bytes,
        max_age: hours(config.push_max_age_hours),
        ..common(config)
    }
}

fn log_stream(config: &BrokerConfig, subjects: &Subjects) -> Config {
    Config {
        name: config.log_stream(),
        description: Some("Committed segments".to_owned()),
        subjects: vec![subjects.log_all()],
        discard: DiscardPolicy::Old,
        max_bytes: config.log_max_bytes,
        max_age: hours(config.log_max_age_hours),
        ..common(config)
    }
}

fn common(config: &BrokerConfig) -> Config {
    Config {
        // Kept whether read or not: PUSH is what a restored database replays.
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        num_replicas: config.replicas as usize,
        duplicate_window: DUPLICATE_WINDOW.max(2 * config.publish_timeout()),
        allow_direct: true,
        ..Config::default()
    }
}

fn ingest_consumer(config: &BrokerConfig) -> pull::Config {
    shared_consumer(config, INGEST_CONSUMER, "Shared by the replicas of ingest")
}

fn projector_consumer(config: &BrokerConfig) -> pull::Config {
    pull::Config {
        // LOG tells that there is something; what there is, the projector reads from the log itself.
        headers_only: true,
        ..shared_consumer(config, PROJECTOR_CONSUMER, "Shared by the replicas of the projector")
    }
}

fn shared_consumer(config: &BrokerConfig, name: &str, description: &str) -> pull::Config {
    pull::Config {
        durable_name: Some(name.to_owned()),
        description: Some(description.to_owned()),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: config.ack_wait(),
        // A database that is away must never make the broker give up on good batches.
        max_deliver: -1,
        max_ack_pending: i64::from(config.max_ack_pending),
        ..pull::Config::default()
    }
}

fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours.saturating_mul(SECONDS_PER_HOUR))
}
