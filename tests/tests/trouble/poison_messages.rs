//! Messages of PUSH that no gateway of ours would write: each is kept, once, and nothing waits behind it.

use serde_json::json;
use tidelog_tests::{Batch, History, PushMessage, World, event_id, eventually, frame};

use super::load::quarantined;

/// Waits until every message of PUSH is acknowledged.
async fn all_acknowledged(world: &World) {
    eventually("everything is acknowledged", async || {
        let fill = world.broker.push_fill().await.ok()?;
        (fill.ack_floor == fill.last_sequence).then_some(())
    })
    .await;
}

/// Publishes the message three times: it must be kept once, with its payload, and hold nothing up.
async fn is_kept_once(what: &str, message: PushMessage) {
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 5)).await.expect_committed(Some((1, 5)));
    for _ in 0..3 {
        message.publish(&world).await;
    }
    world.push("ann", &Batch::new("phone-1", 6, 9)).await.expect_committed(Some((6, 9)));
    all_acknowledged(&world).await;
    assert_eq!(quarantined(&world).await, (0, 1), "{what}");
    let kept = sqlx::query_as::<_, (Vec<u8>, String)>("SELECT payload, reason FROM quarantined_messages");
    let (payload, reason) = kept.fetch_one(&world.pool).await.unwrap();
    assert_eq!(payload, message.payload, "{what}");
    assert!(!reason.is_empty(), "{what}");
    History::of([("phone-1", 9)]).assert_is_log_of(&world, "ann").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_a_message_without_header_is_kept() {
    is_kept_once("no header", PushMessage::raw("ann", "any\0thing".as_bytes())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_a_message_whose_header_is_not_ours_is_kept() {
    for header in ["{", "[]", "null", r#"{"space":"ann"}"#, r#"{"space":7}"#] {
        is_kept_once(header, PushMessage::raw("ann", "x").with_header(header)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_a_message_with_u_0000_in_its_header_is_kept() {
    for key in ["space", "userId", "deviceId"] {
        is_kept_once(key, PushMessage::new("ann", "phone-1", 6, 7).with(key, "a\0b")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_a_message_whose_numbers_cannot_be_is_kept() {
    let message = || PushMessage::new("ann", "phone-1", 6, 7);
    for (key, value) in
        [("first", 0), ("first", 8), ("acceptedBytes", 0), ("quarantined", 2), ("quarantined", 3)]
    {
        is_kept_once(&format!("{key} {value}"), message().with(key, value)).await;
    }
    is_kept_once("more bytes than there are", message().with("acceptedBytes", 1 << 20)).await;
    is_kept_once("a negative number", message().with("first", -1)).await;
    for last in [7 + 1000, 1 << 40, u64::MAX] {
        is_kept_once(&format!("more events than a batch has: {last}"), message().with("last", last)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_a_message_whose_payload_is_no_frame_is_kept() {
    let message = |payload: Vec<u8>| {
        let length = payload.len();
        PushMessage::new("ann", "phone-1", 6, 7).with_payload(payload).with("acceptedBytes", length)
    };
    let whole = Batch::new("phone-1", 6, 7).frame();
    is_kept_once("text", message(b"hello".to_vec())).await;
    is_kept_once("a torn frame", message(whole[..whole.len() - 1].to_vec())).await;
    is_kept_once("a second frame", message([whole.clone(), whole].concat())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_a_header_that_counts_other_events_than_the_frame_holds_is_kept() {
    // It overlaps what the log has, so its frame is read.
    let message = || PushMessage::new("ann", "phone-1", 4, 7);
    is_kept_once("more", message().with("last", 9)).await;
    let fewer = message().with("last", 6).with("lastEventId", json!(event_id("phone-1", 6)));
    is_kept_once("fewer", fewer).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_a_second_frame_that_does_not_fit_is_kept() {
    let second = |content: &[u8], quarantined: u64| {
        let message = PushMessage::new("ann", "phone-1", 6, 7);
        let payload = [message.payload.clone(), frame(content)].concat();
        message.with_payload(payload).with("last", 7 + quarantined).with("quarantined", quarantined)
    };
    is_kept_once("no reasons", second(b"one\ntwo\n", 1)).await;
    is_kept_once("fewer lines", second(reason("x").as_bytes(), 2)).await;
    is_kept_once("no lines", second(b"", 1)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_what_the_database_cannot_even_quarantine_is_kept_whole() {
    // PostgreSQL's text has no U+0000.
    let second = frame(reason("why\\u0000").as_bytes());
    let message = PushMessage::new("ann", "phone-1", 6, 6).with_payload(second);
    is_kept_once("U+0000 in a reason", message.with("acceptedBytes", 0).with("quarantined", 1)).await;
}

/// A line of the second frame with its event's.
fn reason(detail: &str) -> String {
    let event_id = event_id("phone-1", 6);
    format!(
        r#"{{"deviceSequence":6,"eventId":"{event_id}","code":"event-unknown-type","detail":"{detail}"}}
{{"eventId":"{event_id}"}}
"#
    )
}
