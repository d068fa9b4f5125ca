//! LOG: every committed segment, for whoever consumes it. It may be lost, and holds nobody up.

use async_nats::Message;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use futures_util::StreamExt;
use serde_json::json;
use tidelog_events::frame::{Decoder, SegmentHeader};
use tidelog_events::id::SpaceId;
use tidelog_tests::{Batch, World, event_id, eventually, next_message, subscribe};

const BODY_BYTES_MAX: usize = 1 << 20;

fn jetstream(world: &World) -> async_nats::jetstream::Context {
    async_nats::jetstream::new(world.broker.client().clone())
}

/// The messages of LOG, once it holds that many.
async fn messages(world: &World, count: usize) -> Vec<Message> {
    let stream = eventually(&format!("LOG holds {count} messages"), async || {
        let stream = jetstream(world).get_stream(world.broker.config().log_stream()).await.ok()?;
        (stream.cached_info().state.messages == count as u64).then_some(stream)
    })
    .await;
    let config = pull::Config { deliver_policy: DeliverPolicy::All, ..pull::Config::default() };
    let consumer = stream.create_consumer(config).await.expect("a consumer");
    let batch = consumer.fetch().max_messages(count).messages().await.expect("messages");
    batch.map(|message| message.expect("a message").split().0).collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_committed_segment_is_in_log_as_readers_get_it() {
    let world = World::new().await;
    let batches = [Batch::new("phone-1", 1, 5), Batch::new("phone-1", 6, 7), Batch::new("watch-1", 1, 1)];
    for batch in &batches {
        world.push("ann", batch).await.expect(200);
    }
    let space = SpaceId::new("ann").unwrap();
    let mut decoder = Decoder::new().unwrap();
    for ((batch, message), (first, last)) in
        batches.iter().zip(messages(&world, 3).await).zip([(1_u64, 5_u64), (6, 7), (8, 8)])
    {
        assert_eq!(message.subject.as_str(), world.broker.subjects().log(space.slot()));
        let headers = message.headers.unwrap();
        for (name, value) in [
            ("Tidelog-Space", "ann".to_owned()),
            ("Tidelog-First", first.to_string()),
            ("Tidelog-Last", last.to_string()),
        ] {
            assert_eq!(headers.get(name).unwrap().as_str(), value);
        }
        let (line, body) = decoder.decode_first(&message.payload, BODY_BYTES_MAX).unwrap();
        let header = SegmentHeader::parse(&line).unwrap();
        assert_eq!((header.first.0, header.last.0, header.lines), (first, last, last + 2 - first));
        assert_eq!(header.batches[0].user_id.as_str(), "ann");
        assert_eq!(json!(header.batches[0].device_id), batch.header["deviceId"]);
        assert_eq!(body, batch.frame(), "the bytes that the device sent");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_9_without_log_pushes_are_committed_all_the_same() {
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 2)).await.expect_committed(Some((1, 2)));
    let name = world.broker.config().log_stream();
    messages(&world, 1).await;
    jetstream(&world).delete_stream(&name).await.expect("LOG is gone");
    world.push("ann", &Batch::new("phone-1", 3, 4)).await.expect_committed(Some((3, 4)));
    world.push("ann", &Batch::new("phone-1", 5, 6)).await.expect_committed(Some((5, 6)));
    // Whoever misses the stream makes it again, and announces what it was about to, in whatever order.
    let again = messages(&world, 2).await;
    let first =
        |message: &Message| message.headers.as_ref().unwrap().get("Tidelog-First").unwrap().to_string();
    let mut firsts: Vec<String> = again.iter().map(first).collect();
    firsts.sort_unstable();
    assert_eq!(firsts, ["3", "5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_9_a_batch_of_nothing_but_duplicates_hints_at_the_head() {
    let world = World::new().await;
    let batch = Batch::new("phone-1", 1, 5);
    world.push("ann", &batch).await.expect_committed(Some((1, 5)));
    let slot = SpaceId::new("ann").unwrap().slot();
    let mut hints = subscribe(&world.broker, world.broker.subjects().head(slot)).await;
    world.push("ann", &batch).await.expect_committed(None);
    let hint = next_message("a hint", &mut hints).await.headers.unwrap();
    assert_eq!(hint.get("Tidelog-Space").unwrap().as_str(), "ann");
    assert_eq!(hint.get("Tidelog-Last").unwrap().as_str(), "5");
    messages(&world, 1).await;
    assert_eq!(world.whole_log("ann").await[4]["eventId"], json!(event_id("phone-1", 5)));
}
