//! A busy log: two devices that number their events alike, a backend whose events have no numbers, and an event that
//! was released from quarantine; an hour later.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tidelog_events::frame::SegmentBatch;
use tidelog_events::id::Position;
use tidelog_events::protocol::UtcTime;
use tidelog_runtime::clock::{Clock, ManualTime};
use tidelog_tests::{Answer, Batch, EventLine, World, WorldOptions, event_id, eventually};

const FITNESS: &str = include_str!("../../../config/fitness.yaml");
/// 2131-03-04T05:06:07.089Z
const BEGIN: UtcTime = UtcTime(5_086_040_767_089);
/// More than `compactor.merge_after_hours`.
pub const LATER: Duration = Duration::from_hours(2);

const ROUNDS: u64 = 30;
/// Events of a device's batch.
const BATCH: u64 = 3;

/// A world with a clock of its own, whose merged segments have 40 events at most.
pub async fn quiet_world() -> (World, ManualTime) {
    let (clock, time) = Clock::manual(BEGIN);
    let options = WorldOptions::default().set("compactor.merge_events", 40).set("compactor.interval_ms", 20);
    (options.clock(clock).start().await, time)
}

/// The same with a busy log of ann's, old enough to be merged.
pub async fn busy_world() -> (World, ManualTime) {
    let (world, time) = quiet_world().await;
    let bad = EventLine::new("phone-1", 2).with("type", "NOTE_ADDED");
    let bad = bad.with("payload", json!({"notes": "windy"})).0;
    for round in 0..ROUNDS {
        time.advance(Duration::from_secs(1));
        for device in ["phone-1", "watch-1"] {
            let batch = batch_of(device, round);
            let batch = if device == "phone-1" && round == 0 { batch.with_line(1, &bad) } else { batch };
            world.push("ann", &batch).await.expect(200);
        }
        if round % 5 == 0 {
            push_uncounted(&world, &[round * 10, round * 10 + 1, round * 10 + 2]).await;
        }
        if round % 7 == 0 {
            push_uncounted(&world, &[round * 10 + 5]).await;
        }
        if round == ROUNDS / 2 {
            release(&world).await;
        }
    }
    time.advance(LATER);
    (world, time)
}

/// A device's batch of that round.
pub fn batch_of(device: &str, round: u64) -> Batch {
    Batch::new(device, round * BATCH + 1, (round + 1) * BATCH)
}

/// The device of an event without a number.
pub fn uncounted_device(number: u64) -> String {
    format!("event:{}", event_id("backend", number))
}

/// The numbers of all events without one.
pub fn uncounted() -> Vec<u64> {
    let threes =
        (0..ROUNDS).filter(|round| round % 5 == 0).flat_map(|round| (0..3).map(move |n| round * 10 + n));
    threes.chain((0..ROUNDS).filter(|round| round % 7 == 0).map(|round| round * 10 + 5)).collect()
}

/// Pushes ann's events without numbers, as a backend does.
pub async fn push_uncounted(world: &World, numbers: &[u64]) -> Answer {
    let event = |number: &u64| EventLine::new("backend", *number).without("deviceSequence").0.to_string();
    let batch = Batch { header: json!({"userId": "ann"}), lines: numbers.iter().map(event).collect() };
    let request = world.backend_request(Method::POST, "/v1/spaces/ann/events");
    let request = request.header("Content-Type", "application/x-ndjson").header("Content-Encoding", "zstd");
    let answer = Answer::of(request.body(batch.frame())).await;
    answer.expect(200);
    answer
}

async fn release(world: &World) {
    let newer = FITNESS.replace("\nversion: 3\n", "\nversion: 4\n");
    let head = world.head("ann").await;
    world.write_schema(&(newer + "\n  NOTE_ADDED: { entity: workout, payload: { notes: required } }\n"));
    eventually("the note is released", async || (world.head("ann").await > head).then_some(())).await;
}

/// An event of ann's log: its position, its line, and the batch that it came in.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub position: u64,
    pub line: String,
    pub device: String,
    pub user: String,
    pub received_at: UtcTime,
    pub released: bool,
}

/// Ann's log behind a cursor, from an answer of stored frames.
pub async fn log_in_frames(world: &World, after: u64) -> Vec<Found> {
    let pulled = world.pull_frames("ann", &format!("after={after}")).await;
    let batch_of = |position| -> &SegmentBatch {
        let header = pulled.headers.iter().find(|header| (header.first..=header.last).contains(&position));
        header.and_then(|header| header.batch_at(position)).unwrap()
    };
    let found = |(position, line): &(u64, String)| {
        let batch = batch_of(Position(*position));
        Found {
            position: *position,
            line: line.clone(),
            device: batch.device_id.to_string(),
            user: batch.user_id.to_string(),
            received_at: batch.received_at,
            released: batch.released,
        }
    };
    pulled.events.iter().map(found).collect()
}

/// Rows of `segments` that ann's log has, and their stored bytes.
pub async fn size(world: &World) -> (usize, usize) {
    let segments = world.segments("ann").await;
    (segments.len(), segments.iter().map(|segment| segment.frame.len()).sum())
}

/// What the server has of a device's sequences 1 to 1000.
pub async fn device_events(world: &World, device: &str) -> Value {
    let path = format!("/v1/spaces/ann/devices/{device}/events");
    let answer = Answer::of(world.backend_request(Method::GET, &path)).await;
    answer.expect(200);
    answer.json["items"].clone()
}
