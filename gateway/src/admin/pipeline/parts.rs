//! Asks the parts of the pipeline, each for a moment at most.

use std::error::Error;

use sqlx::PgPool;
use tidelog_runtime::broker::{Broker, BrokerError};
use tidelog_runtime::clock::Clock;
use tidelog_store::backlogs;
use tokio::time::timeout;

use super::answer::{ConsumerAnswer, LogAnswer, PushAnswer, QuarantineAnswer, Refusals};
use super::{COUNTED_MAX, PART_TIMEOUT};

/// A part of the answer, or why it is not there.
pub(super) type Part<T> = Result<T, &'static str>;

/// Why a part is not there: in words that reveal nothing of the installation.
pub(super) const NO_BROKER: &str = "the broker does not answer";
pub(super) const NO_STREAM: &str = "the stream or its consumer does not exist";
pub(super) const NO_DATABASE: &str = "PostgreSQL does not answer";
const TOO_SLOW: &str = "no answer came in time";

/// Bounds the wait for a part.
pub(super) async fn part<T>(ask: impl Future<Output = Part<T>>) -> Part<T> {
    timeout(PART_TIMEOUT, ask).await.unwrap_or(Err(TOO_SLOW))
}

/// Why the broker's part is not there; the cause goes to the log.
pub(super) fn broker_away(error: &BrokerError) -> &'static str {
    tracing::debug!(error = error as &dyn Error, "the broker could not be asked how it stands");
    if matches!(error, BrokerError::Missing(_)) { NO_STREAM } else { NO_BROKER }
}

/// Why the database's part is not there; the cause goes to the log.
pub(super) fn database_away(error: &sqlx::Error) -> &'static str {
    tracing::warn!(error = error as &dyn Error, "PostgreSQL could not be asked how the pipeline stands");
    NO_DATABASE
}

pub(super) async fn push(broker: &Broker, clock: &Clock) -> Part<PushAnswer> {
    let standing = connected(broker)?.push_standing().await.map_err(|error| broker_away(&error))?;
    let oldest_ms = match standing.oldest_open() {
        None => Some(0),
        Some(sequence) => {
            let pushed_at = broker.pushed_at(sequence).await.map_err(|error| broker_away(&error))?;
            pushed_at.map(|at| clock.now().0.saturating_sub(at.0).max(0).cast_unsigned())
        }
    };
    Ok(PushAnswer::new(&standing, oldest_ms))
}

pub(super) async fn log(broker: &Broker) -> Part<(LogAnswer, ConsumerAnswer)> {
    let standing = connected(broker)?.log_standing().await.map_err(|error| broker_away(&error))?;
    Ok((LogAnswer::new(&standing), ConsumerAnswer::from(&standing.consumer)))
}

pub(super) async fn refused(pool: &PgPool) -> Part<(Refusals, QuarantineAnswer)> {
    let refused = async { backlogs::refused(&mut *pool.acquire().await?, COUNTED_MAX).await };
    let refused = refused.await.map_err(|error| database_away(&error))?;
    Ok((Refusals::new(&refused), QuarantineAnswer::new(&refused, COUNTED_MAX.cast_unsigned())))
}

fn connected(broker: &Broker) -> Part<&Broker> {
    if broker.is_connected() { Ok(broker) } else { Err(NO_BROKER) }
}
