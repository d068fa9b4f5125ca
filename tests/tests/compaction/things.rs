//! Things: a schema with every merge rule, bounded sets and lists among them, and devices whose events use all of it.

use fastrand::Rng;
use reqwest::Method;
use serde_json::{Map, Value, json};
use tidelog_tests::{Answer, Batch, EventLine, World};
use xxhash_rust::xxh64::xxh64;

/// What `TITLED` writes is known from version 2 on.
pub const SCHEMA: &str = "
name: things
version: 1
entities:
  thing:
    fields:
      name:  { type: string, indexed: true }
      born:  { type: stamp, merge: first }
      first: { type: integer, merge: first }
      least: { type: number, merge: min }
      most:  { type: number, merge: max }
      total: { type: integer, merge: sum, indexed: true }
      done:  { type: boolean, merge: flag }
      tags:  { type: string, merge: set, keep: 3, indexed: true }
      notes: { type: string, merge: list, keep: 4 }
      pages: { type: string, merge: list }
  other:
    fields:
      name: { type: string }
events:
  MADE:
    entity: thing
    creates: true
    payload: &all
      name: optional
      first: optional
      least: optional
      most: optional
      total: optional
      done: optional
      tags: optional
      notes: optional
      pages: optional
    sets: { born: $timestamp }
  CHANGED: { entity: thing, payload: *all }
  GONE:    { entity: thing, deletes: true }
  NAMED:   { entity: other, creates: true, payload: { name: required } }
";

/// The schema with a further event type.
pub fn version_2() -> String {
    SCHEMA.replace("version: 1\n", "version: 2\n")
        + "  TITLED:  { entity: other, creates: true, payload: { name: required } }\n"
}

/// Things and others that the events of [`things`] are about, of each.
pub const THINGS: u64 = 6;

/// The device's events `first..=last` at any times of half an hour, about a few things; a pure function of device and
/// sequence.
pub fn things(device: &str, first: u64, last: u64) -> Batch {
    let mut batch = Batch::new(device, first, last);
    batch.lines = (first..=last).map(|sequence| any(device, sequence).0.to_string()).collect();
    batch
}

fn any(device: &str, sequence: u64) -> EventLine {
    let mut random = Rng::with_seed(xxh64(format!("{device}/{sequence}").as_bytes(), 0));
    let (event_type, payload) = match random.u8(..10) {
        0 | 1 => ("MADE", some(&mut random)),
        2 => ("GONE", json!({})),
        3 => ("NAMED", json!({"name": format!("called {sequence}")})),
        _ => ("CHANGED", some(&mut random)),
    };
    let entity = format!("t-{}", random.u64(..THINGS));
    let stamp = format!("2025-08-06T10:{:02}:00.000Z-{sequence:04X}", random.u8(30..60));
    event(device, sequence, event_type, &entity, payload).with("timestamp", stamp)
}

/// Writes to about half of the fields, numbers among them that not everyone writes alike.
fn some(random: &mut Rng) -> Value {
    let number = random.i64(-50..50);
    let total = if random.u8(..4) == 0 { 9_007_199_254_740_991 } else { number };
    let least = [number as f64 / 4.0, -1e300, 1e-7, 5e-324, -0.0][random.usize(..5)];
    let word = |random: &mut Rng| ["red", "green", "blue", "grey", "black"][random.usize(..5)];
    let all = [
        ("name", json!(format!("é {number}"))),
        ("first", json!(number)),
        ("least", json!(least)),
        ("most", json!(number as f64 / 8.0)),
        ("total", json!(total)),
        ("done", json!(number % 9 == 0)),
        ("tags", json!({"add": [word(random), word(random)], "remove": [word(random)]})),
        ("notes", json!(format!("note {number}"))),
    ];
    let some = all.into_iter().filter(|_| random.bool()).map(|(key, value)| (key.to_owned(), value));
    some.collect::<Map<_, _>>().into()
}

/// One event, at 10:30.
pub fn event(device: &str, sequence: u64, event_type: &str, entity: &str, payload: Value) -> EventLine {
    let event = EventLine::new(device, sequence).with("type", event_type).with("entityId", entity);
    let stamp = format!("2025-08-06T10:30:00.000Z-{sequence:04X}");
    event.with("payload", payload).with("timestamp", stamp)
}

/// A batch of a device's first events, each given as (type, entity, minutes past ten, payload).
pub fn told(device: &str, events: &[(&str, &str, u8, Value)]) -> Batch {
    let mut batch = Batch::new(device, 1, events.len() as u64);
    let line = |(sequence, (event_type, entity, minute, payload)): (u64, &(&str, &str, u8, Value))| {
        let stamp = format!("2025-08-06T10:{minute:02}:00.000Z-{sequence:04X}");
        event(device, sequence, event_type, entity, payload.clone()).with("timestamp", stamp).0.to_string()
    };
    batch.lines = (1..).zip(events).map(line).collect();
    batch
}

/// Each device pushes so many batches of so many events behind its first `from`, all devices in turn.
pub async fn push_in_turn(world: &World, user: &str, devices: &[&str], from: u64, batches: u64, events: u64) {
    for number in 0..batches {
        let first = from + number * events + 1;
        for device in devices {
            world.push(user, &things(device, first, first + events - 1)).await.expect(200);
        }
    }
}

/// A backend's batch of events without a sequence.
pub fn uncounted(user: &str, numbers: &[u64]) -> Batch {
    let line = |number: &u64| {
        let change = json!({"total": number, "notes": format!("uncounted {number}")});
        event("backend", *number, "CHANGED", "t-1", change).without("deviceSequence").0.to_string()
    };
    Batch { header: json!({"userId": user}), lines: numbers.iter().map(line).collect() }
}

/// Pushes a backend's batch to a user's space.
pub async fn push_uncounted(world: &World, user: &str, batch: &Batch) -> Answer {
    let request = world.backend_request(Method::POST, &format!("/v1/spaces/{user}/events"));
    let request = request.header("Content-Type", "application/x-ndjson").header("Content-Encoding", "zstd");
    let answer = Answer::of(request.body(batch.frame())).await;
    answer.expect(200);
    answer
}
