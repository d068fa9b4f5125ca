//! Batches that cannot be read or numbered: refused whole, nothing stored, and the next push is served.

use serde_json::{Value, json};
use tidelog_tests::{Batch, EventLine, World, event_id, frame};

fn line(key: &str, value: impl Into<Value>) -> String {
    EventLine::new("phone-1", 2).with(key, value).0.to_string()
}

/// A batch of three whose second line is another.
fn with_line(line: impl ToString) -> Batch {
    Batch::new("phone-1", 1, 3).with_line(1, line)
}

/// Pushes each body as a frame and as it is; both must be refused and change nothing.
async fn refuse_all(cases: &[(&str, Vec<u8>)]) {
    let world = World::new().await;
    world.push("ann", &Batch::new("other", 1, 2)).await.expect_committed(Some((1, 2)));
    let before = world.holdings().await;
    for (case, body) in cases {
        for (body, encoding) in [(frame(body), Some("zstd")), (body.clone(), None)] {
            let answer = world.push_body("ann", body, encoding).await;
            assert_eq!(answer.json["code"], "batch-malformed", "{case} {encoding:?}: {}", answer.json);
            answer.expect_refusal(400, "batch-malformed");
            assert!(!answer.json["detail"].as_str().unwrap().is_empty(), "{case}");
            assert_eq!(world.holdings().await, before, "{case}");
        }
    }
    // PUSH keeps its order: had a refused batch been published, it would have been taken before this one.
    world.push("ann", &Batch::new("phone-1", 1, 3)).await.expect_committed(Some((3, 5)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_sequences_are_not_consecutive_numbers_is_refused_whole() {
    let body = |line: String| with_line(line).body();
    refuse_all(&[
        ("missing", body(EventLine::new("phone-1", 2).without("deviceSequence").0.to_string())),
        ("missing in all", {
            let events =
                (1..=2).map(|n| EventLine::new("phone-1", n).without("deviceSequence").0.to_string());
            Batch { lines: events.collect(), ..Batch::new("phone-1", 1, 2) }.body()
        }),
        ("zero", body(line("deviceSequence", 0))),
        ("negative", body(line("deviceSequence", -2))),
        ("a text", body(line("deviceSequence", "2"))),
        ("null", body(line("deviceSequence", Value::Null))),
        ("a fraction", body(line("deviceSequence", 2.5))),
        ("a whole number written as a fraction", body(line("deviceSequence", 2.0))),
        ("beyond 2^53", body(line("deviceSequence", 1_u64 << 53))),
        ("twice", body(line("x", 1).replace("\"x\":1", "\"deviceSequence\":1"))),
        ("one is skipped", body(line("deviceSequence", 3))),
        ("repeated", body(line("deviceSequence", 1))),
        ("falling", {
            let mut batch = Batch::new("phone-1", 1, 3);
            batch.lines.reverse();
            batch.body()
        }),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_an_event_without_identity_is_refused_whole() {
    let body = |line: String| with_line(line).body();
    refuse_all(&[
        ("missing", body(EventLine::new("phone-1", 2).without("eventId").0.to_string())),
        ("no UUID", body(line("eventId", "event-2"))),
        ("a number", body(line("eventId", 2))),
        ("two ids", {
            let two = line("x", 1).replace("\"x\":1", &format!("\"eventId\":\"{}\"", event_id("x", 1)));
            body(two)
        }),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_lines_cannot_be_read_is_refused_whole() {
    let good = || Batch::new("phone-1", 1, 3);
    let text = |text: &str| text.as_bytes().to_vec();
    let raw = |line: &[u8]| {
        let body = good().body();
        let second = body.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        [&body[..second], line, b"\n", &body[second..]].concat()
    };
    refuse_all(&[
        ("nothing", Vec::new()),
        ("a line feed", text("\n")),
        ("no JSON", text("hello\n")),
        ("an empty batch", Batch { lines: Vec::new(), ..good() }.body()),
        ("no batch line", text(&(good().lines.join("\n") + "\n"))),
        ("a second batch line", with_line(json!({"batch": {"deviceId": "phone-1"}})).body()),
        ("a segment header", with_line(json!({"segment": {"first": 1, "last": 1, "lines": 1}})).body()),
        ("an unended last line", {
            let mut body = good().body();
            body.pop();
            body
        }),
        ("half a last line", {
            let body = good().body();
            body[..body.len() - 20].to_vec()
        }),
        ("a byte order mark", [b"\xef\xbb\xbf".to_vec(), good().body()].concat()),
        ("not UTF-8", raw(b"{\"eventId\":\"\xff\xfe\"}")),
        ("an empty line", raw(b"")),
        ("an empty line at the end", [good().body(), b"\n".to_vec()].concat()),
        ("an unparseable line", with_line("{\"eventId\":").body()),
        ("a list", with_line("[]").body()),
        ("two objects in a line", with_line(format!("{0}{0}", line("x", 1))).body()),
        ("a trailing comma", with_line(line("x", 1).replace("\"x\":1", "\"x\":1,")).body()),
        ("NaN", with_line(line("x", 1).replace("\"x\":1", "\"x\":NaN")).body()),
        ("a raw control character", with_line(line("x", "y").replace('y', "\u{1}")).body()),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_first_line_is_no_batch_line_is_refused_whole() {
    let header = |header: Value| Batch { header, ..Batch::new("phone-1", 1, 2) }.body();
    let lines = Batch::new("phone-1", 1, 2).lines.join("\n");
    let first = |line: &str| format!("{line}\n{lines}\n").into_bytes();
    refuse_all(&[
        ("no device", header(json!({}))),
        ("an empty device", header(json!({"deviceId": ""}))),
        ("a device of 129 bytes", header(json!({"deviceId": "d".repeat(129)}))),
        ("a device with a control character", header(json!({"deviceId": "phone\n1"}))),
        ("a device that is a number", header(json!({"deviceId": 1}))),
        ("a reserved device", header(json!({"deviceId": format!("event:{}", event_id("phone-1", 1))}))),
        ("an unknown key", header(json!({"deviceId": "phone-1", "colour": "red"}))),
        ("a key beside it", first(r#"{"batch":{"deviceId":"phone-1"},"x":1}"#)),
        ("a key twice", first(r#"{"batch":{"deviceId":"phone-1","deviceId":"phone-1"}}"#)),
        ("a batch that is null", first(r#"{"batch":null}"#)),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_after_does_not_fit_is_refused_whole() {
    let cases = [
        ("not the sequence before", 2, json!({"deviceSequence": 2, "eventId": event_id("phone-1", 2)})),
        ("two before", 3, json!({"deviceSequence": 1, "eventId": event_id("phone-1", 1)})),
        ("an id at 0", 1, json!({"deviceSequence": 0, "eventId": event_id("phone-1", 1)})),
        ("no id above 0", 2, json!({"deviceSequence": 1, "eventId": null})),
        ("no id at all above 0", 2, json!({"deviceSequence": 1})),
        ("an id that is none", 2, json!({"deviceSequence": 1, "eventId": "x"})),
        ("a negative sequence", 1, json!({"deviceSequence": -1, "eventId": null})),
        ("an unknown key", 1, json!({"deviceSequence": 0, "eventId": null, "x": 1})),
        ("a list", 1, json!([])),
    ];
    let body = |(case, first, after): (&'static str, u64, Value)| {
        (case, Batch::new("phone-1", first, first + 1).with("after", after).body())
    };
    refuse_all(&cases.map(body)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_json_batch_that_cannot_be_read_is_refused_whole() {
    let world = World::new().await;
    let events = || vec![EventLine::new("phone-1", 1).0];
    let cases = [
        ("no JSON", "{".to_owned()),
        ("empty", String::new()),
        ("no events", json!({"deviceId": "phone-1"}).to_string()),
        ("an empty batch", json!({"deviceId": "phone-1", "events": []}).to_string()),
        ("an event that is null", json!({"deviceId": "phone-1", "events": [null]}).to_string()),
        ("no device", json!({"events": events()}).to_string()),
        ("an unknown key", json!({"deviceId": "phone-1", "events": events(), "x": 1}).to_string()),
        ("a list", json!(events()).to_string()),
        ("something behind it", json!({"deviceId": "phone-1", "events": events()}).to_string() + "{}"),
    ];
    for (case, body) in cases {
        let answer = world.push_json("ann", body).await;
        assert_eq!(answer.json["code"], "batch-malformed", "{case}: {}", answer.json);
        answer.expect_refusal(400, "batch-malformed");
    }
    let good = json!({"deviceId": "phone-1", "events": events()}).to_string();
    world.push_json("ann", good).await.expect_committed(Some((1, 1)));
}
