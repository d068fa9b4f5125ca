//! The answer to a pull: a hello, a snapshot for who is behind the horizon, then whole segments; filtered, if entity
//! types are asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use serde::Deserialize;
use tidelog_client::transport::{PullRequest, Refused};
use tidelog_events::code::Refusal;
use tidelog_events::fold::{LineDigest, State, StateHash};
use tidelog_events::frame::{SegmentHeader, SnapshotHeader, write_line, write_snapshot};
use tidelog_events::id::{DeviceId, Position, Sequence};
use tidelog_events::limits::{MAX_PULL_EVENTS, MAX_SAFE_INTEGER};
use tidelog_events::protocol::{Hello, HelloLine, UtcTime};
use tidelog_events::schema::Schema;

use super::batch::refused;
use super::device::Device;
use super::space::{Segment, Space};

/// The folded entities of a space through a position.
pub(super) struct Snapshot {
    pub(super) through: Position,
    schema_version: u32,
    devices: BTreeMap<DeviceId, Sequence>,
    /// Entity types and lines.
    lines: Vec<(Box<str>, String)>,
}

impl Snapshot {
    /// What `state` is `through` that position.
    pub(super) fn of(
        state: &State,
        through: Position,
        schema: &Schema,
        devices: BTreeMap<DeviceId, Sequence>,
    ) -> Self {
        let types = state.entities().keys().map(|key| key.entity_type.clone());
        let lines = types.zip(state.lines()).collect();
        Self { through, schema_version: schema.version(), devices, lines }
    }

    /// Its lines, of the entity types that are wanted.
    fn write(&self, types: Option<&BTreeSet<String>>) -> Vec<u8> {
        let is_wanted =
            |entity_type: &str| types.is_none_or(|types| types.iter().any(|name| name == entity_type));
        let wanted: Vec<_> = self.lines.iter().filter(|(entity_type, _)| is_wanted(entity_type)).collect();
        let mut state_hash = StateHash::default();
        for (entity_type, line) in &wanted {
            state_hash.replace(entity_type, None, LineDigest::of(line.as_bytes()));
        }
        let header = SnapshotHeader {
            through: self.through,
            schema_version: self.schema_version,
            entities: wanted.len() as u64,
            state_hash,
            devices: self.devices.clone(),
        };
        write_snapshot(&header, wanted.iter().map(|(_, line)| line))
    }
}

/// The answer's lines.
pub(super) fn answer(
    space: Option<&Space>,
    request: &PullRequest,
    schema: &Schema,
    now: UtcTime,
) -> Result<String, Refused> {
    check(request, schema)?;
    let head = space.map_or(Position::ZERO, Space::head);
    let is_known = request.after <= head;
    let device = space.and_then(|space| space.device(&request.device));
    let hello = Hello {
        server_time: now,
        epoch: space.map(|space| space.epoch),
        head,
        horizon: space.map_or(Position::ZERO, Space::horizon),
        schema_version: schema.version(),
        cursor: if is_known { request.after } else { Position::ZERO },
        device: Some(device.map(Device::state).unwrap_or_default()),
    };
    let mut lines = Vec::new();
    write_line(&mut lines, &HelloLine { hello });
    if let Some(space) = space.filter(|_| is_known) {
        write_log(&mut lines, space, request, schema);
    }
    Ok(String::from_utf8_lossy(&lines).into_owned())
}

fn check(request: &PullRequest, schema: &Schema) -> Result<(), Refused> {
    let invalid = |detail: String| Err(refused(Refusal::RequestInvalid, detail));
    if request.after.0 > MAX_SAFE_INTEGER {
        return invalid(format!("`after` is at most {MAX_SAFE_INTEGER}"));
    }
    if let Err(error) = request.device.clone().refuse_reserved() {
        return invalid(format!("`deviceId`: {error}"));
    }
    let mut types = request.types.iter().flatten();
    match types.find(|name| schema.entity(name).is_none()) {
        Some(unknown) => invalid(format!("`types`: the schema has no entity type `{unknown}`")),
        None => Ok(()),
    }
}

fn write_log(lines: &mut Vec<u8>, space: &Space, request: &PullRequest, schema: &Schema) {
    let types = request.types.as_ref();
    let mut after = request.after;
    if let Some(snapshot) = space.snapshot().filter(|snapshot| after < snapshot.through) {
        lines.extend(snapshot.write(types));
        after = snapshot.through;
    }
    let through = Position(after.0 + request.limit.clamp(1, MAX_PULL_EVENTS));
    let segments = space.segments_behind(after);
    let wanted = &segments[..segments.partition_point(|segment| segment.header.first <= through)];
    match types {
        None => {
            for segment in wanted {
                lines.extend(segment.header.line());
                lines.extend_from_slice(segment.body.as_bytes());
            }
        }
        Some(types) => {
            let is_wanted = |line: &str| is_about(line, types, schema);
            for (header, events) in filtered(wanted, after, through, is_wanted) {
                lines.extend(header.line());
                for event in events {
                    lines.extend_from_slice(event.as_bytes());
                    lines.push(b'\n');
                }
            }
        }
    }
}

/// Whether the event is about one of these entity types, as the schema in force says.
fn is_about(line: &str, types: &BTreeSet<String>, schema: &Schema) -> bool {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "type")]
        event_type: String,
    }
    let event = serde_json::from_str::<Typed>(line).ok();
    let entity_type = event.as_ref().and_then(|event| schema.entity_of(&event.event_type));
    entity_type.is_some_and(|name| types.iter().any(|wanted| wanted == name))
}

/// The segments from `after` + 1 to `through` with the events that are wanted. Together they cover all those positions:
/// one without events is covered by a neighbour, and if none has events, one remains that says so.
fn filtered(
    segments: &[Rc<Segment>],
    after: Position,
    through: Position,
    is_wanted: impl Fn(&str) -> bool,
) -> Vec<(SegmentHeader, Vec<&str>)> {
    let mut kept: Vec<(SegmentHeader, Vec<&str>)> = Vec::new();
    for segment in segments {
        let mut header = segment.header.clone();
        (header.first, header.last) = (header.first.max(after.next()), header.last.min(through));
        let in_range = |(position, line): &(Position, &str)| {
            (header.first..=header.last).contains(position) && is_wanted(line)
        };
        let (positions, events): (Vec<_>, Vec<_>) = segment.events().filter(in_range).unzip();
        for batch in &mut header.batches {
            batch.first = batch.first.max(header.first);
        }
        (header.lines, header.positions) = (events.len() as u64, Some(positions));
        match kept.last_mut() {
            Some((before, _)) if events.is_empty() => before.last = header.last,
            Some(before) if before.1.is_empty() => {
                header.first = before.0.first;
                *before = (header, events);
            }
            _ => kept.push((header, events)),
        }
    }
    kept
}
