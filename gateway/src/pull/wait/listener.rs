//! Listens, for one slot, to what tells that a space's head has moved: the segments on their way to LOG, and head
//! hints. Ends when it is dropped.

use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use futures_util::stream::select;
use tidelog_events::frame::{LAST_HEADER, SPACE_HEADER};
use tidelog_events::id::{Position, SpaceId};
use tidelog_runtime::broker::Broker;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

/// How long it may take to hand two subscriptions to the connection.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(2);
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(250);

/// A slot that is listened to.
pub(super) struct Listener {
    live: watch::Receiver<bool>,
    task: AbortHandle,
}

impl Listener {
    /// Calls `moved` for each space whose head has moved, with a position that its log reaches.
    pub(super) fn start(
        broker: Broker,
        slot: u16,
        moved: impl Fn(&SpaceId, Position) + Send + Sync + 'static,
    ) -> Self {
        let (said, live) = watch::channel(false);
        metrics::gauge!("tidelog_gateway_waiting_slots").increment(1.0);
        let task = tokio::spawn(async move {
            loop {
                if let Some(hints) = subscribe(&broker, slot).await {
                    listen(&broker, hints, &said, &moved).await;
                }
                sleep(PAUSE_AFTER_ERROR).await;
            }
        });
        Self { live, task: task.abort_handle() }
    }

    /// Waits until no hint goes unheard any more.
    pub(super) async fn live(&self) {
        if self.live.clone().wait_for(|live| *live).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        metrics::gauge!("tidelog_gateway_waiting_slots").decrement(1.0);
        self.task.abort();
    }
}

async fn subscribe(broker: &Broker, slot: u16) -> Option<[Subscriber; 2]> {
    let client = broker.client();
    let both = async {
        let segments = client.subscribe(broker.subjects().log(slot)).await.ok()?;
        let heads = client.subscribe(broker.subjects().head(slot)).await.ok()?;
        Some([segments, heads])
    };
    timeout(SUBSCRIBE_TIMEOUT, both).await.ok()?
}

async fn listen(
    broker: &Broker,
    [segments, heads]: [Subscriber; 2],
    said: &watch::Sender<bool>,
    moved: &impl Fn(&SpaceId, Position),
) {
    let mut hints = select(segments, heads);
    let pass_on = async {
        while let Some(message) = hints.next().await {
            if let Some((space, last)) = hint(&message) {
                moved(&space, last);
            }
        }
    };
    let taken = async {
        while !broker.round_trip().await {
            sleep(PAUSE_AFTER_ERROR).await;
        }
        said.send_replace(true);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = pass_on => {}
        () = taken => {}
    }
    said.send_replace(false);
}

/// The space and the position that a message tells of.
fn hint(message: &Message) -> Option<(SpaceId, Position)> {
    let headers = message.headers.as_ref()?;
    let space = SpaceId::new(headers.get(SPACE_HEADER)?.as_str()).ok()?;
    let last = headers.get(LAST_HEADER)?.as_str().parse().ok()?;
    Some((space, Position(last)))
}
