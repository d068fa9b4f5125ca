//! What is told of logs while they grow: committed segments on their way to LOG, hints that a head has moved, and who is
//! present. There is one subscription to LOG for each slot in which anybody here is interested, however many spaces and
//! readers that are, and one for all of the hints, which are few. All of it may get lost.

mod listener;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use tidelog_events::id::{Position, SpaceId};
use tidelog_runtime::broker::Broker;
use tidelog_runtime::metrics::Metric;

use listener::{Kind, Listener};

/// The metrics of news.
pub(crate) const METRICS: &[Metric] = &[Metric::level(
    "tidelog_gateway_listened_slots",
    "Slots whose news are listened to, for pulls that wait and live connections",
)];

/// One thing that was told of a space.
#[derive(Debug, Clone)]
pub(crate) enum News {
    /// A segment through this position was committed; `payload` is its header frame, then its body frame.
    Segment { last: Position, payload: Bytes },
    /// The log reaches this position.
    Head(Position),
    /// Something about who is present.
    Presence(Bytes),
}

/// Is called with each news of a space. Must not wait.
type Handler = Arc<dyn Fn(&News) + Send + Sync>;

/// The slots that this process listens to. Clones share them.
#[derive(Clone)]
pub(crate) struct Newsroom {
    shared: Arc<Shared>,
}

struct Shared {
    broker: Broker,
    slots: Mutex<Slots>,
    /// To the hints of all slots.
    hints: OnceLock<Listener>,
}

#[derive(Default)]
struct Slots {
    slots: HashMap<u16, Slot>,
    next_number: u64,
}

struct Slot {
    segments: Arc<Listener>,
    /// Each with a number of its own.
    handlers: HashMap<SpaceId, Vec<(u64, Handler)>>,
}

impl Newsroom {
    /// Listens to the hints alone yet.
    pub(crate) fn new(broker: Broker) -> Self {
        let shared = Arc::new(Shared { broker, slots: Mutex::default(), hints: OnceLock::new() });
        let subjects = shared.broker.subjects();
        let hints = vec![(Kind::Heads, subjects.head_all()), (Kind::Presences, subjects.presence_all())];
        // It is set here alone.
        let _ = shared.hints.set(shared.listen(hints));
        Self { shared }
    }

    /// Has `handler` called with the news of a space, as long as the subscription lives.
    pub(crate) fn subscribe(
        &self,
        space: &SpaceId,
        handler: impl Fn(&News) + Send + Sync + 'static,
    ) -> Subscription {
        let mut slots = self.shared.slots();
        slots.next_number += 1;
        let number = slots.next_number;
        let slot = slots.slots.entry(space.slot()).or_insert_with(|| {
            metrics::gauge!("tidelog_gateway_listened_slots").increment(1.0);
            let subject = self.shared.broker.subjects().log(space.slot());
            let segments = Arc::new(self.shared.listen(vec![(Kind::Segments, subject)]));
            Slot { segments, handlers: HashMap::new() }
        });
        slot.handlers.entry(space.clone()).or_default().push((number, Arc::new(handler)));
        let segments = slot.segments.clone();
        Subscription { shared: self.shared.clone(), space: space.clone(), number, segments }
    }
}

impl Shared {
    /// Tells those who are interested in a space what is told of it.
    fn listen(self: &Arc<Self>, subjects: Vec<(Kind, String)>) -> Listener {
        let shared = Arc::downgrade(self);
        Listener::start(self.broker.clone(), subjects, move |space, news| {
            let handlers = shared.upgrade().map(|shared| shared.handlers(space)).unwrap_or_default();
            for handler in &handlers {
                handler(news);
            }
        })
    }

    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handlers(&self, space: &SpaceId) -> Vec<Handler> {
        let slots = self.slots();
        let handlers = slots.slots.get(&space.slot()).and_then(|slot| slot.handlers.get(space));
        handlers.into_iter().flatten().map(|(_, handler)| handler.clone()).collect()
    }
}

/// An interest in a space, ended by dropping it.
pub(crate) struct Subscription {
    shared: Arc<Shared>,
    space: SpaceId,
    number: u64,
    segments: Arc<Listener>,
}

impl Subscription {
    /// Waits until no news goes unheard any more. Whoever then reads the log has all that was told before.
    pub(crate) async fn live(&self) {
        self.segments.live().await;
        if let Some(hints) = self.shared.hints.get() {
            hints.live().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut slots = self.shared.slots();
        let Some(slot) = slots.slots.get_mut(&self.space.slot()) else { return };
        if let Some(handlers) = slot.handlers.get_mut(&self.space) {
            handlers.retain(|(number, _)| *number != self.number);
            if handlers.is_empty() {
                slot.handlers.remove(&self.space);
            }
        }
        if slot.handlers.is_empty() {
            metrics::gauge!("tidelog_gateway_listened_slots").decrement(1.0);
            slots.slots.remove(&self.space.slot());
        }
    }
}
