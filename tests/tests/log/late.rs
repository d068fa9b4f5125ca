//! Pushes that are not committed in time.

use tidelog_tests::{Batch, WorldOptions};

#[tokio::test(flavor = "multi_thread")]
async fn invariant_1_a_batch_that_is_not_committed_in_time_is_answered_202_and_committed_later() {
    let options = WorldOptions::default().ingests(0).set("gateway.commit_wait_ms", 100);
    let world = options.start().await;
    let batch = Batch::new("phone-1", 1, 50);
    for _ in 0..2 {
        let answer = world.push("ann", &batch).await;
        answer.expect(202);
        assert_eq!(answer.json["committed"], false);
        assert!(answer.json["first"].is_null() && answer.json["device"].is_null(), "{}", answer.json);
        assert_eq!(answer.receipts(), []);
    }
    assert_eq!(world.head("ann").await, 0);
    assert_eq!(world.pull("ann", "deviceId=phone-1").await.json["device"]["lastSequence"], 0);

    let _ingest = world.start_ingest();
    let answer = world.push_until_committed("ann", &batch).await;
    answer.expect_committed(None);
    let receipts = answer.receipts();
    assert_eq!(receipts.len(), 50);
    assert!(receipts.iter().all(|(_, status, _)| status == "duplicate"), "{receipts:?}");
    assert_eq!(world.whole_log("ann").await.len(), 50);
}
