//! A space's state at any position of its log, pruned or not.

mod fold;

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Query, State};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::PgPool;
use tidelog_events::fold::{Entity, EntityKey, StateHash};
use tidelog_events::id::{EntityId, Position};
use utoipa::{IntoParams, ToSchema};

use super::HistoryReads;
use super::events::limit;
use super::space::{find_space, invalid, position_at};
use crate::admin::page::PageCursor;
use crate::admin::path::SpaceOfPath;
use crate::auth::AdminReader;
use crate::codecs::Codecs;
use crate::config::AdminConfig;
use crate::problem::Problem;
use crate::schema::CurrentSchema;

use fold::{Folded, Folding};

/// The query.
#[derive(Debug, Default, Deserialize, IntoParams, FromRequestParts)]
#[from_request(via(Query), rejection(Problem))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct StateParams {
    /// The position through which the log is folded; the head if it is left out.
    #[param(minimum = 0)]
    at: Option<u64>,
    /// Only entities of this type; the answer's state hash has only theirs then.
    #[param(example = "workout")]
    r#type: Option<String>,
    /// Entities of the page, at most.
    #[param(default = 100, minimum = 1, maximum = 1000)]
    limit: Option<u64>,
    /// Where the page begins: the `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<PageCursor<StateCursor>>,
}

/// Where the next page begins: behind an entity, at the same position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct StateCursor {
    at: u64,
    r#type: Box<str>,
    entity_id: EntityId,
}

/// A page of a space's state.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatePage {
    /// The position through which the log is folded.
    as_of: Position,
    /// The space's last position.
    head: Position,
    /// The position through which the log was pruned.
    horizon: Position,
    /// The state hash of all entities, by type, on whatever page they are.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    state_hash: StateHash,
    /// The schema version that has folded it: the one in force.
    schema_version: u32,
    /// The position of the snapshot that the fold began with; 0 where it began with the first event.
    folded_from: Position,
    /// Events behind that position that the fold skipped: the schema does not know their type, or their payload does not
    /// fit.
    skipped: u64,
    /// The entities by type and id, invisible ones too.
    items: Vec<StateItem>,
    /// What to send as `cursor` for the next page; null on the last one.
    #[schema(value_type = Option<String>)]
    next: Option<PageCursor<StateCursor>>,
}

/// An entity as it was.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct StateItem {
    /// Its id.
    entity_id: EntityId,
    /// Its type.
    r#type: Box<str>,
    /// Whether readers saw it: whether it was created later than deleted.
    visible: bool,
    /// The fields that were ever written.
    #[schema(value_type = Object)]
    fields: Map<String, Value>,
    /// The position of the last event about it; left out where that lies at or before `foldedFrom`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    updated_position: Option<Position>,
}

impl StateItem {
    fn new(key: &EntityKey, entity: &Entity, updated_position: Option<Position>) -> Self {
        Self {
            entity_id: key.entity_id.clone(),
            r#type: key.entity_type.clone(),
            visible: entity.is_visible(),
            fields: entity.view(),
            updated_position,
        }
    }
}

/// A space's state at a position
///
/// What the events through `at` fold into: all entities, invisible ones too. It is folded for each page, by the schema in
/// force, from the snapshot at the horizon where that is not beyond `at`, else from the archive.
#[utoipa::path(
    get,
    path = "/admin/v1/spaces/{space}/state",
    tag = "history",
    params(("space" = String, Path, description = "The space", example = "ann"), StateParams),
    responses(
        (status = 200, description = "A page", body = StatePage, example = json!({
            "asOf": 2, "head": 7, "horizon": 0, "stateHash": {"workout": "07096af6c997d545e7665b7c9ee3cf0d"},
            "schemaVersion": 3, "foldedFrom": 0, "skipped": 0,
            "items": [{
                "entityId": "w-1", "type": "workout", "visible": true, "fields": {"name": "Run"}, "updatedPosition": 2,
            }],
            "next": null,
        })),
        (status = 400, description = "`request-invalid`: also an `at` beyond the head", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`", body = Problem),
        (status = 404, description = "`not-found`: there is no such space", body = Problem),
        (status = 410, description = "`space-erased`", body = Problem),
        (status = 422, description = "`result-too-large`: the state, or the history that it is folded from", body = Problem),
        (status = 429, description = "`rate-limited`", body = Problem),
        (status = 500, description = "`internal`: also when an archived object is missing or damaged", body = Problem),
        (status = 503, description = "`overloaded`", body = Problem),
    ),
    security(("token" = [])),
)]
#[expect(clippy::too_many_arguments, reason = "each is something that a state is made from")]
pub(crate) async fn state_at(
    _: AdminReader,
    SpaceOfPath(space): SpaceOfPath,
    params: StateParams,
    State(pool): State<PgPool>,
    State(reads): State<HistoryReads>,
    State(schema): State<CurrentSchema>,
    State(codecs): State<Codecs>,
    State(config): State<Arc<AdminConfig>>,
) -> Result<Json<StatePage>, Problem> {
    let limit = limit(params.limit, config.page_items)? as usize;
    let cursor = params.cursor.map(|PageCursor(cursor)| cursor);
    let at = match (&cursor, params.at) {
        (Some(cursor), Some(at)) if cursor.at != at => {
            return Err(invalid("`cursor` is of a page at another position than `at`"));
        }
        (Some(cursor), _) => Some(cursor.at),
        (None, at) => at,
    };
    let space = find_space(&pool, &space).await?;
    let at = position_at(at, &space)?;
    let (head, horizon, schema) = (space.head, space.horizon, schema.get());
    let _place = reads.enter().await?;
    let folding = Folding { pool, reads: &reads, codecs, config: &config, schema: &schema, space };
    let folded = folding.fold(at, params.r#type.as_deref()).await?;
    tokio::task::block_in_place(|| {
        let state_hash = folded.hash(config.state_bytes)?;
        let (items, next) = page(&folded, at, cursor, limit, config.page_bytes);
        let (folded_from, skipped) = (folded.from, folded.skipped);
        let schema_version = schema.version();
        let next = next.map(PageCursor);
        Ok(Json(StatePage {
            as_of: at,
            head,
            horizon,
            state_hash,
            schema_version,
            folded_from,
            skipped,
            items,
            next,
        }))
    })
}

/// The entities behind the cursor, as many as a page may have.
fn page(
    folded: &Folded,
    at: Position,
    cursor: Option<StateCursor>,
    limit: usize,
    limit_bytes: u64,
) -> (Vec<StateItem>, Option<StateCursor>) {
    let after =
        cursor.map(|StateCursor { r#type, entity_id, .. }| EntityKey { entity_type: r#type, entity_id });
    let (mut items, mut bytes) = (Vec::new(), 0);
    for (key, (entity, updated)) in folded.behind(after.as_ref()) {
        if items.len() >= limit || bytes >= limit_bytes {
            let next = items.last().map(|last: &StateItem| StateCursor {
                at: at.0,
                r#type: last.r#type.clone(),
                entity_id: last.entity_id.clone(),
            });
            return (items, next);
        }
        bytes += entity.line(key).len() as u64;
        items.push(StateItem::new(key, entity, *updated));
    }
    (items, None)
}
