//! Waiting for the projector. One task looks how far it is, at all spaces that somebody waits for in one statement, so
//! that waiting costs the database the same however many wait. It ends when nobody does any more. A request that
//! waits holds no connection.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::PgPool;
use tidelog_events::code::Refusal;
use tidelog_events::id::{Position, SpaceId};
use tidelog_runtime::database::within;
use tidelog_store::projections;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::config::GatewayConfig;
use crate::problem::Problem;
use crate::pull::READ_TIMEOUT;

/// Between two looks at first, and again when somebody comes: the projector is rarely further behind.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// The reads of this process that wait for the projector. Clones share them.
#[derive(Clone)]
pub struct WaitingReads {
    shared: Arc<Shared>,
}

struct Shared {
    pool: PgPool,
    patience: Duration,
    room: Semaphore,
    shutdown: CancellationToken,
    watched: Mutex<Watched>,
    /// Somebody has come.
    joined: Notify,
}

#[derive(Default)]
struct Watched {
    /// How far each space that somebody waits for was folded when the task last looked.
    applied: HashMap<SpaceId, watch::Sender<Position>>,
    /// Whether the task runs.
    looking: bool,
}

impl WaitingReads {
    /// As many may wait, and as long, as `config` says; at `shutdown` all are refused.
    pub fn new(pool: PgPool, config: &GatewayConfig, shutdown: CancellationToken) -> Self {
        Self {
            shared: Arc::new(Shared {
                pool,
                patience: config.at_least_wait(),
                room: Semaphore::new(config.waiting_reads.min(Semaphore::MAX_PERMITS)),
                shutdown,
                watched: Mutex::default(),
                joined: Notify::new(),
            }),
        }
    }

    /// Waits until the space is folded through `position`.
    pub(super) async fn reach(&self, space: &SpaceId, position: Position) -> Result<(), Problem> {
        let full = |_| Problem::new(Refusal::Overloaded, "too many requests wait for the projector already");
        let _place = self.shared.room.try_acquire().map_err(full)?;
        let _counted = Counted::new();
        let mut applied = self.watch(space);
        tokio::select! {
            reached = timeout(self.shared.patience, applied.wait_for(|applied| *applied >= position)) => {
                reached.is_ok_and(|reached| reached.is_ok()).then_some(()).ok_or_else(|| behind(position))
            }
            () = self.shared.shutdown.cancelled() => Err(behind(position)),
        }
    }

    fn watch(&self, space: &SpaceId) -> watch::Receiver<Position> {
        let mut watched = self.watched();
        let sender = watched.applied.entry(space.clone());
        let applied = sender.or_insert_with(|| watch::Sender::new(Position::ZERO)).subscribe();
        if !std::mem::replace(&mut watched.looking, true) {
            tokio::spawn(self.clone().look());
        }
        self.shared.joined.notify_one();
        applied
    }

    /// The task: looks until nobody waits any more.
    async fn look(self) {
        let mut pause = Duration::ZERO;
        while let Some(spaces) = self.awaited() {
            match within(READ_TIMEOUT, self.applied(&spaces)).await {
                Ok(applied) => self.tell(applied),
                Err(error) => tracing::warn!(%error, "cannot look how far the projector is"),
            }
            sleep(SHORTEST_PAUSE).await;
            let joined = timeout(pause, self.shared.joined.notified()).await.is_ok();
            pause = if joined { Duration::ZERO } else { (pause * 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE) };
        }
    }

    /// The spaces that somebody waits for. None: then the task ends, and the next who waits starts another.
    fn awaited(&self) -> Option<Vec<SpaceId>> {
        let mut watched = self.watched();
        watched.applied.retain(|_, sender| sender.receiver_count() > 0);
        watched.looking = !watched.applied.is_empty();
        watched.looking.then(|| watched.applied.keys().cloned().collect())
    }

    async fn applied(&self, spaces: &[SpaceId]) -> sqlx::Result<Vec<(SpaceId, Position)>> {
        let names: Vec<&str> = spaces.iter().map(SpaceId::as_str).collect();
        let mut connection = self.shared.pool.acquire().await?;
        projections::applied(&mut connection, &names).await
    }

    fn tell(&self, applied: Vec<(SpaceId, Position)>) {
        let watched = self.watched();
        for (space, position) in applied {
            if let Some(sender) = watched.applied.get(&space) {
                sender.send_replace(position);
            }
        }
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.shared.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer to whoever asked for more than is folded.
pub(super) fn behind(position: Position) -> Problem {
    let detail = format!("the projector has not applied position {position} yet");
    Problem::new(Refusal::ProjectionBehind, detail)
}

/// One of those that wait, as the operator sees them.
struct Counted;

impl Counted {
    fn new() -> Self {
        metrics::gauge!("tidelog_gateway_waiting_reads").increment(1.0);
        Self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        metrics::gauge!("tidelog_gateway_waiting_reads").decrement(1.0);
    }
}
