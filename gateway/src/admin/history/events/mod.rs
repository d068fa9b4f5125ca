//! A space's events, whether they lie in the log, in the archive or in quarantine, page by page.

mod by_position;
mod by_stamp;
mod filter;
mod item;
mod page;
mod request;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::PgPool;
use tidelog_events::id::Position;
use tidelog_store::spaces::Space;
use utoipa::ToSchema;

use super::HistoryReads;
use super::space::find_space;
use crate::admin::page::PageCursor;
use crate::admin::path::SpaceOfPath;
use crate::auth::AdminReader;
use crate::codecs::Codecs;
use crate::config::AdminConfig;
use crate::problem::Problem;

use item::HistoryEvent;
use page::Page;
use request::{Cursor, EventParams, EventRequest, Order};

pub(super) use request::limit;

/// A page of a space's history.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventPage {
    /// The space's last position.
    head: Position,
    /// The position through which the log was pruned: what stands before is in the archive.
    horizon: Position,
    /// The events.
    #[schema(value_type = Vec<HistoryEvent>)]
    items: Box<RawValue>,
    /// What to send as `cursor` for the next page; null on the last one.
    #[schema(value_type = Option<String>)]
    next: Option<PageCursor<Cursor>>,
}

/// What a page is made from.
struct Listing {
    pool: PgPool,
    reads: HistoryReads,
    codecs: Codecs,
    config: Arc<AdminConfig>,
    space: Space,
    request: EventRequest,
}

/// A space's history
///
/// Every event of the space for which all filters hold, whether it lies in the log, in the archive, since it was pruned,
/// or in quarantine. A page may have fewer items than `limit`, even none: go on while `next` is not null.
///
/// By `position`, the events of the log come first, in its order, and the quarantined ones, which have no position, behind
/// them in the order in which they came; by `-position` all of this backwards. What is pushed or released meanwhile stands
/// at the end, so that going through all pages misses nothing. By `timestamp` (or `-timestamp`) all of them stand in event
/// order: stamp, device, sequence; a quarantined event whose line has no readable stamp stands where it was received. Such
/// pages show the space as it was when the first of them was asked for.
#[utoipa::path(
    get,
    path = "/admin/v1/spaces/{space}/events",
    tag = "history",
    params(("space" = String, Path, description = "The space", example = "ann"), EventParams),
    responses(
        (status = 200, description = "A page", body = EventPage, example = json!({
            "head": 2, "horizon": 1, "items": [
                {
                    "position": 1, "source": "archive", "deviceId": "phone-1", "userId": "ann",
                    "receivedAt": "2026-01-01T07:00:00.000Z", "eventId": "018f4f7e-0000-7000-8000-000000000001",
                    "deviceSequence": 1, "type": "WORKOUT_CREATED", "entityId": "w-1",
                    "timestamp": "2026-01-01T06:59:58.000Z-0000", "payload": {"name": "Run"},
                },
                {
                    "position": null, "source": "quarantine", "deviceId": "phone-1", "userId": "ann",
                    "receivedAt": "2026-01-01T07:00:00.000Z", "eventId": "018f4f7e-0000-7000-8000-000000000003",
                    "deviceSequence": 3, "type": "WORKOUT_FLOWN", "entityId": "w-1",
                    "quarantined": {
                        "code": "event-unknown-type", "detail": "schema version 3 has no event type `WORKOUT_FLOWN`",
                    },
                    "line": "{\"eventId\":\"018f4f7e-0000-7000-8000-000000000003\",\"deviceSequence\":3,\"type\":\"WORKOUT_FLOWN\",\"entityId\":\"w-1\"}",
                },
            ], "next": null,
        })),
        (status = 400, description = "`request-invalid`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`", body = Problem),
        (status = 404, description = "`not-found`: there is no such space", body = Problem),
        (status = 410, description = "`space-erased`", body = Problem),
        (status = 422, description = "`result-too-large`: more events than may be put in order of their stamps", body = Problem),
        (status = 429, description = "`rate-limited`", body = Problem),
        (status = 500, description = "`internal`: also when an archived object is missing or damaged", body = Problem),
        (status = 503, description = "`overloaded`", body = Problem),
    ),
    security(("token" = [])),
)]
pub(crate) async fn list_events(
    _: AdminReader,
    SpaceOfPath(space): SpaceOfPath,
    params: EventParams,
    State(pool): State<PgPool>,
    State(reads): State<HistoryReads>,
    State(codecs): State<Codecs>,
    State(config): State<Arc<AdminConfig>>,
) -> Result<Json<EventPage>, Problem> {
    let request = EventRequest::check(params, config.page_items)?;
    let space = find_space(&pool, &space).await?;
    let (head, horizon) = (space.head, space.horizon);
    let listing = Listing { pool, reads, codecs, config, space, request };
    let page = match listing.request.order {
        Order::Position(direction) => listing.by_position(direction).await?,
        Order::Timestamp(direction) => listing.by_stamp(direction).await?,
    };
    let Page { items, next, .. } = page;
    Ok(Json(EventPage { head, horizon, items: item::array(&items)?, next: next.map(PageCursor) }))
}
