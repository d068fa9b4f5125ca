//! Waiting for news. Those who wait at the same cursor of a space form a group: it listens to hints, reads the log
//! once when one comes, and all its members are answered from that read. Nobody holds a database connection while
//! waiting. A hint that gets lost costs at most the wait: at the end of it every pull reads for itself.

mod groups;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::read::{LogQuery, LogRead, Wanted, read_log};
use crate::news::{News, Newsroom, Subscription};
use crate::problem::Problem;
use groups::{GroupId, Groups, Member, PlaceId};

/// The longest wait at a gateway that is being left.
const LEAVING_WAIT: Duration = Duration::from_millis(250);

type Outcome = Result<Arc<LogRead>, Problem>;

/// The pulls of this process that wait for news. Clones share them.
#[derive(Clone)]
pub struct Waiting {
    shared: Arc<Shared>,
}

struct Shared {
    newsroom: Newsroom,
    pool: PgPool,
    room: Arc<Semaphore>,
    shutdown: CancellationToken,
    groups: Mutex<Groups<Arc<Group>>>,
}

/// A group, as its members and its task know it.
struct Group {
    news: Subscription,
    /// Stored bytes that its read may bring.
    bytes: u64,
    /// There may be news.
    hinted: Arc<Notify>,
    /// Set once, when there is news.
    outcome: watch::Sender<Option<Outcome>>,
    /// All members have left.
    abandoned: CancellationToken,
}

impl Waiting {
    /// Room for `waiting_pulls` at once; further ones are answered at once, and so are all that wait at `shutdown`.
    pub(crate) fn new(
        newsroom: Newsroom,
        pool: PgPool,
        waiting_pulls: usize,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                newsroom,
                pool,
                room: Arc::new(Semaphore::new(waiting_pulls.min(Semaphore::MAX_PERMITS))),
                shutdown,
                groups: Mutex::default(),
            }),
        }
    }

    /// Reads the log, and if there is no news waits for some.
    pub(super) async fn read(&self, wanted: &Wanted, wait: Duration) -> Outcome {
        // Who comes to a gateway that is being left waits a moment still, so as not to come again and again.
        let is_leaving = self.shared.shutdown.is_cancelled();
        let wait = if is_leaving { wait.min(LEAVING_WAIT) } else { wait };
        let deadline = Instant::now() + wait;
        let may_wait = !wait.is_zero();
        let caught_up = if may_wait { self.join_caught_up(wanted) } else { None };
        let place = if let Some(place) = caught_up {
            place
        } else {
            let read = self.read_alone(wanted).await?;
            if !may_wait || read.is_news(wanted.after) {
                return Ok(read);
            }
            let Some(place) = self.join(wanted) else { return Ok(read) };
            place
        };
        let outcome = tokio::select! {
            outcome = place.outcome() => Some(outcome),
            () = sleep_until(deadline) => None,
            () = self.shared.shutdown.cancelled(), if !is_leaving => None,
        };
        match outcome {
            Some(Ok(read)) if knows(&read, wanted) => Ok(read),
            Some(Err(problem)) => Err(problem),
            _ => {
                let read = self.read_alone(wanted).await?;
                if read.is_news(wanted.after) {
                    // A hint was lost: the others of the group need not wait any longer either.
                    place.group.hinted.notify_one();
                }
                Ok(read)
            }
        }
    }

    async fn read_alone(&self, wanted: &Wanted) -> Outcome {
        // Boxed, so that a pull that waits holds little memory.
        Box::pin(read_log(&self.shared.pool, &wanted.query())).await.map(Arc::new)
    }

    fn join_caught_up(&self, wanted: &Wanted) -> Option<Place> {
        let room = self.shared.room.clone().try_acquire_owned().ok()?;
        let joined = self.groups().join_caught_up(&wanted.space, wanted.after, member(wanted));
        joined.map(|(id, group)| self.place(id, group, room))
    }

    /// `None` where too many wait already.
    fn join(&self, wanted: &Wanted) -> Option<Place> {
        let room = self.shared.room.clone().try_acquire_owned().ok()?;
        let (id, group) = self.groups().join(&wanted.space, wanted.after, member(wanted), |id| {
            let hinted = Arc::new(Notify::new());
            let group = Arc::new(Group {
                news: self.listen(wanted, hinted.clone()),
                bytes: wanted.bytes,
                hinted,
                outcome: watch::Sender::new(None),
                abandoned: CancellationToken::new(),
            });
            tokio::spawn(self.clone().serve(id.clone(), group.clone()));
            group
        });
        Some(self.place(id, group, room))
    }

    fn place(&self, id: PlaceId, group: Arc<Group>, room: OwnedSemaphorePermit) -> Place {
        metrics::gauge!("tidelog_gateway_waiting_pulls").increment(1.0);
        Place { waiting: self.clone(), id, group, _room: room }
    }

    /// Notes when the log is told to go on behind the cursor.
    fn listen(&self, wanted: &Wanted, hinted: Arc<Notify>) -> Subscription {
        let after = wanted.after;
        self.shared.newsroom.subscribe(&wanted.space, move |news| {
            let reaches = match news {
                News::Segment { last, .. } | News::Head(last) => *last,
                News::Presence(_) => return,
            };
            if reaches > after {
                hinted.notify_one();
            }
        })
    }

    /// A group's task: finds its news and hands it out, unless all members leave before.
    async fn serve(self, id: GroupId, group: Arc<Group>) {
        let Some(outcome) = group.abandoned.run_until_cancelled(self.news(&id, &group)).await else { return };
        // First the end, then the outcome: who joins until then gets it, who comes later begins another group.
        self.groups().end(&id);
        group.outcome.send_replace(Some(outcome));
    }

    async fn news(&self, id: &GroupId, group: &Group) -> Outcome {
        let mut live = std::pin::pin!(group.news.live());
        let mut is_live = false;
        loop {
            // What was committed before the listener is live is found by the read that follows; what is committed
            // after that read, a hint tells.
            tokio::select! {
                () = &mut live, if !is_live => is_live = true,
                () = group.hinted.notified() => {}
            }
            let read = self.read_for(id, group).await?;
            if read.is_news(id.after) {
                return Ok(Arc::new(read));
            }
            if is_live {
                self.groups().caught_up(id);
            }
        }
    }

    async fn read_for(&self, id: &GroupId, group: &Group) -> Result<LogRead, Problem> {
        let wanted = self.groups().wanted(id);
        let query = LogQuery {
            space: &id.space,
            after: id.after,
            events: wanted.events,
            bytes: group.bytes,
            devices: &wanted.devices.into_iter().collect::<Vec<_>>(),
        };
        Box::pin(read_log(&self.shared.pool, &query)).await
    }

    fn groups(&self) -> MutexGuard<'_, Groups<Arc<Group>>> {
        self.shared.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn member(wanted: &Wanted) -> Member {
    Member { events: wanted.events, device: wanted.device.clone() }
}

/// Whether a group's read tells all that the pull must know. It does not tell of a device that joined during it.
fn knows(read: &LogRead, wanted: &Wanted) -> bool {
    wanted.device.as_ref().is_none_or(|device| read.devices.contains_key(device))
}

/// A member's place in a group, left when it is dropped: also when the caller has gone.
struct Place {
    waiting: Waiting,
    id: PlaceId,
    group: Arc<Group>,
    _room: OwnedSemaphorePermit,
}

impl Place {
    async fn outcome(&self) -> Outcome {
        let mut outcome = self.group.outcome.subscribe();
        let known = outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        match known {
            Some(outcome) => outcome,
            // The sender is the group's own, so it lives as long as this place.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        metrics::gauge!("tidelog_gateway_waiting_pulls").decrement(1.0);
        let left_empty = self.waiting.groups().leave(&self.id);
        if let Some(group) = left_empty {
            group.abandoned.cancel();
        }
    }
}
