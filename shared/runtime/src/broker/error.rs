//! What can go wrong with the broker, split by what the caller does about it.

use async_nats::jetstream;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{
    CreateStreamError, CreateStreamErrorKind, GetStreamError, GetStreamErrorKind,
};
use async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind, PurgeError, PurgeErrorKind};

/// The underlying error.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a request about streams or consumers failed.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The broker is away or too slow: try again later. Whether the request was carried out is not known.
    #[error("the broker is not available")]
    Unavailable(#[source] Cause),
    /// The stream or the consumer does not exist: [`super::Broker::ensure_streams`] creates it.
    #[error("the stream or consumer does not exist")]
    Missing(#[source] Cause),
    /// The broker understood and refused: an operator must change its or our configuration.
    #[error("the broker refused")]
    Refused(#[source] Cause),
    /// A key of the configuration cannot be used.
    #[error("`{key}` cannot be used: {cause}")]
    Unusable {
        /// The key, `section.key`.
        key: &'static str,
        /// What is wrong with its value.
        cause: Cause,
    },
    /// Our own configuration cannot be used.
    #[error("the broker configuration cannot be used")]
    Configuration(#[source] Cause),
}

impl BrokerError {
    /// The key of the configuration that is to blame, where the connection cannot even be begun.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Unusable { key, .. } => key,
            _ => "broker.url",
        }
    }

    pub(super) fn from_api(error: &jetstream::Error) -> Self {
        let cause = error.clone().into();
        match error.error_code() {
            ErrorCode::STREAM_NOT_FOUND | ErrorCode::CONSUMER_NOT_FOUND => Self::Missing(cause),
            // JetStream says 503 both for "no leader yet" and for "no room for a stream of this size".
            ErrorCode::STORAGE_RESOURCES_EXCEEDED | ErrorCode::INSUFFICIENT_RESOURCES => Self::Refused(cause),
            _ if error.code() >= 500 => Self::Unavailable(cause),
            _ => Self::Refused(cause),
        }
    }
}

impl From<CreateStreamError> for BrokerError {
    fn from(error: CreateStreamError) -> Self {
        match error.kind() {
            CreateStreamErrorKind::JetStream(inner) => Self::from_api(&inner),
            CreateStreamErrorKind::NotFound => Self::Missing(error.into()),
            CreateStreamErrorKind::EmptyStreamName
            | CreateStreamErrorKind::InvalidStreamName
            | CreateStreamErrorKind::DomainAndExternalSet => Self::Configuration(error.into()),
            _ => Self::Unavailable(error.into()),
        }
    }
}

impl From<GetStreamError> for BrokerError {
    fn from(error: GetStreamError) -> Self {
        match error.kind() {
            GetStreamErrorKind::JetStream(inner) => Self::from_api(&inner),
            GetStreamErrorKind::Request => Self::Unavailable(error.into()),
            _ => Self::Configuration(error.into()),
        }
    }
}

impl From<ConsumerError> for BrokerError {
    fn from(error: ConsumerError) -> Self {
        match error.kind() {
            ConsumerErrorKind::JetStream(inner) => Self::from_api(&inner),
            ConsumerErrorKind::InvalidName => Self::Configuration(error.into()),
            ConsumerErrorKind::InvalidConsumerType => Self::Refused(error.into()),
            _ => Self::Unavailable(error.into()),
        }
    }
}

impl From<PurgeError> for BrokerError {
    fn from(error: PurgeError) -> Self {
        match error.kind() {
            PurgeErrorKind::JetStream(inner) => Self::from_api(&inner),
            _ => Self::Unavailable(error.into()),
        }
    }
}

/// Why a message was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The stream has no room: nothing was stored. Ask the caller to come back later.
    #[error("the stream is full")]
    Full(#[source] Cause),
    /// Too many publishes await their acknowledgement: nothing was sent.
    #[error("too many publishes await their acknowledgement")]
    Busy,
    /// The payload can never be published: nothing was sent.
    #[error("the message is too large: {bytes} bytes, at most {limit} fit")]
    TooLarge {
        /// Bytes of the payload.
        bytes: usize,
        /// Bytes of the largest payload.
        limit: usize,
    },
    /// The broker is away or did not answer in time: the message may or may not be stored.
    #[error("the broker did not acknowledge the message")]
    Unavailable(#[source] Cause),
}

impl PublishError {
    /// A word for metrics.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::Full(_) => "full",
            Self::Busy => "busy",
            Self::TooLarge { .. } => "too_large",
            Self::Unavailable(_) => "unavailable",
        }
    }
}
