//! LOG tells the projector where there is something to fold. Whatever LOG loses, and whatever it says that is not so,
//! the log itself is what is folded.

use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::stream::Stream;
use bytes::Bytes;
use serde_json::json;
use tidelog_runtime::broker::PROJECTOR_CONSUMER;
use tidelog_tests::{Batch, EventLine, World, WorldOptions, eventually};

use super::moments::standing;
use super::schema_versions::{projector_with, version_4};
use super::workouts::workout_batch;

fn jetstream(world: &World) -> Context {
    async_nats::jetstream::new(world.broker.client().clone())
}

async fn log_stream(world: &World) -> Option<Stream> {
    jetstream(world).get_stream(world.broker.config().log_stream()).await.ok()
}

async fn log_holds(world: &World, messages: u64) {
    eventually(&format!("LOG holds {messages} messages"), async || {
        (log_stream(world).await?.cached_info().state.messages == messages).then_some(())
    })
    .await;
}

/// Waits until LOG has so many messages or more and the projector has acknowledged all of them.
pub async fn all_news_is_settled(world: &World, messages: u64) {
    eventually("every message of LOG is acknowledged", async || {
        let stream = log_stream(world).await?;
        let last = stream.cached_info().state.last_sequence;
        let consumer: PullConsumer = stream.get_consumer(PROJECTOR_CONSUMER).await.ok()?;
        let info = consumer.cached_info();
        let settled = info.ack_floor.stream_sequence == last && info.num_ack_pending == 0;
        (last >= messages && settled).then_some(())
    })
    .await;
}

/// Publishes a message to LOG with these headers.
async fn publish(world: &World, headers: &[(&str, &str)]) {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, *value);
    }
    world.broker.publish_segment(7, map, Bytes::from_static(b"?")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_9_what_log_lost_before_anybody_read_it_is_found_by_the_sweep() {
    let world = WorldOptions::default().set("projector.sweep_interval_ms", 200).start().await;
    for (number, user) in ["ann", "bob", "ann"].into_iter().enumerate() {
        world.push(user, &workout_batch(&format!("phone-{number}"), 1, 30)).await.expect(200);
    }
    log_holds(&world, 3).await;
    log_stream(&world).await.unwrap().purge().await.unwrap();
    let _projector = world.start_projector();
    for user in ["ann", "bob"] {
        world.assert_read_model_is_right(user).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_9_a_projector_whose_stream_is_deleted_catches_up_and_goes_on() {
    let world = WorldOptions::default().projectors(1).set("projector.sweep_interval_ms", 200).start().await;
    world.push("ann", &workout_batch("phone-1", 1, 10)).await.expect(200);
    all_news_is_settled(&world, 1).await;
    let name = world.broker.config().log_stream();
    jetstream(&world).delete_stream(&name).await.unwrap();
    world.push("ann", &workout_batch("phone-1", 11, 20)).await.expect(200);
    world.assert_read_model_is_right("ann").await;
    world.push("ann", &workout_batch("phone-1", 21, 30)).await.expect(200);
    world.assert_read_model_is_right("ann").await;
    all_news_is_settled(&world, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_released_from_quarantine_is_folded_although_log_does_not_tell_of_it() {
    let world = WorldOptions::default()
        .set("projector.sweep_interval_ms", 200)
        .set("ingest.release_interval_seconds", 1)
        .start()
        .await;
    // It knows the new version from the start: there is nothing to rebuild, which would fold the event, too.
    let _projector = projector_with(&world, &version_4());
    let note =
        EventLine::new("phone-1", 2).with("type", "NOTE_ADDED").with("payload", json!({"notes": "windy"}));
    let batch = Batch::new("phone-1", 1, 3).with_line(1, note.0);
    world.push("ann", &batch).await.expect_committed(Some((1, 2)));
    all_news_is_settled(&world, 1).await;
    world.write_schema(&version_4());
    eventually("the note is released", async || (world.head("ann").await == 3).then_some(())).await;
    world.assert_read_model_is_right("ann").await;
    let model = world.read_model("ann").await.unwrap();
    assert_eq!(model.entities.values().next().unwrap().1, json!({"duration": 3, "notes": ["windy"]}));
    assert_eq!(standing(&world, "ann").await.unwrap().generation, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_names_what_is_not_there_harms_nobody_and_is_acknowledged() {
    let world = WorldOptions::default().projectors(1).start().await;
    world.push("ann", &workout_batch("phone-1", 1, 10)).await.expect(200);
    let (long, beyond) = ("x".repeat(200), u64::MAX.to_string());
    let cases: [&[(&str, &str)]; 8] = [
        &[],
        &[("Tidelog-Space", "ann")],
        &[("Tidelog-Last", "10")],
        &[("Tidelog-Space", ""), ("Tidelog-Last", "10")],
        &[("Tidelog-Space", &long), ("Tidelog-Last", "10")],
        &[("Tidelog-Space", "ann"), ("Tidelog-Last", "-1")],
        &[("Tidelog-Space", "ann"), ("Tidelog-Last", &beyond)],
        &[("Tidelog-Space", "nobody"), ("Tidelog-Last", "10")],
    ];
    for headers in cases {
        publish(&world, headers).await;
    }
    all_news_is_settled(&world, 9).await;
    assert_eq!(standing(&world, "nobody").await, None, "no row for a space that is none");
    world.push("ann", &workout_batch("phone-1", 11, 20)).await.expect(200);
    all_news_is_settled(&world, 10).await;
    world.assert_read_model_is_right("ann").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn news_of_a_space_whose_log_is_gone_is_acknowledged() {
    let world = WorldOptions::default().projectors(1).start().await;
    world.push("ann", &workout_batch("phone-1", 1, 10)).await.expect(200);
    world.assert_read_model_is_right("ann").await;
    sqlx::raw_sql("DELETE FROM segments; DELETE FROM spaces").execute(&world.pool).await.unwrap();
    publish(&world, &[("Tidelog-Space", "ann"), ("Tidelog-Last", "10")]).await;
    all_news_is_settled(&world, 2).await;
}
