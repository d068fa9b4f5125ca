//! Devices as support sees them: how far each has come, and at a glance why one does not sync.

use reqwest::Method;
use serde_json::{Value, json};
use tidelog_cli::token::{Access, Claims};
use tidelog_tests::{Answer, Batch, EventLine, SECRET, World, WorldOptions, event_id, eventually};

async fn page(world: &World, space: &str, query: &str) -> Answer {
    let path = format!("/admin/v1/spaces/{space}/devices?{query}");
    Answer::of(world.admin_request(Method::GET, &path, "admin:read")).await
}

async fn device(world: &World, space: &str, device: &str) -> Value {
    let devices = page(world, space, "").await.expect(200).json["items"].as_array().unwrap().clone();
    devices.into_iter().find(|item| item["deviceId"] == device).unwrap()
}

/// Pulls as a device that tells of itself, until `seen` holds for what support sees of it: hints may get lost.
async fn pull_until(world: &World, report: &Value, seen: impl Fn(&Value) -> bool) -> Value {
    eventually("what the device told is seen", async || {
        let pull = world.request(Method::GET, "/v1/spaces/me/log?after=2&deviceId=phone-1", "ann");
        let pull =
            pull.header("Tidelog-Client-Version", "2.14.0").header("Tidelog-Report", report.to_string());
        Answer::of(pull).await.expect(200);
        Some(device(world, "ann", "phone-1").await).filter(|device| seen(device))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_device_tells_of_itself_is_shown_with_the_reason_why_it_does_not_sync() {
    let world = World::new().await;
    let bad = EventLine::new("phone-1", 2).with("type", "UNKNOWN").0;
    world.push("ann", &Batch::new("phone-1", 1, 4).with_line(1, bad)).await.expect_committed(Some((1, 3)));
    let new = device(&world, "ann", "phone-1").await;
    assert_eq!((&new["cursor"], &new["behind"], &new["why"]), (&json!(0), &json!(3), &Value::Null));
    assert_eq!(
        (&new["userId"], &new["lastSequence"], &new["quarantined"]),
        (&json!("ann"), &json!(4), &json!(1))
    );

    let report = json!({"pending": 3, "lastError": "offline: no route", "clockOffsetMs": 10_800_000});
    let told = pull_until(&world, &report, |device| device["pending"] == 3).await;
    assert_eq!((&told["cursor"], &told["behind"]), (&json!(2), &json!(1)));
    assert_eq!((&told["appVersion"], &told["clockOffsetMs"]), (&json!("2.14.0"), &json!(10_800_000)));
    assert_eq!(told["lastError"]["detail"], "offline: no route");
    assert!(told["why"].as_str().unwrap().contains("offline: no route"), "{told}");

    let clock = pull_until(&world, &json!({"clockOffsetMs": 10_800_000}), |device| {
        device["lastError"].is_null() && device["pending"].is_null()
    })
    .await;
    assert_eq!(clock["why"], "its clock is 3 h ahead");
    let well = pull_until(&world, &json!({"clockOffsetMs": 5}), |device| device["why"].is_null()).await;
    assert_eq!(well["clockOffsetMs"], 5);
    let malformed = world.request(Method::GET, "/v1/spaces/me/log?deviceId=phone-1", "ann");
    Answer::of(malformed.header("Tidelog-Report", "{")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_push_is_shown_until_the_device_has_pushed_something_new() {
    let world = WorldOptions::default().set("ingest.gap_wait_ms", 1).start().await;
    world.push("ann", &Batch::new("phone-1", 1, 2)).await.expect(200);
    let ahead = EventLine::new("phone-1", 3).with("timestamp", "9000-01-01T00:00:00.000Z-0000").0;
    let pushes = [
        (Batch::new("phone-1", 5, 5), "sequence-gap"),
        (Batch::new("phone-1", 3, 3).with_line(0, ahead), "clock-ahead"),
        (
            Batch::new("phone-1", 3, 3)
                .with("after", json!({"deviceSequence": 2, "eventId": event_id("x", 1)})),
            "device-forked",
        ),
    ];
    for (batch, code) in &pushes {
        let refused = eventually("the refusal is seen", async || {
            assert_eq!(world.push("ann", batch).await.json["code"], *code);
            Some(device(&world, "ann", "phone-1").await).filter(|device| device["lastError"]["code"] == *code)
        })
        .await;
        assert!(refused["why"].as_str().unwrap().contains(code), "{refused}");
    }
    let counted = device(&world, "ann", "phone-1").await;
    assert!(counted["gaps"].as_u64() >= Some(1) && counted["forks"].as_u64() >= Some(1), "{counted}");
    eventually("a push of something new clears it", async || {
        let next = device(&world, "ann", "phone-1").await["lastSequence"].as_u64()? + 1;
        world.push("ann", &Batch::new("phone-1", next, next)).await.expect(200);
        device(&world, "ann", "phone-1").await["lastError"].is_null().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_differs_at_the_same_position_is_shown_and_a_right_one_is_not() {
    let world = WorldOptions::default().projectors(1).start().await;
    world.push("ann", &Batch::new("phone-1", 1, 3)).await.expect_committed(Some((1, 3)));
    let hash = eventually("the log is folded", async || {
        let folded =
            sqlx::query_scalar("SELECT state_hash FROM projections WHERE space_id = 'ann' AND applied = 3");
        folded.fetch_optional(&world.pool).await.unwrap()
    });
    let hash: Value = hash.await;
    let epoch = world.pull("ann", "").await.json["epoch"].clone();
    let state = |hash: &Value, position: u64, pending: u64| {
        let state = json!({"position": position, "epoch": epoch, "schemaVersion": 3, "hash": hash});
        json!({"pending": pending, "state": state})
    };
    let wrong = json!({"workout": "07096af6c997d545e7665b7c9ee3cf0d"});
    let right = pull_until(&world, &state(&hash, 3, 1), |device| device["pending"] == 1).await;
    assert_eq!((&right["diverged"], &right["why"]), (&Value::Null, &Value::Null));
    let elsewhere = pull_until(&world, &state(&wrong, 2, 2), |device| device["pending"] == 2).await;
    assert_eq!(elsewhere["diverged"], Value::Null, "another position is not comparable");
    let differs = pull_until(&world, &state(&wrong, 3, 3), |device| device["pending"] == 3).await;
    assert_eq!(differs["diverged"]["position"], 3);
    assert!(differs["why"].as_str().unwrap().contains("differ"), "{differs}");
    let healed = pull_until(&world, &state(&hash, 3, 4), |device| device["pending"] == 4).await;
    assert_eq!(healed["diverged"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_tells_anything_of_another_users_device() {
    let world = World::new().await;
    let token = |user| Claims::new(user, 1).with_space("team", Access::Rw).sign(SECRET).unwrap();
    let (ann, bob) = (token("ann"), token("bob"));
    for (token, device) in [(&ann, "phone-1"), (&bob, "phone-2")] {
        let push = world.request_with(Method::POST, "/v1/spaces/team/events", Some(token));
        let push = push.header("Content-Type", "application/x-ndjson");
        Answer::of(push.body(Batch::new(device, 1, 3).body())).await.expect(200);
    }
    eventually("what bob says of his own device is seen", async || {
        for device in ["phone-1", "phone-2"] {
            let path = format!("/v1/spaces/team/log?after=5&deviceId={device}");
            Answer::of(world.request_with(Method::GET, &path, Some(&bob))).await.expect(200);
        }
        (device(&world, "team", "phone-2").await["cursor"] == 5).then_some(())
    })
    .await;
    assert_eq!(device(&world, "team", "phone-1").await["cursor"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_come_page_by_page_without_those_of_single_events() {
    let world = World::new().await;
    let names = ["a", "event", "eventful", "phone-1", "z"];
    for name in names {
        world.push("ann", &Batch::new(name, 1, 1)).await.expect(200);
    }
    let own = EventLine::new("backend", 1).without("deviceSequence").0;
    let request = world.backend_request(Method::POST, "/v1/spaces/ann/events");
    let body = json!({"userId": "ann", "events": [own]}).to_string();
    Answer::of(request.header("Content-Type", "application/json").body(body)).await.expect(200);
    let mut seen = Vec::new();
    let mut next = String::new();
    loop {
        let page = page(&world, "ann", &format!("limit=2{next}")).await.expect(200).json.clone();
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["deviceId"].clone()));
        let Some(cursor) = page["next"].as_str() else { break };
        next = format!("&cursor={cursor}");
    }
    assert_eq!(seen, names);
    page(&world, "nobody", "").await.expect_refusal(404, "not-found");
    page(&world, "ann", "cursor=x").await.expect_refusal(400, "request-invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn support_revokes_a_lost_phone_in_any_space_where_it_is_seen_and_restores_it() {
    let world = World::new().await;
    let token = Claims::new("ann", 1).with_space("team", Access::Rw).sign(SECRET).unwrap();
    let push = async |first: u64| {
        let push = world.request_with(Method::POST, "/v1/spaces/team/events", Some(&token));
        let push = push.header("Content-Type", "application/x-ndjson");
        Answer::of(push.body(Batch::new("phone-1", first, first).body())).await
    };
    push(1).await.expect(200);
    let act = async |path: &str, scope: &str| {
        Answer::of(world.admin_request(Method::POST, &format!("/admin/v1/spaces/{path}"), scope)).await
    };
    act("team/devices/phone-1/revoke", "admin:read").await.expect_refusal(403, "forbidden");
    act("team/devices/phone-9/revoke", "admin").await.expect_refusal(404, "not-found");
    assert_eq!(act("team/devices/phone-1/revoke", "admin").await.expect(200).json, json!({"done": true}));
    push(2).await.expect_refusal(403, "device-revoked");
    let revoked = device(&world, "team", "phone-1").await;
    assert_eq!(revoked["revoked"], true);
    assert!(revoked["why"].as_str().unwrap().starts_with("it was revoked by support"), "{revoked}");
    act("team/devices/phone-1/restore", "admin").await.expect(200);
    push(2).await.expect(200);
    assert_eq!(device(&world, "team", "phone-1").await["why"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn support_revokes_a_phone_that_has_only_read_in_its_users_own_space() {
    let world = World::new().await;
    let read = "/v1/spaces/me/log?after=0&deviceId=phone-1";
    Answer::of(world.request(Method::GET, read, "ann")).await.expect(200);
    let act = async |action: &str| {
        let path = format!("/admin/v1/spaces/ann/devices/phone-1/{action}");
        Answer::of(world.admin_request(Method::POST, &path, "admin")).await.expect(200);
    };
    act("revoke").await;
    Answer::of(world.request(Method::GET, read, "ann")).await.expect_refusal(403, "device-revoked");
    act("restore").await;
    Answer::of(world.request(Method::GET, read, "ann")).await.expect(200);
}
