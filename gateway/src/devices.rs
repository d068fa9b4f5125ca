//! What the server has of a device's own sequences, from log, quarantine and archive: how a device that was cloned or
//! restored from a backup finds out which of its events are taken.

mod archived;
mod stored;

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Query, State};
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tidelog_events::code::Refusal;
use tidelog_events::id::{DeviceId, Sequence};
use tidelog_events::limits::MAX_SAFE_INTEGER;
use tidelog_events::protocol::DeviceEvent;
use tidelog_runtime::config::LimitsConfig;
use tidelog_store::segments::{DeviceRange, SequenceRange};
use utoipa::{IntoParams, ToSchema};

use crate::auth::{SpaceReader, path_param};
use crate::codecs::Codecs;
use crate::problem::Problem;
use crate::revocations::Revocations;

pub use archived::ArchiveReads;
pub(crate) use archived::{away, problem as history_problem};

/// Sequences that are looked up when the caller does not say.
const DEFAULT_SEQUENCES: u64 = 1000;

/// The query.
#[derive(Debug, Deserialize, IntoParams, FromRequestParts)]
#[from_request(via(Query), rejection(Problem))]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RangeParams {
    /// The first sequence.
    #[param(default = 1, minimum = 1, maximum = 9_007_199_254_740_991_u64)]
    from: Option<u64>,
    /// The last sequence; `from` + 999 if it is left out. At most 10,000 sequences at once.
    #[param(minimum = 1, maximum = 9_007_199_254_740_991_u64)]
    to: Option<u64>,
}

/// The device in the path.
pub(crate) struct DeviceOfPath(pub(crate) DeviceId);

impl<S: Send + Sync> FromRequestParts<S> for DeviceOfPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let device = DeviceId::new(path_param(parts, state, "deviceId").await?);
        device.map(Self).map_err(|error| invalid(format!("the device in the path: {error}")))
    }
}

/// What the server has of a device's sequences.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeviceEvents {
    /// The events, by sequence.
    items: Vec<DeviceEvent>,
}

/// A device's own events
///
/// What the server has of the device's sequences `from` to `to`: each event's position in the log, pruned or not, or why
/// it lies in quarantine. Sequences that the server does not have are left out.
#[utoipa::path(
    get,
    path = "/v1/spaces/{space}/devices/{deviceId}/events",
    tag = "log",
    params(
        ("space" = String, Path, description = "The space; `me` is the token's own"),
        ("deviceId" = String, Path, description = "The device"),
        RangeParams,
    ),
    responses(
        (status = 200, description = "What the server has", body = DeviceEvents, example = json!({"items": [
            {"deviceSequence": 51, "eventId": "018f4f7e-0000-7000-8000-000000000001", "position": 101},
            {"deviceSequence": 52, "eventId": "018f4f7e-0000-7000-8000-000000000002", "quarantined": "event-unknown-type"}]})),
        (status = 400, description = "`request-invalid`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`, `device-revoked`", body = Problem),
        (status = 410, description = "`space-erased`", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`overloaded`", body = Problem),
    ),
    security(("token" = [])),
)]
#[expect(clippy::too_many_arguments, reason = "each is something that a read draws on")]
pub(crate) async fn device_events(
    SpaceReader { space, caller }: SpaceReader,
    DeviceOfPath(device): DeviceOfPath,
    params: RangeParams,
    State(limits): State<Arc<LimitsConfig>>,
    State(pool): State<PgPool>,
    State(archive): State<ArchiveReads>,
    State(revocations): State<Revocations>,
    State(codecs): State<Codecs>,
) -> Result<Json<DeviceEvents>, Problem> {
    revocations.admit(&caller, &caller.user, Some(&device)).await?;
    let wanted = DeviceRange { space, device, range: range(&params, limits.pull_events)? };
    let stored = stored::read(&pool, &wanted, &codecs).await?;
    let pruned = stored.pruned(wanted.range);
    let mut events = stored.events;
    if let Some(range) = pruned {
        // What is pruned since the log was read is in both.
        for event in archive.read(&DeviceRange { range, ..wanted }, &codecs).await? {
            events.entry(event.device_sequence).or_insert(event);
        }
    }
    Ok(Json(DeviceEvents { items: events.into_values().collect() }))
}

fn range(params: &RangeParams, limit: u64) -> Result<SequenceRange, Problem> {
    let first = params.from.unwrap_or(1);
    if !(1..=MAX_SAFE_INTEGER).contains(&first) {
        return Err(invalid(format!("`from` must be from 1 to {MAX_SAFE_INTEGER}")));
    }
    let last = params.to.unwrap_or(first + DEFAULT_SEQUENCES.min(limit) - 1);
    if last < first {
        return Err(invalid("`to` must not be less than `from`".to_owned()));
    }
    if last - first >= limit {
        return Err(invalid(format!(
            "`from` to `to` are more sequences than the limit `pull_events` allows at once: {limit}"
        )));
    }
    Ok(SequenceRange { first: Sequence(first), last: Sequence(last) })
}

fn invalid(detail: String) -> Problem {
    Problem::new(Refusal::RequestInvalid, detail)
}

#[cfg(test)]
mod tests;
