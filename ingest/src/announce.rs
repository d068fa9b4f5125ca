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
use tidelog_runtime::failpoint::{self, Failpoint};
use tidelog_runtime::telemetry::Trace;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;

use crate::commit::Appended;
use crate::news::News;

/// Segments in flight to LOG at once. They are sent in order; only their acknowledgements overlap.
const IN_FLIGHT: usize = 64;

/// Receipts of one message, in bytes: a round of duplicates has megabytes of them.
const RECEIPTS_BYTES_MAX: usize = 256 * 1024;

/// A segment on its way to LOG.
pub(crate) struct LogMessage {
    slot: u16,
    headers: HeaderMap,
    payload: Bytes,
    committed_at: Instant,
    /// Ends when the broker has it.
    publishing: Trace,
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

    /// Tells the news of a round: those who wait for an answer first. Segments are only queued for LOG, which never
    /// delays an answer or an acknowledgement.
    pub(crate) async fn announce(&mut self, news: News) {
        self.receipts(news.receipts).await;
        if failpoint::is_armed(Failpoint::IngestAfterReceipts) {
            // Publishing only queues: the receipts must have left before this process does.
            self.broker.round_trip().await;
        }
        failpoint::reach(Failpoint::IngestAfterReceipts);
        let mut queued = false;
        for (appended, trace) in &news.segments {
            queued |= self.segment(appended, trace, news.committed_at);
        }
        for (space, head) in &news.heads {
            hint_head(&self.broker, space, *head).await;
        }
        if queued {
            failpoint::hold(Failpoint::IngestAfterLog).await;
        }
    }

    /// Sends receipts, as few messages a gateway as their size allows.
    async fn receipts(&self, receipts: BTreeMap<String, Vec<Receipt>>) {
        let most = self.broker.largest_frame().min(RECEIPTS_BYTES_MAX);
        for (reply_to, receipts) in receipts {
            for payload in in_pieces(&receipts, most) {
                self.broker.publish_hint(reply_to.clone(), HeaderMap::new(), payload).await;
            }
        }
    }

    /// Queues a segment for LOG, with the trace context of the push that brought it. A full queue drops it, and
    /// says false: the projector and the live readers sweep.
    fn segment(&mut self, appended: &Appended, trace: &Trace, committed_at: Instant) -> bool {
        let header_frame = match appended.header.frame(&mut self.encoder) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::error!(%error, "a segment header cannot be written");
                return false;
            }
        };
        let mut payload = header_frame;
        payload.extend_from_slice(&appended.frame);
        let mut headers = position_headers(&appended.space, appended.header.last);
        headers.insert(FIRST_HEADER, appended.header.first.to_string());
        let publishing = trace.publish("LOG");
        publishing.inject(&mut headers);
        let (slot, payload) = (appended.space.slot(), payload.into());
        let message = LogMessage { slot, headers, payload, committed_at, publishing };
        let queued = self.log.try_send(message).is_ok();
        if !queued {
            metrics::counter!("tidelog_ingest_log_dropped_total").increment(1);
        }
        queued
    }
}

/// JSON arrays of the receipts, each of at most `most` bytes unless it holds one receipt alone.
fn in_pieces(receipts: &[Receipt], most: usize) -> Vec<Bytes> {
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    for receipt in receipts {
        let Ok(text) = serde_json::to_vec(receipt) else {
            tracing::error!(push_id = receipt.push_id, "a receipt cannot be written");
            continue;
        };
        match pieces.last_mut() {
            Some(piece) if piece.len() + text.len() + 2 <= most => {
                piece.push(b',');
                piece.extend(text);
            }
            _ => pieces.push([b"[", text.as_slice()].concat()),
        }
    }
    let closed = |mut piece: Vec<u8>| {
        piece.push(b']');
        piece.into()
    };
    pieces.into_iter().map(closed).collect()
}

/// Tells whoever waits for the space's head where it is.
pub(crate) async fn hint_head(broker: &Broker, space: &SpaceId, head: Position) {
    let subject = broker.subjects().head(space.slot());
    broker.publish_hint(subject, position_headers(space, head), Bytes::new()).await;
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
        async move {
            let LogMessage { slot, headers, payload, committed_at, publishing } = message;
            let published = broker.publish_segment(slot, headers, payload).await;
            if published.is_ok() {
                metrics::histogram!("tidelog_ingest_stage_seconds", "stage" => "announced")
                    .record(committed_at.elapsed().as_secs_f64());
            } else {
                publishing.fail();
            }
            published
        }
    };
    let mut published = ReceiverStream::new(queue).map(publish).buffered(IN_FLIGHT);
    while let Some(result) = published.next().await {
        if let Err(error) = result {
            metrics::counter!("tidelog_ingest_log_dropped_total").increment(1);
            tracing::debug!(%error, "a segment was not announced; its readers will sweep");
        }
        failpoint::reach(Failpoint::IngestAfterLog);
    }
}

#[cfg(test)]
mod tests {
    use tidelog_events::code::Refusal;
    use tidelog_events::protocol::Outcome;

    use super::*;

    #[test]
    fn receipts_come_in_pieces_that_fit_and_none_is_missing() {
        let receipt = |push_id| {
            let outcome =
                Outcome::Refused { code: Refusal::Internal, detail: "x".repeat(100), expected: None };
            Receipt { push_id, outcome }
        };
        let receipts: Vec<Receipt> = (0..50).map(receipt).collect();
        for most in [1, 200, 1000, 1_000_000] {
            let pieces = in_pieces(&receipts, most);
            let read = |piece: &Bytes| serde_json::from_slice::<Vec<Receipt>>(piece).unwrap();
            assert!(pieces.iter().all(|piece| piece.len() <= most || read(piece).len() == 1));
            assert_eq!(pieces.iter().flat_map(read).collect::<Vec<_>>(), receipts);
        }
        assert_eq!(in_pieces(&[], 10), Vec::<Bytes>::new());
    }
}
