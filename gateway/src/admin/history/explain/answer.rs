//! An explanation as JSON.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use tidelog_events::fold::explain::{FieldExplanation, Written, meaning};
use tidelog_events::fold::{EntityKey, FieldState, Scalar};
use tidelog_events::id::{DeviceId, EntityId, EventId, Position, Sequence, UserId};
use tidelog_events::protocol::UtcTime;
use tidelog_events::schema::{MergeRule, Schema};
use tidelog_events::stamp::Stamp;
use tidelog_store::spaces::Space;
use utoipa::ToSchema;

use super::gather::Gathered;
use crate::config::AdminConfig;

/// Why an entity is as it is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExplainAnswer {
    /// The position through which events count.
    as_of: Position,
    /// The space's last position.
    head: Position,
    /// The schema version that folds: the one in force.
    schema_version: u32,
    /// The entity.
    entity_id: EntityId,
    /// Its type.
    r#type: Box<str>,
    /// Events about it that count.
    events: u64,
    /// Events that name its id and are skipped by the fold: the schema does not know their type, or their payload does not
    /// fit.
    skipped: u64,
    /// Whether readers see it.
    visible: bool,
    /// Why they do or do not.
    visibility: Visibility,
    /// The fields that were ever written.
    fields: BTreeMap<String, FieldAnswer>,
}

/// Why an entity is visible or not: whether its last create is later than its last delete.
#[derive(Debug, Serialize, ToSchema)]
struct Visibility {
    /// The latest of the events that create it, by event order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    created: Option<WrittenBy>,
    /// The latest of the events that delete it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    deleted: Option<WrittenBy>,
    /// The same in a sentence.
    why: &'static str,
}

/// Why a field is as it is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct FieldAnswer {
    /// The merge rule.
    #[schema(example = "latest")]
    rule: &'static str,
    /// What the rule does.
    meaning: String,
    /// The value, as readers get it.
    #[schema(value_type = Value)]
    value: Value,
    /// The event that won. Under `latest`, `first`, `max`, `min` and `flag`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    winner: Option<WrittenBy>,
    /// Under `set`: for each element the event that added or removed it last, by element; the latest of them where there
    /// are many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    elements: Option<Vec<WrittenBy>>,
    /// Under `list`: the events that the kept entries come from, in event order. Under `sum`: the events that are summed up,
    /// the latest first. The latest of them where there are many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    contributors: Option<Vec<WrittenBy>>,
    /// How many elements or contributors there are beside the listed ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    more_contributors: Option<u64>,
    /// The events that lost, the latest first.
    losers: Vec<Loser>,
    /// How many losers there are beside the listed ones.
    more_losers: u64,
}

/// An event, and what it has written.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct WrittenBy {
    /// Its position.
    position: Position,
    /// Its label.
    event_id: EventId,
    /// Its type.
    r#type: Box<str>,
    /// The device that recorded it.
    device_id: DeviceId,
    /// The device's number for it.
    device_sequence: Sequence,
    /// Its author.
    user_id: UserId,
    /// Its stamp, by which events are ordered.
    #[schema(value_type = String, example = "2025-08-06T10:30:00.000Z-0003")]
    timestamp: Stamp,
    /// When the gateway took it.
    received_at: UtcTime,
    /// What it has written: the field's value, or an element.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, value_type = Value)]
    value: Option<Value>,
    /// Of an element of a set: whether it was added, or removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    present: Option<bool>,
}

/// An event that lost.
#[derive(Debug, Serialize, ToSchema)]
struct Loser {
    #[serde(flatten)]
    by: WrittenBy,
    /// Why, in a sentence.
    why: String,
}

impl From<&Written> for WrittenBy {
    fn from(written: &Written) -> Self {
        let Written { at, witness, value, present } = written;
        Self {
            position: witness.position,
            event_id: witness.event_id,
            r#type: witness.event_type.clone(),
            device_id: at.device.as_ref().clone(),
            device_sequence: at.sequence,
            user_id: witness.user.clone(),
            timestamp: at.stamp,
            received_at: witness.received_at,
            value: value.as_ref().map(Scalar::to_json),
            present: *present,
        }
    }
}

impl ExplainAnswer {
    pub(super) fn new(
        space: &Space,
        at: Position,
        key: &EntityKey,
        schema: &Schema,
        gathered: &Gathered,
        config: &AdminConfig,
    ) -> Self {
        let explanation = &gathered.explanation;
        let field = |(name, state, field): (&str, &FieldState, &FieldExplanation)| {
            (name.to_owned(), FieldAnswer::new(state, field, config.explain_events))
        };
        let visible = explanation.entity().is_visible();
        Self {
            as_of: at,
            head: space.head,
            schema_version: schema.version(),
            entity_id: key.entity_id.clone(),
            r#type: key.entity_type.clone(),
            events: gathered.events,
            skipped: gathered.skipped,
            visible,
            visibility: Visibility {
                created: explanation.created().map(WrittenBy::from),
                deleted: explanation.deleted().map(WrittenBy::from),
                why: why_visible(explanation.created(), explanation.deleted()),
            },
            fields: explanation.fields().map(field).collect(),
        }
    }
}

fn why_visible(created: Option<&Written>, deleted: Option<&Written>) -> &'static str {
    match (created, deleted) {
        (None, None) => "No event creates it, so nobody sees it.",
        (None, Some(_)) => "It was deleted, and no event creates it.",
        (Some(_), None) => "It was created, and no event deletes it.",
        (Some(created), Some(deleted)) if created.at > deleted.at => {
            "Its last create is later than its last delete, by event order."
        }
        (Some(_), Some(_)) => "Its last delete is later than its last create, by event order.",
    }
}

impl FieldAnswer {
    fn new(state: &FieldState, field: &FieldExplanation, listed: usize) -> Self {
        let rule = field.rule();
        let mut answer = Self {
            rule: rule.as_str(),
            meaning: meaning(rule),
            value: state.view(),
            winner: field.winner().map(WrittenBy::from),
            elements: None,
            contributors: None,
            more_contributors: None,
            losers: Vec::new(),
            more_losers: 0,
        };
        if rule == MergeRule::Sum {
            answer.contributors = Some(field.others().map(|written| WrittenBy::from(&written)).collect());
            answer.more_contributors = Some(field.more_others());
            return answer;
        }
        let loser = |lost: Written| Loser { why: field.why(&lost), by: WrittenBy::from(&lost) };
        answer.losers = field.others().map(loser).collect();
        answer.more_losers = field.more_others();
        let held = || field.held().collect::<Vec<_>>();
        match rule {
            MergeRule::Set { .. } => {
                let (mut elements, more) = latest(held(), listed);
                elements.sort_by(|one, other| one.value.cmp(&other.value));
                answer.elements = Some(elements.into_iter().map(WrittenBy::from).collect());
                answer.more_contributors = Some(more);
            }
            MergeRule::List { .. } => {
                let (entries, more) = latest(held(), listed);
                answer.contributors = Some(entries.into_iter().map(WrittenBy::from).collect());
                answer.more_contributors = Some(more);
            }
            _ => {}
        }
        answer
    }
}

/// The latest so many by event order, ascending, and how many others there are.
fn latest(mut held: Vec<&Written>, listed: usize) -> (Vec<&Written>, u64) {
    held.sort_by(|one, other| one.at.cmp(&other.at));
    let more = held.len().saturating_sub(listed);
    (held.split_off(more), more as u64)
}

/// An answer for the API's description.
pub(super) fn example() -> Value {
    let written = |position: u64, device: &str, minute: u32, duration: u64| {
        json!({
            "position": position, "eventId": format!("018f4f7e-0000-7000-8000-{position:012}"),
            "type": "WORKOUT_DURATION_UPDATED", "deviceId": device, "deviceSequence": 7, "userId": "ann",
            "timestamp": format!("2026-01-01T07:{minute:02}:00.000Z-0000"),
            "receivedAt": "2026-01-01T08:00:00.000Z", "value": duration,
        })
    };
    let mut loser = written(12, "phone-1", 10, 2400);
    loser["why"] = "Its stamp 2026-01-01T07:10:00.000Z-0000 is earlier than the winner's, 2026-01-01T07:12:00.000Z-0000."
        .into();
    json!({
        "asOf": 12, "head": 12, "schemaVersion": 3, "entityId": "w-123", "type": "workout", "events": 2, "skipped": 0,
        "visible": false, "visibility": {"why": "No event creates it, so nobody sees it."},
        "fields": {"duration": {
            "rule": "latest",
            "meaning": meaning(MergeRule::Latest),
            "value": 2700,
            "winner": written(11, "watch-1", 12, 2700),
            "losers": [loser],
            "moreLosers": 0,
        }},
    })
}
