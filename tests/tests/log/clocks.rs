//! The time of day comes to the services with their clock: whatever the system's clock says, theirs decides.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tidelog_events::protocol::UtcTime;
use tidelog_runtime::clock::Clock;
use tidelog_tests::{Answer, Batch, EventLine, World, WorldOptions, eventually, token};

/// 2131-03-04T05:06:07.089Z: no clock of this machine says that.
const BEGIN: UtcTime = UtcTime(5_086_040_767_089);
const HOUR: Duration = Duration::from_hours(1);
/// More than `limits.max_clock_ahead_ms`.
const AHEAD_MS: i64 = 61_000;

/// When the space's device was last seen, in UTC milliseconds.
async fn last_seen_ms(world: &World, device: &str) -> i64 {
    let seen = "SELECT (extract(epoch FROM last_seen_at) * 1000)::bigint FROM devices WHERE device_id = $1";
    sqlx::query_scalar(seen).bind(device).fetch_one(&world.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stamp_ahead_of_the_services_clock_is_refused_until_that_clock_gets_there() {
    let (clock, time) = Clock::manual(BEGIN);
    let world = WorldOptions::default().clock(clock).start().await;
    let ahead = EventLine::new("phone-1", 1).with("timestamp", json!(BEGIN.0 + AHEAD_MS)).0;
    let batch = Batch::new("phone-1", 1, 1).with_line(0, ahead);
    let refused = world.push("ann", &batch).await;
    refused.expect_refusal(422, "clock-ahead");
    assert_eq!(refused.json["serverTime"], json!(BEGIN.to_string()));
    time.advance(Duration::from_secs(2));
    let taken = world.push("ann", &batch).await;
    taken.expect_committed(Some((1, 1)));
    let now = UtcTime(BEGIN.0 + 2000).to_string();
    assert_eq!(taken.json["serverTime"], json!(now));
    let pulled = world.pull("ann", "after=0").await;
    assert_eq!(pulled.json["serverTime"], json!(now));
    assert_eq!(pulled.json["events"][0]["receivedAt"], json!(now));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_device_was_last_seen_is_told_by_the_services_clock() {
    let (clock, time) = Clock::manual(BEGIN);
    let world = WorldOptions::default().clock(clock).start().await;
    world.push("ann", &Batch::new("phone-1", 1, 1)).await.expect_committed(Some((1, 1)));
    assert_eq!(last_seen_ms(&world, "phone-1").await, BEGIN.0, "a first push");
    time.advance(40 * 24 * HOUR);
    let weeks_later = world.clock.now();
    world.push("ann", &Batch::new("phone-1", 2, 2)).await.expect_committed(Some((2, 2)));
    assert_eq!(last_seen_ms(&world, "phone-1").await, weeks_later.0, "a later push");
    time.advance(HOUR);
    world.pull("ann", "after=2&deviceId=phone-1").await.expect(200);
    let read_at = world.clock.now().0;
    eventually("the reader is noted", async || {
        (last_seen_ms(&world, "phone-1").await == read_at).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_by_the_services_clock() {
    let (clock, time) = Clock::manual(BEGIN);
    let world = WorldOptions::default().clock(clock).start().await;
    let pull = async |token: &str| {
        let request = world.request_with(Method::GET, "/v1/spaces/me/log", Some(token));
        Answer::of(request).await
    };
    let ended_here = token("ann");
    let refused = pull(&ended_here).await;
    refused.expect_refusal(401, "unauthorized");
    assert_eq!(refused.json["detail"], "the token is not valid: it has expired");
    time.set(Clock::system().now());
    pull(&ended_here).await.expect(200);
}
