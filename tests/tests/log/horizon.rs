//! Pulls by readers whose cursor lies before the horizon: a snapshot stands for what was pruned.

mod filtered;
mod forms;
mod large;
mod late;
mod moving;
mod torn;
mod waiting;

use std::io::Read;
use std::sync::Arc;

use serde_json::{Value, json};
use tidelog_events::fold::{Change, State};
use tidelog_events::id::Position;
use tidelog_events::schema::Schema;
use tidelog_tests::{Answer, Batch, EventLine, Pulled, World, WorldOptions};

const SCHEMA: &str = "
name: app
version: 1
entities:
  route: { fields: { name: { type: string } } }
  shoe: { fields: { name: { type: string } } }
  workout:
    fields:
      name: { type: string }
      sport: { type: string, merge: first }
      laps: { type: integer, merge: sum }
      tags: { type: string, merge: set }
      notes: { type: string, merge: list }
events:
  ROUTE_DRAWN: { entity: route, creates: true, payload: { name: required } }
  SHOE_BOUGHT: { entity: shoe, creates: true, payload: { name: required } }
  WORKOUT_CREATED: { entity: workout, creates: true, payload: { name: required, sport: optional, tags: optional } }
  WORKOUT_DELETED: { entity: workout, deletes: true }
  LAP_RECORDED: { entity: workout, payload: { laps: required } }
  NOTE_ADDED: { entity: workout, payload: { notes: required } }
";

/// Events of a segment.
const SEGMENT: u64 = 5;
/// Entities of a part of a snapshot: types share parts, and have parts of their own.
const PART: usize = 2;

fn event(device: &str, sequence: u64) -> EventLine {
    let name = format!("{device} {sequence}");
    let (event_type, payload) = match sequence % 7 {
        1 => ("WORKOUT_CREATED", json!({"name": name, "sport": name, "tags": {"add": ["a", device]}})),
        2 | 4 => ("ROUTE_DRAWN", json!({ "name": name })),
        3 => ("LAP_RECORDED", json!({ "laps": sequence })),
        5 => ("WORKOUT_CREATED", json!({"name": name, "sport": name, "tags": {"remove": ["a"]}})),
        6 => ("NOTE_ADDED", json!({ "notes": name })),
        _ => ("WORKOUT_DELETED", json!({})),
    };
    EventLine::new(device, sequence)
        .with("entityId", format!("e-{}", sequence % 4))
        .with("type", event_type)
        .with("payload", payload)
}

fn batch(device: &str, first: u64, last: u64) -> Batch {
    let mut batch = Batch::new(device, first, last);
    batch.lines = (first..=last).map(|sequence| event(device, sequence).0.to_string()).collect();
    batch
}

/// A world in which Ann's log has so many segments of five events, of two devices by turns.
async fn filled(options: WorldOptions<'_>, segments: u64) -> World {
    let world = options.schema(SCHEMA).start().await;
    push_more(&world, 0, segments).await;
    world
}

/// Pushes that segment and as many as there are until the other one.
async fn push_more(world: &World, from: u64, to: u64) {
    for number in from..to {
        let (device, first) = (["phone-1", "watch-1"][number as usize % 2], number / 2 * SEGMENT + 1);
        let positions = (number * SEGMENT + 1, (number + 1) * SEGMENT);
        let answer = world.push("ann", &batch(device, first, first + SEGMENT - 1)).await;
        answer.expect_committed(Some(positions));
    }
}

/// A world whose answers hold everything in memory, and one that sends a snapshot as it is read. Both have a log of six
/// segments that is pruned through 20.
async fn pruned_worlds() -> [World; 2] {
    let options = WorldOptions::default;
    let worlds = [filled(options(), 6).await, filled(options().set("gateway.pull_bytes", 1), 6).await];
    for world in &worlds {
        world.prune("ann", 20, PART).await;
    }
    worlds
}

/// The three forms that are lines.
#[derive(Debug, Clone, Copy)]
enum Lines {
    Frames,
    Plain,
    Gzip,
}

const LINES: [Lines; 3] = [Lines::Frames, Lines::Plain, Lines::Gzip];

/// Ann's pull in that form.
async fn pull(world: &World, query: &str, form: Lines) -> Pulled {
    match form {
        Lines::Frames => world.pull_frames("ann", query).await,
        Lines::Plain => world.pull_lines("ann", query).await,
        Lines::Gzip => {
            let answer = world.pull_as("ann", query, "application/x-ndjson", "gzip").await;
            assert_eq!(answer.headers["content-encoding"], "gzip");
            let mut body = Vec::new();
            flate2::read::GzDecoder::new(answer.body.as_slice()).read_to_end(&mut body).unwrap();
            Pulled::read(Answer { body, ..answer })
        }
    }
}

fn positions(json: &Value) -> Vec<u64> {
    let events = json["events"].as_array().unwrap().iter();
    events.map(|event| event["position"].as_u64().unwrap()).collect()
}

/// The entity lines of a JSON answer's snapshot.
fn entities(json: &Value) -> Vec<String> {
    json["snapshot"]["entities"].as_array().unwrap().iter().map(Value::to_string).collect()
}

/// A reader that folds what it pulls, and refuses what does not continue what it has.
struct Reader {
    schema: Schema,
    state: State,
    cursor: u64,
    snapshots: u64,
}

impl Reader {
    fn new() -> Self {
        Self { schema: Schema::parse(SCHEMA).unwrap(), state: State::default(), cursor: 0, snapshots: 0 }
    }

    fn take(&mut self, page: &Pulled) {
        if let Some((header, lines)) = &page.snapshot {
            assert!(header.through.0 > self.cursor, "it says more than was read");
            self.state = State::from_lines(lines.iter().map(String::as_str), &self.schema).unwrap();
            assert_eq!(*self.state.hash(), header.state_hash);
            self.cursor = header.through.0;
            self.snapshots += 1;
        }
        let read = self.cursor;
        for (position, line) in page.events.iter().filter(|(position, _)| *position > read) {
            assert_eq!(*position, self.cursor + 1, "nothing is missing");
            let header = page.headers.iter().find(|header| header.last.0 >= *position).unwrap();
            let device = header.batch_at(Position(*position)).unwrap().device_id.clone();
            self.state.apply(Change::read(line, &Arc::new(device), &self.schema).unwrap());
            self.cursor = *position;
        }
        assert_eq!(self.cursor, page.cursor);
    }

    /// Reads on to the head.
    async fn catch_up(&mut self, world: &World, limit: u64, form: Lines) {
        loop {
            let page = pull(world, &format!("after={}&limit={limit}", self.cursor), form).await;
            self.take(&page);
            if page.cursor == page.hello.head.0 {
                return;
            }
        }
    }

    /// Asserts that it has what all events of Ann fold into.
    async fn assert_has_everything(&mut self, world: &World) {
        let folded = world.folded_log("ann").await;
        assert_eq!(self.cursor as i64, folded.applied);
        let lines: Vec<_> = folded.entities.values().map(|(line, ..)| line.clone()).collect();
        assert_eq!(self.state.lines().collect::<Vec<_>>(), lines);
        assert_eq!(json!(self.state.hash()), folded.state_hash);
    }
}
