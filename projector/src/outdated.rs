//! Rebuilds what another schema has folded, and goes on with rebuilds that were cut off: one space at a time,
//! in the background.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgConnection;
use tidelog_events::id::SpaceId;
use tidelog_events::schema::Schema;
use tidelog_runtime::database::within;
use tidelog_store::{projections, rebuilds};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::aside::Aside;
use crate::rebuild::Rebuilder;

/// Spaces of one statement.
const PAGE: i64 = 1000;
const LOOK_TIMEOUT: Duration = Duration::from_secs(20);

/// Looks after outdated spaces.
pub(crate) struct Outdated {
    pub(crate) rebuilder: Rebuilder,
    pub(crate) schema: watch::Receiver<Arc<Schema>>,
    pub(crate) aside: Aside,
}

impl Outdated {
    /// Looks `every` so often, and whenever the schema changes, until `shutdown`.
    pub(crate) async fn run(mut self, every: Duration, shutdown: CancellationToken) {
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                changed = self.schema.changed() => if changed.is_err() { return },
                () = shutdown.cancelled() => return,
            }
            match shutdown.run_until_cancelled(Box::pin(self.pass())).await {
                None => return,
                Some(Ok(())) => {}
                Some(Err(error)) => tracing::warn!(%error, "what must be rebuilt could not be looked up"),
            }
        }
    }

    /// Goes once through the spaces with a rebuild under way, then through those that need one.
    async fn pass(&mut self) -> sqlx::Result<()> {
        let schema = self.schema.borrow_and_update().clone();
        for space in self.look(async |connection| rebuilds::list(connection, PAGE).await).await? {
            self.rebuild(&space, &schema).await;
        }
        let mut after = String::new();
        loop {
            let id = schema.id();
            let page =
                self.look(async |connection| projections::outdated(connection, &id, &after, PAGE).await);
            let page = page.await?;
            let Some(last) = page.last() else { return Ok(()) };
            last.as_str().clone_into(&mut after);
            for space in page {
                // A newer schema begins a pass of its own.
                if self.schema.has_changed().unwrap_or(true) {
                    return Ok(());
                }
                self.rebuild(&space, &schema).await;
            }
        }
    }

    async fn look(
        &self,
        statement: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<Vec<SpaceId>>,
    ) -> sqlx::Result<Vec<SpaceId>> {
        within(LOOK_TIMEOUT, async { statement(&mut *self.rebuilder.pool().acquire().await?).await }).await
    }

    async fn rebuild(&mut self, space: &SpaceId, schema: &Schema) {
        if self.aside.holds(space, Instant::now()) {
            return;
        }
        match self.rebuilder.rebuild_outdated(space, schema).await {
            Ok(()) => self.aside.forgive(space),
            Err(error) => {
                metrics::counter!("tidelog_projector_failures_total").increment(1);
                let pause = self.aside.put(space, Instant::now());
                tracing::error!(%space, error = &error as &dyn std::error::Error, pause_seconds = pause.as_secs(),
                    "a space cannot be rebuilt; what was folded before goes on being read");
            }
        }
    }
}
