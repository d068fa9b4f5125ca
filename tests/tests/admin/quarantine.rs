//! Quarantine by hand: looked through, released, dismissed; once, however often and by however many it is asked for.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tidelog_events::command::{Command, DismissQuarantined, ReleaseQuarantined};
use tidelog_events::id::{DeviceId, Sequence, SpaceId, UserId};
use tidelog_events::protocol::UtcTime;
use tidelog_tests::{
    Answer, Batch, EventLine, Proxy, PushMessage, World, WorldOptions, broker_address, event_id, eventually,
};

async fn list(world: &World, query: &str) -> Value {
    let path = format!("/admin/v1/quarantine?{query}");
    let answer = Answer::of(world.admin_request(Method::GET, &path, "admin:read")).await;
    answer.expect(200).json.clone()
}

/// The id of the only entry that such a list shows.
async fn only_entry(world: &World, query: &str) -> Value {
    let page = list(world, query).await;
    assert_eq!(page["items"].as_array().map(Vec::len), Some(1), "{page}");
    page["items"][0].clone()
}

async fn act(world: &World, entry: &Value, action: &str) -> Answer {
    let path = format!("/admin/v1/quarantine/{}/{action}", entry["id"].as_str().unwrap());
    Answer::of(world.admin_request(Method::POST, &path, "admin")).await
}

/// Events 1 to 3 of a device, of which the second lies in quarantine although the schema accepts it: as if the database
/// had refused it once. Returns its line.
async fn refused_once(world: &World, device: &str) -> String {
    let bad = EventLine::new(device, 2).with("type", "UNKNOWN").0;
    world.push_until_committed("ann", &Batch::new(device, 1, 3).with_line(1, bad)).await.expect(200);
    let line = EventLine::new(device, 2).0.to_string();
    let accepted = sqlx::query(
        "UPDATE quarantine SET code = 'event-poison', line = convert_to($2, 'UTF8') WHERE device_id = $1",
    );
    let updated = accepted.bind(device).bind(&line).execute(&world.pool).await.unwrap();
    assert_eq!(updated.rows_affected(), 1);
    line
}

fn release_of(device: &str) -> Command {
    Command::ReleaseQuarantined(ReleaseQuarantined {
        space: SpaceId::new("ann").unwrap(),
        device_id: DeviceId::new(device).unwrap(),
        device_sequence: Sequence(2),
        by: UserId::new("support").unwrap(),
    })
}

/// The event is in the log once, at that position, and its device goes on as before.
async fn is_released_once(world: &World, device: &str, line: &str, position: i64) {
    let released: Vec<_> =
        world.segments("ann").await.into_iter().filter(|segment| segment.released).collect();
    assert_eq!(released.len(), 1);
    assert_eq!((released[0].last, released[0].lines()[1].as_str()), (position, line));
    assert_eq!(world.quarantine("ann", device).await, []);
    let pull = world.pull("ann", &format!("after=2&deviceId={device}")).await;
    assert_eq!(pull.json["device"]["lastSequence"], 3, "the watermark stays");
    assert_eq!(pull.json["device"]["quarantined"], json!([]));
    assert_eq!(pull.json["events"][0]["eventId"], json!(event_id(device, 2)), "its device gets it");
    assert_eq!(pull.json["events"][0]["released"], true);
    let next = position as u64 + 1;
    world.push("ann", &Batch::new(device, 4, 4)).await.expect_committed(Some((next, next)));
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_2_an_event_that_is_released_by_hand_enters_the_log_once() {
    let world = World::new().await;
    let line = refused_once(&world, "phone-1").await;
    let entry = only_entry(&world, "").await;
    assert_eq!((&entry["releasable"], &entry["line"]), (&json!(true), &json!(line)));
    for _ in 0..2 {
        let answer = act(&world, &entry, "release").await;
        assert_eq!(answer.expect(200).json, json!({"done": true, "position": 3}));
    }
    is_released_once(&world, "phone-1", &line, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_2_a_release_that_is_delivered_twice_appends_once() {
    let world = World::new().await;
    let line = refused_once(&world, "phone-1").await;
    for _ in 0..2 {
        world.publish_command(&release_of("phone-1")).await;
    }
    world.everything_is_settled().await;
    is_released_once(&world, "phone-1", &line, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_2_an_event_that_many_release_at_once_enters_the_log_once() {
    let world = WorldOptions::default().ingests(3).start().await;
    let line = refused_once(&world, "phone-1").await;
    let entry = only_entry(&world, "").await;
    let answers = join_all((0..8).map(|_| act(&world, &entry, "release"))).await;
    for answer in answers {
        assert_eq!(answer.expect(200).json, json!({"done": true, "position": 3}));
    }
    is_released_once(&world, "phone-1", &line, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_whose_ingest_is_killed_is_carried_out_by_the_next_one() {
    let options = WorldOptions::default().ingests(0).set("broker.ack_wait_seconds", 3);
    let options = options.set("database.statement_timeout_ms", 1000).set("gateway.commit_wait_ms", 300);
    let world = options.start().await;
    let first = world.start_ingest();
    let line = refused_once(&world, "phone-1").await;
    let mut lock = world.pool.begin().await.unwrap();
    sqlx::raw_sql("LOCK TABLE segments IN EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    let entry = only_entry(&world, "").await;
    let answer = act(&world, &entry, "release").await;
    assert_eq!(answer.expect(202).json, json!({"done": false}));
    world.waits_for_locks(1).await;
    first.kill();
    lock.rollback().await.unwrap();
    let _next = world.start_ingest();
    eventually("the event is released", async || (world.head("ann").await == 3).then_some(())).await;
    world.everything_is_settled().await;
    is_released_once(&world, "phone-1", &line, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_schema_does_not_accept_stays_and_the_answer_says_why() {
    let world = World::new().await;
    let bad = EventLine::new("phone-1", 2).with("type", "UNKNOWN").0;
    world.push("ann", &Batch::new("phone-1", 1, 3).with_line(1, &bad)).await.expect(200);
    let entry = only_entry(&world, "space=ann&deviceId=phone-1&code=event-unknown-type").await;
    assert_eq!((&entry["releasable"], &entry["kind"]), (&json!(false), &json!("event")));
    let answer = act(&world, &entry, "release").await;
    answer.expect_refusal(409, "event-not-releasable");
    let detail = answer.json["detail"].as_str().unwrap();
    assert!(detail.contains("event-unknown-type") && detail.contains("UNKNOWN"), "{detail}");
    assert_eq!(world.quarantine("ann", "phone-1").await.len(), 1);
    assert_eq!(world.head("ann").await, 2);

    PushMessage::raw("ann", "any thing").publish(&world).await;
    world.everything_is_settled().await;
    let page = list(&world, "").await;
    let message = page["items"].as_array().unwrap().iter().find(|item| item["kind"] == "message").unwrap();
    act(&world, message, "release").await.expect_refusal(409, "event-not-releasable");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_nowhere_cannot_be_released_or_dismissed() {
    let world = World::new().await;
    refused_once(&world, "phone-1").await;
    let entry = only_entry(&world, "").await;
    sqlx::query("DELETE FROM quarantine").execute(&world.pool).await.unwrap();
    for action in ["release", "dismiss"] {
        act(&world, &entry, action).await.expect_refusal(404, "not-found");
        act(&world, &json!({"id": "bnVsbA"}), action).await.expect_refusal(404, "not-found");
        let path = format!("/admin/v1/quarantine/{}/{action}", entry["id"].as_str().unwrap());
        let looking = Answer::of(world.admin_request(Method::POST, &path, "admin:read")).await;
        looking.expect_refusal(403, "forbidden");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dismissed_is_hidden_and_its_device_is_told_of_it_as_before() {
    let world = World::new().await;
    refused_once(&world, "phone-1").await;
    PushMessage::raw("ann", "any thing").publish(&world).await;
    world.everything_is_settled().await;
    let both = list(&world, "dismissed=all").await["items"].as_array().unwrap().clone();
    assert_eq!(both.len(), 2);
    for entry in &both {
        for _ in 0..2 {
            assert_eq!(act(&world, entry, "dismiss").await.expect(200).json, json!({"done": true}));
        }
    }
    assert_eq!(list(&world, "").await["items"], json!([]));
    let hidden = list(&world, "dismissed=true").await["items"].as_array().unwrap().clone();
    assert!(hidden.iter().all(|entry| entry["dismissed"]["by"] == "support"), "{hidden:?}");
    assert_eq!(hidden.len(), 2);
    let hello = world.pull("ann", "deviceId=phone-1").await;
    assert_eq!(hello.json["device"]["quarantined"][0]["deviceSequence"], 2);

    for entry in &both {
        let path = format!("/admin/v1/quarantine/{}/dismiss", entry["id"].as_str().unwrap());
        let undo = world.admin_request(Method::POST, &path, "admin").json(&json!({"dismissed": false}));
        Answer::of(undo).await.expect(200);
    }
    assert_eq!(list(&world, "").await["items"].as_array().unwrap().len(), 2);
    // The first dismissal comes again, as after a restore of the database.
    world
        .publish_command(&Command::DismissQuarantined(DismissQuarantined {
            space: SpaceId::new("ann").unwrap(),
            device_id: DeviceId::new("phone-1").unwrap(),
            device_sequence: Sequence(2),
            dismissed: true,
            by: UserId::new("support").unwrap(),
            at: UtcTime(world.clock.now().0 - 60_000),
        }))
        .await;
    world.everything_is_settled().await;
    assert_eq!(list(&world, "").await["items"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn quarantine_is_listed_the_latest_first_and_page_by_page() {
    let world = World::new().await;
    for (user, device) in [("ann", "phone-1"), ("bob", "phone-2"), ("ann", "watch-1")] {
        let bad = |sequence| EventLine::new(device, sequence).with("type", "UNKNOWN").0;
        let batch = Batch::new(device, 1, 3).with_line(0, bad(1)).with_line(2, bad(3));
        world.push(user, &batch).await.expect(200);
        PushMessage::raw(user, format!("garbage of {user} {device}")).publish(&world).await;
        world.everything_is_settled().await;
    }
    let all = list(&world, "limit=100").await["items"].as_array().unwrap().clone();
    assert_eq!(all.len(), 9);
    let times: Vec<&str> = all.iter().map(|entry| entry["receivedAt"].as_str().unwrap()).collect();
    assert!(times.is_sorted_by(|left, right| left >= right), "{times:?}");
    for limit in [1, 2, 5] {
        let mut paged = Vec::new();
        let mut next = String::new();
        loop {
            let page = list(&world, &format!("limit={limit}{next}")).await;
            paged.extend(page["items"].as_array().unwrap().clone());
            let Some(cursor) = page["next"].as_str() else { break };
            next = format!("&cursor={cursor}");
        }
        assert_eq!(paged, all, "pages of {limit}");
    }
    let count = async |query: &str| list(&world, query).await["items"].as_array().unwrap().len();
    assert_eq!(count("space=ann&code=event-unknown-type").await, 4);
    assert_eq!(count("space=ann&deviceId=watch-1").await, 2);
    assert_eq!(count("code=event-poison").await, 0);
    assert_eq!(count("space=nobody").await, 0);
    for wrong in ["deviceId=phone-1", "cursor=e30", "limit=x", "dismissed=maybe", "code=no-code", "x=1"] {
        let path = format!("/admin/v1/quarantine?{wrong}");
        let answer = Answer::of(world.admin_request(Method::GET, &path, "admin")).await;
        answer.expect_refusal(400, "request-invalid");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_a_command_that_cannot_be_read_is_kept_and_holds_nothing_up() {
    let world = World::new().await;
    let garbage = [
        "{",
        "null",
        r#"{"command":{"kind":"dropEverything","space":"ann"},"replyTo":"x","pushId":1}"#,
        r#"{"command":{"kind":"releaseQuarantined","space":""},"replyTo":"x","pushId":1}"#,
        // PostgreSQL's text has no U+0000.
        r#"{"command":{"kind":"setDeviceProfile","space":"ann","deviceId":"phone-1","name":"a\u0000b","by":"ann","at":"2026-01-01T00:00:00.000Z"},"replyTo":"x","pushId":1}"#,
    ];
    for text in garbage {
        world.publish_command_text(7, text).await;
    }
    world.push("ann", &Batch::new("phone-1", 1, 3)).await.expect_committed(Some((1, 3)));
    world.everything_is_settled().await;
    let kept: i64 =
        sqlx::query_scalar("SELECT count(*) FROM quarantined_messages").fetch_one(&world.pool).await.unwrap();
    assert_eq!(kept, garbage.len() as i64);
    let named = list(&world, "space=ann").await;
    assert_eq!(named["items"].as_array().unwrap().len(), 2, "{named}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_waits_for_ingest_in_the_broker_and_is_refused_without_it() {
    let broker = Proxy::start(broker_address().await).await;
    let options = WorldOptions::default().ingests(0).broker_through(&broker);
    let options = options.set("gateway.commit_wait_ms", 300).set("broker.publish_timeout_ms", 500);
    let world = options.start().await;
    let first = world.start_ingest();
    refused_once(&world, "phone-1").await;
    first.stop().await;
    let entry = only_entry(&world, "").await;
    assert_eq!(act(&world, &entry, "release").await.expect(202).json, json!({"done": false}));
    assert_eq!(world.head("ann").await, 2);
    let _second = world.start_ingest();
    eventually("the event is released", async || (world.head("ann").await == 3).then_some(())).await;
    drop(broker);
    act(&world, &entry, "dismiss").await.expect_refusal(503, "overloaded");
}
