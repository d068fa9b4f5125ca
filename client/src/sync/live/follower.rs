//! One space's live connection: made when a sync has ended well, begun with its hello, and made again when it ends.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::Ended;
use super::session::Session;
use crate::moment::Moment;
use crate::store::{EventStore, Following, SpaceStatus, StoreError, Taken};
use crate::sync::control::Control;
use crate::sync::worker::Means;
use crate::sync::{SyncFailure, TokenSource};
use crate::transport::{
    Answer, LiveEnd, LiveMessage, LiveStream, NotLive, PullRequest, Refused, Request, Transport,
};
use tidelog_events::code::Refusal;
use tidelog_events::id::Position;

/// The task.
pub(in crate::sync) struct Follower<T, S> {
    pub(super) means: Arc<Means<T, S>>,
    pub(super) control: Arc<Control>,
}

impl<T: Transport, S: TokenSource> Follower<T, S> {
    pub(in crate::sync) fn new(means: Arc<Means<T, S>>, control: Arc<Control>) -> Self {
        Self { means, control }
    }

    /// Keeps a live connection whenever there can be one. Never ends.
    pub(in crate::sync) async fn run(self) {
        loop {
            self.until_due().await;
            let ended = tokio::select! {
                biased;
                () = self.control.until_live_ends() => Ended::Stopped,
                ended = self.connection() => ended,
            };
            tracing::debug!(space = %self.control.space, ?ended, "not live");
            self.control.live_ended(self.now().monotonic_ms, &ended);
            self.publish().await;
            if let Ended::Expired { token } = ended {
                // The next sync asks, too, and is given the same one. Without a token, it says so.
                let _ = self.means.tokens.instead_of(&token).await;
            }
        }
    }

    pub(super) fn now(&self) -> Moment {
        self.means.store.clock().now()
    }

    async fn until_due(&self) {
        let mut news = self.control.live_news();
        loop {
            let wait = match self.control.live_wait(self.now().monotonic_ms) {
                Some(Duration::ZERO) => return,
                wait => wait,
            };
            tokio::select! {
                () = sleep_if(wait) => {}
                _ = news.changed() => {}
            }
        }
    }

    /// One connection, from its request to its end.
    async fn connection(&self) -> Ended {
        match self.follow().await {
            Ok(ended) | Err(ended) => ended,
        }
    }

    async fn follow(&self) -> Result<Ended, Ended> {
        let token = self.means.tokens.current().await.map_err(|_| lost(None))?;
        let request = self.request().await?;
        let sent = self.now();
        let connected = self.means.transport.live(&request, &token).await;
        let mut stream = connected.map_err(|refused| not_live(refused, &token))?;
        // Nothing is told before the hello.
        let first = stream.next().await.map_err(|end| closed(&end, &token))?;
        let LiveMessage::Log(lines) = first else { return Err(lost(None)) };
        let (following, stands) = self.hear(&request, lines, sent).await?;
        self.control.connected(self.now().monotonic_ms);
        Ok(match Session::new(self, stream, following, &stands).run().await {
            Ok(ended) => ended,
            Err(end) => closed(&end, &token),
        })
    }

    /// What to ask for: what follows all that is stored. What a sync left undone, another has to do first.
    async fn request(&self) -> Result<PullRequest, Ended> {
        let space = self.control.space.clone();
        let stands = self.at_store(move |store| store.space(&space)).await?;
        if stands.refetching || stands.cursor < stands.head {
            return Err(Ended::Broken);
        }
        Ok(PullRequest {
            space: stands.space,
            after: stands.cursor,
            limit: 0,
            device: stands.device_id,
            types: stands.filter.types,
            report: None,
        })
    }

    /// Takes in the hello, as that of any pull.
    async fn hear(
        &self,
        request: &PullRequest,
        lines: String,
        sent: Moment,
    ) -> Result<(Following, SpaceStatus), Ended> {
        let (request, received) = (request.clone(), self.now());
        let step = move |store: &mut EventStore| {
            let following = Following::told(&request, &lines, &sent, &received);
            let (space, request) = (request.space.clone(), Request::Pull(request));
            let taken = store.take(&request, &Answer::Pulled(lines), &sent, &received)?;
            let forked = store.outlook(&space)?.queues.iter().any(|queue| queue.forked);
            Ok((following, taken, forked, store.space(&space)?))
        };
        let (following, taken, forked, stands) = self.at_store(step).await?;
        let whole = matches!(taken, Taken::Pulled { .. }) && !stands.refetching;
        let following = following.filter(|_| whole).ok_or(Ended::Broken)?;
        if forked {
            self.control.want_sync(self.now().monotonic_ms);
        }
        Ok((following, stands))
    }

    pub(super) async fn at_store<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut EventStore) -> Result<R, StoreError> + Send + 'static,
    ) -> Result<R, Ended> {
        let done = self.means.store.call(work).await.map_err(SyncFailure::from);
        let done = done.and_then(|done| done.map_err(SyncFailure::from));
        done.map_err(|failure| {
            tracing::info!(space = %self.control.space, %failure, "what came live is not stored");
            lost(None)
        })
    }

    async fn publish(&self) {
        if let Ok(stands) = self.means.store.status(&self.control.space).await {
            self.control.publish(&stands, &self.now());
        }
    }
}

fn lost(retry_after: Option<Duration>) -> Ended {
    Ended::Lost { retry_after }
}

/// Why there is no connection. A refusal that means more than to come later is given to the next sync, too.
fn not_live(why: NotLive, token: &str) -> Ended {
    match why {
        NotLive::Unavailable(detail) => {
            tracing::info!(%detail, "no live connections: syncing by polling");
            Ended::Unavailable
        }
        NotLive::Refused(Refused { code: Some(Refusal::Unauthorized), .. }) => {
            Ended::Expired { token: token.to_owned() }
        }
        NotLive::Refused(refused) => lost(refused.retry_after),
        NotLive::Unreachable(_) => lost(None),
    }
}

/// What a connection's end means. What a close code refuses, it refuses to the sync that follows, which says so.
fn closed(end: &LiveEnd, token: &str) -> Ended {
    const UNAUTHORIZED: u16 = 4401;
    match end {
        LiveEnd::Closed(UNAUTHORIZED) => Ended::Expired { token: token.to_owned() },
        LiveEnd::Closed(_) | LiveEnd::Lost(_) => lost(None),
    }
}

/// How far a space is, as a live connection brings it forward.
pub(super) fn is_caught_up(cursor: Position, following: &Following) -> bool {
    cursor >= following.head()
}

async fn sleep_if(time: Option<Duration>) {
    match time {
        Some(time) => sleep(time).await,
        None => pending().await,
    }
}
