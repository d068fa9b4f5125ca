//! A gateway that is told to stop: nobody who talks to it notices more than that the next connection goes elsewhere.

use futures_util::future::{join, join_all};
use serde_json::json;
use tidelog_tests::{
    Answer, Batch, Gateway, History, LiveConnection, World, WorldOptions, eventually, metric,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::keep_alive::{Asked, KeepAlive};

/// Long enough that much happens meanwhile.
const DELAY_MS: u64 = 700;
const WAITING: &str = "tidelog_gateway_waiting_pulls";

async fn world(delay_ms: u64) -> World {
    WorldOptions::default().set("gateway.drain_delay_ms", delay_ms).start().await
}

/// Pushes batch after batch until nobody takes a connection any more; returns how many were committed, and how often the
/// gateway asked to be left.
async fn push_to_the_end(world: &World, gateway: &Gateway, device: &str) -> (u64, u64) {
    let mut client = KeepAlive::new(gateway.address);
    let mut committed = 0;
    loop {
        let batch = Batch::new(device, committed * 3 + 1, committed * 3 + 3);
        match client.push(world, "ann", &batch).await {
            Asked::Answered(200) => committed += 1,
            Asked::Refused => return (committed, client.asked_to_leave),
            other => panic!("{device} was answered {other:?} after {committed} pushes"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_pushes_all_the_time_through_a_stop_meets_no_error() {
    let world = world(DELAY_MS).await;
    let gateway = world.gateway_to_stop().await;
    let devices: Vec<String> = (0..6).map(|device| format!("phone-{device}")).collect();
    let pushing = join_all(devices.iter().map(|device| push_to_the_end(&world, &gateway, device)));
    let stopping = async {
        eventually("much is pushed", async || (world.head("ann").await >= 200).then_some(())).await;
        gateway.stop();
    };
    let (pushed, ()) = join(pushing, stopping).await;
    assert!(pushed.iter().all(|(_, left)| *left > 0), "each was asked to leave: {pushed:?}");
    gateway.ended().await;
    let events = devices.iter().zip(&pushed).map(|(device, (batches, _))| (device.as_str(), batches * 3));
    History::of(events).assert_is_log_of(&world, "ann").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_gateway_asks_its_callers_to_leave_and_takes_new_ones_until_it_closes() {
    let world = world(DELAY_MS).await;
    let gateway = world.gateway_to_stop().await;
    let (mut early, mut idle) =
        (KeepAlive::new(gateway.address), TcpStream::connect(gateway.address).await.unwrap());
    assert_eq!(early.get(&world, "ann", "/v1/schema").await, Asked::Answered(200));
    assert_eq!(early.asked_to_leave, 0);
    gateway.stop();
    eventually("answers ask to leave", async || {
        assert_eq!(early.get(&world, "ann", "/v1/schema").await, Asked::Answered(200));
        (early.asked_to_leave > 0).then_some(())
    })
    .await;
    let mut late = KeepAlive::new(gateway.address);
    assert_eq!(late.get(&world, "ann", "/v1/schema").await, Asked::Answered(200));
    assert_eq!(late.asked_to_leave, 1);
    assert!(!gateway.has_ended());
    // Who says nothing is closed at the end, and holds nobody up.
    assert_eq!(idle.read(&mut [0]).await.unwrap_or(0), 0);
    gateway.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_has_begun_when_the_gateway_closes_is_answered() {
    let world = world(0).await;
    let gateway = world.gateway_to_stop().await;
    let mut waits = KeepAlive::new(gateway.address);
    assert_eq!(waits.get(&world, "ann", "/v1/schema").await, Asked::Answered(200));
    let mut half = TcpStream::connect(gateway.address).await.unwrap();
    half.write_all(b"GET /openapi.json HTTP/1.1\r\nhost: gate").await.unwrap();
    gateway.stop();
    eventually("nobody is let in any more", async || TcpStream::connect(gateway.address).await.err()).await;
    half.write_all(b"way\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    half.read_to_end(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"), "{}", String::from_utf8_lossy(&answer));
    gateway.ended().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_news_is_answered_when_the_gateway_is_told_to_stop() {
    metric(WAITING);
    // It would not close within this test.
    let world = world(600_000).await;
    world.push("ann", &Batch::new("phone-1", 1, 3)).await.expect_committed(Some((1, 3)));
    let gateway = world.gateway_to_stop().await;
    let poll = async |wait: u64| {
        let url = format!("http://{}/v1/spaces/me/log?after=3&wait={wait}", gateway.address);
        let request = reqwest::Client::new().get(url).bearer_auth(world.token("ann"));
        Answer::of(request.header("Accept", "application/json")).await
    };
    let stopping = async {
        eventually("the poll waits", async || (metric(WAITING) >= 1.0).then_some(())).await;
        gateway.stop();
    };
    let (answer, ()) = join(poll(60), stopping).await;
    answer.expect(200);
    assert_eq!((&answer.json["events"], &answer.json["cursor"]), (&json!([]), &json!(3)));
    // And so is who comes to it still, in a moment.
    assert_eq!(poll(60).await.expect(200).json["cursor"], json!(3));
    assert!(!gateway.has_ended());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_connection_goes_on_until_it_is_its_turn_to_leave() {
    let options = WorldOptions::default().set("gateway.drain_delay_ms", 0);
    let world = options.set("live.drain_spread_ms", 1000).start().await;
    let gateway = world.gateway_to_stop().await;
    let mut connections = Vec::new();
    for _ in 0..20 {
        let bearer = format!("Bearer {}", world.token("ann"));
        let (path, headers) = ("/v1/spaces/me/live", [("authorization", bearer.as_str())]);
        let mut live = LiveConnection::open(gateway.address, path, &headers, "tidelog.v1").await.unwrap();
        live.hello().await;
        connections.push(live);
    }
    gateway.stop();
    world.push("ann", &Batch::new("phone-1", 1, 1)).await.expect_committed(Some((1, 1)));
    let mut were_told = 0;
    for mut live in connections {
        let (closing, end) = live.closed().await;
        let closing = closing.unwrap();
        assert_eq!((&closing["code"], end.unwrap().0), (&json!("going-away"), 1001));
        were_told += u64::from(closing["cursor"] == json!(1));
    }
    assert!(were_told > 0, "what was committed meanwhile still came to those who had not left");
    gateway.ended().await;
}
