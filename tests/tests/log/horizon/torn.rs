//! A snapshot that is not what was written: nobody takes it for a whole answer.

use reqwest::Method;
use tidelog_tests::{Answer, World};

use super::pruned_worlds;

const FORMS: [(&str, &str); 4] = [
    ("application/x-ndjson", "zstd"),
    ("application/x-ndjson", "identity"),
    ("application/x-ndjson", "gzip"),
    ("application/json", "identity"),
];

/// An answer to the end; none where it breaks off.
async fn whole_answer(world: &World, (accept, encoding): (&str, &str)) -> Option<Answer> {
    let request = world.request(Method::GET, "/v1/spaces/me/log?after=3", "ann");
    Answer::try_of(request.header("Accept", accept).header("Accept-Encoding", encoding)).await.ok()
}

async fn expect_no_answer(change: &'static str) {
    let [whole, streamed] = pruned_worlds().await;
    for form in FORMS {
        for world in [&whole, &streamed] {
            whole_answer(world, form).await.unwrap().expect(200);
        }
    }
    for world in [&whole, &streamed] {
        assert_eq!(sqlx::query(change).execute(&world.pool).await.unwrap().rows_affected(), 1);
    }
    for form in FORMS {
        // What is noticed before it is begun is refused.
        if let Some(answer) = whole_answer(&whole, form).await {
            answer.expect(500);
        }
        assert!(whole_answer(&streamed, form).await.is_none(), "{form:?} breaks off");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_cut_off_is_no_whole_answer() {
    expect_no_answer("UPDATE snapshot_parts SET frame = substring(frame FOR 30) WHERE part = 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_missing_is_no_whole_answer() {
    expect_no_answer("DELETE FROM snapshot_parts WHERE part = 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_part_that_is_missing_is_no_whole_answer() {
    expect_no_answer("DELETE FROM snapshot_parts WHERE part = (SELECT max(part) FROM snapshot_parts)").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_horizon_without_its_snapshot_is_refused_and_readers_behind_it_are_not() {
    let [world, _] = pruned_worlds().await;
    sqlx::query("DELETE FROM snapshots").execute(&world.pool).await.unwrap();
    for form in FORMS {
        whole_answer(&world, form).await.unwrap().expect(500);
    }
    world.pull("ann", "after=20").await.expect(200);
}
