//! Feeds a service from its consumer for as long as it runs: a broker that goes away, or comes back without its streams, is
//! waited for.

use std::ops::ControlFlow;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Broker, BrokerError, Delivery, Pull, PullError, PullMeasure, Returns};
use crate::readiness::Check;
use crate::service::with_causes;

const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(250);

/// Which consumer's messages they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedFrom {
    /// [`Broker::ingest_consumer`].
    Ingest,
    /// [`Broker::projector_consumer`].
    Projector,
}

/// Why nothing is handed out just now.
#[derive(Debug, thiserror::Error)]
enum NotFed {
    #[error("no consumer")]
    NoConsumer(#[from] BrokerError),
    #[error(transparent)]
    Pull(#[from] PullError),
}

/// What a service is fed from.
pub struct Feed {
    /// The broker.
    pub broker: Broker,
    /// The consumer.
    pub from: FeedFrom,
    /// How much is asked for at once.
    pub measure: PullMeasure,
    /// Takes what is dropped before it is settled.
    pub returns: Returns,
    /// Passes while there is a consumer.
    pub ready: Check,
    /// No more is asked for then.
    pub shutdown: CancellationToken,
}

/// Who is fed.
pub trait Fed: Send + Sync {
    /// Takes a message; the next one comes when it is taken. To break is to take no more.
    fn take(&self, delivery: Delivery) -> impl Future<Output = ControlFlow<()>> + Send;
}

impl Feed {
    /// Feeds until `shutdown`, and then with what is on its way; or until no more is taken.
    pub async fn run(self, fed: impl Fed) {
        while !self.shutdown.is_cancelled() {
            match Box::pin(self.pass_on(&fed)).await {
                Ok(()) => return,
                Err(error) => {
                    let error = with_causes(&error);
                    self.ready.fail(error.clone());
                    tracing::debug!(error, "the broker hands out nothing; asking again");
                    self.shutdown.run_until_cancelled(sleep(PAUSE_AFTER_ERROR)).await;
                }
            }
        }
    }

    /// Passes messages on until `shutdown`, or until no more is taken (ok), or until the consumer is gone (an error).
    async fn pass_on(&self, fed: &impl Fed) -> Result<(), NotFed> {
        let opening = Box::pin(self.open());
        let Some(opened) = self.shutdown.run_until_cancelled(opening).await else { return Ok(()) };
        let mut messages = opened?;
        self.ready.pass();
        while let Some(message) = messages.next(&self.shutdown).await {
            if fed.take(Delivery::new(message?, self.returns.clone())).await.is_break() {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn open(&self) -> Result<Pull, NotFed> {
        let consumer = match self.from {
            FeedFrom::Ingest => self.broker.ingest_consumer().await,
            FeedFrom::Projector => self.broker.projector_consumer().await,
        };
        Ok(self.broker.pull(consumer?, self.measure).await?)
    }
}
