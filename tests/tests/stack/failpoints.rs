//! A service that ends between any two of its steps, as SIGKILL would end it, loses and doubles nothing.

use std::path::PathBuf;

use tidelog_runtime::failpoint::Failpoint;
use tidelog_tests::{Answer, Batch, everything_is_acknowledged};

use super::harness::{SOON, Stack};

/// The passing that ends the process: some of the trace is in the log by then.
const PASSING: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn invariants_2_and_5_a_gateway_that_dies_after_publishing_loses_and_doubles_nothing() {
    survives(Failpoint::GatewayAfterPublish, "gateway").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_2_and_5_an_ingest_that_dies_before_it_commits_loses_and_doubles_nothing() {
    survives(Failpoint::IngestBeforeCommit, "ingest").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_2_and_5_an_ingest_that_dies_after_its_commit_loses_and_doubles_nothing() {
    survives(Failpoint::IngestAfterCommit, "ingest").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_2_and_5_an_ingest_that_dies_after_its_receipts_loses_and_doubles_nothing() {
    survives(Failpoint::IngestAfterReceipts, "ingest").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_2_and_5_an_ingest_that_dies_before_it_acknowledges_loses_and_doubles_nothing() {
    survives(Failpoint::IngestAfterLog, "ingest").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_4_a_projector_that_dies_before_it_commits_folds_everything_once() {
    survives(Failpoint::ProjectorBeforeCommit, "projector").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_4_a_projector_that_dies_before_it_acknowledges_folds_everything_once() {
    survives(Failpoint::ProjectorAfterCommit, "projector").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_whose_ingest_dies_after_its_receipts_is_answered_all_the_same() {
    let (stack, marker) = armed(Failpoint::IngestAfterReceipts, 1).await;
    let (facts, first) = (stack.facts(), stack.pid("ingest"));
    let url = format!("{}/v1/spaces/me/events", facts["gatewayUrl"].as_str().unwrap());
    let request = reqwest::Client::new().post(url).bearer_auth(facts["token"].as_str().unwrap());
    let batch = Batch::new("phone-1", 1, 5).body();
    let answer = Answer::of(request.header("Content-Type", "application/x-ndjson").body(batch)).await;
    answer.expect_committed(Some((1, 5)));
    stack.is_replaced("ingest", first).await;
    assert!(marker.exists());
}

/// Has the process of `role` end at `point`, once, while the recorded workouts go in.
async fn survives(point: Failpoint, role: &str) {
    let (stack, marker) = armed(point, PASSING).await;
    let first = stack.pid(role);
    assert!(!marker.exists(), "nothing has reached it yet");

    let text = stack.replay(&["--batch", "10"]).await;
    assert!(text.contains("in 4 spaces"), "{text}");
    stack.is_replaced(role, first).await;
    assert!(marker.exists(), "{} was reached", point.name());
    stack.verify_entities_from_outside().await;
    everything_is_settled(&stack).await;
    stack.verify_from_outside().await;
    stack.verify_entities_from_outside().await;
}

/// A stack in which the `passing`-th passing of `point` ends the process, once; with the marker that it leaves.
async fn armed(point: Failpoint, passing: usize) -> (Stack, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let marker = folder.path().join("reached");
    let armed = format!("{}:{passing}", point.name());
    let mut environment = SOON.to_vec();
    environment.push(("TIDELOG_FAILPOINT", &armed));
    environment.push(("TIDELOG_FAILPOINT_MARKER", marker.to_str().unwrap()));
    (Stack::start_in(folder, &[], &environment).await, marker)
}

/// Waits until the broker has handed out everything, and has every acknowledgement: also of what came again.
async fn everything_is_settled(stack: &Stack) {
    let url = stack.facts()["natsUrl"].as_str().unwrap().to_owned();
    let client = async_nats::connect(url).await.unwrap();
    for (stream, consumer) in [("PUSH", "ingest"), ("LOG", "projector")] {
        everything_is_acknowledged(&client, stream, consumer).await;
    }
}
