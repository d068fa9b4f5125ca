//! Publishing: to PUSH and LOG with every acknowledgement awaited, and hints that may get lost. A message whose
//! outcome is unknown is sent again under the same id while there is time.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::NATS_MESSAGE_ID;
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::{self, ErrorCode};
use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::error::Cause;
use super::streams::StreamKind;
use super::{Broker, PublishError};

/// The pause before a message is sent again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// How long a stream that is missing is put in order before the message is sent again. In a cluster the stream is mostly
/// there and only has no leader: what was asked of it meanwhile is never answered, also when it has one again. What was
/// done by then is done.
const HEAL_FOR: Duration = Duration::from_millis(500);

/// A hint that cannot be handed to the connection by then is dropped.
const HINT_TIMEOUT: Duration = Duration::from_millis(100);

/// How one attempt failed.
enum Failure {
    /// Another attempt would end the same way.
    Final(PublishError),
    /// The stream does not exist, or has no leader just now.
    StreamMissing,
    /// Not acknowledged: stored or not.
    Unknown(Cause),
}

#[derive(Debug, thiserror::Error)]
enum NoAcknowledgement {
    #[error("no acknowledgement in time")]
    InTime,
    #[error("the connection was remade while the message was in flight")]
    OnThisConnection,
    #[error("the stream does not exist")]
    WithoutStream,
}

impl Broker {
    /// Publishes a batch to PUSH and awaits the acknowledgement, at most `publish_timeout_ms`; returns the stream
    /// sequence. `message_id` is fresh for each request of a device and guards our own retries only.
    ///
    /// # Errors
    /// Only [`PublishError::Unavailable`] leaves open whether the batch is stored.
    pub async fn publish_batch(
        &self,
        slot: u16,
        message_id: &str,
        mut headers: HeaderMap,
        payload: Bytes,
    ) -> Result<u64, PublishError> {
        headers.insert(NATS_MESSAGE_ID, message_id.replace(['\r', '\n'], ""));
        self.publish(StreamKind::Push, self.subjects().push(slot), headers, payload).await
    }

    /// Publishes a committed segment to LOG and awaits the acknowledgement, at most `publish_timeout_ms`; returns
    /// the stream sequence. A segment may come twice: readers skip positions that they have.
    ///
    /// # Errors
    /// Only [`PublishError::Unavailable`] leaves open whether the segment is stored.
    pub async fn publish_segment(
        &self,
        slot: u16,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<u64, PublishError> {
        self.publish(StreamKind::Log, self.subjects().log(slot), headers, payload).await
    }

    /// Publishes a hint without acknowledgement. Never waits longer than a moment: a hint that cannot be sent is
    /// dropped and counted.
    pub async fn publish_hint(&self, subject: String, headers: HeaderMap, payload: Bytes) {
        let sent = self.is_connected()
            && matches!(
                timeout(HINT_TIMEOUT, self.client().publish_with_headers(subject, headers, payload)).await,
                Ok(Ok(()))
            );
        if !sent {
            ::metrics::counter!("tidelog_broker_hints_dropped_total").increment(1);
        }
    }

    async fn publish(
        &self,
        kind: StreamKind,
        subject: String,
        headers: HeaderMap,
        payload: Bytes,
    ) -> Result<u64, PublishError> {
        let started = Instant::now();
        let result = self.publish_in_window(kind, &subject, &headers, &payload).await;
        let stream = kind.label();
        let outcome = result.as_ref().map_or_else(PublishError::outcome, |_| "acknowledged");
        ::metrics::counter!("tidelog_broker_publishes_total", "stream" => stream, "outcome" => outcome)
            .increment(1);
        if result.is_ok() {
            ::metrics::histogram!("tidelog_broker_publish_seconds", "stream" => stream)
                .record(started.elapsed().as_secs_f64());
        }
        result
    }

    async fn publish_in_window(
        &self,
        kind: StreamKind,
        subject: &str,
        headers: &HeaderMap,
        payload: &Bytes,
    ) -> Result<u64, PublishError> {
        let limit = self.largest_frame();
        if payload.len() > limit {
            return Err(PublishError::TooLarge { bytes: payload.len(), limit });
        }
        let _permit = self.shared.window.try_acquire().map_err(|_| PublishError::Busy)?;
        let mut last = NoAcknowledgement::InTime.into();
        let deadline = Instant::now() + self.config().publish_timeout();
        match timeout_at(deadline, self.attempt_until_known(kind, subject, headers, payload, &mut last)).await
        {
            Ok(result) => result,
            Err(_) => Err(PublishError::Unavailable(last)),
        }
    }

    /// Attempts until the outcome is known. Has no end of its own: the caller bounds it and reads from `last` why
    /// the last attempt failed.
    async fn attempt_until_known(
        &self,
        kind: StreamKind,
        subject: &str,
        headers: &HeaderMap,
        payload: &Bytes,
        last: &mut Cause,
    ) -> Result<u64, PublishError> {
        loop {
            self.shared.link.wait_connected(self.client()).await.map_err(PublishError::Unavailable)?;
            let attempted_at = Instant::now();
            match self.attempt(subject, headers.clone(), payload.clone()).await {
                Ok(sequence) => return Ok(sequence),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::StreamMissing) => {
                    *last = NoAcknowledgement::WithoutStream.into();
                    let healing = Box::pin(self.heal_stream(kind, attempted_at));
                    if let Ok(Err(error)) = timeout(HEAL_FOR, healing).await {
                        *last = error.into();
                    }
                }
                Err(Failure::Unknown(cause)) => *last = cause,
            }
            sleep(RETRY_PAUSE).await;
        }
    }

    /// One attempt, given up when half the time is over or the connection is remade: then its acknowledgement
    /// will never come.
    async fn attempt(&self, subject: &str, headers: HeaderMap, payload: Bytes) -> Result<u64, Failure> {
        let connects = self.shared.link.connects();
        let bytes = payload.len();
        let acknowledged = async {
            let acknowledgement =
                self.shared.jetstream.publish_with_headers(subject.to_owned(), headers, payload).await?;
            acknowledgement.await
        };
        tokio::select! {
            result = timeout(self.config().publish_timeout() / 2, acknowledged) => match result {
                Ok(Ok(acknowledgement)) => Ok(acknowledgement.sequence),
                Ok(Err(error)) => Err(self.judge(error, bytes)),
                Err(_) => Err(Failure::Unknown(NoAcknowledgement::InTime.into())),
            },
            () = self.shared.link.remade_after(connects) => {
                Err(Failure::Unknown(NoAcknowledgement::OnThisConnection.into()))
            }
        }
    }

    fn judge(&self, error: jetstream::context::PublishError, bytes: usize) -> Failure {
        let too_large = PublishError::TooLarge { bytes, limit: self.largest_frame() };
        match error.kind() {
            PublishErrorKind::StreamNotFound => return Failure::StreamMissing,
            PublishErrorKind::MaxAckPending => return Failure::Final(PublishError::Busy),
            PublishErrorKind::MaxPayloadExceeded => return Failure::Final(too_large),
            _ => {}
        }
        let refusal =
            std::error::Error::source(&error).and_then(|source| source.downcast_ref::<jetstream::Error>());
        match refusal.map(|refusal| (refusal.error_code(), is_full(refusal))) {
            Some((_, true)) => Failure::Final(PublishError::Full(error.into())),
            Some((ErrorCode::STREAM_TOO_MANY_REQUESTS, _)) => Failure::Final(PublishError::Busy),
            Some((
                ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM,
                _,
            )) => Failure::Final(too_large),
            _ => Failure::Unknown(error.into()),
        }
    }
}

/// Whether the stream refused because of its limits, or the broker for want of storage. The code of a full stream
/// covers other store failures as well; only its text tells them apart ("maximum bytes exceeded").
fn is_full(refusal: &jetstream::Error) -> bool {
    match refusal.error_code() {
        ErrorCode::STREAM_STORE_FAILED => refusal.to_string().contains("maximum"),
        ErrorCode::INSUFFICIENT_RESOURCES
        | ErrorCode::STORAGE_RESOURCES_EXCEEDED
        | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED => true,
        _ => false,
    }
}
