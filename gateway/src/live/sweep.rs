//! Looks at the heads of the spaces that somebody is connected to, from time to time: news that got lost are found then, and
//! so is a log that was replaced or erased.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tidelog_events::code::Refusal;
use tidelog_events::id::SpaceId;
use tidelog_events::live::CloseReason;
use tidelog_runtime::database::within;
use tidelog_store::{device_profiles, erasures, spaces};
use tokio::time::{MissedTickBehavior, interval};

use super::Live;
use crate::pull::READ_TIMEOUT;

/// Spaces of one look.
const SPACES: usize = 500;

/// Sweeps until the gateway stops.
pub(super) async fn run(live: Arc<Live>) {
    let mut ticks = interval(Duration::from_secs(live.config.sweep_seconds));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while live.shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
        let connected = live.rooms.spaces();
        for some in connected.chunks(SPACES) {
            for space in some {
                live.rooms.refresh_presences(space);
            }
            if let Err(error) = look(&live, some).await {
                tracing::warn!(%error, "the heads of live connections cannot be read; they will be");
            }
        }
    }
}

async fn look(live: &Live, connected: &[SpaceId]) -> sqlx::Result<()> {
    let names: Vec<&str> = connected.iter().map(SpaceId::as_str).collect();
    let devices: Vec<_> = connected.iter().flat_map(|space| live.rooms.devices(space)).collect();
    let found = within(READ_TIMEOUT, async {
        let mut connection = live.pool.acquire().await?;
        let erased = erasures::among(&mut connection, &names).await?;
        let users: Vec<&str> = devices.iter().map(|(user, _)| user.as_str()).collect();
        let devices: Vec<&str> = devices.iter().map(|(_, device)| device.as_str()).collect();
        let profiles = device_profiles::of_devices(&mut connection, &users, &devices).await?;
        Ok((erased, profiles, spaces::among(&mut connection, &names).await?))
    });
    let (erased, profiles, found) = found.await?;
    for ((user, device), _) in profiles.iter().filter(|(_, profile)| profile.revoked) {
        live.rooms.close_device(user, device);
    }
    for space in BTreeSet::from_iter(erased) {
        live.rooms.close(&space, CloseReason::Refused(Refusal::SpaceErased), "the space was erased");
    }
    for space in found {
        live.rooms.seen(&space.space, space.epoch, space.head);
    }
    Ok(())
}
