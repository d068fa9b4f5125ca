//! A user's own devices: seen, named, and revoked where one was lost.

use reqwest::Method;
use serde_json::{Value, json};
use tidelog_cli::token::{Access, Claims};
use tidelog_events::command::{Command, SetDeviceProfile};
use tidelog_events::id::{DeviceId, SpaceId, UserId};
use tidelog_events::protocol::UtcTime;
use tidelog_tests::{
    Answer, Batch, Fault, Proxy, SECRET, World, WorldOptions, database_address, eventually, token,
};

async fn list(world: &World, token: &str, query: &str) -> Answer {
    Answer::of(world.request_with(Method::GET, &format!("/v1/devices?{query}"), Some(token))).await
}

async fn change(world: &World, token: &str, device: &str, body: &Value) -> Answer {
    let path = format!("/v1/devices/{device}");
    Answer::of(world.request_with(Method::PATCH, &path, Some(token)).json(body)).await
}

async fn get(world: &World, token: &str, path: &str) -> Answer {
    Answer::of(world.request_with(Method::GET, path, Some(token))).await
}

async fn push_as(world: &World, token: &str, batch: &Batch) -> Answer {
    let push = world.request_with(Method::POST, "/v1/spaces/me/events", Some(token));
    Answer::of(push.header("Content-Type", "application/x-ndjson").body(batch.body())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_sees_own_devices_with_all_spaces_that_the_token_names() {
    let world = World::new().await;
    let ann = Claims::new("ann", 1).with_space("team", Access::Rw).sign(SECRET).unwrap();
    let bob = Claims::new("bob", 1).with_space("team", Access::Rw).sign(SECRET).unwrap();
    let push = async |token: &str, space: &str, device: &str| {
        let push = world.request_with(Method::POST, &format!("/v1/spaces/{space}/events"), Some(token));
        let push = push.header("Content-Type", "application/x-ndjson");
        Answer::of(push.body(Batch::new(device, 1, 2).body())).await.expect(200);
    };
    push(&ann, "me", "phone-1").await;
    push(&ann, "team", "phone-1").await;
    push(&ann, "team", "watch-1").await;
    push(&bob, "team", "phone-2").await;
    let seen = list(&world, &ann, "").await.expect(200).json.clone();
    let spaces = |item: &Value| {
        let spaces = item["spaces"].as_array().unwrap().iter();
        spaces.map(|space| (space["space"].clone(), space["behind"].clone())).collect::<Vec<_>>()
    };
    let items = seen["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "{seen}");
    assert_eq!((&items[0]["deviceId"], &items[0]["revoked"]), (&json!("phone-1"), &json!(false)));
    assert_eq!(spaces(&items[0]), [(json!("ann"), json!(2)), (json!("team"), json!(6))]);
    assert_eq!(
        (&items[1]["deviceId"], spaces(&items[1])),
        (&json!("watch-1"), vec![(json!("team"), json!(6))])
    );
    let alone = list(&world, &token("ann"), "").await.expect(200).json["items"].clone();
    assert_eq!(alone.as_array().map(Vec::len), Some(1), "a token that names no team shows none of it");

    let first = list(&world, &ann, "limit=1").await.expect(200).json.clone();
    assert_eq!((&first["items"][0], &first["next"]), (&items[0], &json!("phone-1")));
    let second = list(&world, &ann, "limit=1&cursor=phone-1").await.expect(200).json.clone();
    assert_eq!((&second["items"][0], &second["next"]), (&items[1], &Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_gets_a_name_and_an_older_one_that_comes_again_changes_nothing() {
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 2)).await.expect(200);
    let ann = token("ann");
    let before = world.clock.now();
    let named = change(&world, &ann, "phone-1", &json!({"name": "Annas Händy"})).await;
    assert_eq!(named.expect(200).json["name"], "Annas Händy");
    let older = |name: Option<&str>, revoked| {
        Command::SetDeviceProfile(SetDeviceProfile {
            space: SpaceId::new("ann").unwrap(),
            device_id: DeviceId::new("phone-1").unwrap(),
            name: name.map(str::to_owned),
            revoked,
            by: UserId::new("ann").unwrap(),
            at: UtcTime(before.0 - 60_000),
        })
    };
    world.publish_command(&older(Some("older"), None)).await;
    world.everything_is_settled().await;
    assert_eq!(list(&world, &ann, "").await.json["items"][0]["name"], "Annas Händy");
    // What no later command said is taken, whenever it comes.
    world.publish_command(&older(Some("older"), Some(true))).await;
    world.everything_is_settled().await;
    let device = eventually("the revocation is seen", async || {
        Some(list(&world, &ann, "").await.json["items"][0].clone()).filter(|device| device["revoked"] == true)
    })
    .await;
    assert_eq!(device["name"], "Annas Händy");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_change_is_refused() {
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 1)).await.expect(200);
    let ann = token("ann");
    for body in [
        json!({}),
        json!({"name": ""}),
        json!({"name": "a\nb"}),
        json!({"name": "x".repeat(101)}),
        json!({"revoked": "yes"}),
        json!({"owner": "bob"}),
        json!([]),
    ] {
        change(&world, &ann, "phone-1", &body).await.expect_refusal(400, "request-invalid");
    }
    let large = json!({"name": "x".repeat(5000)});
    change(&world, &ann, "phone-1", &large).await.expect_refusal(413, "body-too-large");
    let request = world.request_with(Method::PATCH, "/v1/devices/phone-1", Some(&ann)).body("name=x");
    Answer::of(request).await.expect_refusal(415, "unsupported-media-type");
    change(&world, &ann, "phone-1", &json!({"name": "x".repeat(100)})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_7_another_users_device_is_neither_seen_nor_changed() {
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 1)).await.expect(200);
    let bob = token("bob");
    assert_eq!(list(&world, &bob, "").await.expect(200).json["items"], json!([]));
    // A device of the same id is another user's own, and need not have pushed.
    let own = change(&world, &bob, "phone-1", &json!({"revoked": true})).await.expect(200).json.clone();
    assert_eq!(
        (&own["revoked"], &own["spaces"], &own["lastSeenAt"]),
        (&json!(true), &json!([]), &Value::Null)
    );
    world.push("bob", &Batch::new("phone-1", 1, 1)).await.expect_refusal(403, "device-revoked");
    world.push("ann", &Batch::new("phone-1", 2, 2)).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_device_pushes_and_pulls_no_more_until_it_is_restored() {
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 2)).await.expect(200);
    world.push("ann", &Batch::new("watch-1", 1, 2)).await.expect(200);
    let ann = token("ann");
    let backend = async |sequence: u64| {
        let request = world.backend_request(Method::POST, "/v1/spaces/ann/events");
        let batch = Batch::new("phone-1", sequence, sequence).with("userId", "ann");
        Answer::of(request.header("Content-Type", "application/x-ndjson").body(batch.body())).await
    };
    let revoked = change(&world, &ann, "phone-1", &json!({"revoked": true})).await;
    assert_eq!(revoked.expect(200).json["revoked"], true);
    let own_events = "/v1/spaces/me/devices/phone-1/events";
    world.push("ann", &Batch::new("phone-1", 3, 3)).await.expect_refusal(403, "device-revoked");
    backend(3).await.expect_refusal(403, "device-revoked");
    world.pull("ann", "deviceId=phone-1").await.expect_refusal(403, "device-revoked");
    get(&world, &ann, own_events).await.expect_refusal(403, "device-revoked");
    assert_eq!(world.head("ann").await, 4);

    world.push("ann", &Batch::new("watch-1", 3, 3)).await.expect_committed(Some((5, 5)));
    world.pull("ann", "deviceId=watch-1").await.expect(200);
    get(&world, &ann, "/v1/spaces/me/devices/watch-1/events").await.expect(200);

    change(&world, &ann, "phone-1", &json!({"revoked": false})).await.expect(200);
    world.push("ann", &Batch::new("phone-1", 3, 3)).await.expect_committed(Some((6, 6)));
    world.pull("ann", "deviceId=phone-1").await.expect(200);
    get(&world, &ann, own_events).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_gateway_hears_of_a_revocation_however_long_it_believes_what_it_knows() {
    let world = WorldOptions::default().set("gateway.revocation_cache_ms", 86_400_000).start().await;
    let other = world.start_gateway().await;
    world.push_until_committed_at(other, "ann", &Batch::new("phone-1", 1, 1)).await.expect(200);
    let again = Batch::new("phone-1", 1, 1);
    for revoked in [true, false] {
        eventually("the other gateway has heard", async || {
            change(&world, &token("ann"), "phone-1", &json!({"revoked": revoked})).await.expect(200);
            let answer = Answer::of(world.push_request(other, "ann", &again)).await;
            ((answer.json["code"] == "device-revoked") == revoked).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_bound_to_a_device_speaks_for_it_alone() {
    let world = World::new().await;
    for device in ["phone-1", "phone-2"] {
        world.push("ann", &Batch::new(device, 1, 1)).await.expect(200);
    }
    let bound = world.bound_token("ann", "phone-1");
    push_as(&world, &bound, &Batch::new("phone-1", 2, 2)).await.expect(200);
    push_as(&world, &bound, &Batch::new("phone-2", 2, 2)).await.expect_refusal(403, "forbidden");
    let hello = get(&world, &bound, "/v1/spaces/me/log").await;
    assert_eq!(hello.expect(200).json["device"]["lastSequence"], 2, "its hello is told without asking");
    let other = "/v1/spaces/me/log?deviceId=phone-2";
    get(&world, &bound, other).await.expect_refusal(403, "forbidden");
    get(&world, &bound, "/v1/spaces/me/devices/phone-2/events").await.expect_refusal(403, "forbidden");
    change(&world, &bound, "phone-1", &json!({"name": "mine"})).await.expect(200);
    change(&world, &bound, "phone-2", &json!({"name": "my other one"})).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_bound_to_a_revoked_device_opens_nothing() {
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 1)).await.expect(200);
    let bound = world.bound_token("ann", "phone-1");
    change(&world, &bound, "phone-1", &json!({"revoked": true})).await;
    for path in [
        "/v1/spaces/me/log",
        "/v1/spaces/me/devices/phone-1/events",
        "/v1/spaces/me/entities/workout",
        "/v1/devices",
        "/v1/schema",
    ] {
        get(&world, &bound, path).await.expect_refusal(403, "device-revoked");
    }
    push_as(&world, &bound, &Batch::new("phone-1", 2, 2)).await.expect_refusal(403, "device-revoked");
    change(&world, &bound, "phone-1", &json!({"revoked": false})).await.expect_refusal(403, "device-revoked");
    change(&world, &token("ann"), "phone-1", &json!({"revoked": false})).await.expect(200);
    get(&world, &bound, "/v1/spaces/me/log").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_what_is_known_of_a_device_is_believed() {
    let database = Proxy::start(database_address().await).await;
    let options = WorldOptions::default().database_through(&database).set("gateway.revocation_cache_ms", 0);
    let options = options.set("gateway.commit_wait_ms", 300).set("database.acquire_timeout_ms", 500);
    let world = options.start().await;
    world.push_until_committed("ann", &Batch::new("phone-1", 1, 1)).await.expect(200);
    database.set(Fault::Cut);
    database.set(Fault::Refuse);
    world.push("ann", &Batch::new("phone-1", 2, 2)).await.expect(202);
    // Of this one nothing is known: what it pushes is taken all the same, and it is told nothing.
    world.push("ann", &Batch::new("watch-1", 1, 1)).await.expect(202);
    world.pull("ann", "after=0&deviceId=watch-1").await.expect_refusal(503, "overloaded");
    database.set(Fault::Pass);
    eventually("what was taken is committed", async || (world.head("ann").await == 3).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_waits_for_ingest_in_the_broker() {
    let world = WorldOptions::default().ingests(0).set("gateway.commit_wait_ms", 300).start().await;
    let first = world.start_ingest();
    world.push_until_committed("ann", &Batch::new("phone-1", 1, 1)).await.expect(200);
    first.stop().await;
    let waiting = change(&world, &token("ann"), "phone-1", &json!({"name": "later"})).await;
    assert_eq!(waiting.expect(202).json, json!({"done": false}));
    let _second = world.start_ingest();
    eventually("the device has its name", async || {
        (list(&world, &token("ann"), "").await.json["items"][0]["name"] == "later").then_some(())
    })
    .await;
}
