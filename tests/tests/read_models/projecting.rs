//! What is pushed is folded: everything, once, in whatever order it comes.

use serde_json::json;
use tidelog_tests::{Batch, EventLine, World, WorldOptions};

async fn world() -> World {
    WorldOptions::default().projectors(1).start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pushed_is_folded() {
    let world = world().await;
    for first in [1, 11, 21] {
        world.push("ann", &Batch::new("phone-1", first, first + 9)).await.expect(200);
    }
    world.assert_read_model_is_right("ann").await;
    let model = world.read_model("ann").await.unwrap();
    let (_, view, visible, updated) = &model.entities[&("workout".to_owned(), "w-phone-1".to_owned())];
    assert_eq!((view, *visible, *updated), (&json!({"duration": 30}), false, 30));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_is_touched_once_a_transaction_and_a_batch_pushed_twice_is_folded_once() {
    let world = world().await;
    let lap = |sequence| {
        EventLine::new("watch", sequence).with("type", "LAP_RECORDED").with("payload", json!({"laps": 1})).0
    };
    let mut batch = Batch::new("watch", 1, 100);
    batch.lines = (1..=100).map(|sequence| lap(sequence).to_string()).collect();
    world.push("ann", &batch).await.expect(200);
    world.push("ann", &batch).await.expect(200);
    world.assert_read_model_is_right("ann").await;
    let model = world.read_model("ann").await.unwrap();
    assert_eq!(model.entities.values().next().unwrap().1, json!({"laps": 100}));
}
