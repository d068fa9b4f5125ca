//! The broker (NATS JetStream): one bounded, self-healing connection, the streams and their consumers, and
//! publishing. Every wait here has an end; nothing queues while the broker is away.

mod connection;
mod delivery;
mod error;
mod feed;
mod metrics;
mod publish;
mod pull;
mod servers;
mod settings;
mod standing;
mod streams;
mod subjects;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::context::ContextBuilder;
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, timeout};

use connection::Link;
pub use delivery::{Delivery, GivingBack, Returns};
pub use error::{BrokerError, PublishError};
pub use feed::{Fed, Feed, FeedFrom};
pub use metrics::{METRICS, STREAM_METRICS};
pub use pull::{Pull, PullError, PullMeasure};
pub use servers::UrlFault;
pub use settings::BrokerConfig;
pub use standing::{ConsumerStanding, StreamStanding};
pub use streams::{INGEST_CONSUMER, PROJECTOR_CONSUMER, PushFill};
pub use subjects::Subjects;

/// Bytes of a message that are kept free for its headers.
const HEADER_RESERVE_BYTES: usize = 64 * 1024;

/// Bound of one request to JetStream's API.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an acknowledgement may wait for the connection.
const ACK_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a message to ourselves may take to come back.
const ROUND_TRIP_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection to the broker. Clones share it.
#[derive(Clone)]
pub struct Broker {
    shared: Arc<Shared>,
}

struct Shared {
    client: async_nats::Client,
    jetstream: jetstream::Context,
    link: Arc<Link>,
    config: BrokerConfig,
    subjects: Subjects,
    /// One permit for each publish that awaits its acknowledgement.
    window: Semaphore,
    /// When the streams were last put in order, so that many publishers heal them once.
    healed: Mutex<Option<Instant>>,
}

impl Broker {
    /// Connects in the background and for ever: services may start before their broker. `name` is what the
    /// broker's operators see, and answers come to `_INBOX_<name>`, so that a service can be kept from the answers of
    /// others.
    ///
    /// # Errors
    /// [`BrokerError::Configuration`]: the URL, the credentials file or a TLS file cannot be used. A broker that is
    /// away is no error.
    pub async fn connect(config: &BrokerConfig, name: &str) -> Result<Self, BrokerError> {
        let (client, link) = connection::open(config, name).await?;
        let jetstream = ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT.max(config.publish_timeout()))
            // Our own window refuses first; this one must never be the one that waits.
            .max_ack_inflight(config.publish_window.saturating_add(1))
            .backpressure_on_inflight(false)
            .build(client.clone());
        Ok(Self {
            shared: Arc::new(Shared {
                client,
                jetstream,
                link,
                config: config.clone(),
                subjects: Subjects::new(&config.subject_prefix),
                window: Semaphore::new(config.publish_window),
                healed: Mutex::new(None),
            }),
        })
    }

    /// The NATS client, for subscriptions. Bound every wait on it: its publishes can block while the broker is
    /// away.
    pub fn client(&self) -> &async_nats::Client {
        &self.shared.client
    }

    /// The subjects of this installation.
    pub fn subjects(&self) -> &Subjects {
        &self.shared.subjects
    }

    /// The configuration that the broker was connected with.
    pub fn config(&self) -> &BrokerConfig {
        &self.shared.config
    }

    /// Whether the connection stands just now.
    pub fn is_connected(&self) -> bool {
        connection::stands(&self.shared.client)
    }

    /// Whether the broker has taken all that this connection told it before, subscriptions above all. It works
    /// through a connection's commands in order, so a message to ourselves that comes back proves it; a flush would
    /// prove only that the commands have left.
    pub async fn round_trip(&self) -> bool {
        let client = self.client();
        let inbox = client.new_inbox();
        let echoed = async {
            let mut echo = client.subscribe(inbox.clone()).await.ok()?;
            client.publish(inbox, Bytes::new()).await.ok()?;
            echo.next().await
        };
        self.shared.link.wait_connected(client).await.is_ok()
            && matches!(timeout(ROUND_TRIP_TIMEOUT, echoed).await, Ok(Some(_)))
    }

    /// Bytes of the largest payload that may be published: the broker's `max_payload` (1 MiB until it has told
    /// us) less a reserve for headers.
    pub fn largest_frame(&self) -> usize {
        self.shared.client.max_payload().saturating_sub(HEADER_RESERVE_BYTES)
    }
}

/// Sends the acknowledgement of a message, for a moment at most. One that is lost, or cannot be handed to the connection
/// by then, costs a redelivery: whoever acknowledges makes sure that it is harmless.
pub(crate) async fn acknowledge(sending: impl Future<Output = Result<(), async_nats::Error>>) {
    match timeout(ACK_TIMEOUT, sending).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an acknowledgement was not sent"),
        Err(_) => tracing::debug!("an acknowledgement was not sent in time"),
    }
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").field("config", &self.shared.config).finish_non_exhaustive()
    }
}
