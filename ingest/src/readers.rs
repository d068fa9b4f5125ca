//! Facts about devices: gateways hint at who pulled with which cursor, what it said of itself, and whose push was refused;
//! this notes it, a bounded number at a time. Losing any of it costs support's view some seconds of freshness and nothing
//! else.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use sqlx::PgPool;
use tidelog_events::code::Refusal;
use tidelog_events::id::{DeviceId, SpaceId, UserId};
use tidelog_events::protocol::{DeviceHint, UtcTime};
use tidelog_events::report::{DeviceReport, ReportedState};
use tidelog_runtime::broker::Broker;
use tidelog_runtime::clock::Clock;
use tidelog_store::devices::heard::{self, Heard};
use tidelog_store::projections::{self, Folded};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

const INTERVAL: Duration = Duration::from_secs(1);
/// Devices that are remembered between two writes; the rest wait for their next pull.
const DEVICES_MAX: usize = 10_000;

/// What was heard since the last writing, by device, and by whom it was said to be.
type Devices = BTreeMap<(SpaceId, DeviceId, Option<UserId>), Heard>;

/// Collects hints and writes them once a second, until `shutdown`.
pub(crate) async fn run(broker: Broker, pool: PgPool, clock: Clock, shutdown: CancellationToken) {
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !shutdown.is_cancelled() {
        let subject = broker.subjects().devices();
        let Ok(mut hints) = broker.client().queue_subscribe(subject, "ingest".to_owned()).await else {
            ticks.tick().await;
            continue;
        };
        let mut devices = Devices::new();
        loop {
            tokio::select! {
                hint = hints.next() => {
                    let Some(message) = hint else { break };
                    if let Ok(hint) = serde_json::from_slice(&message.payload) {
                        hear(&mut devices, hint);
                    }
                }
                _ = ticks.tick(), if !devices.is_empty() => {
                    write(&pool, std::mem::take(&mut devices), clock.now()).await;
                }
                () = shutdown.cancelled() => return,
            }
        }
    }
}

/// Adds a hint to what was heard: of everything that it tells, it is the latest.
fn hear(devices: &mut Devices, mut hint: DeviceHint) {
    hint.report = hint.report.and_then(DeviceReport::checked);
    let refused_for = |code| u32::from(hint.refusal.as_ref().is_some_and(|refusal| refusal.code == code));
    let (gaps, forks) = (refused_for(Refusal::SequenceGap), refused_for(Refusal::DeviceForked));
    let key = (hint.space.clone(), hint.device_id.clone(), hint.user_id.clone());
    if let Some(earlier) = devices.get_mut(&key) {
        let known = &mut earlier.hint;
        known.cursor = hint.cursor.or(known.cursor);
        known.app_version = hint.app_version.or(known.app_version.take());
        known.report = hint.report.or(known.report.take());
        known.refusal = hint.refusal.or(known.refusal.take());
        earlier.gaps = earlier.gaps.saturating_add(gaps);
        earlier.forks = earlier.forks.saturating_add(forks);
    } else if devices.len() < DEVICES_MAX {
        devices.insert(key, Heard { hint, gaps, forks, diverged: None });
    }
}

async fn write(pool: &PgPool, devices: Devices, now: UtcTime) {
    // One statement meets a device once: those that must be their user's, then those that a backend spoke for.
    let (of_users, of_backends) =
        devices.into_values().partition(|heard: &Heard| heard.hint.user_id.is_some());
    for heard in [of_users, of_backends] {
        if let Err(error) = note(pool, heard, now).await {
            tracing::debug!(%error, "what devices have was not noted");
        }
    }
}

async fn note(pool: &PgPool, mut devices: Vec<Heard>, now: UtcTime) -> sqlx::Result<()> {
    if devices.is_empty() {
        return Ok(());
    }
    let mut connection = pool.acquire().await?;
    let reporting = devices.iter().filter(|heard| state(heard).is_some());
    let spaces: Vec<&str> = reporting.map(|heard| heard.hint.space.as_str()).collect();
    if !spaces.is_empty() {
        let folded: BTreeMap<SpaceId, Folded> =
            projections::folded(&mut connection, &spaces).await?.into_iter().collect();
        for heard in &mut devices {
            let both = state(heard).zip(folded.get(&heard.hint.space));
            heard.diverged = both.and_then(|(reported, folded)| differs(reported, folded));
        }
    }
    for (space, device) in heard::note(&mut connection, &devices, now).await? {
        metrics::counter!("tidelog_ingest_divergences_total").increment(1);
        tracing::error!(%space, %device, "a device's state differs from the read model at the same position");
    }
    Ok(())
}

fn state(heard: &Heard) -> Option<&ReportedState> {
    heard.hint.report.as_ref()?.state.as_ref()
}

/// Whether a device's state is another than the read model's; `None` where the two cannot be compared.
fn differs(reported: &ReportedState, folded: &Folded) -> Option<bool> {
    let comparable = reported.position == folded.applied
        && reported.epoch == folded.epoch
        && reported.schema_version == folded.schema_version;
    comparable.then(|| reported.hash().as_ref() != Some(&folded.state_hash))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tidelog_events::id::{Epoch, Position};
    use uuid::Uuid;

    use super::*;

    fn hint(members: &Value) -> DeviceHint {
        let mut hint = json!({"space": "ann", "deviceId": "phone-1", "userId": "ann"});
        hint.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        serde_json::from_value(hint).unwrap()
    }

    #[test]
    fn the_latest_of_everything_is_kept_and_refusals_are_counted() {
        let mut devices = Devices::new();
        let refused =
            |code| json!({"refusal": {"code": code, "detail": "", "at": "2026-01-01T00:00:00.000Z"}});
        for members in [
            json!({"cursor": 7, "appVersion": "1.0", "report": {"pending": 3}}),
            refused("sequence-gap"),
            refused("sequence-gap"),
            refused("device-forked"),
            json!({"cursor": 9, "report": {"pending": 1_u64 << 60}}),
        ] {
            hear(&mut devices, hint(&members));
        }
        hear(&mut devices, hint(&json!({"userId": "bob", "cursor": 1})));
        assert_eq!(devices.len(), 2, "what another user says is kept apart");
        let heard = devices.values().next().unwrap();
        assert_eq!((heard.gaps, heard.forks), (2, 1));
        assert_eq!(heard.hint.refusal.as_ref().unwrap().code, Refusal::DeviceForked);
        assert_eq!((heard.hint.cursor, heard.hint.app_version.as_deref()), (Some(Position(9)), Some("1.0")));
        assert_eq!(
            heard.hint.report.as_ref().unwrap().pending,
            Some(3),
            "what cannot be true is not believed"
        );
    }

    #[test]
    fn states_are_compared_at_the_same_position_epoch_and_schema_version_only() {
        let (epoch, digits) = (Uuid::from_u128(1), "07096af6c997d545e7665b7c9ee3cf0d");
        let hash = json!({"workout": digits});
        let folded = Folded {
            applied: Position(7),
            epoch: Epoch(epoch),
            schema_version: 3,
            state_hash: serde_json::from_value(hash.clone()).unwrap(),
        };
        let check = |members: Value, expect: Option<bool>| {
            let mut reported = json!({"position": 7, "epoch": epoch, "schemaVersion": 3, "hash": hash});
            reported.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
            let reported: ReportedState = serde_json::from_value(reported).unwrap();
            assert_eq!(differs(&reported, &folded), expect, "{members}");
        };
        check(json!({}), Some(false));
        check(json!({"hash": {"workout": digits.replace('7', "8")}}), Some(true));
        check(json!({"hash": {}}), Some(true));
        check(json!({"position": 6}), None);
        check(json!({"epoch": Uuid::from_u128(2)}), None);
        check(json!({"schemaVersion": 2}), None);
    }
}
