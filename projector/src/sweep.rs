//! Finds spaces whose log goes on behind what is folded although nobody said so: a crash between commit and LOG, a
//! LOG that was full or lost, an event that was released from quarantine.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::PgPool;
use tidelog_events::id::{Position, SpaceId};
use tidelog_runtime::database::within;
use tidelog_store::projections;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::intake::News;

/// Spaces of one statement.
const PAGE: i64 = 1000;
/// Spaces that one sweep remembers.
const SUSPECTS_MAX: usize = 100_000;
/// A sweep costs the database something for each space there is: it pauses so many times as long as it takes.
const PAUSE_FACTOR: u32 = 9;
const LOOK_TIMEOUT: Duration = Duration::from_secs(20);

/// Sweeps `every` so often, or less often where there are many spaces, until `shutdown`.
pub(crate) async fn run(
    pool: PgPool,
    every: Duration,
    news: mpsc::Sender<News>,
    shutdown: CancellationToken,
) {
    let mut suspects = Suspects::default();
    let mut pause = every;
    while shutdown.run_until_cancelled(sleep(pause)).await.is_some() {
        let started = Instant::now();
        let swept = shutdown.run_until_cancelled(Box::pin(sweep(&pool, &mut suspects, &news))).await;
        if let Some(Err(error)) = swept {
            tracing::warn!(%error, "the projections could not be swept; they will be again");
        }
        pause = every.max(started.elapsed() * PAUSE_FACTOR);
    }
}

async fn sweep(pool: &PgPool, suspects: &mut Suspects, news: &mpsc::Sender<News>) -> sqlx::Result<()> {
    let (mut behind, mut events) = (0, 0);
    let mut after = String::new();
    let mut look = Suspects::default();
    loop {
        let page = within(LOOK_TIMEOUT, async {
            projections::behind(&mut *pool.acquire().await?, &after, PAGE).await
        });
        let page = page.await?;
        behind += page.len();
        events += page.iter().map(|space| space.head.0.saturating_sub(space.applied.0)).sum::<u64>();
        let is_last = page.len() < PAGE as usize;
        if let Some(last) = page.last() {
            last.space.as_str().clone_into(&mut after);
        }
        for space in page {
            if suspects.is_stuck(&space.space, space.applied) {
                let found = News { space: space.space.clone(), last: space.head, message: None };
                if news.send(found).await.is_err() {
                    return Ok(());
                }
            }
            look.note(space.space, space.applied);
        }
        if is_last {
            break;
        }
    }
    metrics::gauge!("tidelog_projector_behind_spaces").set(behind as f64);
    metrics::gauge!("tidelog_projector_behind_events").set(events as f64);
    *suspects = look;
    Ok(())
}

/// What a sweep found behind. Most of it is on its way; what the next sweep finds where it was is not.
#[derive(Debug, Default)]
struct Suspects(BTreeMap<SpaceId, Position>);

impl Suspects {
    fn note(&mut self, space: SpaceId, applied: Position) {
        if self.0.len() < SUSPECTS_MAX {
            self.0.insert(space, applied);
        }
    }

    fn is_stuck(&self, space: &SpaceId, applied: Position) -> bool {
        self.0.get(space) == Some(&applied)
    }
}
