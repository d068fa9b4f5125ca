//! The pipeline: what waits where, and how much passes.

use reqwest::Method;
use serde_json::{Value, json};
use tidelog_tests::{
    Answer, Batch, Fault, PrivateServers, Proxy, World, WorldOptions, broker_address, eventually,
};

async fn pipeline(world: &World) -> Value {
    let answer = Answer::of(world.admin_request(Method::GET, "/admin/v1/pipeline", "admin:read")).await;
    answer.expect(200).json.clone()
}

/// Looks at the pipeline until what it says is as it should be.
async fn shows(world: &World, what: &str, is_so: impl Fn(&Value) -> Option<bool>) -> Value {
    eventually(what, async || {
        let pipeline = pipeline(world).await;
        is_so(&pipeline)?.then_some(pipeline)
    })
    .await
}

fn measured_often<'a>() -> WorldOptions<'a> {
    WorldOptions::default().set("admin.sample_interval_ms", 50)
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_move_with_traffic() {
    let world = measured_often().projectors(1).start().await;
    shows(&world, "the streams are measured", |now| Some(now["rates"].is_object())).await;
    for user in 0..3 {
        for first in [1, 11] {
            world.push(&format!("user-{user}"), &Batch::new("phone-1", first, first + 9)).await.expect(200);
        }
    }
    let now = shows(&world, "what was pushed has passed all stages", |now| {
        let minute = &now["rates"]["lastMinute"];
        let passed = |key: &str| Some((minute[key].as_f64()? * minute["overSeconds"].as_f64()?).round());
        let is_through = passed("foldedEvents")? >= 60.0 && passed("foldedBatches")? >= 6.0;
        Some(is_through && now["readModels"]["spaces"] == 3 && now["readModels"]["spacesBehind"] == 0)
    })
    .await;
    let minute = &now["rates"]["lastMinute"];
    let passed =
        |key: &str| (minute[key].as_f64().unwrap() * minute["overSeconds"].as_f64().unwrap()).round();
    assert_eq!(
        (passed("pushedBatches"), passed("settledBatches"), passed("committedBatches")),
        (6.0, 6.0, 6.0)
    );
    assert_eq!((passed("committedEvents"), passed("foldedEvents")), (60.0, 60.0));
    let push = &now["push"];
    assert_eq!((&push["messages"], &push["oldestOpenMs"]), (&json!(6), &json!(0)));
    assert_eq!(push["ingest"], json!({"pending": 0, "inFlight": 0, "redelivered": 0}));
    assert!(push["bytes"].as_u64().unwrap() > 0 && push["maxBytes"] == json!(64 << 20));
    assert_eq!(now["log"]["messages"], json!(6));
    assert_eq!(now["away"], json!([]));
    assert_eq!(now["compact"], json!({"due": 0, "refused": 0, "oldestRefusalAt": null}));
    assert_eq!(now["quarantine"], json!({"events": 0, "messages": 0, "more": false}));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ingest_has_not_taken_is_pending_and_grows_older() {
    let world = measured_often().ingests(0).set("gateway.commit_wait_ms", 1).start().await;
    for sequence in [1, 2] {
        world.push("ann", &Batch::new("phone-1", sequence, sequence)).await.expect(202);
    }
    let before =
        shows(&world, "two batches are pending", |now| Some(now["push"]["ingest"]["pending"] == 2)).await;
    let age = before["push"]["oldestOpenMs"].as_u64().unwrap();
    world.push("ann", &Batch::new("phone-1", 3, 3)).await.expect(202);
    shows(&world, "a third one is pending, and the first is older", |now| {
        Some(now["push"]["ingest"]["pending"] == 3 && now["push"]["oldestOpenMs"].as_u64()? > age)
    })
    .await;
    let _ingest = world.start_ingest();
    shows(&world, "nothing is pending any more", |now| {
        Some(now["push"]["ingest"] == json!({"pending": 0, "inFlight": 0, "redelivered": 0}))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_folds_is_behind() {
    let world = measured_often().start().await;
    world.push("ann", &Batch::new("phone-1", 1, 7)).await.expect(200);
    world.push("bob", &Batch::new("phone-1", 1, 2)).await.expect(200);
    let now =
        shows(&world, "two spaces are behind", |now| Some(now["readModels"]["spacesBehind"] == 2)).await;
    assert_eq!(
        (&now["readModels"]["positionsBehind"], &now["readModels"]["mostBehind"]),
        (&json!(9), &json!(7))
    );
    assert_eq!(now["project"], json!({"pending": 2, "inFlight": 0, "redelivered": 0}));
    let _projector = world.start_projector();
    shows(&world, "none is behind any more", |now| {
        Some(now["readModels"]["spacesBehind"] == 0 && now["project"]["pending"] == 0)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_compactor_and_the_log_refuse_is_counted() {
    let world =
        measured_often().set("retention.keep_events", 0).set("retention.prune_events", 1).start().await;
    let faulty = |line: &str| Batch::new("phone-1", 1, 1).with_line(0, line);
    let unknown = r#"{"eventId":"0190b5a0-0000-7000-8000-000000000001","deviceSequence":1,"type":"X","entityId":"e","timestamp":"2025-08-06T10:30:00.000Z-0001","payload":{}}"#;
    world.push("ann", &faulty(unknown)).await.expect(200);
    world.push("bob", &Batch::new("phone-1", 1, 2)).await.expect(200);
    sqlx::query("UPDATE segments SET received_at = received_at - interval '31 days'")
        .execute(&world.pool)
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO compactions (space_id, refused_at, refusal)
         VALUES ('bob', '2026-01-02T03:04:05Z', '{}'), ('ann', '2026-02-02T03:04:05Z', '{}')",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    let now = shows(&world, "a space is due", |now| Some(now["compact"]["due"] == 1)).await;
    assert_eq!(
        now["compact"],
        json!({"due": 1, "refused": 2, "oldestRefusalAt": "2026-01-02T03:04:05.000Z"})
    );
    assert_eq!(now["quarantine"], json!({"events": 1, "messages": 0, "more": false}));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_broker_its_stages_are_null_and_come_back_with_it() {
    let mut servers = PrivateServers::start().await;
    let world = measured_often().on(&servers).start().await;
    world.push("ann", &Batch::new("phone-1", 1, 1)).await.expect(200);
    shows(&world, "it is measured", |now| Some(now["rates"].is_object())).await;
    servers.nats.stop().await.unwrap();
    let now =
        shows(&world, "the broker is away", |now| Some(now["push"].is_null() && now["rates"].is_null()))
            .await;
    assert_eq!((&now["log"], &now["project"]), (&Value::Null, &Value::Null));
    let parts: Vec<_> =
        now["away"].as_array().unwrap().iter().map(|away| away["part"].as_str().unwrap()).collect();
    assert_eq!(parts, ["push", "log", "project"]);
    assert_eq!(now["readModels"]["spacesBehind"], json!(1), "what PostgreSQL knows is there");
    servers.nats.restart().await.unwrap();
    shows(&world, "all of it is back", |now| Some(now["rates"].is_object() && now["away"] == json!([])))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_falls_silent_holds_nothing_up() {
    let proxy = Proxy::start(broker_address().await).await;
    let world = measured_often().broker_through(&proxy).start().await;
    shows(&world, "it is measured", |now| Some(now["rates"].is_object())).await;
    proxy.set(Fault::HalfOpen(tidelog_tests::Direction::FromTarget));
    let now = shows(&world, "the broker is away", |now| Some(now["push"].is_null())).await;
    assert!(now["away"][0]["reason"].is_string(), "{now}");
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_were_made_anew_are_measured_from_their_beginning() {
    let world = measured_often().ingests(0).set("gateway.commit_wait_ms", 1).start().await;
    for sequence in 1..=3 {
        world.push("ann", &Batch::new("phone-1", sequence, sequence)).await.expect(202);
    }
    shows(&world, "it is measured", |now| Some(now["push"]["messages"] == 3 && now["rates"].is_object()))
        .await;
    world.broker.remove_streams().await.unwrap();
    let now =
        shows(&world, "a stream is missing", |now| Some(now["push"].is_null() && now["rates"].is_null()))
            .await;
    assert_eq!(
        now["away"][0],
        json!({"part": "push", "reason": "the stream or its consumer does not exist"})
    );
    world.push("ann", &Batch::new("phone-1", 1, 1)).await.expect(202);
    // The gateway makes PUSH anew; the consumers and LOG are made by those who work with them, of whom none runs here.
    world.broker.ensure_streams().await.unwrap();
    let now = shows(&world, "it is measured again", |now| Some(now["rates"].is_object())).await;
    assert_eq!(now["push"]["messages"], json!(1));
}
