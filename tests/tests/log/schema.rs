//! The schema in force, and what a new version releases from quarantine.

use reqwest::Method;
use serde_json::{Value, json};
use tidelog_tests::{Answer, Batch, EventLine, World, event_id, eventually, metric};

const FITNESS: &str = include_str!("../../../config/fitness.yaml");

/// The example schema with a further event type.
fn with_notes() -> String {
    let newer = FITNESS.replace("\nversion: 3\n", "\nversion: 4\n");
    assert_ne!(newer, FITNESS);
    newer + "\n  NOTE_ADDED: { entity: workout, payload: { notes: required } }\n"
}

async fn schema_in_force(world: &World) -> Value {
    let answer = Answer::of(world.request(Method::GET, "/v1/schema", "ann")).await;
    answer.expect(200);
    answer.json
}

fn note(sequence: u64, payload: Value) -> String {
    EventLine::new("phone-1", sequence).with("type", "NOTE_ADDED").with("payload", payload).0.to_string()
}

/// Two good events, and five that are quarantined: 2 and 6 until the schema has notes, the others for good.
fn batch() -> Batch {
    Batch::new("phone-1", 1, 7)
        .with_line(1, note(2, json!({"notes": "windy"})))
        .with_line(2, note(3, json!({"notes": 7})))
        .with_line(3, note(4, json!({"notes": "a\u{0}b"})))
        .with_line(4, EventLine::new("phone-1", 5).with("type", "NEVER_HEARD_OF").0)
        .with_line(5, note(6, json!({"notes": "rain"})))
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_a_new_schema_version_releases_the_events_that_it_accepts() {
    let world = World::new().await;
    let batch = batch();
    world.push("ann", &batch).await.expect_committed(Some((1, 2)));
    world.push("ann", &Batch::new("phone-1", 8, 9)).await.expect_committed(Some((3, 4)));
    world.write_schema(&with_notes());
    eventually("both notes are released", async || (world.head("ann").await == 6).then_some(())).await;

    let log = world.pull_frames("ann", "after=4&deviceId=phone-1").await;
    assert_eq!(log.events, [(5, batch.lines[1].clone()), (6, batch.lines[5].clone())], "unchanged");
    assert!(log.headers.iter().all(|header| header.batches.iter().all(|batch| batch.released)));
    let before = world.pull_frames("ann", "limit=4").await;
    assert!(before.headers.iter().all(|header| header.batches.iter().all(|batch| !batch.released)));
    let json = world.pull("ann", "after=4").await.json;
    for (event, sequence) in json["events"].as_array().unwrap().iter().zip([2, 6]) {
        assert_eq!((&event["released"], &event["deviceSequence"]), (&json!(true), &json!(sequence)));
        assert_eq!((&event["deviceId"], &event["userId"]), (&json!("phone-1"), &json!("ann")));
    }

    let device = log.hello.device.unwrap();
    assert_eq!((device.last_sequence.0, device.last_event_id.unwrap().0), (9, event_id("phone-1", 9)));
    let left: Vec<_> =
        device.quarantined.iter().map(|event| (event.device_sequence.0, event.code.as_str())).collect();
    assert_eq!(left, [(5, "event-unknown-type"), (4, "event-text-invalid"), (3, "event-payload-invalid")]);

    let again = world.push("ann", &batch).await;
    again.expect_committed(None);
    let status: Vec<_> = again.receipts().into_iter().map(|(_, status, _)| status).collect();
    let (duplicate, quarantined) = ("duplicate", "quarantined");
    assert_eq!(status, [duplicate, duplicate, quarantined, quarantined, quarantined, duplicate, duplicate]);
    assert_eq!(world.head("ann").await, 6);

    let own = world.request(Method::GET, "/v1/spaces/me/devices/phone-1/events?from=2&to=2", "ann");
    let expect = json!({"items": [{"deviceSequence": 2, "eventId": event_id("phone-1", 2), "position": 5}]});
    assert_eq!(Answer::of(own).await.json, expect);
    world.push("ann", &Batch::new("phone-1", 10, 10)).await.expect_committed(Some((7, 7)));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_new_schema_version_are_taken_without_a_restart() {
    let world = World::new().await;
    assert_eq!(world.pull("ann", "").await.json["schemaVersion"], 3);
    world.write_schema(&with_notes());
    eventually("the new version is served", async || {
        (schema_in_force(&world).await["version"] == 4).then_some(())
    })
    .await;
    let batch = Batch::new("phone-1", 1, 1).with_line(0, note(1, json!({"notes": "sunny"})));
    let answer = world.push("ann", &batch).await;
    answer.expect_committed(Some((1, 1)));
    assert_eq!(answer.receipts(), []);
    assert_eq!(world.pull("ann", "").await.json["schemaVersion"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_file_that_breaks_what_is_in_use_is_not_taken() {
    let refusals = || metric("tidelog_schema_refusals_total") as u64;
    let before = refusals();
    let world = World::new().await;
    world.push("ann", &batch()).await.expect_committed(Some((1, 2)));
    let broken = [
        with_notes().replace("duration:     { type: integer, unit: s }", "duration:     { type: string }"),
        with_notes().replace("\n  WORKOUT_DELETED:          { entity: workout, deletes: true }", ""),
        with_notes() + "no yaml: [",
        String::new(),
    ];
    for (count, text) in (1..).zip(broken) {
        assert_ne!(text, with_notes());
        world.write_schema(&text);
        // The gateway's watch and ingest's.
        eventually("both have judged the file", async || (refusals() >= before + 2 * count).then_some(()))
            .await;
        assert_eq!(schema_in_force(&world).await["version"], 3);
    }
    let later = Batch::new("phone-1", 8, 8).with_line(0, note(8, json!({"notes": "late"})));
    let answer = world.push("ann", &later).await;
    assert_eq!(answer.receipts(), [(8, "quarantined".to_owned(), Some("event-unknown-type".to_owned()))]);
    assert_eq!(world.head("ann").await, 2);

    world.write_schema(&with_notes());
    eventually("the good version is taken", async || (world.head("ann").await == 5).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_is_served_with_every_default_written_out() {
    let world = World::new().await;
    let schema = schema_in_force(&world).await;
    assert_eq!((&schema["name"], &schema["version"]), (&json!("fitness"), &json!(3)));
    let fields = &schema["entities"]["workout"]["fields"];
    assert_eq!((&fields["name"]["type"], &fields["name"]["merge"]), (&json!("string"), &json!("latest")));
    assert_eq!(schema["events"]["WORKOUT_CREATED"]["payload"]["name"], "required");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_apis_description_is_open_to_everyone() {
    let world = World::new().await;
    let answer = Answer::of(world.request_with(Method::GET, "/openapi.json", None)).await;
    answer.expect(200);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert!(answer.json["openapi"].as_str().unwrap().starts_with("3.1."));
    for path in [
        "/v1/spaces/{space}/events",
        "/v1/spaces/{space}/log",
        "/v1/spaces/{space}/devices/{deviceId}/events",
        "/v1/schema",
    ] {
        assert!(answer.json["paths"].get(path).is_some(), "{path}");
    }
}
