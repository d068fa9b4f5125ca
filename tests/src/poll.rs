//! Waiting for a condition instead of sleeping: a test fails when its deadline passes, and says what for.

use std::time::Duration;

use async_nats::{Client, Message, Subscriber};
use futures_util::{FutureExt, StreamExt};
use tidelog_runtime::broker::Broker;
use tokio::time::{Instant, interval};

/// How long what must come may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Looks until `look` finds something, for at most 30 seconds.
///
/// # Panics
/// When it finds nothing in that time.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    let mut looks = interval(BETWEEN_LOOKS);
    loop {
        looks.tick().await;
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
    }
}

/// Subscribes, and waits until the broker has taken the subscription: what is published from now on is seen.
///
/// # Panics
/// When the broker does not take it.
pub async fn subscribe(broker: &Broker, subject: String) -> Subscriber {
    let subscription = broker.client().subscribe(subject).await.expect("a subscription");
    eventually("the subscription is taken", async || broker.round_trip().await.then_some(())).await;
    subscription
}

/// Waits until the broker has handed out everything of a stream to that consumer, and has every acknowledgement: also
/// of what came again.
///
/// # Panics
/// When it does not get there.
pub async fn everything_is_acknowledged(client: &Client, stream: &str, consumer: &str) {
    let jetstream = async_nats::jetstream::new(client.clone());
    eventually(&format!("all of {stream} is acknowledged"), async || {
        let stream = jetstream.get_stream(stream).await.ok()?;
        let consumer = stream.consumer_info(consumer).await.ok()?;
        (consumer.num_pending == 0 && consumer.num_ack_pending == 0).then_some(())
    })
    .await;
}

/// The next message of a subscription, with the same patience.
///
/// # Panics
/// When none comes.
pub async fn next_message(what: &str, subscription: &mut Subscriber) -> Message {
    eventually(what, async || subscription.next().now_or_never().flatten()).await
}
