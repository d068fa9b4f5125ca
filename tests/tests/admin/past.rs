//! Spaces with a past: events of every merge rule, some in quarantine, some pruned; and how they are looked at.

use reqwest::Method;
use serde_json::{Value, json};
use tidelog_tests::{Answer, Batch, EventLine, World, WorldOptions};

pub const SCHEMA: &str = "
name: things
version: 1
entities:
  thing:
    fields:
      name:  { type: string }
      born:  { type: stamp, merge: first }
      least: { type: number, merge: min }
      most:  { type: number, merge: max }
      total: { type: integer, merge: sum }
      done:  { type: boolean, merge: flag }
      tags:  { type: string, merge: set, keep: 3 }
      notes: { type: string, merge: list, keep: 3 }
  other:
    fields:
      name: { type: string }
events:
  MADE:
    entity: thing
    creates: true
    payload: &all { name: optional, least: optional, most: optional, total: optional, done: optional, tags: optional, notes: optional }
    sets: { born: $timestamp }
  CHANGED: { entity: thing, payload: *all }
  GONE:    { entity: thing, deletes: true }
  NAMED:   { entity: other, creates: true, payload: { name: required } }
";

/// The schema with the type of the events that are quarantined until then.
pub fn later_schema() -> String {
    SCHEMA.replace("version: 1\n", "version: 2\n")
        + "  FLOWN:   { entity: other, payload: { name: optional } }\n"
}

/// Events of a segment.
pub const SEGMENT: u64 = 5;

/// A world with these events to come.
pub fn options() -> WorldOptions<'static> {
    WorldOptions::default().schema(SCHEMA)
}

pub fn event(device: &str, sequence: u64) -> EventLine {
    let text = format!("{device} {sequence}");
    let (event_type, payload) = match sequence % 7 {
        0 => ("GONE", json!({})),
        1 | 5 => ("MADE", json!({"name": text, "least": sequence, "tags": {"add": ["a", device]}})),
        2 => ("NAMED", json!({ "name": text })),
        3 => ("CHANGED", json!({"total": sequence, "most": 7 - (sequence as i64), "done": sequence > 9})),
        _ => ("CHANGED", json!({"notes": text, "tags": {"remove": ["a"], "add": [text]}})),
    };
    EventLine::new(device, sequence)
        .with("entityId", format!("e-{}", sequence % 4))
        .with("type", event_type)
        .with("payload", payload)
}

pub fn batch(device: &str, first: u64, last: u64) -> Batch {
    let mut batch = Batch::new(device, first, last);
    batch.lines = (first..=last).map(|sequence| event(device, sequence).0.to_string()).collect();
    batch
}

/// Pushes the segments `from..to` of five events, of two devices by turns.
pub async fn push_segments(world: &World, space: &str, from: u64, to: u64) {
    for number in from..to {
        let (device, first) = (["phone-1", "watch-1"][number as usize % 2], number / 2 * SEGMENT + 1);
        world.push(space, &batch(device, first, first + SEGMENT - 1)).await.expect(200);
    }
}

/// Pushes three events of a device of its own that are quarantined: two of a type that a later schema knows, one that says
/// nothing of itself and lies about the rest.
pub async fn push_quarantined(world: &World, space: &str) {
    let flown = |sequence| EventLine::new("drone", sequence).with("type", "FLOWN").with("entityId", "e-1");
    let flown = |sequence| flown(sequence).with("payload", json!({}));
    let odd =
        EventLine::new("drone", 3).with("timestamp", "yesterday").with("position", 1).with("source", "log");
    let batch =
        Batch::new("drone", 1, 3).with_line(0, flown(1).0).with_line(1, flown(2).0).with_line(2, odd.0);
    world.push(space, &batch).await.expect_committed(None);
}

pub async fn look(world: &World, path: &str) -> Answer {
    Answer::of(world.admin_request(Method::GET, path, "admin:read")).await
}

pub async fn events(world: &World, space: &str, query: &str) -> Answer {
    look(world, &format!("/admin/v1/spaces/{space}/events?{query}")).await
}

/// What is on the page behind that one; `None` behind the last.
pub async fn next(world: &World, space: &str, query: &str, page: &Answer) -> Option<Answer> {
    let cursor = page.json["next"].as_str()?;
    Some(events(world, space, &format!("{query}&cursor={cursor}")).await)
}

pub fn items(page: &Answer) -> Vec<Value> {
    page.expect(200).json["items"].as_array().unwrap().clone()
}

/// The items of all pages.
pub async fn all(world: &World, space: &str, query: &str) -> Vec<Value> {
    let mut page = events(world, space, query).await;
    let mut found = items(&page);
    while let Some(behind) = next(world, space, query, &page).await {
        found.extend(items(&behind));
        page = behind;
    }
    found
}

/// Which events these are.
pub fn ids(items: &[Value]) -> Vec<String> {
    items.iter().map(|item| item["eventId"].as_str().unwrap().to_owned()).collect()
}
