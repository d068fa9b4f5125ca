//! A user's devices as the database has them, each with all its spaces.

use std::collections::HashMap;

use sqlx::{PgConnection, PgPool};
use tidelog_events::id::{DeviceId, SpaceId};
use tidelog_runtime::database::within;
use tidelog_store::device_profiles::{self, DeviceProfile};
use tidelog_store::devices::facts::{self, Device};

use super::{DeviceInSpace, OwnDevice, OwnDevices};
use crate::auth::Caller;
use crate::problem::Problem;
use crate::pull::{READ_TIMEOUT, one_moment};

/// Spaces of a token that are looked into: the user's own, then those that it names, in order of their ids.
const SPACES_MAX: usize = 100;

/// A page of the caller's devices behind one.
pub(super) async fn page(
    pool: &PgPool,
    caller: &Caller,
    after: Option<&DeviceId>,
    limit: usize,
) -> Result<OwnDevices, Problem> {
    let spaces = spaces(caller);
    let spaces: Vec<&str> = spaces.iter().map(SpaceId::as_str).collect();
    let after = after.map_or("", DeviceId::as_str);
    let mut devices = within(READ_TIMEOUT, async {
        let mut moment = one_moment(pool).await?;
        let rows = facts::of_user(&mut moment, &caller.user, &spaces, after, limit as i64 + 1).await?;
        with_profiles(&mut moment, rows).await
    })
    .await?;
    let next = (devices.len() > limit).then(|| devices[limit - 1].device_id.clone());
    devices.truncate(limit);
    Ok(OwnDevices { items: devices, next })
}

/// One of the caller's devices: one that has pushed nowhere, too, with what was said of it.
pub(super) async fn one(pool: &PgPool, caller: &Caller, device: &DeviceId) -> Result<OwnDevice, Problem> {
    let spaces = spaces(caller);
    let spaces: Vec<&str> = spaces.iter().map(SpaceId::as_str).collect();
    let found = within(READ_TIMEOUT, async {
        let mut moment = one_moment(pool).await?;
        let rows = facts::of_device(&mut moment, &caller.user, &spaces, device).await?;
        let found = with_profiles(&mut moment, rows).await?.into_iter().next();
        match found {
            Some(found) => Ok(found),
            None => without_spaces(&mut moment, caller, device).await,
        }
    });
    Ok(found.await?)
}

async fn without_spaces(
    connection: &mut PgConnection,
    caller: &Caller,
    device: &DeviceId,
) -> sqlx::Result<OwnDevice> {
    let said = device_profiles::of_devices(connection, &[caller.own.as_str()], &[device.as_str()]).await?;
    let profile = said.into_iter().next().map(|(_, profile)| profile).unwrap_or_default();
    Ok(OwnDevice {
        device_id: device.clone(),
        name: profile.name,
        revoked: profile.revoked,
        last_seen_at: None,
        app_version: None,
        spaces: Vec::new(),
    })
}

fn spaces(caller: &Caller) -> Vec<SpaceId> {
    let named = caller.spaces.keys().filter_map(|name| SpaceId::new(name.as_str()).ok());
    let others = named.filter(|space| *space != caller.own);
    std::iter::once(caller.own.clone()).chain(others).take(SPACES_MAX).collect()
}

/// The devices of rows that are in order of their ids, each with its profile.
async fn with_profiles(connection: &mut PgConnection, rows: Vec<Device>) -> sqlx::Result<Vec<OwnDevice>> {
    let mut devices: Vec<OwnDevice> = Vec::new();
    let mut users = Vec::new();
    for row in rows {
        let space = DeviceInSpace {
            space: row.space,
            last_sequence: row.last_sequence,
            cursor: row.cursor,
            behind: row.head.0.saturating_sub(row.cursor.0),
        };
        match devices.last_mut() {
            Some(device) if device.device_id == row.device => {
                if Some(row.last_seen_at) >= device.last_seen_at {
                    device.last_seen_at = Some(row.last_seen_at);
                    device.app_version = row.app_version.or(device.app_version.take());
                }
                device.spaces.push(space);
            }
            _ => {
                users.push(row.user);
                devices.push(OwnDevice {
                    device_id: row.device,
                    name: None,
                    revoked: false,
                    last_seen_at: Some(row.last_seen_at),
                    app_version: row.app_version,
                    spaces: vec![space],
                });
            }
        }
    }
    let users: Vec<&str> = users.iter().map(AsRef::as_ref).collect();
    let names: Vec<&str> = devices.iter().map(|device| device.device_id.as_str()).collect();
    let profiles = device_profiles::of_devices(connection, &users, &names).await?;
    let mut profiles: HashMap<DeviceId, DeviceProfile> =
        profiles.into_iter().map(|((_, device), profile)| (device, profile)).collect();
    for device in &mut devices {
        let profile = profiles.remove(&device.device_id).unwrap_or_default();
        (device.name, device.revoked) = (profile.name, profile.revoked);
    }
    Ok(devices)
}
