//! What a read of entities asks for, read and checked once, by the schema.

use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts, Query};
use axum::http::request::Parts;
use serde::Deserialize;
use tidelog_events::code::Refusal;
use tidelog_events::fold::EntityKey;
use tidelog_events::id::{EntityId, Position};
use tidelog_events::limits::{DEFAULT_READ_ENTITIES, MAX_CONDITIONS, MAX_SAFE_INTEGER};
use tidelog_events::schema::{EntityType, Schema, SchemaId};
use tidelog_runtime::config::LimitsConfig;
use utoipa::IntoParams;

use super::condition::{Condition, shortened};
use crate::auth::path_param;
use crate::problem::Problem;
use crate::schema::CurrentSchema;

/// The query of a list. The query reader of the other calls takes no parameter twice.
#[derive(Debug, Default, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub(crate) struct ListParams {
    /// A condition, `field:op:value`; given several times, all must hold, 16 at most. `op` is `eq`, `ne`, `lt`, `le`,
    /// `gt`, `ge`, or for sets and lists `has`. The value is everything behind the second colon and of the field's
    /// type; texts are compared as UTF-8 bytes. No condition holds for an entity without the field, except `ne`.
    #[param(rename = "where", required = false, example = json!(["sport:eq:running", "duration:ge:3600"]))]
    conditions: Vec<String>,
    /// Only entities that changed behind this position.
    #[param(required = false, default = 0)]
    updated_after: u64,
    /// Entities of the page, at most; clamped to the server's limit.
    #[param(default = 100, example = 20)]
    limit: Option<u64>,
    /// Where the page begins: the `next` of the page before.
    #[param(value_type = Option<String>)]
    cursor: Option<EntityId>,
    /// The answer shows at least what the log holds through this position; it waits for that, if need be, at most as
    /// long as the server allows (10 s).
    #[param(required = false, default = 0)]
    at_least: u64,
}

impl ListParams {
    fn read(pairs: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut params = Self::default();
        let mut seen: Vec<String> = Vec::new();
        for (name, value) in pairs {
            if name == "where" {
                params.conditions.push(value);
                continue;
            }
            if seen.contains(&name) {
                return Err(invalid(format!("`{name}` is given twice")));
            }
            match name.as_str() {
                "updatedAfter" => params.updated_after = whole(&name, &value)?,
                "limit" => params.limit = Some(whole(&name, &value)?),
                "cursor" => params.cursor = Some(EntityId::new(value).map_err(|error| fault(&name, &error))?),
                "atLeast" => params.at_least = whole(&name, &value)?,
                _ => return Err(invalid(format!("there is no parameter `{}`", shortened(&name)))),
            }
            seen.push(name);
        }
        Ok(params)
    }
}

/// The query of one entity.
#[derive(Debug, Default, Deserialize, IntoParams, FromRequestParts)]
#[from_request(via(Query), rejection(Problem))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OneParams {
    /// The answer shows at least what the log holds through this position; it waits for that, if need be, at most as
    /// long as the server allows (10 s).
    #[serde(default)]
    #[param(default = 0)]
    at_least: u64,
}

/// A list that can be answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ListRequest {
    /// The entity type.
    pub(super) entity_type: Box<str>,
    /// What must hold.
    pub(super) conditions: Vec<Condition>,
    /// The schema that conditions were read by.
    pub(super) schema: SchemaId,
    /// Those that changed behind this position.
    pub(super) updated_after: Position,
    /// Entities, at least 1.
    pub(super) limit: u64,
    /// Those behind this one.
    pub(super) cursor: Option<EntityId>,
    /// The position through which the space must be folded.
    pub(super) at_least: Position,
}

impl ListRequest {
    fn check(
        entity_type: &str,
        params: ListParams,
        limits: &LimitsConfig,
        schema: &Schema,
    ) -> Result<Self, Problem> {
        let entity = known_type(entity_type, schema)?;
        if params.conditions.len() > MAX_CONDITIONS {
            return Err(invalid(format!("`where` is given {MAX_CONDITIONS} times at most")));
        }
        let parse = |text: &String| {
            Condition::parse(text, entity_type, entity).map_err(|sentence| fault("where", &sentence))
        };
        Ok(Self {
            entity_type: entity_type.into(),
            conditions: params.conditions.iter().map(parse).collect::<Result<_, _>>()?,
            schema: schema.id(),
            updated_after: position("updatedAfter", params.updated_after)?,
            limit: position("limit", params.limit.unwrap_or(DEFAULT_READ_ENTITIES))?
                .0
                .clamp(1, limits.read_entities),
            cursor: params.cursor,
            at_least: position("atLeast", params.at_least)?,
        })
    }
}

/// One entity that can be looked up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OneRequest {
    /// Which.
    pub(super) key: EntityKey,
    /// The position through which the space must be folded.
    pub(super) at_least: Position,
}

impl<S: Send + Sync> FromRequestParts<S> for ListRequest
where
    CurrentSchema: FromRef<S>,
    Arc<LimitsConfig>: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let entity_type = path_param(parts, state, "type").await?;
        let Query(pairs) = Query::from_request_parts(parts, state).await?;
        let (limits, schema) = (Arc::<LimitsConfig>::from_ref(state), CurrentSchema::from_ref(state).get());
        Self::check(&entity_type, ListParams::read(pairs)?, &limits, &schema)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for OneRequest
where
    CurrentSchema: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let entity_type = path_param(parts, state, "type").await?;
        known_type(&entity_type, &CurrentSchema::from_ref(state).get())?;
        let entity_id = EntityId::new(path_param(parts, state, "id").await?)
            .map_err(|error| invalid(format!("the entity in the path: {error}")))?;
        let params = OneParams::from_request_parts(parts, state).await?;
        Ok(Self {
            key: EntityKey { entity_type: entity_type.into(), entity_id },
            at_least: position("atLeast", params.at_least)?,
        })
    }
}

fn known_type<'s>(entity_type: &str, schema: &'s Schema) -> Result<&'s EntityType, Problem> {
    schema.entity(entity_type).ok_or_else(|| {
        let (version, name) = (schema.version(), shortened(entity_type));
        Problem::new(Refusal::NotFound, format!("schema version {version} has no entity type `{name}`"))
    })
}

fn position(name: &str, number: u64) -> Result<Position, Problem> {
    if number > MAX_SAFE_INTEGER {
        return Err(invalid(format!("`{name}` is at most {MAX_SAFE_INTEGER}")));
    }
    Ok(Position(number))
}

fn whole(name: &str, text: &str) -> Result<u64, Problem> {
    text.parse().map_err(|_| invalid(format!("`{name}` must be a whole number")))
}

fn fault(name: &str, sentence: &dyn std::fmt::Display) -> Problem {
    invalid(format!("`{name}`: {sentence}"))
}

fn invalid(detail: String) -> Problem {
    Problem::new(Refusal::RequestInvalid, detail)
}

#[cfg(test)]
mod tests;
