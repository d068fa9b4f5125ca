//! How far the log and the read models are, asked of PostgreSQL again and again while the bench runs.

use std::time::Duration;

use anyhow::{Result, ensure};
use sqlx::PgPool;
use tidelog_store::{projections, spaces};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::latency::{Latencies, Quantiles};

const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The end of folding is looked for more often: it ends a measurement.
const LOOK_FOR_END_EVERY: Duration = Duration::from_millis(20);
/// A projector that folds nothing for so long is waited for no longer.
const STUCK_AFTER: Duration = Duration::from_mins(1);

/// The spaces' heads and folded positions at a moment, summed up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) at: Instant,
    /// Events that are committed.
    pub(super) committed: u64,
    /// Events that are folded.
    pub(super) folded: u64,
}

/// Looks once.
pub(super) async fn look(pool: &PgPool, names: &[&str]) -> Result<Moment> {
    let mut connection = pool.acquire().await?;
    // Folded first: what is committed in between must not count as folded too early.
    let folded = projections::total_applied(&mut connection, names).await?;
    let committed = spaces::total_head(&mut connection, names).await?;
    Ok(Moment { at: Instant::now(), committed, folded })
}

/// Looks until `stop`.
pub(super) async fn watch(pool: PgPool, names: Vec<String>, stop: CancellationToken) -> Result<Vec<Moment>> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut moments = Vec::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => moments.push(look(&pool, &names).await?),
            () = stop.cancelled() => return Ok(moments),
        }
    }
}

/// Waits until the read models are where the logs are; not for ever, if they do not move.
pub(super) async fn until_folded(pool: &PgPool, names: &[String]) -> Result<()> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut reached, mut since) = (0, Instant::now());
    loop {
        let Moment { committed, folded, .. } = look(pool, &names).await?;
        if folded >= committed {
            return Ok(());
        }
        if folded > reached {
            (reached, since) = (folded, Instant::now());
        }
        ensure!(since.elapsed() < STUCK_AFTER, "the projector folds nothing: its log says why");
        sleep(LOOK_FOR_END_EVERY).await;
    }
}

/// How long events of all the spaces together lie in the log before they are folded, at each moment of a window: the
/// time since no more was committed than is folded by then, as it was seen. Moments at which all is folded have no lag.
pub(super) fn lag(moments: &[Moment], from: Instant, to: Instant) -> Option<Quantiles> {
    let mut lags = Latencies::default();
    for (index, now) in moments.iter().enumerate().filter(|(_, moment)| moment.at >= from && moment.at <= to)
    {
        let seen = moments[..=index].partition_point(|before| before.committed <= now.folded);
        lags.add(now.at - moments[seen.saturating_sub(1)].at);
    }
    lags.quantiles()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_the_time_since_as_much_was_committed_as_is_folded() {
        let start = Instant::now();
        let moment =
            |ms, committed, folded| Moment { at: start + Duration::from_millis(ms), committed, folded };
        let moments =
            [moment(0, 100, 100), moment(50, 200, 100), moment(100, 300, 150), moment(150, 300, 300)];
        let at = |index: usize| lag(&moments, moments[index].at, moments[index].at).unwrap().max;
        assert_eq!([0, 1, 2, 3].map(|index| at(index) as u32), [0, 50, 100, 0]);
    }
}
