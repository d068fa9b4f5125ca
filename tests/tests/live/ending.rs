//! How live connections end.

use std::time::Duration;

use serde_json::json;
use tidelog_runtime::clock::Clock;
use tidelog_tests::{Batch, EventLine, SECRET, World, WorldOptions, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_ends_when_its_token_does() {
    let world = World::new().await;
    let claims = json!({"sub": "ann", "exp": Clock::system().now().0 / 1000 - 28});
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap();
    let mut live = world.live_with("/v1/spaces/me/live", &token).await.unwrap();
    live.hello().await;
    let (closing, end) = live.closed().await;
    assert_eq!(closing.unwrap()["code"], "unauthorized");
    assert_eq!(end.unwrap().0, 4401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_stops_tells_its_connections() {
    let world = WorldOptions::default().set("live.drain_spread_ms", "50").start().await;
    world.push("ann", &Batch::new("phone-1", 1, 2)).await.expect(200);
    let mut live = world.live("ann", "after=2").await;
    live.hello().await;
    world.stop();
    let (closing, end) = live.closed().await;
    let closing = closing.unwrap();
    assert_eq!((&closing["code"], &closing["cursor"]), (&json!("going-away"), &json!(2)));
    assert_eq!(end.unwrap(), (1001, "going-away; cursor=2".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_other_end_is_given_up() {
    let world = WorldOptions::default().set("live.ping_seconds", "1").start().await;
    let mut socket = TcpStream::connect(world.address).await.unwrap();
    let handshake = format!(
        "GET /v1/spaces/me/live HTTP/1.1\r\nhost: gateway\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: tidelog.v1\r\nauthorization: Bearer {}\r\n\r\n",
        world.token("ann")
    );
    socket.write_all(handshake.as_bytes()).await.unwrap();
    // It takes everything, and answers no ping.
    let mut taken = Vec::new();
    timeout(Duration::from_secs(30), socket.read_to_end(&mut taken)).await.unwrap().unwrap();
    let close_code = 4408_u16.to_be_bytes();
    let close = taken.windows(4).position(|bytes| bytes[0] == 0x88 && bytes[2..] == close_code);
    assert!(close.is_some(), "{}", String::from_utf8_lossy(&taken));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_nothing_is_told_its_cursor_and_closed() {
    let world = WorldOptions::default().set("live.send_timeout_ms", "200").start().await;
    let mut live = world.live("ann", "after=0").await;
    live.hello().await;
    // More than the buffers between take, of bytes that do not compress.
    for batch in 0..50 {
        let (first, mut body) = (batch * 20 + 1, Batch::new("phone-1", batch * 20 + 1, batch * 20 + 20));
        for index in 0..20 {
            let noise: String = std::iter::repeat_with(fastrand::alphanumeric).take(40_000).collect();
            let event = EventLine::new("phone-1", first + index)
                .with("type", "WORKOUT_CREATED")
                .with("payload", json!({"name": noise}));
            body = body.with_line(index as usize, event.0);
        }
        world.push("ann", &body).await.expect(200);
    }
    // What was sent before comes, in order, and where it ends is where the device goes on.
    let (_, end) = live.closed().await;
    let cursor = live.cursor;
    if let Some((code, reason)) = end {
        assert_eq!((code, reason), (4408, format!("slow-reader; cursor={cursor}")));
    }
    let mut again = world.live("ann", &format!("after={cursor}")).await;
    again.hello().await;
    assert_eq!(again.event().await.0, cursor + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_replaced_or_erased_ends_its_connections() {
    let world = WorldOptions::default().set("live.sweep_seconds", "1").start().await;
    world.push("ann", &Batch::new("phone-1", 1, 1)).await.expect(200);
    world.push("bob", &Batch::new("bob-1", 1, 1)).await.expect(200);
    let (mut ann, mut bob) = (world.live("ann", "").await, world.live("bob", "").await);
    ann.hello().await;
    bob.hello().await;
    sqlx::query("UPDATE spaces SET epoch = gen_random_uuid() WHERE space_id = 'ann'")
        .execute(&world.pool)
        .await
        .unwrap();
    sqlx::query("INSERT INTO erasures (space_id) VALUES ('bob')").execute(&world.pool).await.unwrap();
    assert_eq!(ann.closed().await.1.unwrap().0, 4409);
    assert_eq!(bob.closed().await.1.unwrap().0, 4410);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_have_a_limit() {
    let world = WorldOptions::default().set("live.connections", "1").start().await;
    let mut live = world.live("ann", "").await;
    live.hello().await;
    let refused = world.live_refused("/v1/spaces/me/live", Some(&world.token("ann"))).await;
    refused.expect_refusal(503, "overloaded");
    drop(live);
    eventually("there is room again", async || {
        world.live_with("/v1/spaces/me/live", &world.token("ann")).await.ok().map(|_| ())
    })
    .await;
}
