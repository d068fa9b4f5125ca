//! Waiting for a condition instead of sleeping: a test fails when its deadline passes, and says what for.

use std::time::Duration;

use async_nats::{Message, Subscriber};
use futures_util::{FutureExt, StreamExt};
use tidelog_runtime::broker::Broker;
use tokio::time::{Instant, interval};

const PATIENCE: Duration = Duration::from_secs(30);
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

/// The next message of a subscription, with the same patience.
///
/// # Panics
/// When none comes.
pub async fn next_message(what: &str, subscription: &mut Subscriber) -> Message {
    eventually(what, async || subscription.next().now_or_never().flatten()).await
}
