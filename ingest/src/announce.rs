//! After the commit: receipts to the waiting gateways, segments to LOG, hints that a head moved. None of it
//! holds up the next transaction, and all of it may be lost: readers find the log by its head.

use std::collections::BTreeMap;

use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::StreamExt;
use tidelog_events::frame::{Encoder, FIRST_HEADER, LAST_HEADER, SPACE_HEADER};
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::protocol::Receipt;
use tidelog_runtime::broker::Broker;
use tidelog_runtime::telemetry;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tracing::Span;

use crate::commit::Appended;

/// Segments in flight to LOG at once. They are sent in order; only their acknowledgements overlap.
const IN_FLIGHT: usize = 64;

/// A segment on its way to LOG.
pub(crate) struct LogMessage {
    slot: u16,
    headers: HeaderMap,
    payload: Bytes,
}

/// Sends what follows a commit.
pub(crate) struct Announcer {
    broker: Broker,
    encoder: Encoder,
    log: mpsc::Sender<LogMessage>,
}

impl Announcer {
    /// Segments go through `log` to [`publish_log`].
    pub(crate) fn new(broker: Broker, encoder: Encoder, log: mpsc::Sender<LogMessage>) -> Self {
        Self { broker, encoder, log }
    }

    /// Sends receipts, one message a gateway.
    pub(crate) async fn receipts(&self, receipts: BTreeMap<String, Vec<Receipt>>) {
        for (reply_to, receipts) in receipts {
            match serde_json::to_vec(&receipts) {
                Ok(payload) => self.broker.publish_hint(reply_to, HeaderMap::new(), payload.into()).await,
                Err(error) => tracing::error!(%error, "a receipt cannot be written"),
            }
        }
    }

    /// Queues a segment for LOG, with the trace context of the push that brought it. A full queue drops it: the projector and the live readers sweep.
    pub(crate) fn segment(&mut self, appended: &Appended, span: &Span) {
        let header_frame = match appended.header.frame(&mut self.encoder) {
            Ok(frame) => frame,
            Err(error) => return tracing::error!(%error, "a segment header cannot be written"),
        };
        let mut payload = header_frame;
        payload.extend_from_slice(&appended.frame);
        let mut headers = position_headers(&appended.space, appended.header.last);
        headers.insert(FIRST_HEADER, appended.header.first.to_string());
        telemetry::inject(span, &mut headers);
        let message = LogMessage { slot: appended.space.slot(), headers, payload: payload.into() };
        if self.log.try_send(message).is_err() {
            metrics::counter!("tidelog_ingest_log_dropped_total").increment(1);
        }
    }

    /// Tells whoever waits for the space's head where it is. For batches of nothing but duplicates: the
    /// segment that they repeat may never have been announced.
    pub(crate) async fn head(&self, space: &SpaceId, head: Position) {
        let subject = self.broker.subjects().head(space.slot());
        self.broker.publish_hint(subject, position_headers(space, head), Bytes::new()).await;
    }
}

/// Sends head hints in the background.
pub(crate) fn head_hints(broker: Broker) -> impl Fn(SpaceId, Position) {
    move |space, head| {
        let broker = broker.clone();
        tokio::spawn(async move {
            let subject = broker.subjects().head(space.slot());
            broker.publish_hint(subject, position_headers(&space, head), Bytes::new()).await;
        });
    }
}

fn position_headers(space: &SpaceId, last: Position) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(SPACE_HEADER, space.as_str());
    headers.insert(LAST_HEADER, last.to_string());
    headers
}

/// Publishes queued segments until the queue's other end is gone.
pub(crate) async fn publish_log(broker: Broker, queue: mpsc::Receiver<LogMessage>) {
    let publish = |message: LogMessage| {
        let broker = broker.clone();
        async move { broker.publish_segment(message.slot, message.headers, message.payload).await }
    };
    let mut published = ReceiverStream::new(queue).map(publish).buffered(IN_FLIGHT);
    while let Some(result) = published.next().await {
        if let Err(error) = result {
            metrics::counter!("tidelog_ingest_log_dropped_total").increment(1);
            tracing::debug!(%error, "a segment was not announced; its readers will sweep");
        }
    }
}
