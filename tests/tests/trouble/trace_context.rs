//! A caller's trace goes through the gateway into the message of PUSH.

use tidelog_events::id::SpaceId;
use tidelog_tests::{Answer, Batch, World, WorldOptions, next_message, subscribe};

const TRACE_ID: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// The `traceparent` of the message that a push with these headers becomes.
async fn pushed_with(world: &World, headers: &[(&str, &str)]) -> String {
    let slot = SpaceId::new("ann").unwrap().slot();
    let mut messages = subscribe(&world.broker, world.broker.subjects().push(slot)).await;
    let mut request = world.push_request(world.address, "ann", &Batch::new("phone-1", 1, 1));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::of(request).await.expect(202);
    let message = next_message("the message", &mut messages).await;
    message.headers.unwrap().get("traceparent").expect("a trace").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_trace_of_a_push_goes_with_its_batch() {
    let world = WorldOptions::default().ingests(0).set("gateway.commit_wait_ms", 10).start().await;
    let sent = pushed_with(&world, &[("traceparent", PARENT)]).await;
    assert!(sent.contains(TRACE_ID) && sent != PARENT, "a child span of the caller's: {sent}");

    let own = pushed_with(&world, &[]).await;
    assert!(!own.contains(TRACE_ID), "a trace of its own: {own}");
    let own = pushed_with(&world, &[("traceparent", "nonsense")]).await;
    assert!(own.starts_with("00-") && !own.contains(TRACE_ID), "a trace of its own: {own}");
}
