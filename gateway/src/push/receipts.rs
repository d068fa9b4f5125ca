//! Pushes that wait for ingest to commit them. Receipts are hints: one that gets lost makes the answer a 202, and
//! the device's retry settles it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use tidelog_events::frame::PushHeader;
use tidelog_events::protocol::{Outcome, Receipt};
use tidelog_runtime::broker::Broker;
use tidelog_runtime::telemetry::{SpanKind, Trace};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::room::Room;
use crate::config::GatewayConfig;

const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(250);

/// The pushes of this process that are under way. Clones share them.
#[derive(Clone)]
pub struct Pushes {
    shared: Arc<Shared>,
    pub(super) room: Room,
}

struct Shared {
    subject: String,
    next_id: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Outcome>>>,
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Outcome>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pushes {
    /// With room for as many as the section `[gateway]` says.
    pub(crate) fn new(broker: &Broker, config: &GatewayConfig) -> Self {
        let shared = Shared {
            subject: broker.subjects().receipts(&Uuid::new_v4().simple().to_string()),
            next_id: AtomicU64::new(1),
            waiting: Mutex::default(),
        };
        Self { shared: Arc::new(shared), room: Room::new(config.in_flight_pushes, config.in_flight_bytes) }
    }

    /// Passes receipts on until `shutdown`. Returns once they are listened for, or cannot be just now.
    pub async fn listen(&self, broker: &Broker, shutdown: CancellationToken) {
        let first = self.subscribe(broker).await;
        let (pushes, broker) = (self.clone(), broker.clone());
        tokio::spawn(async move {
            let mut receipts = first;
            loop {
                if let Some(receipts) = &mut receipts {
                    tokio::select! {
                        () = pushes.pass_on(receipts) => {}
                        () = shutdown.cancelled() => return,
                    }
                }
                sleep(PAUSE_AFTER_ERROR).await;
                receipts = pushes.subscribe(&broker).await;
            }
        });
    }

    async fn subscribe(&self, broker: &Broker) -> Option<async_nats::Subscriber> {
        let receipts = broker.client().subscribe(self.shared.subject.clone()).await;
        if receipts.is_err() || !broker.round_trip().await {
            tracing::warn!("receipts cannot be listened for just now");
        }
        receipts.ok()
    }

    async fn pass_on(&self, receipts: &mut async_nats::Subscriber) {
        while let Some(message) = receipts.next().await {
            match serde_json::from_slice::<Vec<Receipt>>(&message.payload) {
                Ok(receipts) => {
                    let mut waiting = self.shared.waiting();
                    for receipt in receipts {
                        if let Some(push) = waiting.remove(&receipt.push_id) {
                            // A push that gave up waiting has answered 202 already.
                            let _ = push.send(receipt.outcome);
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "a receipt cannot be read"),
            }
        }
    }

    /// Begins to wait; to be called before the batch is published.
    pub(crate) fn expect_receipt(&self) -> ExpectedReceipt {
        let push_id = self.shared.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, outcome) = oneshot::channel();
        self.shared.waiting().insert(push_id, sender);
        ExpectedReceipt { shared: self.shared.clone(), push_id, outcome }
    }
}

/// A receipt that will come, or not.
pub(crate) struct ExpectedReceipt {
    shared: Arc<Shared>,
    push_id: u64,
    outcome: oneshot::Receiver<Outcome>,
}

impl ExpectedReceipt {
    /// Tells ingest where the receipt goes.
    pub(super) fn address(&self, header: &mut PushHeader) {
        (header.reply_to, header.push_id) = self.address_parts();
    }

    /// Where the receipt goes, and the number that it has.
    pub(crate) fn address_parts(&self) -> (String, u64) {
        (self.shared.subject.clone(), self.push_id)
    }

    /// The outcome, if it comes in time.
    pub(crate) async fn receipt(mut self, wait: Duration) -> Option<Outcome> {
        let _waiting = Trace::current().child("receipt", SpanKind::Internal);
        timeout(wait, &mut self.outcome).await.ok()?.ok()
    }
}

impl Drop for ExpectedReceipt {
    fn drop(&mut self) {
        self.shared.waiting().remove(&self.push_id);
    }
}
