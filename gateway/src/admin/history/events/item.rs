//! Events as a page has them. The own keys of an event of the log are spliced in as they stand in its line; the line of a
//! quarantined one may have any key, and stands beside what it is known by.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tidelog_archive::Source;
use tidelog_events::code::Fault;
use tidelog_events::id::{DeviceId, EventId, Position, Sequence, UserId};
use tidelog_events::protocol::UtcTime;
use tidelog_events::stamp::Stamp;
use tidelog_store::quarantine::Quarantined;
use utoipa::ToSchema;

use super::super::scan::{LineFacts, LoggedEvent};
use crate::problem::Problem;
use crate::pull::{Origin, splice};

/// An event, where it was found and whence it came.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what is spliced from text")]
pub(super) struct HistoryEvent {
    /// Its position; null for a quarantined one.
    position: Option<Position>,
    /// Where it lies: in the `log`, in the `archive`, since it was pruned, or in `quarantine`.
    source: EventSource,
    /// The device that recorded it.
    device_id: DeviceId,
    /// Its author.
    user_id: UserId,
    /// When the gateway took it.
    received_at: UtcTime,
    /// True for an event that lay in quarantine before.
    #[schema(required = false)]
    released: bool,
    /// Its label.
    event_id: EventId,
    /// The device's number for it; 1 where it was pushed without one.
    device_sequence: Sequence,
    /// Its type, as the schema names it; null where a quarantined line has none.
    r#type: Option<String>,
    /// What it is about; null where a quarantined line does not say.
    entity_id: Option<String>,
    /// When it was recorded, as the device wrote it: a stamp, an ISO time, or whole milliseconds. Of a quarantined one its
    /// stamp, or null where its line has none that can be read.
    #[schema(example = "2025-08-06T10:30:00.000Z-0003")]
    timestamp: Value,
    /// The last event that the device had seen.
    #[schema(required = false)]
    last_seen_event_id: Option<EventId>,
    /// What it carries.
    #[schema(required = false, value_type = Option<Object>)]
    payload: Value,
    /// Why it lies in quarantine.
    #[schema(required = false)]
    quarantined: QuarantinedFor,
    /// The line of a quarantined event as it came, payload and all.
    #[schema(required = false)]
    line: String,
}

/// Where an event lies.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes what is spliced from text")]
enum EventSource {
    /// In the log.
    Log,
    /// In the archive.
    Archive,
    /// In quarantine.
    Quarantine,
}

/// Why an event lies in quarantine.
#[derive(Debug, Serialize, ToSchema)]
struct QuarantinedFor {
    /// The code.
    code: Fault,
    /// Why, for people.
    detail: String,
}

/// An event of log or archive.
pub(super) fn logged(event: &LoggedEvent<'_>, source: Source) -> Result<String, Problem> {
    let source = match source {
        Source::Log => "log",
        Source::Archive => "archive",
    };
    let origin = Origin::of(event.position, event.batch).found_in(source);
    let mut item = String::with_capacity(event.line.len() + 256);
    splice(&mut item, &origin, event.line).map_err(|error| Problem::internal(&error))?;
    Ok(item)
}

/// An event in quarantine.
pub(super) fn quarantined(event: &Quarantined, facts: &LineFacts) -> Result<String, Problem> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Item<'a> {
        position: Option<Position>,
        source: &'static str,
        device_id: &'a DeviceId,
        user_id: &'a UserId,
        received_at: UtcTime,
        event_id: EventId,
        device_sequence: Sequence,
        r#type: Option<&'a str>,
        entity_id: Option<&'a str>,
        timestamp: Option<Stamp>,
        quarantined: QuarantinedFor,
        line: &'a str,
    }
    let item = Item {
        position: None,
        source: "quarantine",
        device_id: &event.device,
        user_id: &event.user,
        received_at: event.received_at,
        event_id: event.event.event_id,
        device_sequence: event.event.device_sequence,
        r#type: facts.event_type.as_deref(),
        entity_id: facts.entity_id.as_deref(),
        timestamp: facts.stamp,
        quarantined: QuarantinedFor { code: event.event.code, detail: event.event.detail.clone() },
        line: &String::from_utf8_lossy(&event.line),
    };
    serde_json::to_string(&item).map_err(|error| Problem::internal(&error))
}

/// The items as one array.
pub(super) fn array(items: &[String]) -> Result<Box<RawValue>, Problem> {
    // Scans the text once more: a damaged line must not tear the answer.
    let array = tokio::task::block_in_place(|| RawValue::from_string(format!("[{}]", items.join(","))));
    array.map_err(|error| Problem::internal(&error))
}
