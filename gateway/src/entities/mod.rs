//! Entities: what the events of a space fold into, as the projector keeps it; one of them, or those for which
//! conditions hold, page by page.

mod answer;
mod condition;
mod keys;
mod read;
mod request;
mod wait;

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use sqlx::PgPool;
use tidelog_events::code::Refusal;
use tidelog_runtime::metrics::Metric;

use crate::auth::SpaceReader;
use crate::config::GatewayConfig;
use crate::problem::Problem;

pub use wait::WaitingReads;

use answer::{EntityAnswer, EntityPage, Item};
use read::Moment;
use request::{ListRequest, OneRequest};

/// The metrics of reads of entities.
pub(crate) const METRICS: &[Metric] = &[
    Metric::counter("tidelog_gateway_entity_reads_total", "Reads of entities that were answered: one; a list found by the key of an indexed field; any other list, by a scan").by(&[("way", &["one", "key", "scan"])]),
    Metric::counter("tidelog_gateway_served_entities_total", "Entities that reads were answered with"),
    Metric::level("tidelog_gateway_waiting_reads", "Reads that wait for the projector"),
];

/// List entities
///
/// The visible entities of a type for which every `where` holds, in order of their ids, compared as bytes. `asOf` is
/// the position through which the log is folded into what the answer shows. A page may have fewer items than `limit`;
/// the last one has `next: null`.
#[utoipa::path(
    get,
    path = "/v1/spaces/{space}/entities/{type}",
    tag = "entities",
    params(
        ("space" = String, Path, description = "The space; `me` is the token's own"),
        ("type" = String, Path, description = "The entity type, as the schema names it", example = "workout"),
        request::ListParams,
        ("If-None-Match" = Option<String>, Header, description = "`ETag`s of answers that the caller has"),
    ),
    responses(
        (status = 200, description = "A page", body = EntityPage, headers(
            ("ETag" = String, description = "Weak, of `items` and `next`"),
        ), example = json!({"asOf": 150, "items": [{"entityId": "w-123", "type": "workout",
            "fields": {"laps": 3, "name": "Morning run"}, "updatedPosition": 149}], "next": "w-123"})),
        (status = 304, description = "`items` and `next` are as the caller has them"),
        (status = 400, description = "`request-invalid`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`", body = Problem),
        (status = 404, description = "`not-found`: the schema has no such entity type", body = Problem),
        (status = 410, description = "`space-erased`", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`overloaded`", body = Problem),
        (status = 504, description = "`projection-behind`", body = Problem),
    ),
    security(("token" = [])),
)]
pub(crate) async fn list_entities(
    SpaceReader { space, .. }: SpaceReader,
    request: ListRequest,
    State(pool): State<PgPool>,
    State(waiting): State<WaitingReads>,
    State(config): State<Arc<GatewayConfig>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut moment = Moment::reach(&pool, &waiting, space, request.at_least).await?;
    let keys = keys::narrowest(&request.conditions).filter(|_| moment.has_all_keys_of(&request.schema));
    let page = moment.list(&request, keys.as_ref(), config.pull_bytes).await?;
    count(if keys.is_some() { "key" } else { "scan" }, page.entities.len());
    let page = EntityPage::new(moment.as_of(), &request.entity_type, page);
    // Writing takes milliseconds for the largest page; the other requests of this thread go on elsewhere.
    tokio::task::block_in_place(|| page.respond(&headers))
}

/// Read an entity
///
/// One visible entity. `asOf` is the position through which the log is folded into what the answer shows.
#[utoipa::path(
    get,
    path = "/v1/spaces/{space}/entities/{type}/{id}",
    tag = "entities",
    params(
        ("space" = String, Path, description = "The space; `me` is the token's own"),
        ("type" = String, Path, description = "The entity type, as the schema names it", example = "workout"),
        ("id" = String, Path, description = "The entity; a `/` in it is written `%2F`", example = "w-123"),
        request::OneParams,
        ("If-None-Match" = Option<String>, Header, description = "`ETag`s of answers that the caller has"),
    ),
    responses(
        (status = 200, description = "The entity", body = EntityAnswer, headers(
            ("ETag" = String, description = "Weak, of `item`"),
        ), example = json!({"asOf": 150, "item": {"entityId": "w-123", "type": "workout",
            "fields": {"laps": 3, "name": "Morning run"}, "updatedPosition": 149}})),
        (status = 304, description = "`item` is as the caller has it"),
        (status = 400, description = "`request-invalid`", body = Problem),
        (status = 401, description = "`unauthorized`", body = Problem),
        (status = 403, description = "`forbidden`", body = Problem),
        (status = 404, description = "`not-found`: no such entity type, or no such entity that is visible",
         body = Problem),
        (status = 410, description = "`space-erased`", body = Problem),
        (status = 500, description = "`internal`", body = Problem),
        (status = 503, description = "`overloaded`", body = Problem),
        (status = 504, description = "`projection-behind`", body = Problem),
    ),
    security(("token" = [])),
)]
pub(crate) async fn one_entity(
    SpaceReader { space, .. }: SpaceReader,
    request: OneRequest,
    State(pool): State<PgPool>,
    State(waiting): State<WaitingReads>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let mut moment = Moment::reach(&pool, &waiting, space, request.at_least).await?;
    let found = moment.find(&request.key).await?;
    let found = found.ok_or_else(|| {
        let key = &request.key;
        Problem::new(Refusal::NotFound, format!("there is no {} `{}`", key.entity_type, key.entity_id))
    })?;
    count("one", 1);
    let item = Item::new(&request.key.entity_type, found);
    EntityAnswer { as_of: moment.as_of(), item }.respond(&headers)
}

fn count(way: &'static str, entities: usize) {
    metrics::counter!("tidelog_gateway_entity_reads_total", "way" => way).increment(1);
    metrics::counter!("tidelog_gateway_served_entities_total").increment(entities as u64);
}
