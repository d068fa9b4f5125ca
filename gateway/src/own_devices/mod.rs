//! A user's own devices: which there are and how far each has come; to name one, and to revoke one that was lost.

mod read;

use axum::Json;
use axum::extract::{FromRequestParts, Query, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tidelog_events::code::Refusal;
use tidelog_events::command::{Command, MAX_NAME_CHARS, SetDeviceProfile};
use tidelog_events::id::{DeviceId, Position, Sequence, SpaceId};
use tidelog_events::protocol::UtcTime;
use tidelog_runtime::clock::Clock;
use utoipa::{IntoParams, ToSchema};

use crate::admin::page_limit;
use crate::auth::Caller;
use crate::command::{CommandAnswer, Commands};
use crate::devices::DeviceOfPath;
use crate::json_body::JsonBody;
use crate::problem::Problem;
use crate::revocations::Revocations;

/// Devices of a page when the caller does not say, and at most.
const DEFAULT_DEVICES: usize = 50;
const MAX_DEVICES: usize = 100;

/// The query.
#[derive(Debug, Deserialize, IntoParams, FromRequestParts)]
#[from_request(via(Query), rejection(Problem))]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DevicesParams {
    /// Devices of the page, at most; clamped to 100.
    #[param(default = 50, minimum = 1)]
    limit: Option<u64>,
    /// Where the page begins: the `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<DeviceId>,
}

/// The caller's own devices.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OwnDevices {
    /// The devices, in order of their ids.
    items: Vec<OwnDevice>,
    /// The `cursor` of the next page; null at the end.
    #[schema(value_type = Option<String>)]
    next: Option<DeviceId>,
}

/// A device of the caller.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "deviceId": "phone-1", "name": "Ann's phone", "revoked": false, "lastSeenAt": "2026-11-22T19:15:20.123Z",
    "appVersion": "2.14.0", "spaces": [{"space": "ann", "lastSequence": 51, "cursor": 140, "behind": 10}]
}))]
pub(crate) struct OwnDevice {
    /// The device.
    #[schema(value_type = String)]
    device_id: DeviceId,
    /// What its user calls it; null: nothing yet.
    name: Option<String>,
    /// Whether it may push and pull no more.
    revoked: bool,
    /// When it was last heard of, in any of the spaces; null: it has pushed to none of them.
    last_seen_at: Option<UtcTime>,
    /// The version of its app, where it has told.
    app_version: Option<String>,
    /// The spaces that it has pushed to, of those that the token names.
    spaces: Vec<DeviceInSpace>,
}

/// How far a device has come in a space.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeviceInSpace {
    /// The space.
    #[schema(value_type = String)]
    space: SpaceId,
    /// Its last sequence that the server has dealt with.
    #[schema(value_type = u64)]
    last_sequence: Sequence,
    /// The last position that it said it has.
    #[schema(value_type = u64)]
    cursor: Position,
    /// Events that it has not read.
    behind: u64,
}

/// List own devices
///
/// The devices of the token's user, in the user's own space and in those that the token names (100 at most), that have ever
/// pushed there.
#[utoipa::path(
    get,
    path = "/v1/devices",
    tag = "devices",
    params(DevicesParams),
    responses(
        (status = 200, description = "A page", body = OwnDevices),
        (status = 400, description = "`request-invalid`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`device-revoked`", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`overloaded`", body = Problem),
    ),
    security(("token" = [])),
)]
pub(crate) async fn list_devices(
    caller: Caller,
    params: DevicesParams,
    State(pool): State<PgPool>,
) -> Result<Json<OwnDevices>, Problem> {
    let limit = page_limit(params.limit, DEFAULT_DEVICES, MAX_DEVICES)?;
    read::page(&pool, &caller, params.cursor.as_ref(), limit).await.map(Json)
}

/// What is to be changed.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"name": "Ann's phone", "revoked": true}))]
pub(crate) struct DeviceChange {
    /// Its new name.
    #[schema(min_length = 1, max_length = 100)]
    name: Option<String>,
    /// True: it may push and pull no more. False: it may again.
    revoked: Option<bool>,
}

impl DeviceChange {
    fn check(&self) -> Result<(), Problem> {
        let invalid = |detail: String| Err(Problem::new(Refusal::RequestInvalid, detail));
        if self.name.is_none() && self.revoked.is_none() {
            return invalid("name `name`, `revoked` or both".to_owned());
        }
        match &self.name {
            Some(name) if name.trim().is_empty() || name.chars().any(char::is_control) => {
                invalid("`name` must be text of one line".to_owned())
            }
            Some(name) if name.chars().count() > MAX_NAME_CHARS => {
                invalid(format!("`name` has at most {MAX_NAME_CHARS} characters"))
            }
            _ => Ok(()),
        }
    }
}

/// Name, revoke or restore a device
///
/// For any token of the device's user, whether or not the device has ever pushed: one that was lost may only have read. A revoked device may push and pull no more, from at most some seconds later on; a
/// token that is bound to it opens nothing at all.
#[utoipa::path(
    patch,
    path = "/v1/devices/{deviceId}",
    tag = "devices",
    params(("deviceId" = String, Path, description = "The device", example = "phone-1")),
    request_body(content = DeviceChange, description = "What is to be changed, at most 4096 bytes"),
    responses(
        (status = 200, description = "It is done: the device", body = OwnDevice),
        (status = 202, description = "Durable in the broker, not yet done", body = CommandAnswer),
        (status = 400, description = "`request-invalid`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`device-revoked`: the device that the token is bound to", body = Problem),
        (status = 408, description = "`request-timeout`", body = Problem),
        (status = 410, description = "`space-erased`", body = Problem),
        (status = 413, description = "`body-too-large`", body = Problem),
        (status = 415, description = "`unsupported-media-type`", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`overloaded`", body = Problem),
    ),
    security(("token" = [])),
)]
pub(crate) async fn change_device(
    caller: Caller,
    DeviceOfPath(device): DeviceOfPath,
    State(pool): State<PgPool>,
    State(revocations): State<Revocations>,
    State(commands): State<Commands>,
    State(clock): State<Clock>,
    JsonBody(change): JsonBody<DeviceChange>,
) -> Result<Response, Problem> {
    change.check()?;
    let command = Command::SetDeviceProfile(SetDeviceProfile {
        space: caller.own.clone(),
        device_id: device.clone(),
        name: change.name,
        revoked: change.revoked,
        by: caller.user.clone(),
        at: clock.now(),
    });
    let done = commands.send(command).await?;
    revocations.forget(&caller.user, &device);
    match done {
        None => Ok(CommandAnswer::from(None).into_response()),
        Some(_) => Ok(Json(read::one(&pool, &caller, &device).await?).into_response()),
    }
}
