//! Why an entity is as it is: for each field the value, the events that it comes from, and those that lost.

mod answer;
mod gather;

use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequestParts, Query, State};
use axum::http::request::Parts;
use serde::Deserialize;
use sqlx::PgPool;
use tidelog_events::code::Refusal;
use tidelog_events::fold::EntityKey;
use tidelog_events::id::EntityId;
use utoipa::IntoParams;

use super::HistoryReads;
use super::space::{find_space, invalid, position_at};
use crate::admin::path::SpaceOfPath;
use crate::auth::{AdminReader, path_param};
use crate::codecs::Codecs;
use crate::config::AdminConfig;
use crate::problem::Problem;
use crate::schema::CurrentSchema;

use answer::ExplainAnswer;
use gather::Gathering;

/// The query.
#[derive(Debug, Default, Deserialize, IntoParams, FromRequestParts)]
#[from_request(via(Query), rejection(Problem))]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExplainParams {
    /// The position through which events count; the head if it is left out.
    #[param(minimum = 0)]
    at: Option<u64>,
}

/// The entity in the path.
pub(crate) struct EntityOfPath(EntityKey);

impl<S: Send + Sync> FromRequestParts<S> for EntityOfPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let entity_type = path_param(parts, state, "type").await?.into();
        let entity_id = EntityId::new(path_param(parts, state, "id").await?)
            .map_err(|error| invalid(format!("the entity in the path: {error}")))?;
        Ok(Self(EntityKey { entity_type, entity_id }))
    }
}

/// Explain an entity
///
/// For each field the rule, the value, the event that won (or those that it is made of), and those that lost, each with a
/// sentence that says why; and which events make the entity visible or not. It is made from all events about the entity
/// through `at`, pruned or not.
#[utoipa::path(
    get,
    path = "/admin/v1/spaces/{space}/entities/{type}/{id}/explain",
    tag = "history",
    params(
        ("space" = String, Path, description = "The space", example = "ann"),
        ("type" = String, Path, description = "The entity type, as the schema names it", example = "workout"),
        ("id" = String, Path, description = "The entity; a `/` in it is written `%2F`", example = "w-123"),
        ExplainParams,
    ),
    responses(
        (status = 200, description = "The explanation", body = ExplainAnswer, example = json!(answer::example())),
        (status = 400, description = "`request-invalid`: also an `at` beyond the head", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`", body = Problem),
        (status = 404, description = "`not-found`: no such space or entity type, or no event names the entity", body = Problem),
        (status = 410, description = "`space-erased`", body = Problem),
        (status = 422, description = "`result-too-large`: the explanation, or the history that it is made from", body = Problem),
        (status = 429, description = "`rate-limited`", body = Problem),
        (status = 500, description = "`internal`: also when an archived object is missing or damaged", body = Problem),
        (status = 503, description = "`overloaded`", body = Problem),
    ),
    security(("token" = [])),
)]
#[expect(clippy::too_many_arguments, reason = "each is something that an explanation is made from")]
pub(crate) async fn explain_entity(
    _: AdminReader,
    SpaceOfPath(space): SpaceOfPath,
    EntityOfPath(key): EntityOfPath,
    params: ExplainParams,
    State(pool): State<PgPool>,
    State(reads): State<HistoryReads>,
    State(schema): State<CurrentSchema>,
    State(codecs): State<Codecs>,
    State(config): State<Arc<AdminConfig>>,
) -> Result<Json<ExplainAnswer>, Problem> {
    let space = find_space(&pool, &space).await?;
    let at = position_at(params.at, &space)?;
    let schema = schema.get();
    if schema.entity(&key.entity_type).is_none() {
        let (version, name) = (schema.version(), &key.entity_type);
        let detail = format!("schema version {version} has no entity type `{name}`");
        return Err(Problem::new(Refusal::NotFound, detail));
    }
    let _place = reads.enter().await?;
    let gathering = Gathering { reads: &reads, codecs, config: &config, schema: &schema };
    let gathered = gathering.gather(&space, &key, at).await?;
    if gathered.events == 0 {
        let detail =
            format!("no event through position {at} is about the {} `{}`", key.entity_type, key.entity_id);
        return Err(Problem::new(Refusal::NotFound, detail));
    }
    let answer =
        tokio::task::block_in_place(|| ExplainAnswer::new(&space, at, &key, &schema, &gathered, &config));
    Ok(Json(answer))
}
