//! The refusals that are not about a batch's content, each with its code, and the service goes on.

use futures_util::stream;
use reqwest::{Body, Method};
use serde_json::{Value, json};
use tidelog_runtime::clock::Clock;
use tidelog_tests::{Answer, Batch, EventLine, World, WorldOptions};

fn now_ms() -> u64 {
    Clock::system().now().0.cast_unsigned()
}

fn stamped(timestamp: impl Into<Value>) -> Batch {
    Batch::new("phone-1", 1, 3).with_line(1, EventLine::new("phone-1", 2).with("timestamp", timestamp).0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_stamped_in_the_future_is_refused_with_the_servers_time() {
    let world = World::new().await;
    let before = world.holdings().await;
    // A server that reads it a moment later still finds it more than 60 s ahead.
    let cases = [
        json!("9999-12-31T23:59:59.999Z-FFFF"),
        json!("9999-01-01T00:00:00Z"),
        json!(now_ms() + 24 * 60 * 60 * 1000),
        json!(now_ms() + 120_000),
    ];
    for stamp in cases {
        let answer = world.push("ann", &stamped(stamp.clone())).await;
        assert_eq!(answer.json["code"], "clock-ahead", "{stamp}: {}", answer.json);
        answer.expect_refusal(422, "clock-ahead");
        let server_time: tidelog_events::protocol::UtcTime =
            answer.json["serverTime"].as_str().unwrap().parse().unwrap();
        assert!(server_time.0.unsigned_abs().abs_diff(now_ms()) < 30_000, "{stamp}");
    }
    let bad = EventLine::new("phone-1", 2).with("timestamp", "9999-01-01T00:00:00Z").with("type", "UNKNOWN");
    let bad = Batch::new("phone-1", 1, 3).with_line(1, bad.0);
    world.push("ann", &bad).await.expect_refusal(422, "clock-ahead");
    assert_eq!(world.holdings().await, before);
    world.push("ann", &Batch::new("phone-1", 1, 3)).await.expect_committed(Some((1, 3)));
}

#[tokio::test(flavor = "multi_thread")]
async fn old_stamps_and_those_a_little_ahead_are_taken() {
    let world = World::new().await;
    for (index, stamp) in
        [json!("0001-01-01T00:00:00Z"), json!(0), json!(-1), json!(now_ms() + 30_000)].iter().enumerate()
    {
        let device = format!("phone-{index}");
        let line = EventLine::new(&device, 1).with("timestamp", stamp.clone()).0;
        let answer = world.push("ann", &Batch::new(&device, 1, 1).with_line(0, line)).await;
        answer.expect_committed(Some((index as u64 + 1, index as u64 + 1)));
        assert_eq!(answer.receipts(), [], "{stamp}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_space_is_gone_for_readers_and_writers() {
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 3)).await.expect_committed(Some((1, 3)));
    world.push("bob", &Batch::new("phone-2", 1, 1)).await.expect_committed(Some((1, 1)));
    sqlx::query("INSERT INTO erasures (space_id) VALUES ('ann'), ('eve')")
        .execute(&world.pool)
        .await
        .unwrap();
    let before = world.holdings().await;
    for (user, batch) in [("ann", Batch::new("phone-1", 4, 5)), ("eve", Batch::new("phone-3", 1, 1))] {
        world.push(user, &batch).await.expect_refusal(410, "space-erased");
        world.pull(user, "after=0").await.expect_refusal(410, "space-erased");
        world.pull(user, "after=3&wait=60").await.expect_refusal(410, "space-erased");
        let frames = world.pull_as(user, "", "application/x-ndjson", "zstd").await;
        frames.expect_refusal(410, "space-erased");
        let request = world.request(Method::GET, "/v1/spaces/me/devices/phone-1/events", user);
        Answer::of(request).await.expect_refusal(410, "space-erased");
    }
    assert_eq!(world.holdings().await, before);
    world.push("bob", &Batch::new("phone-2", 2, 2)).await.expect_committed(Some((2, 2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_there_is_no_room_for_are_refused_with_a_time_to_retry() {
    let world = WorldOptions::default().set("gateway.in_flight_bytes", 16_384).start().await;
    let answer = world.push_body("ann", Batch::new("phone-1", 1, 100).body(), None).await;
    answer.expect_refusal(503, "overloaded");
    assert_eq!(answer.headers["retry-after"], "1");
    world.push_body("ann", Batch::new("phone-1", 1, 2).body(), None).await.expect_committed(Some((1, 2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_arrive_in_time_is_refused() {
    let world = WorldOptions::default().set("gateway.body_timeout_ms", 100).start().await;
    let request = world.request(Method::POST, "/v1/spaces/me/events", "ann");
    let never = Body::wrap_stream(stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let request = request.header("Content-Type", "application/x-ndjson").body(never);
    Answer::of(request).await.expect_refusal(408, "request-timeout");
    world.push("ann", &Batch::new("phone-1", 1, 2)).await.expect_committed(Some((1, 2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_media_type_or_encoding_that_is_not_taken_is_refused() {
    let world = World::new().await;
    let push = async |headers: &[(&str, &str)]| {
        let mut request = world.request(Method::POST, "/v1/spaces/me/events", "ann");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.body(Batch::new("phone-1", 1, 1).body())).await
    };
    let lines = ("Content-Type", "application/x-ndjson");
    for headers in [
        &[][..],
        &[("Content-Type", "text/plain")],
        &[("Content-Type", "application/xml")],
        &[lines, ("Content-Encoding", "br")],
        &[lines, ("Content-Encoding", "zstd, gzip")],
    ] {
        push(headers).await.expect_refusal(415, "unsupported-media-type");
    }
    assert_eq!(world.head("ann").await, 0);
    push(&[("Content-Type", "Application/X-NDJSON; charset=utf-8"), ("Content-Encoding", "identity")])
        .await
        .expect_committed(Some((1, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_the_log_does_not_have_is_not_acceptable() {
    let world = World::new().await;
    for accept in ["text/html", "application/json;q=0", "text/*, image/png"] {
        world.pull_as("ann", "", accept, "identity").await.expect_refusal(406, "not-acceptable");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_and_methods_are_refused_by_name() {
    let world = World::new().await;
    for path in ["/", "/v1", "/v1/spaces/me", "/v2/schema", "/v1/spaces/me/log/1", "/metrics"] {
        Answer::of(world.request(Method::GET, path, "ann")).await.expect_refusal(404, "not-found");
    }
    for (method, path) in [
        (Method::GET, "/v1/spaces/me/events"),
        (Method::PUT, "/v1/spaces/me/events"),
        (Method::DELETE, "/v1/spaces/me/log"),
        (Method::POST, "/v1/schema"),
        (Method::POST, "/openapi.json"),
    ] {
        let answer = Answer::of(world.request(method, path, "ann")).await;
        answer.expect_refusal(405, "method-not-allowed");
        assert!(answer.headers.contains_key("allow"), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_that_are_not_understood_are_refused_by_name() {
    let world = World::new().await;
    let long = "s".repeat(129);
    let cases = [
        ("/v1/spaces/me/log?after=-1", "after"),
        ("/v1/spaces/me/log?limit=ten", "limit"),
        ("/v1/spaces/me/log?wait=1.5", "wait"),
        ("/v1/spaces/me/log?colour=red", "colour"),
        ("/v1/spaces/me/log?types=ghost", "ghost"),
        ("/v1/spaces/me/log?deviceId=", "deviceId"),
        ("/v1/spaces/me/log?deviceId=event:0198f2a4-6c1e-7cc3-98a2-6d1f2f5c0b51", "deviceId"),
        ("/v1/spaces/me/devices/phone-1/events?from=0", "from"),
        ("/v1/spaces/me/devices/phone-1/events?from=3&to=2", "to"),
        ("/v1/spaces/me/devices/phone-1/events?from=1&to=10001", "pull_events"),
        ("/v1/spaces/me/devices/a%00b/events", "device"),
        ("/v1/spaces/a%0Ab/log", "space"),
        (&format!("/v1/spaces/{long}/log"), "space"),
        ("/v1/spaces/%FF/log", "UTF-8"),
    ];
    for (path, named) in cases {
        let answer = Answer::of(world.request(Method::GET, path, "ann")).await;
        assert_eq!(answer.json["code"], "request-invalid", "{path}: {}", answer.json);
        answer.expect_refusal(400, "request-invalid");
        assert!(answer.json["detail"].as_str().unwrap().contains(named), "{path}: {}", answer.json);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_problem_names_its_code_its_page_and_what_to_do() {
    let world = World::new().await;
    let answer = world.push_body("ann", b"x\n".to_vec(), None).await;
    answer.expect_refusal(400, "batch-malformed");
    assert_eq!(answer.json["type"], "https://tidelog.dev/errors/batch-malformed");
    assert_eq!(answer.json["title"], "batch malformed");
    let keys: Vec<_> = answer.json.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["code", "detail", "requestId", "status", "title", "type"]);
}
