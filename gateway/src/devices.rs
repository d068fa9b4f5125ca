//! What the server has of a device's own sequences, from log and quarantine: how a device that was cloned or
//! restored from a backup finds out which of its events are taken.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Query, State};
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};
use tidelog_events::code::Refusal;
use tidelog_events::id::{DeviceId, EventId, Position, Sequence};
use tidelog_events::limits::MAX_SAFE_INTEGER;
use tidelog_events::protocol::{DeviceEvent, QuarantinedEvent};
use tidelog_runtime::config::LimitsConfig;
use tidelog_runtime::database::within;
use tidelog_store::segments::{DeviceRange, Segment, SequenceRange};
use tidelog_store::{erasures, quarantine, segments};
use utoipa::{IntoParams, ToSchema};

use crate::auth::{SpaceReader, path_param};
use crate::codecs::{Codec, Codecs};
use crate::problem::Problem;
use crate::pull::{DamagedSegment, DecodedSegment, READ_TIMEOUT, decode, erased, one_moment};

/// Sequences that are looked up when the caller does not say.
const DEFAULT_SEQUENCES: u64 = 1000;
/// Sequences that one statement looks up: it bounds the frames in memory.
const SEQUENCES_PER_READ: u64 = 1000;

/// The query.
#[derive(Debug, Deserialize, IntoParams, FromRequestParts)]
#[from_request(via(Query), rejection(Problem))]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RangeParams {
    /// The first sequence.
    #[param(default = 1, minimum = 1)]
    from: Option<u64>,
    /// The last sequence; `from` + 999 if it is left out. At most 10,000 sequences at once.
    #[param(minimum = 1)]
    to: Option<u64>,
}

/// The device in the path.
pub(crate) struct DeviceOfPath(DeviceId);

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
/// What the server has of the device's sequences `from` to `to`: each event's position in the log, or why it lies
/// in quarantine. Sequences that the server does not have are left out.
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
        (status = 200, description = "What the server has", body = DeviceEvents),
        (status = 400, description = "`request-invalid`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`", body = Problem),
        (status = 410, description = "`space-erased`", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`overloaded`", body = Problem),
    ),
    security(("token" = [])),
)]
pub(crate) async fn device_events(
    SpaceReader { space }: SpaceReader,
    DeviceOfPath(device): DeviceOfPath,
    params: RangeParams,
    State(limits): State<Arc<LimitsConfig>>,
    State(pool): State<PgPool>,
    State(codecs): State<Codecs>,
) -> Result<Json<DeviceEvents>, Problem> {
    let range = range(&params, limits.pull_events)?;
    let mut moment = within(READ_TIMEOUT, one_moment(&pool)).await?;
    if within(READ_TIMEOUT, erasures::contains(&mut moment, &space)).await? {
        return Err(erased(&space));
    }
    let mut items = BTreeMap::new();
    for range in chunks(range) {
        let wanted = DeviceRange { space: space.clone(), device: device.clone(), range };
        let stored = within(READ_TIMEOUT, read_stored(&mut moment, &wanted)).await?;
        // Decoding takes milliseconds; the other requests of this thread go on elsewhere.
        let events = tokio::task::block_in_place(|| codecs.with(|codec| events(stored, &wanted, codec)));
        let events = events.map_err(|error| Problem::internal(&error))?;
        let events = events.map_err(|error| Problem::internal(&error))?;
        items.extend(events.into_iter().map(|event| (event.device_sequence, event)));
    }
    Ok(Json(DeviceEvents { items: items.into_values().collect() }))
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

fn chunks(range: SequenceRange) -> impl Iterator<Item = SequenceRange> {
    (range.first.0..=range.last.0).step_by(SEQUENCES_PER_READ as usize).map(move |first| SequenceRange {
        first: Sequence(first),
        last: range.last.min(Sequence(first + SEQUENCES_PER_READ - 1)),
    })
}

/// What is stored of a device's sequences.
struct Stored {
    segments: Vec<Segment>,
    quarantined: Vec<QuarantinedEvent>,
}

async fn read_stored(connection: &mut PgConnection, wanted: &DeviceRange) -> sqlx::Result<Stored> {
    let one = std::slice::from_ref(wanted);
    let quarantined = quarantine::of_devices(&mut *connection, one).await?;
    let segments = segments::of_devices(&mut *connection, one).await?;
    let mut segments: Vec<_> = segments.into_iter().map(|(_, _, segment)| segment).collect();
    let is_own_device = wanted.device.as_str().starts_with(DeviceId::EVENT_PREFIX);
    if is_own_device && wanted.range.first == Sequence(1) {
        segments.extend(segments::of_single_event_device(connection, &wanted.space, &wanted.device).await?);
    }
    Ok(Stored { segments, quarantined: quarantined.into_iter().map(|(_, _, event)| event).collect() })
}

/// Why the log does not tell what it has: it is damaged.
#[derive(Debug, thiserror::Error)]
enum UnreadableLog {
    #[error(transparent)]
    Damaged(#[from] DamagedSegment),
    #[error("an event line of the log has no identity")]
    Line(#[from] serde_json::Error),
}

/// The events among the wanted sequences, in no particular order.
fn events(
    stored: Stored,
    wanted: &DeviceRange,
    codec: &mut Codec,
) -> Result<Vec<DeviceEvent>, UnreadableLog> {
    let quarantined = stored.quarantined.into_iter().map(|event| DeviceEvent {
        device_sequence: event.device_sequence,
        event_id: event.event_id,
        position: None,
        quarantined: Some(event.code),
    });
    let mut events: Vec<_> = quarantined.collect();
    for segment in &stored.segments {
        for body in decode(std::slice::from_ref(segment), 0, &mut codec.decoder)? {
            let segment = DecodedSegment::split(&segment.header, &body)?;
            for (position, line) in segment.events() {
                if segment.batch_at(position).device_id == wanted.device {
                    events.push(device_event(position, line)?);
                }
            }
        }
    }
    let range = wanted.range.first..=wanted.range.last;
    events.retain(|event| range.contains(&event.device_sequence));
    Ok(events)
}

fn device_event(position: Position, line: &str) -> Result<DeviceEvent, serde_json::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Identity {
        event_id: EventId,
        device_sequence: Option<Sequence>,
    }
    let identity: Identity = serde_json::from_str(line)?;
    Ok(DeviceEvent {
        // An event without a counter is a device of its own, and this is its first event.
        device_sequence: identity.device_sequence.unwrap_or(Sequence(1)),
        event_id: identity.event_id,
        position: Some(position),
        quarantined: None,
    })
}

#[cfg(test)]
mod tests;
