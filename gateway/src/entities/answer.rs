//! Answers, and whether the caller has them already: each carries a weak `ETag` of what it shows (RFC 9110, section
//! 8.8.3), but not of `asOf`, which moves with every event of the space.

use axum::Json;
use axum::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use tidelog_events::id::{EntityId, Position};
use tidelog_store::entities::visible::{Page, VisibleEntity};
use utoipa::ToSchema;
use xxhash_rust::xxh64::xxh64;

use crate::problem::Problem;

/// An entity.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Entity)]
pub(crate) struct Item {
    /// Its id.
    entity_id: EntityId,
    /// Its type.
    #[serde(rename = "type")]
    entity_type: Box<str>,
    /// Its fields that were ever written, by name: a set is a sorted array, a sum beyond ±(2⁵³−1) a text of digits.
    fields: Map<String, Value>,
    /// The position of the last event that is folded into it.
    updated_position: Position,
}

/// A page of entities.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EntityPage {
    /// The position through which the log is folded into this.
    as_of: Position,
    /// The entities, in order of their ids.
    items: Vec<Item>,
    /// The `cursor` of the next page; null where there is none.
    next: Option<EntityId>,
}

/// One entity.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EntityAnswer {
    /// The position through which the log is folded into this.
    pub(super) as_of: Position,
    /// The entity.
    pub(super) item: Item,
}

impl Item {
    pub(super) fn new(entity_type: &str, entity: VisibleEntity) -> Self {
        Self {
            entity_id: entity.entity_id,
            entity_type: entity_type.into(),
            fields: entity.view,
            updated_position: entity.updated_position,
        }
    }
}

impl EntityPage {
    pub(super) fn new(as_of: Position, entity_type: &str, page: Page) -> Self {
        let last = page.entities.last().filter(|_| page.more);
        let next = last.map(|entity| entity.entity_id.clone());
        let items = page.entities.into_iter().map(|entity| Item::new(entity_type, entity));
        Self { as_of, items: items.collect(), next }
    }

    pub(super) fn respond(&self, headers: &HeaderMap) -> Result<Response, Problem> {
        respond(&(&self.items, &self.next), self, headers)
    }
}

impl EntityAnswer {
    pub(super) fn respond(&self, headers: &HeaderMap) -> Result<Response, Problem> {
        respond(&self.item, self, headers)
    }
}

/// The answer, or that the caller has it: `shown` is what decides.
fn respond(
    shown: &impl Serialize,
    answer: &impl Serialize,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let tag = entity_tag(shown).map_err(|error| Problem::internal(&error))?;
    let mut response = if has(headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Json(answer).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(ETAG, HeaderValue::try_from(tag).map_err(|error| Problem::internal(&error))?);
    // A cache may keep what its own user may see, but asks each time whether it still holds; without that, no caller
    // would have anything to compare. `/me/` is another space for another token.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(VARY, HeaderValue::from_static("Authorization"));
    Ok(response)
}

/// Weak, since the same content may be sent in several encodings.
fn entity_tag(shown: &impl Serialize) -> serde_json::Result<String> {
    Ok(format!("W/\"{:016x}\"", xxh64(&serde_json::to_vec(shown)?, 0)))
}

/// Whether `If-None-Match` names the tag, by weak comparison (RFC 9110, section 13.1.2).
fn has(headers: &HeaderMap, tag: &str) -> bool {
    let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
    let lines = headers.get_all(IF_NONE_MATCH).into_iter().filter_map(|line| line.to_str().ok());
    // Our tags hold no comma, so a tag that is cut at one is not ours.
    lines
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .any(|known| known == "*" || opaque(known) == opaque(tag))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(IF_NONE_MATCH, HeaderValue::from_str(line).unwrap());
        }
        headers
    }

    #[test]
    fn a_caller_has_what_any_of_its_tags_names() {
        let tag = "W/\"0123456789abcdef\"";
        let cases: [(&[&str], bool); 15] = [
            (&[], false),
            (&[""], false),
            (&["*"], true),
            (&[" * "], true),
            (&["W/\"0123456789abcdef\""], true),
            (&["\"0123456789abcdef\""], true),
            (&["0123456789abcdef"], false),
            (&["w/\"0123456789abcdef\""], false),
            (&["W/\"0123456789ABCDEF\""], false),
            (&["\"a\", W/\"0123456789abcdef\""], true),
            (&["\"a\",\"0123456789abcdef\",\"b\""], true),
            (&["\"a\"", "W/\"0123456789abcdef\""], true),
            (&["\"a\"", "W/\"b\""], false),
            (&["\"x,0123456789abcdef\""], false),
            (&["W/\"0123456789abcdef"], false),
        ];
        for (lines, expect) in cases {
            assert_eq!(has(&headers(lines), tag), expect, "{lines:?}");
        }
    }

    fn page(more: bool) -> Page {
        let entity = |id: &str| VisibleEntity {
            entity_id: EntityId::new(id).unwrap(),
            view: json!({"laps": 3}).as_object().unwrap().clone(),
            updated_position: Position(9),
        };
        Page { entities: vec![entity("a"), entity("b")], more }
    }

    #[test]
    fn a_page_names_its_last_entity_where_there_are_others_behind_it() {
        let json = |page: &EntityPage| serde_json::to_value(page).unwrap();
        let item = |id: &str| json!({"entityId": id, "type": "workout", "fields": {"laps": 3}, "updatedPosition": 9});
        let answer = |next: Value| json!({"asOf": 12, "items": [item("a"), item("b")], "next": next});
        assert_eq!(json(&EntityPage::new(Position(12), "workout", page(true))), answer(json!("b")));
        assert_eq!(json(&EntityPage::new(Position(12), "workout", page(false))), answer(Value::Null));
        let empty = EntityPage::new(Position(12), "workout", Page::default());
        assert_eq!(json(&empty), json!({"asOf": 12, "items": [], "next": null}));
    }

    #[test]
    fn a_tag_depends_on_what_is_shown_and_not_on_how_far_the_log_is_folded() {
        let tag = |as_of: u64, page: Page| {
            let response = EntityPage::new(Position(as_of), "workout", page).respond(&HeaderMap::new());
            response.unwrap().headers()[ETAG].to_str().unwrap().to_owned()
        };
        assert_eq!(tag(12, page(false)), tag(13, page(false)));
        assert_ne!(tag(12, page(false)), tag(12, page(true)));
        let mut other = page(false);
        other.entities[1].updated_position = Position(10);
        assert_ne!(tag(12, page(false)), tag(12, other));
        assert!(tag(1, page(true)).starts_with("W/\"") && tag(1, page(true)).len() == 20);
    }
}
