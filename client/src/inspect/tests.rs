//! What a person sees of real files.

use std::fs;
use std::sync::Arc;

use serde_json::json;
use tidelog_events::code::Fault;
use tidelog_events::frame::write_line;
use tidelog_events::id::{DeviceId, EntityId, Epoch, Position, UserId};
use tidelog_events::protocol::{DeviceState, Hello, HelloLine, QuarantinedEvent, UtcTime};
use tidelog_events::schema::Schema;
use uuid::Uuid;

use super::*;
use crate::store::{Recorded, StoreOptions};
use crate::transport::{Answer, PullRequest, Request};
use crate::{BootId, EventStore, Moment, NewEvent};

const SCHEMA: &str = "
name: fitness
version: 1
entities: { workout: { fields: { name: { type: string }, laps: { type: integer, merge: sum } } } }
events:
  WORKOUT_CREATED: { entity: workout, creates: true, payload: { name: required } }
  LAP_RECORDED: { entity: workout, payload: { laps: required } }
";

struct Phone {
    folder: tempfile::TempDir,
    store: Option<EventStore>,
    seconds: i64,
}

impl Phone {
    fn new() -> Self {
        let mut phone = Self { folder: tempfile::tempdir().unwrap(), store: None, seconds: 0 };
        phone.open();
        phone
    }

    fn open(&mut self) {
        let options = StoreOptions {
            user: UserId::new("ann").unwrap(),
            schema: Arc::new(Schema::parse(SCHEMA).unwrap()),
            identity: DeviceId::new("phone-1").unwrap(),
            random: fastrand::Rng::with_seed(7),
        };
        self.store = Some(EventStore::open(&self.path(), options).unwrap());
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("ann's 100% store?.sqlite")
    }

    fn files(&self) -> Vec<String> {
        let files = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn now(&mut self) -> Moment {
        self.seconds += 1;
        let since_ms = self.seconds * 1000;
        Moment { wall_ms: 1_767_225_600_000 + since_ms, monotonic_ms: since_ms, boot: BootId("boot".into()) }
    }

    fn record(&mut self, event_type: &str, payload: serde_json::Value) -> Recorded {
        let now = self.now();
        let event = NewEvent::new(event_type, EntityId::new("w-1").unwrap(), payload);
        self.store.as_mut().unwrap().record(&space(), event, &now).unwrap()
    }

    /// The server says how far it has come, and what it could not take.
    fn hear(&mut self, last: &Recorded, quarantined: Vec<QuarantinedEvent>) {
        let now = self.now();
        let device = DeviceState {
            last_sequence: last.device_sequence,
            last_event_id: Some(last.event_id),
            quarantined,
            more_quarantined: false,
        };
        let hello = Hello {
            server_time: UtcTime(now.wall_ms),
            epoch: Some(Epoch(Uuid::from_u128(1))),
            head: Position(9),
            horizon: Position::ZERO,
            schema_version: 1,
            cursor: Position::ZERO,
            device: Some(device),
        };
        let mut lines = Vec::new();
        write_line(&mut lines, &HelloLine { hello });
        let request = Request::Pull(PullRequest {
            space: space(),
            after: Position::ZERO,
            limit: 1,
            device: last.device_id.clone(),
            types: None,
            report: None,
        });
        let answer = Answer::Pulled(String::from_utf8(lines).unwrap());
        self.store.as_mut().unwrap().take(&request, &answer, &now, &now).unwrap();
    }
}

fn space() -> SpaceId {
    SpaceId::new("ann").unwrap()
}

/// A phone with an event of each state.
fn phone() -> Phone {
    let mut phone = Phone::new();
    phone.record("WORKOUT_CREATED", json!({"name": "Morning \u{9b}2J run"}));
    let lap = phone.record("LAP_RECORDED", json!({"laps": 1}));
    let refused = QuarantinedEvent {
        device_sequence: lap.device_sequence,
        event_id: lap.event_id,
        code: Fault::UnknownType,
        detail: "schema version 0 has no event type `LAP_RECORDED`".to_owned(),
    };
    phone.hear(&lap, vec![refused]);
    phone.record("LAP_RECORDED", json!({"laps": 2}));
    phone
}

fn shown(look: &Look) -> String {
    let lines: Vec<String> = look.sights.iter().map(|sight| format!("{sight:#}")).collect();
    lines.join("\n") + "\n"
}

const STANDS: &str = "\
space ann: 3 recorded, 1 pending, 1 quarantined
   clock   2026-01-01T00:00:04.000Z-0000
   cursor  0 of 9, epoch 00000000-0000-0000-0000-000000000001, never all synced
   queue   phone-1: #3 recorded, #2 confirmed, 1 pending, next batch #3 to #3, 197 bytes
";

#[test]
fn a_look_shows_events_clock_cursor_and_queue_while_the_app_has_the_store_open() {
    let phone = phone();
    let mut inspector = Inspector::new(phone.path(), None);
    let look = inspector.look().unwrap();
    assert_eq!((look.bound.user.as_str(), look.bound.app.as_str(), look.complete), ("ann", "fitness", true));
    let events = "\
✅ 2026-01-01T00:00:01.000Z-0000  phone-1 #1  WORKOUT_CREATED  workout w-1  {\"name\":\"Morning \\u{9b}2J run\"}
⚠  2026-01-01T00:00:02.000Z-0000  phone-1 #2  LAP_RECORDED  workout w-1  {\"laps\":1}  event-unknown-type: schema version 0 has no event type `LAP_RECORDED`
⏳ 2026-01-01T00:00:04.000Z-0000  phone-1 #3  LAP_RECORDED  workout w-1  {\"laps\":2}
";
    assert_eq!(shown(&look), format!("{events}{STANDS}"));
    assert!(inspector.look().unwrap().sights.is_empty(), "nothing has changed since");
}

#[test]
fn later_looks_show_what_is_new_or_has_become_something_else() {
    let mut phone = phone();
    let mut inspector = Inspector::new(phone.path(), Some(space()));
    inspector.look().unwrap();
    let last = phone.record("LAP_RECORDED", json!({"laps": 3}));
    phone.hear(&Recorded { device_sequence: last.device_sequence, ..last }, Vec::new());
    phone.record("LAP_RECORDED", json!({"laps": 4}));
    let look = inspector.look().unwrap();
    let begins: Vec<String> =
        shown(&look).lines().take(4).map(|line| line.chars().take(46).collect()).collect();
    assert_eq!(
        begins,
        [
            "✅ 2026-01-01T00:00:04.000Z-0000  phone-1 #3  L",
            "✅ 2026-01-01T00:00:05.000Z-0000  phone-1 #4  L",
            "⏳ 2026-01-01T00:00:07.000Z-0000  phone-1 #5  L",
            "space ann: 5 recorded, 1 pending, 1 quarantine",
        ]
    );
    let brief = look.sights.last().unwrap().to_string();
    let expected =
        "space ann: 5 recorded, 1 pending, 1 quarantined; cursor 0 of 9; clock 2026-01-01T00:00:07.000Z-0000";
    assert_eq!(brief, expected);
}

#[test]
fn a_store_that_no_app_has_open_is_read_and_its_folder_stays_as_it_is() {
    let mut phone = phone();
    phone.store = None;
    let (files, before) = (phone.files(), fs::read(phone.path()).unwrap());
    assert_eq!(files.len(), 1, "{files:?}");
    let mut inspector = Inspector::new(phone.path(), None);
    assert!(shown(&inspector.look().unwrap()).ends_with(STANDS));
    assert_eq!((phone.files(), fs::read(phone.path()).unwrap()), (files, before));
    // And goes on with it once an app has.
    phone.open();
    phone.record("LAP_RECORDED", json!({"laps": 3}));
    assert_eq!(shown(&inspector.look().unwrap()).lines().next().map(|line| line.contains("#4")), Some(true));
}

#[test]
fn many_events_come_in_portions_and_the_standing_comes_last() {
    let phone = phone();
    let mut inspector = Inspector { portion: 2, ..Inspector::new(phone.path(), None) };
    let first = inspector.look().unwrap();
    assert_eq!((first.sights.len(), first.complete), (2, false));
    let second = inspector.look().unwrap();
    assert_eq!((second.sights.len(), second.complete), (2, true));
    assert!(matches!(second.sights.last(), Some(Sight::Space(_))));
}

#[test]
fn what_is_seen_has_a_form_for_programs() {
    let phone = phone();
    let look = Inspector::new(phone.path(), None).look().unwrap();
    let lines: Vec<serde_json::Value> =
        look.sights.iter().map(|sight| serde_json::to_value(sight).unwrap()).collect();
    assert_eq!(lines[1]["event"]["state"], "quarantined");
    assert_eq!(lines[1]["event"]["code"], "event-unknown-type");
    assert_eq!(lines[2]["event"]["event"]["payload"], json!({"laps": 2}));
    assert_eq!(lines[2]["event"]["event"]["deviceSequence"], 3);
    assert_eq!(lines[3]["space"]["queues"][0]["nextBatch"]["first"], 3);
    assert_eq!(lines[3]["space"]["clock"], "2026-01-01T00:00:04.000Z-0000");
}

#[test]
fn what_is_no_store_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let said = |path: PathBuf| {
        let error = Inspector::new(path, None).look().unwrap_err();
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error}: {}", cause.unwrap_or_default())
    };
    let missing = said(path("none.sqlite"));
    assert!(missing.starts_with("there is no file"), "{missing}");
    fs::write(path("text"), "a text that is longer than the header of a database file, which has 100 bytes, by a bit\n\n\n\n\n\n\n\n").unwrap();
    fs::write(path("empty"), "").unwrap();
    let other = rusqlite::Connection::open(path("other")).unwrap();
    other.execute_batch("CREATE TABLE t (x)").unwrap();
    for name in ["text", "empty", "other"] {
        let said = said(path(name));
        assert!(said.ends_with("the file is no store of Tidelog"), "{name}: {said}");
    }
    let phone = phone();
    let newer = rusqlite::Connection::open(phone.path()).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    let said = said(phone.path());
    assert!(said.contains("format 99"), "{said}");
}

#[test]
fn a_space_that_the_store_has_not_is_an_error_that_names_those_it_has() {
    let phone = phone();
    let said = Inspector::new(phone.path(), Some(SpaceId::new("bob").unwrap())).look().unwrap_err();
    assert_eq!(said.to_string(), "the store has no space `bob`: it has `ann`");
}
