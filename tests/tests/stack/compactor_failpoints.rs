//! A compactor that ends between any two of its steps, as SIGKILL would end it, loses nothing and leaves nothing behind.

use tidelog_runtime::failpoint::Failpoint;
use tidelog_tests::eventually;

use super::compactions::SPACES;
use super::harness::{SOON, Stack};

/// Events that stay, and events of a merged segment, of which all or none go.
const KEPT: u64 = 50;
const MERGED: u64 = 40;

/// A day lasts a second, and events stay a day.
const HASTY: [(&str, &str); 10] = [
    ("TIDELOG__CLOCK__DEVELOPMENT", "true"),
    ("TIDELOG__CLOCK__DAY_SECONDS", "1"),
    ("TIDELOG__RETENTION__EVENTS_DAYS", "1"),
    ("TIDELOG__RETENTION__PATIENCE_DAYS", "0"),
    ("TIDELOG__RETENTION__KEEP_EVENTS", "50"),
    ("TIDELOG__RETENTION__PRUNE_EVENTS", "1"),
    ("TIDELOG__COMPACTOR__INTERVAL_MS", "200"),
    ("TIDELOG__COMPACTOR__MERGE_AFTER_HOURS", "0"),
    ("TIDELOG__COMPACTOR__MERGE_EVENTS", "40"),
    ("TIDELOG__COMPACTOR__SNAPSHOT_GRACE_SECONDS", "0"),
];

#[tokio::test(flavor = "multi_thread")]
async fn invariant_8_a_compactor_that_dies_before_it_commits_a_merge_loses_nothing() {
    survives(Failpoint::CompactorBeforeMerge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_8_a_compactor_that_dies_in_the_middle_of_a_snapshot_loses_nothing() {
    survives(Failpoint::CompactorAfterPart).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_8_a_compactor_that_dies_before_it_verifies_loses_nothing() {
    survives(Failpoint::CompactorAfterSnapshot).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_8_a_compactor_that_dies_before_it_archives_loses_nothing() {
    survives(Failpoint::CompactorAfterVerify).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_8_a_compactor_that_dies_after_it_has_archived_loses_nothing() {
    survives(Failpoint::CompactorAfterArchive).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_8_a_compactor_that_dies_before_it_commits_the_pruning_loses_nothing() {
    survives(Failpoint::CompactorBeforePrune).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_8_a_compactor_that_dies_when_it_has_pruned_loses_nothing() {
    survives(Failpoint::CompactorAfterPrune).await;
}

/// Has the compactor end at the second passing of `point`, once, while the recorded workouts go in and are pruned.
async fn survives(point: Failpoint) {
    let folder = tempfile::tempdir().unwrap();
    let marker = folder.path().join("reached");
    let armed = format!("{}:2", point.name());
    let mut environment = [&SOON[..], &HASTY].concat();
    environment.push(("TIDELOG_FAILPOINT", &armed));
    environment.push(("TIDELOG_FAILPOINT_MARKER", marker.to_str().unwrap()));
    let stack = Stack::start_in(folder, &[], &environment).await;
    let first = stack.pid("compactor");

    stack.replay(&["--batch", "10"]).await;
    stack.is_replaced("compactor", first).await;
    assert!(marker.exists(), "{} was reached", point.name());
    stack.is_compacted().await;
    stack.verify_entities_from_outside().await;
    for (space, (pruned, all)) in stack.verify_history_from_outside().await {
        assert!(all - pruned < KEPT + MERGED && pruned > 0, "{space}: {pruned} of {all}");
    }
    // What devices push again is still known.
    let again = stack.replay(&[]).await;
    assert!(again.contains("(0 appended now, "), "{again}");
}

impl Stack {
    /// Waits until all is pruned that is to be, and no more is there of snapshots than one for each space.
    async fn is_compacted(&self) {
        let spaces = "SELECT count(*) FROM spaces WHERE horizon > 0 AND head - horizon < 50 + 40";
        let snapshots = "SELECT count(*) FROM snapshots FULL JOIN snapshot_parts USING (space_id, through)
                         LEFT JOIN spaces ON spaces.space_id = snapshots.space_id AND horizon = through
                         WHERE part IS NULL OR horizon IS NULL";
        eventually("everything old is pruned", async || {
            (self.number(spaces).await? == SPACES.len() as i64).then_some(())
        })
        .await;
        eventually("nothing is left of other snapshots", async || {
            (self.number(snapshots).await? == 0).then_some(())
        })
        .await;
    }
}
