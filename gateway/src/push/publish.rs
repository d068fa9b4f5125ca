//! Hands a batch to the broker. When PUSH is full, ingest is asked to make room first: only data that is not
//! committed may fill it.

use std::time::Duration;

use async_nats::HeaderMap;
use axum::body::Bytes;
use tidelog_events::code::Refusal;
use tidelog_events::frame::PushHeader;
use tidelog_events::id::SpaceId;
use tidelog_runtime::broker::{Broker, PublishError};
use tidelog_runtime::telemetry::Trace;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::problem::Problem;

/// How long ingest may take to make room.
const ROOM_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait each time before ingest is asked for room.
const ROOM_PAUSES: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(20), Duration::from_millis(60), Duration::from_millis(180)];

/// A batch as the broker carries it.
pub(super) struct PushMessage {
    pub(super) header: PushHeader,
    pub(super) payload: Bytes,
}

/// Publishes the batch; done when the broker has it.
pub(super) async fn publish(broker: &Broker, space: &SpaceId, message: PushMessage) -> Result<(), Problem> {
    let header = serde_json::to_string(&message.header).map_err(|error| Problem::internal(&error))?;
    let mut headers = HeaderMap::new();
    headers.insert(PushHeader::NAME, header);
    hand_over(broker, space.slot(), headers, message.payload).await
}

/// Publishes any message to PUSH, with the trace context of the request; done when the broker has it.
pub(crate) async fn hand_over(
    broker: &Broker,
    slot: u16,
    mut headers: HeaderMap,
    payload: Bytes,
) -> Result<(), Problem> {
    let publishing = Trace::current().publish("PUSH");
    publishing.set("messaging.message.body.size", i64::try_from(payload.len()).unwrap_or(i64::MAX));
    publishing.inject(&mut headers);
    // Fresh for each request: a device's retry is a new message, which the watermarks make harmless.
    let message_id = Uuid::now_v7().to_string();
    let publish = || broker.publish_batch(slot, &message_id, headers.clone(), payload.clone());
    let mut published = publish().await;
    for pause in ROOM_PAUSES {
        if !matches!(published, Err(PublishError::Full(_))) {
            break;
        }
        // Batches that were committed a moment ago can leave only when their acknowledgements have arrived.
        sleep(pause).await;
        ask_for_room(broker).await;
        published = publish().await;
    }
    published.map(|_| ()).map_err(|error| {
        publishing.fail();
        refuse(&error)
    })
}

async fn ask_for_room(broker: &Broker) {
    let asked = broker.client().request(broker.subjects().trim(), Bytes::new());
    if !matches!(timeout(ROOM_TIMEOUT, asked).await, Ok(Ok(_))) {
        tracing::warn!("PUSH is full and no ingest answered the request for room");
    }
}

fn refuse(error: &PublishError) -> Problem {
    let detail = match error {
        PublishError::TooLarge { limit, .. } => {
            return Problem::new(
                Refusal::BodyTooLarge,
                format!("a compressed batch has at most {limit} bytes"),
            );
        }
        PublishError::Full(_) => "batches that are not yet committed fill the broker",
        PublishError::Busy => "too many pushes are under way",
        PublishError::Unavailable(_) => {
            "the broker did not answer; the batch may have been taken all the same"
        }
    };
    tracing::warn!(error = error as &dyn std::error::Error, "a batch was not published");
    Problem::new(Refusal::Overloaded, detail)
}
