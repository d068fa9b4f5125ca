//! Every rule of the watermark, as a device meets it.

use tidelog_tests::{Batch, World};

#[tokio::test(flavor = "multi_thread")]
async fn invariant_2_a_batch_pushed_twice_enters_the_log_once() {
    let world = World::new().await;
    let batch = Batch::new("phone-1", 1, 50);
    let first = world.push("ann", &batch).await;
    first.expect_committed(Some((1, 50)));
    assert_eq!(first.receipts(), []);
    assert_eq!(first.json["device"]["lastSequence"], 50);

    let second = world.push("ann", &batch).await;
    second.expect_committed(None);
    assert_eq!(second.json["head"], 50);
    let receipts = second.receipts();
    assert_eq!(receipts.len(), 50);
    assert!(receipts.iter().all(|(_, status, _)| status == "duplicate"));
    assert_eq!(world.whole_log("ann").await.len(), 50);
}
