//! Why a field is as it is: which event won, which lost, by which rule.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tidelog_tests::{Answer, Batch, EventLine, World, event_id};

use super::past::{batch, look, options, push_quarantined, push_segments};

async fn explain(world: &World, space: &str, entity: &str, query: &str) -> Answer {
    look(world, &format!("/admin/v1/spaces/{space}/entities/{entity}/explain?{query}")).await
}

/// A duration that a device writes to the workout at a minute.
fn duration(device: &str, sequence: u64, minute: u64, seconds: u64) -> EventLine {
    EventLine::new(device, sequence)
        .with("entityId", "w-1")
        .with("timestamp", format!("2025-08-06T10:{minute:02}:00.000Z"))
        .with("payload", json!({ "duration": seconds }))
}

/// Five concurrent writes of three devices: of two of them with one stamp, the greater device id decides.
fn writers() -> [Vec<EventLine>; 3] {
    [
        vec![duration("phone-1", 1, 30, 1), duration("phone-1", 2, 41, 2)],
        vec![duration("phone-2", 1, 41, 3)],
        vec![duration("watch-1", 1, 20, 4), duration("watch-1", 2, 40, 5)],
    ]
}

async fn push(world: &World, space: &str, events: &[EventLine]) {
    let mut batch = Batch::new("any", 1, events.len() as u64);
    batch.header = json!({"deviceId": device_of(&events[0])});
    batch.lines = events.iter().map(|event| event.0.to_string()).collect();
    world.push(space, &batch).await.expect(200);
}

/// The device whose event it is, found by the event's id.
fn device_of(event: &EventLine) -> String {
    let is_of = |device: &&str| {
        let sequence = event.0["deviceSequence"].as_u64().unwrap();
        event.0["eventId"] == json!(event_id(device, sequence))
    };
    ["phone-1", "phone-2", "watch-1"].iter().find(|device| is_of(device)).unwrap().to_string()
}

/// Device, sequence and value of what is named.
fn named(written: &Value) -> (String, u64, Value) {
    let device = written["deviceId"].as_str().unwrap().to_owned();
    (device, written["deviceSequence"].as_u64().unwrap(), written["value"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_five_concurrent_writers_on_three_devices_winner_losers_and_rule_are_named() {
    let world = World::new().await;
    let [one, two, three] = writers();
    for events in [&one, &two, &three] {
        push(&world, "ann", events).await;
    }
    // The same events in another order, and in other batches.
    push(&world, "ben", &three[..1]).await;
    push(&world, "ben", &two).await;
    push(&world, "ben", &three[1..]).await;
    push(&world, "ben", &one).await;
    let check = async |space: &str| {
        let answer = explain(&world, space, "workout/w-1", "").await;
        let field = &answer.expect(200).json["fields"]["duration"];
        assert_eq!((&field["rule"], &field["value"]), (&json!("latest"), &json!(3)));
        assert!(field["meaning"].as_str().unwrap().contains("last write wins"));
        assert_eq!(named(&field["winner"]), ("phone-2".into(), 1, json!(3)));
        let winner = &field["winner"];
        assert_eq!(winner["eventId"], json!(event_id("phone-2", 1)));
        assert_eq!(winner["timestamp"], "2025-08-06T10:41:00.000Z-0000");
        assert_eq!((&winner["userId"], &winner["type"]), (&json!(space), &json!("WORKOUT_DURATION_UPDATED")));
        let log = world.whole_log(space).await;
        let of_log = &log[winner["position"].as_u64().unwrap() as usize - 1];
        assert_eq!((&of_log["eventId"], &of_log["receivedAt"]), (&winner["eventId"], &winner["receivedAt"]));
        let losers: Vec<_> = field["losers"].as_array().unwrap().iter().map(named).collect();
        let expected = [("phone-1", 2, 2), ("watch-1", 2, 5), ("phone-1", 1, 1), ("watch-1", 1, 4)];
        let expected = expected.map(|(device, sequence, value)| (device.to_owned(), sequence, json!(value)));
        assert_eq!(losers, expected);
        assert_eq!(field["moreLosers"], 0);
        let why = |index: usize| field["losers"][index]["why"].as_str().unwrap();
        assert!(why(0).contains("device id orders before"), "{}", why(0));
        assert!(why(1).contains("2025-08-06T10:40:00.000Z-0000 is earlier than the winner's"), "{}", why(1));
        assert_eq!((&answer.json["events"], &answer.json["skipped"]), (&json!(5), &json!(0)));
        answer.json
    };
    let (mut ann, mut ben) = (check("ann").await, check("ben").await);
    world.pull("ben", "after=0").await.expect(200);
    assert_eq!(check("ben").await, ben, "reading changes nothing");
    for (explained, space) in [(&mut ann, "ann"), (&mut ben, "ben")] {
        let field = &mut explained["fields"]["duration"];
        let positions: BTreeSet<u64> = [&field["winner"]]
            .into_iter()
            .chain(field["losers"].as_array().unwrap())
            .map(|written| written["position"].as_u64().unwrap())
            .collect();
        assert_eq!(positions, (1..=5).collect(), "{space}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_is_the_same_after_its_events_were_pruned() {
    let world = World::new().await;
    for events in writers() {
        push(&world, "ann", &events).await;
    }
    let before = explain(&world, "ann", "workout/w-1", "").await.json;
    world.prune("ann", 3, 1).await;
    assert_eq!(explain(&world, "ann", "workout/w-1", "").await.json, before);
    world.prune("ann", 5, 1).await;
    assert_eq!(explain(&world, "ann", "workout/w-1", "").await.json, before);
    std::fs::remove_dir_all(world.archive_folder()).unwrap();
    let missing = explain(&world, "ann", "workout/w-1", "").await;
    assert!(missing.status.is_server_error(), "{}", missing.json);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_has_the_values_of_the_state_at_every_position() {
    let world = options().start().await;
    push_segments(&world, "ann", 0, 6).await;
    world.prune("ann", 15, 2).await;
    for at in [1, 6, 14, 15, 23, 30] {
        let state = look(&world, &format!("/admin/v1/spaces/ann/state?at={at}")).await;
        for item in state.expect(200).json["items"].as_array().unwrap() {
            let entity = format!("{}/{}", item["type"].as_str().unwrap(), item["entityId"].as_str().unwrap());
            let explained = explain(&world, "ann", &entity, &format!("at={at}")).await;
            let explained = &explained.expect(200).json;
            assert_eq!((&explained["visible"], &explained["asOf"]), (&item["visible"], &json!(at)));
            let fields = explained["fields"].as_object().unwrap();
            let values: serde_json::Map<String, Value> =
                fields.iter().map(|(name, field)| (name.clone(), field["value"].clone())).collect();
            assert_eq!(json!(values), item["fields"], "{entity} at {at}");
            for (name, field) in fields {
                assert_positions(field, at, &format!("{entity} {name} at {at}"));
            }
        }
    }
}

/// That events are named, each once, and none of those behind a position.
fn assert_positions(field: &Value, at: u64, which: &str) {
    let list = |key: &str| field[key].as_array().cloned().unwrap_or_default();
    let written = [list("contributors"), list("elements"), list("losers")].concat();
    let written = written.iter().chain(field.get("winner"));
    let named: Vec<_> = written
        .map(|written| (written["position"].as_u64().unwrap(), written["value"].to_string()))
        .collect();
    assert!(!named.is_empty() && named.iter().all(|(position, _)| (1..=at).contains(position)), "{which}");
    let unique: BTreeSet<_> = named.iter().collect();
    assert_eq!(unique.len(), named.len(), "{which}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_rule_names_its_events_in_its_own_way() {
    let world = options().start().await;
    let changed = |sequence: u64, event_type: &str, payload: Value| {
        EventLine::new("phone-1", sequence)
            .with("entityId", "e-1")
            .with("type", event_type)
            .with("payload", payload)
    };
    let events = [
        changed(
            1,
            "MADE",
            json!({"most": 3, "least": 3, "total": 10, "done": false, "tags": {"add": ["a", "b"]}, "notes": "one"}),
        ),
        changed(
            2,
            "CHANGED",
            json!({"most": 7, "least": 5, "total": 20, "done": true, "tags": {"remove": ["a"]}, "notes": "two"}),
        ),
        changed(3, "MADE", json!({"most": 5, "total": -5, "done": true, "notes": "three"})),
        changed(4, "CHANGED", json!({"notes": "four"})),
        changed(5, "GONE", json!({})),
    ];
    push(&world, "ann", &events).await;
    let answer = explain(&world, "ann", "thing/e-1", "").await;
    let explained = &answer.expect(200).json;
    let field = |name: &str| &explained["fields"][name];
    let sequences = |list: &Value| -> Vec<u64> {
        list.as_array().unwrap().iter().map(|written| written["deviceSequence"].as_u64().unwrap()).collect()
    };
    let check = |name: &str, rule: &str, winner: u64, losers: &[u64]| {
        assert_eq!(field(name)["rule"], rule);
        assert_eq!(field(name)["winner"]["deviceSequence"], winner, "{name}");
        assert_eq!(sequences(&field(name)["losers"]), losers, "{name}");
    };
    check("born", "first", 1, &[3]);
    check("most", "max", 2, &[3, 1]);
    check("least", "min", 1, &[2]);
    check("done", "flag", 2, &[3, 1]);
    assert_eq!(field("total")["value"], 25);
    assert_eq!(sequences(&field("total")["contributors"]), [3, 2, 1]);
    assert_eq!(field("total")["contributors"][0]["value"], -5);
    assert_eq!(field("notes")["value"], json!(["two", "three", "four"]));
    assert_eq!(sequences(&field("notes")["contributors"]), [2, 3, 4]);
    assert_eq!(sequences(&field("notes")["losers"]), [1]);
    let elements = field("tags")["elements"].as_array().unwrap();
    let element = |index: usize| {
        (&elements[index]["value"], &elements[index]["present"], &elements[index]["deviceSequence"])
    };
    assert_eq!(element(0), (&json!("a"), &json!(false), &json!(2)));
    assert_eq!(element(1), (&json!("b"), &json!(true), &json!(1)));
    assert_eq!((sequences(&field("tags")["losers"]), &field("tags")["value"]), (vec![1], &json!(["b"])));
    let visibility = &explained["visibility"];
    assert_eq!(
        (&visibility["created"]["deviceSequence"], &visibility["deleted"]["deviceSequence"]),
        (&json!(3), &json!(5))
    );
    assert_eq!(explained["visible"], false);
    assert!(visibility["why"].as_str().unwrap().contains("delete is later"));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_losers_are_counted_and_the_latest_listed() {
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 150)).await.expect(200);
    let answer = explain(&world, "ann", "workout/w-phone-1", "").await;
    let field = &answer.expect(200).json["fields"]["duration"];
    let losers = field["losers"].as_array().unwrap();
    assert_eq!((losers.len(), &field["moreLosers"]), (100, &json!(49)));
    assert_eq!(named(&field["winner"]).1, 150);
    assert_eq!((named(&losers[0]).1, named(&losers[99]).1), (149, 50));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_explanation_beyond_a_limit_is_refused() {
    let few = options().set("admin.explain_events", 1).set("admin.history_events", 10).start().await;
    push_segments(&few, "ann", 0, 2).await;
    explain(&few, "ann", "thing/e-1", "").await.expect(200);
    push_segments(&few, "ann", 2, 3).await;
    let refused = explain(&few, "ann", "thing/e-1", "").await;
    refused.expect_refusal(422, "result-too-large");
    assert!(refused.json["detail"].as_str().unwrap().contains("admin.history_events"));
    explain(&few, "ann", "thing/e-1", "at=10").await.expect(200);
    let small = options().set("admin.state_bytes", 500).start().await;
    push_segments(&small, "ann", 0, 2).await;
    explain(&small, "ann", "thing/e-1", "").await.expect_refusal(422, "result-too-large");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_is_found_by_its_id_however_that_is_written() {
    let world = options().start().await;
    let odd = |sequence, id: &str| {
        EventLine::new("phone-1", sequence)
            .with("entityId", id)
            .with("type", "NAMED")
            .with("payload", json!({"name": "x"}))
    };
    let mut lines = batch("phone-1", 1, 3);
    lines.lines = vec![
        odd(1, "a/b c").0.to_string(),
        odd(2, "é\"1").0.to_string(),
        odd(3, "plain").0.to_string().replace("plain", "pl\\u0061in"),
    ];
    world.push("ann", &lines).await.expect(200);
    for (position, path) in [(1, "a%2Fb%20c"), (2, "%C3%A9%221"), (3, "plain")] {
        let answer = explain(&world, "ann", &format!("other/{path}"), "").await;
        assert_eq!(answer.expect(200).json["fields"]["name"]["winner"]["position"], position, "{path}");
    }
    explain(&world, "ann", "other/Plain", "").await.expect_refusal(404, "not-found");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_event_names_is_not_found_and_what_is_not_understood_is_refused() {
    let world = options().start().await;
    push_segments(&world, "ann", 0, 2).await;
    push_quarantined(&world, "ann").await;
    explain(&world, "ann", "thing/e-1", "").await.expect(200);
    explain(&world, "ann", "thing/e-9", "").await.expect_refusal(404, "not-found");
    explain(&world, "ann", "never/e-1", "").await.expect_refusal(404, "not-found");
    explain(&world, "ann", "thing/e-1", "at=0").await.expect_refusal(404, "not-found");
    explain(&world, "ben", "thing/e-1", "").await.expect_refusal(404, "not-found");
    for query in ["at=11", "at=-1", "at=NaN", "at=1e3", "at=99999999999999999999", "limit=1", "at="] {
        explain(&world, "ann", "thing/e-1", query).await.expect_refusal(400, "request-invalid");
    }
    explain(&world, "ann", "thing/%00", "").await.expect_refusal(400, "request-invalid");
    let path = "/admin/v1/spaces/ann/entities/thing/e-1/explain";
    Answer::of(world.admin_request(Method::GET, path, "")).await.expect_refusal(403, "forbidden");
    let erase = "INSERT INTO erasures (space_id) VALUES ('ann')";
    sqlx::query(erase).execute(&world.pool).await.unwrap();
    explain(&world, "ann", "thing/e-1", "").await.expect_refusal(410, "space-erased");
}
