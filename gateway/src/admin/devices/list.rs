//! How far each device of a space has come, what it says of itself, and why it does not sync.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{FromRequestParts, Query, State};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tidelog_events::code::Refusal;
use tidelog_events::id::{DeviceId, Position, Sequence, SpaceId, UserId};
use tidelog_events::protocol::UtcTime;
use tidelog_runtime::clock::Clock;
use tidelog_runtime::database::within;
use tidelog_store::device_profiles::{self, DeviceProfile};
use tidelog_store::devices::facts::{self, Device};
use tidelog_store::quarantine::listed;
use tidelog_store::spaces;
use utoipa::{IntoParams, ToSchema};

use super::why;
use crate::admin::page::{PageCursor, page_limit};
use crate::admin::path::SpaceOfPath;
use crate::auth::AdminReader;
use crate::problem::Problem;
use crate::pull::{READ_TIMEOUT, one_moment};

/// Devices of a page when the caller does not say, and at most.
const DEFAULT_DEVICES: usize = 50;
const MAX_DEVICES: usize = 200;
/// Events of one device in quarantine that are counted.
const MAX_COUNTED: i64 = 1000;

/// The query.
#[derive(Debug, Deserialize, IntoParams, FromRequestParts)]
#[from_request(via(Query), rejection(Problem))]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DevicesParams {
    /// Devices of the page, at most; clamped to 200.
    #[param(default = 50, minimum = 1)]
    limit: Option<u64>,
    /// Where the page begins: the `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<PageCursor<DeviceId>>,
}

/// The devices of a space.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SpaceDevices {
    /// The devices, in order of their ids; those of events without sequences are left out.
    items: Vec<SpaceDevice>,
    /// The `cursor` of the next page; null at the end.
    #[schema(value_type = Option<String>)]
    next: Option<PageCursor<DeviceId>>,
}

/// A device in a space.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "deviceId": "phone-1", "userId": "ann", "name": "Ann's phone", "revoked": false, "lastSequence": 51, "cursor": 140,
    "behind": 10, "lastSeenAt": "2026-11-22T19:15:20.123Z", "pushedAt": "2026-11-22T19:15:20.123Z",
    "appVersion": "2.14.0", "clockOffsetMs": 10_803_000, "pending": 3, "lastError": null, "gaps": 0, "forks": 0,
    "quarantined": 0, "diverged": null, "why": "its clock is 3 h ahead"
}))]
pub(crate) struct SpaceDevice {
    /// The device.
    #[schema(value_type = String)]
    device_id: DeviceId,
    /// Its user.
    #[schema(value_type = String)]
    user_id: UserId,
    /// What its user calls it.
    name: Option<String>,
    /// Whether it may push and pull no more.
    revoked: bool,
    /// Its last sequence that the server has dealt with.
    #[schema(value_type = u64)]
    last_sequence: Sequence,
    /// The last position that it said it has.
    #[schema(value_type = u64)]
    cursor: Position,
    /// Events that it has not read.
    behind: u64,
    /// When it was last heard of.
    last_seen_at: UtcTime,
    /// When it last pushed something new.
    pushed_at: Option<UtcTime>,
    /// The version of its app, where it has told.
    app_version: Option<String>,
    /// Milliseconds by which its clock is ahead, by its own account; negative: behind.
    clock_offset_ms: Option<i64>,
    /// Events that it had not synced when it last said so.
    pending: Option<u64>,
    /// What last kept it from syncing, if that still stands: a refused push, or what it says itself.
    last_error: Option<DeviceError>,
    /// Pushes that were refused with `sequence-gap`.
    gaps: u64,
    /// Pushes that were refused with `device-forked`.
    forks: u64,
    /// Its events in quarantine that nobody has dismissed; 1000 stands for at least as many.
    quarantined: u64,
    /// Where and since when its state is known to differ from the server's.
    diverged: Option<Divergence>,
    /// Why it does not sync, in one sentence; null when all is well.
    why: Option<String>,
}

/// What keeps a device from syncing.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeviceError {
    /// The code of a refused push; null for what the device says itself.
    code: Option<String>,
    /// Why, for people.
    detail: String,
    /// When.
    at: UtcTime,
}

/// A device's state that differs from the server's.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Divergence {
    /// The position that the device last reported.
    #[schema(value_type = u64)]
    position: Position,
    /// When a difference was first seen.
    since: UtcTime,
}

impl SpaceDevice {
    fn new(device: Device, profile: DeviceProfile, quarantined: u64, now: UtcTime) -> Self {
        let why = why::why(&device, &profile, now);
        let refusal = why::standing_refusal(&device).map(|refusal| DeviceError {
            code: Some(refusal.code.clone()),
            detail: refusal.detail.clone(),
            at: refusal.at,
        });
        let (at, report) = device.report.unzip();
        let report = report.unwrap_or_default();
        let said = || Some(DeviceError { code: None, detail: report.last_error.clone()?, at: at? });
        Self {
            last_error: refusal.or_else(said),
            device_id: device.device,
            user_id: device.user,
            name: profile.name,
            revoked: profile.revoked,
            last_sequence: device.last_sequence,
            cursor: device.cursor,
            behind: device.head.0.saturating_sub(device.cursor.0),
            last_seen_at: device.last_seen_at,
            pushed_at: device.pushed_at,
            app_version: device.app_version,
            clock_offset_ms: report.clock_offset_ms,
            pending: report.pending,
            gaps: device.gaps,
            forks: device.forks,
            quarantined,
            diverged: device.diverged.map(|(position, since)| Divergence { position, since }),
            why,
        }
    }
}

/// List the devices of a space
///
/// How far each device has come, what it says of itself, and in one sentence why it does not sync.
#[utoipa::path(
    get,
    path = "/admin/v1/spaces/{space}/devices",
    tag = "devices",
    params(("space" = String, Path, description = "The space", example = "ann"), DevicesParams),
    responses(
        (status = 200, description = "A page", body = SpaceDevices),
        (status = 400, description = "`request-invalid`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`", body = Problem),
        (status = 404, description = "`not-found`: nothing was ever pushed to the space", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`overloaded`", body = Problem),
    ),
    security(("token" = [])),
)]
pub(crate) async fn list_devices(
    _: AdminReader,
    SpaceOfPath(space): SpaceOfPath,
    params: DevicesParams,
    State(pool): State<PgPool>,
    State(clock): State<Clock>,
) -> Result<Json<SpaceDevices>, Problem> {
    let limit = page_limit(params.limit, DEFAULT_DEVICES, MAX_DEVICES)?;
    let after = params.cursor.as_ref().map_or("", |PageCursor(device)| device.as_str());
    let page = within(READ_TIMEOUT, read(&pool, &space, after, limit as i64 + 1)).await?;
    let (mut devices, mut profiles, mut quarantined) = page.ok_or_else(|| {
        Problem::new(Refusal::NotFound, format!("nothing was ever pushed to a space {space}"))
    })?;
    let next = (devices.len() > limit).then(|| PageCursor(devices[limit - 1].device.clone()));
    devices.truncate(limit);
    let now = clock.now();
    let items = devices.into_iter().map(|device| {
        let profile = profiles.remove(&(device.user.clone(), device.device.clone())).unwrap_or_default();
        let quarantined = quarantined.remove(&device.device).unwrap_or_default();
        SpaceDevice::new(device, profile, quarantined, now)
    });
    Ok(Json(SpaceDevices { items: items.collect(), next }))
}

type Profiles = HashMap<(UserId, DeviceId), DeviceProfile>;

async fn read(
    pool: &PgPool,
    space: &SpaceId,
    after: &str,
    limit: i64,
) -> sqlx::Result<Option<(Vec<Device>, Profiles, HashMap<DeviceId, u64>)>> {
    let mut moment = one_moment(pool).await?;
    if spaces::find(&mut moment, space).await?.is_none() {
        return Ok(None);
    }
    let devices = facts::of_space(&mut moment, space, after, limit).await?;
    let users: Vec<&str> = devices.iter().map(|device| device.user.as_str()).collect();
    let names: Vec<&str> = devices.iter().map(|device| device.device.as_str()).collect();
    let profiles = device_profiles::of_devices(&mut moment, &users, &names).await?;
    let quarantined = listed::counts(&mut moment, space, &names, MAX_COUNTED).await?;
    Ok(Some((devices, profiles.into_iter().collect(), quarantined.into_iter().collect())))
}
