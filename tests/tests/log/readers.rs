//! What an event says can never disturb its readers: they count, and keys mean nothing to them.

use serde_json::json;
use tidelog_tests::{Batch, EventLine, World, WorldOptions};

const HEADER: &str = r#"{"segment":{"first":1,"last":9,"lines":9,"batches":[{"first":1,"deviceId":"x","userId":"x","receivedAt":"2026-01-01T00:00:00.000Z"}]}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_looks_like_a_header_is_an_event_like_any_other() {
    let world = World::new().await;
    let named = |sequence, name: &str| {
        let event = EventLine::new("phone-1", sequence).with("type", "WORKOUT_CREATED");
        event.with("payload", json!({"name": name, "tags": {"add": [HEADER]}})).0
    };
    let batch = Batch::new("phone-1", 1, 4)
        .with_line(0, named(1, HEADER))
        .with_line(1, named(2, "a\n{\"hello\":{\"head\":0}}\n"))
        .with_line(2, named(3, "\u{2028}\u{85}\r\n\r"))
        .with_line(3, EventLine::new("phone-1", 4).with("entityId", HEADER[..120].to_owned()).0);
    world.push("ann", &batch).await.expect_committed(Some((1, 4)));
    world.push("ann", &Batch::new("phone-1", 5, 6)).await.expect_committed(Some((5, 6)));
    for pulled in [world.pull_frames("ann", "").await, world.pull_lines("ann", "").await] {
        assert_eq!(pulled.lines()[..4], batch.lines);
        assert_eq!((pulled.positions(), pulled.cursor), (vec![1, 2, 3, 4, 5, 6], 6));
    }
    assert_eq!(world.whole_log("ann").await.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_are_named_like_headers_are_fields() {
    let schema = "{name: app, version: 1, entities: {workout: {fields: {segment: {type: string}, hello: {type: \
                  string}, batch: {type: string}}}}, events: {NAMED: {entity: workout, payload: {segment: optional, \
                  hello: optional, batch: optional}}}}";
    let world = WorldOptions::default().schema(schema).start().await;
    let event = |sequence, key: &str| {
        let payload = json!({"segment": key, "hello": key, "batch": key});
        // The payload first: the line begins as a header would.
        let rest = EventLine::new("phone-1", sequence).with("type", "NAMED").without("payload").0.to_string();
        format!("{{\"payload\":{payload},{}", &rest[1..])
    };
    let batch = Batch::new("phone-1", 1, 2).with_line(0, event(1, "a")).with_line(1, event(2, "b"));
    let answer = world.push("ann", &batch).await;
    answer.expect_committed(Some((1, 2)));
    assert_eq!(answer.receipts(), []);
    for pulled in [world.pull_frames("ann", "").await, world.pull_lines("ann", "").await] {
        assert_eq!(pulled.lines(), batch.lines);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_line_with_a_header_key_is_kept_from_readers() {
    let world = World::new().await;
    for (index, key) in ["segment", "hello", "batch", "snapshot"].into_iter().enumerate() {
        let device = format!("phone-{index}");
        // The key comes first, as in a header line.
        let line = EventLine::new(&device, 2).0.to_string();
        let line =
            format!("{{\"{key}\":{{\"first\":1,\"last\":1,\"lines\":1,\"batches\":[]}},{}", &line[1..]);
        let batch = Batch::new(&device, 1, 3).with_line(1, line);
        let answer = world.push("ann", &batch).await;
        let expect = (2, "quarantined".to_owned(), Some("event-unknown-key".to_owned()));
        assert_eq!(answer.expect(200).receipts(), [expect], "{key}");
        let after = index * 2;
        for pulled in [
            world.pull_frames("ann", &format!("after={after}")).await,
            world.pull_lines("ann", &format!("after={after}")).await,
        ] {
            assert_eq!(pulled.lines(), [batch.lines[0].as_str(), batch.lines[2].as_str()], "{key}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_line_with_white_space_and_escapes_disturbs_nobody() {
    let world = World::new().await;
    let events = Batch::new("phone-1", 1, 2).lines;
    let body = format!(
        "  {{ \"b\\u0061tch\" : {{ \"deviceId\" : \"phone\\u002d1\" }} }}\t\n{}\n",
        events.join("\n")
    );
    let frame = tidelog_tests::frame(body.as_bytes());
    world.push_body("ann", frame.clone(), Some("zstd")).await.expect_committed(Some((1, 2)));
    assert_eq!(world.segments("ann").await[0].frame, frame);
    for pulled in [world.pull_frames("ann", "").await, world.pull_lines("ann", "").await] {
        assert_eq!(pulled.lines(), events);
        assert_eq!(pulled.headers[0].batches[0].device_id.as_str(), "phone-1");
    }
}
