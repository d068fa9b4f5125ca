//! Keeps room in PUSH: when it fills up, batches that are committed leave it, oldest first. So only data that is
//! not committed can ever make a gateway say that there is no room.

use std::time::Duration;

use futures_util::StreamExt;
use tidelog_runtime::broker::{Broker, BrokerError, PushFill};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

/// Percent of PUSH that trimming brings it down to, below the threshold at which it begins.
const MARGIN_PERCENT: u64 = 20;
const PAUSE_AFTER_ERROR: Duration = Duration::from_secs(1);

/// Looks at PUSH every `interval_ms`, and whenever a gateway that found it full asks (`Subjects::trim`).
pub(crate) async fn run(broker: Broker, interval_ms: u64, shutdown: CancellationToken) {
    let mut ticks = interval(Duration::from_millis(interval_ms));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // In one queue group, so that one replica answers.
        let asked = broker.client().queue_subscribe(broker.subjects().trim(), "ingest".to_owned()).await;
        let mut asked = match asked {
            Ok(asked) => asked,
            Err(error) => {
                tracing::warn!(%error, "gateways cannot ask for room in PUSH");
                tokio::select! {
                    () = sleep(PAUSE_AFTER_ERROR) => continue,
                    () = shutdown.cancelled() => return,
                }
            }
        };
        loop {
            let request = tokio::select! {
                _ = ticks.tick() => None,
                request = asked.next() => match request {
                    Some(request) => Some(request),
                    None => break,
                },
                () = shutdown.cancelled() => return,
            };
            if let Err(error) = trim(&broker, request.is_some()).await {
                tracing::debug!(%error, "PUSH was not looked at");
            }
            if let Some(reply) = request.and_then(|request| request.reply) {
                broker
                    .publish_hint(reply.to_string(), async_nats::HeaderMap::new(), bytes::Bytes::new())
                    .await;
            }
        }
    }
}

async fn trim(broker: &Broker, full: bool) -> Result<(), BrokerError> {
    let level = broker.push_fill().await?;
    metrics::gauge!("tidelog_ingest_push_fill_ratio").set(level.bytes as f64 / level.max_bytes.max(1) as f64);
    let threshold = broker.config().push_trim_percent;
    if level.percent() < threshold && !full {
        return Ok(());
    }
    let below = trim_below(&level, threshold.saturating_sub(MARGIN_PERCENT));
    let purged = broker.purge_push_below(below).await?;
    if purged > 0 {
        metrics::counter!("tidelog_ingest_push_trimmed_total").increment(purged);
        tracing::warn!(
            purged,
            percent = level.percent(),
            "PUSH fills up: committed batches leave it early, and the window in which a restored database heals \
             is shorter"
        );
    }
    Ok(())
}

/// The stream sequence below which messages leave: as many of the oldest as bring the stream to
/// `target_percent`, were all of one size, but never one that is not committed.
fn trim_below(fill: &PushFill, target_percent: u64) -> u64 {
    let target = fill.max_bytes / 100 * target_percent;
    let excess = fill.bytes.saturating_sub(target);
    let share = u128::from(excess) * u128::from(fill.messages) / u128::from(fill.bytes.max(1));
    let wanted = fill.first_sequence.saturating_add(share as u64).saturating_add(1);
    wanted.min(fill.ack_floor + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_committed_messages_leave_and_no_others() {
        let check = |bytes, ack_floor, expect| {
            let fill = PushFill {
                bytes,
                max_bytes: 1000,
                messages: 100,
                first_sequence: 501,
                last_sequence: 600,
                ack_floor,
            };
            assert_eq!(trim_below(&fill, 60), expect, "{bytes} bytes, floor {ack_floor}");
        };
        check(800, 600, 527); // a quarter of them and one
        check(1000, 600, 542);
        check(1000, 510, 511); // not what is not committed
        check(1000, 0, 1); // nothing is
        check(600, 600, 502);
    }
}
