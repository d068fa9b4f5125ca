//! Who is present.

use serde_json::{Value, json};
use tidelog_cli::token::{Access, Claims};
use tidelog_tests::{LiveConnection, SECRET, World, eventually};

async fn joined(world: &World, user: &str) -> LiveConnection {
    let token = Claims::new(user, 1).with_space("team-9", Access::R).sign(SECRET).unwrap();
    let path = format!("/v1/spaces/team-9/live?deviceId={user}-1");
    let mut live = world.live_with(&path, &token).await.unwrap();
    live.hello().await;
    live
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_is_told_to_the_others_and_ends_with_the_connection() {
    let world = World::new().await;
    let (mut ann, mut bob) = (joined(&world, "ann").await, joined(&world, "bob").await);
    ann.say(json!({"presence": {"state": {"typing": true}}}).to_string()).await;
    let told = bob.notice("presence").await;
    assert_eq!(
        (&told["userId"], &told["deviceId"], &told["state"]),
        (&json!("ann"), &json!("ann-1"), &json!({"typing": true}))
    );
    // Who comes later is told who is here.
    let mut eve = joined(&world, "eve").await;
    assert_eq!(eve.notice("presence").await["state"], json!({"typing": true}));
    drop(ann);
    for live in [&mut bob, &mut eve] {
        let gone = live.notice("presence").await;
        assert_eq!((&gone["connection"], &gone["state"]), (&told["connection"], &Value::Null));
    }
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM spaces").fetch_one(&world.pool).await.unwrap();
    assert_eq!(stored, 0, "nothing of it is stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn presence_reaches_the_connections_of_other_gateways() {
    let world = World::new().await;
    let other = world.start_gateway().await;
    let mut bob = joined(&world, "bob").await;
    let token = Claims::new("ann", 1).with_space("team-9", Access::R).sign(SECRET).unwrap();
    let headers = [("authorization", &*format!("Bearer {token}"))];
    let path = "/v1/spaces/team-9/live";
    let mut ann = LiveConnection::open(other, path, &headers, "tidelog.v1").await.unwrap();
    ann.hello().await;
    ann.say(json!({"presence": {"state": "here"}}).to_string()).await;
    assert_eq!(bob.notice("presence").await["state"], "here");
    // A gateway whose first connection comes now asks the others.
    let third = world.start_gateway().await;
    let found = eventually("the presence is known at a third gateway", async || {
        let mut live = LiveConnection::open(third, path, &headers, "tidelog.v1").await.ok()?;
        live.hello().await;
        Some(live.notice("presence").await)
    });
    assert_eq!(found.await["state"], "here");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_presence_that_is_too_large_or_something_unknown_ends_the_connection_with_its_reason() {
    let world = World::new().await;
    let too_large = json!({"presence": {"state": "x".repeat(5000)}}).to_string();
    for said in [too_large, "{\"shout\":{}}".to_owned(), "hello?".to_owned()] {
        let mut live = joined(&world, "ann").await;
        live.say(said).await;
        let (closing, end) = live.closed().await;
        assert_eq!(closing.unwrap()["code"], "request-invalid");
        assert_eq!(end.unwrap().0, 4400);
    }
}
