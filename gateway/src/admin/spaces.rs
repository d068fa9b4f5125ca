//! The spaces there are.

use axum::Json;
use axum::extract::{FromRequestParts, Query, State};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::limits::MAX_ID_BYTES;
use tidelog_events::protocol::UtcTime;
use tidelog_runtime::database::within;
use tidelog_store::spaces::{self, KnownSpace};
use utoipa::{IntoParams, ToSchema};

use super::page::{PageCursor, page_limit};
use crate::auth::AdminReader;
use crate::problem::Problem;
use crate::pull::READ_TIMEOUT;

/// Spaces of a page when the caller does not say.
const DEFAULT_SPACES: usize = 100;
/// Spaces of a page, at most.
const SPACES_MAX: usize = 1000;

/// The query.
#[derive(Debug, Deserialize, IntoParams, FromRequestParts)]
#[from_request(via(Query), rejection(Problem))]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SpacesParams {
    /// What the ids begin with; without it, all spaces.
    #[param(example = "team-")]
    query: Option<String>,
    /// Spaces of a page; more than 1000 are lowered to that.
    #[param(default = 100, minimum = 1)]
    limit: Option<u64>,
    /// The `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<PageCursor<SpaceId>>,
}

/// Spaces, in order of their ids.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SpacePage {
    /// The spaces.
    items: Vec<ListedSpace>,
    /// The `cursor` of the next page; null with the last one.
    #[schema(value_type = Option<String>)]
    next: Option<PageCursor<SpaceId>>,
}

/// A space among others.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListedSpace {
    /// Its id.
    #[schema(value_type = String, example = "user-1")]
    space_id: SpaceId,
    /// Its last position.
    #[schema(value_type = u64, example = 150)]
    head: Position,
    /// The position through which its log has been pruned.
    #[schema(value_type = u64, example = 0)]
    horizon: Position,
    /// When something was first pushed to it.
    created_at: UtcTime,
    /// When the last event that its log has was received; null where the log has none.
    last_received_at: Option<UtcTime>,
}

impl From<KnownSpace> for ListedSpace {
    fn from(KnownSpace { log, created_at, last_received_at }: KnownSpace) -> Self {
        Self { space_id: log.space, head: log.head, horizon: log.horizon, created_at, last_received_at }
    }
}

/// List spaces
///
/// The spaces whose ids begin with `query`, in order of their ids, compared as bytes.
#[utoipa::path(
    get,
    path = "/admin/v1/spaces",
    tag = "spaces",
    params(SpacesParams),
    responses(
        (status = 200, description = "A page", body = SpacePage),
        (status = 400, description = "`request-invalid`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`: the token has no admin scope", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`overloaded`: also where the call could not be recorded", body = Problem),
    ),
    security(("token" = [])),
)]
pub(crate) async fn list_spaces(
    _: AdminReader,
    params: SpacesParams,
    State(pool): State<PgPool>,
) -> Result<Json<SpacePage>, Problem> {
    let limit = page_limit(params.limit, DEFAULT_SPACES, SPACES_MAX)?;
    let prefix = params.query.unwrap_or_default();
    if prefix.len() > MAX_ID_BYTES || prefix.chars().any(char::is_control) {
        // No id begins with that.
        return Ok(Json(SpacePage { items: Vec::new(), next: None }));
    }
    let after = params.cursor.as_ref().map_or("", |PageCursor(space)| space.as_str());
    let search =
        async { spaces::search(&mut *pool.acquire().await?, &prefix, after, limit as i64 + 1).await };
    let mut items: Vec<ListedSpace> =
        within(READ_TIMEOUT, search).await?.into_iter().map(ListedSpace::from).collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let last = items.last().filter(|_| more).map(|space| PageCursor(space.space_id.clone()));
    Ok(Json(SpacePage { items, next: last }))
}
