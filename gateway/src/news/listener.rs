//! Listens to subjects on which something is told of spaces: segments on their way to LOG, head hints, presences. Ends when
//! it is dropped.

use std::time::Duration;

use async_nats::{HeaderMap, Message, Subscriber};
use futures_util::StreamExt;
use futures_util::stream::select_all;
use tidelog_events::frame::{LAST_HEADER, SPACE_HEADER};
use tidelog_events::id::{Position, SpaceId};
use tidelog_runtime::broker::Broker;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::News;

/// How long it may take to hand the subscriptions to the connection.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_secs(2);
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(250);

/// What a subject tells.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Segments,
    Heads,
    Presences,
}

/// Subjects that are listened to.
pub(super) struct Listener {
    live: watch::Receiver<bool>,
    task: AbortHandle,
}

impl Listener {
    /// Calls `tell` with each news of a space.
    pub(super) fn start(
        broker: Broker,
        subjects: Vec<(Kind, String)>,
        tell: impl Fn(&SpaceId, &News) + Send + Sync + 'static,
    ) -> Self {
        let (said, live) = watch::channel(false);
        let task = tokio::spawn(async move {
            loop {
                if let Some(subscribed) = subscribe(&broker, &subjects).await {
                    listen(&broker, subscribed, &said, &tell).await;
                }
                sleep(PAUSE_AFTER_ERROR).await;
            }
        });
        Self { live, task: task.abort_handle() }
    }

    /// Waits until no news goes unheard any more.
    pub(super) async fn live(&self) {
        if self.live.clone().wait_for(|live| *live).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn subscribe(broker: &Broker, subjects: &[(Kind, String)]) -> Option<Vec<(Kind, Subscriber)>> {
    let all = async {
        let mut subscribed = Vec::with_capacity(subjects.len());
        for (kind, subject) in subjects {
            subscribed.push((*kind, broker.client().subscribe(subject.clone()).await.ok()?));
        }
        Some(subscribed)
    };
    timeout(SUBSCRIBE_TIMEOUT, all).await.ok()?
}

async fn listen(
    broker: &Broker,
    subscribed: Vec<(Kind, Subscriber)>,
    said: &watch::Sender<bool>,
    tell: &impl Fn(&SpaceId, &News),
) {
    let of_kind = |(kind, messages): (Kind, Subscriber)| messages.map(move |message| (kind, message));
    let mut messages = select_all(subscribed.into_iter().map(of_kind));
    let pass_on = async {
        while let Some((kind, message)) = messages.next().await {
            if let Some((space, news)) = read(kind, message) {
                tell(&space, &news);
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

/// The space that a message is about, and what it tells.
fn read(kind: Kind, message: Message) -> Option<(SpaceId, News)> {
    let headers = message.headers.as_ref()?;
    let space = SpaceId::new(headers.get(SPACE_HEADER)?.as_str()).ok()?;
    let news = match kind {
        Kind::Segments => News::Segment { last: position(headers, LAST_HEADER)?, payload: message.payload },
        Kind::Heads => News::Head(position(headers, LAST_HEADER)?),
        Kind::Presences => News::Presence(message.payload),
    };
    Some((space, news))
}

fn position(headers: &HeaderMap, name: &str) -> Option<Position> {
    headers.get(name)?.as_str().parse().ok().map(Position)
}
