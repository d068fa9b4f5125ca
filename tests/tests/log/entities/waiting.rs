//! `atLeast`: reads that wait until the projector has applied a position.

use std::sync::Arc;

use reqwest::Method;
use serde_json::json;
use tidelog_tests::{Answer, World, eventually, metric};
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;

use super::{list, options, with_things};

/// The gauge of waiting reads is the whole process's, so one test at a time waits.
static TURN: Mutex<()> = Mutex::const_new(());

async fn turn() -> MutexGuard<'static, ()> {
    let turn = TURN.lock().await;
    until_waiting(0).await;
    turn
}

async fn until_waiting(reads: i64) {
    let waiting = || metric("tidelog_gateway_waiting_reads") as i64;
    eventually("the gateway counts the waiting reads", async || (waiting() == reads).then_some(())).await;
}

fn read(world: &World, user: &str, path: &str) -> JoinHandle<Answer> {
    let path = format!("/v1/spaces/me/entities/{path}");
    tokio::spawn(Answer::of(world.request(Method::GET, &path, user)))
}

/// The answer, which must come long before the wait of a minute is over.
async fn answer(mut read: JoinHandle<Answer>) -> Answer {
    eventually("the read is answered", async || read.is_finished().then_some(())).await;
    (&mut read).await.unwrap()
}

fn patient() -> tidelog_tests::WorldOptions<'static> {
    options().set("gateway.at_least_wait_ms", 60_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_is_applied_is_not_waited_for() {
    let world = options().set("gateway.at_least_wait_ms", 1).set("gateway.waiting_reads", 0).start().await;
    with_things(&world, "ann", 5).await;
    for at_least in [0, 1, 5] {
        assert_eq!(list(&world, "ann", &format!("atLeast={at_least}")).await.expect(200).json["asOf"], 5);
    }
    let full = list(&world, "ann", "atLeast=6").await;
    full.expect_refusal(503, "overloaded");
    assert_eq!(full.headers["retry-after"], "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_is_answered_as_soon_as_its_position_is_applied() {
    let _turn = turn().await;
    // More reads wait than there are connections.
    let world = Arc::new(patient().set("database.max_connections", 2).start().await);
    let mut folded = with_things(&world, "ann", 2).await;
    let soon: Vec<_> = (0..20).map(|_| read(&world, "ann", "thing?atLeast=3")).collect();
    let one = read(&world, "ann", "thing/new?atLeast=3");
    let late = read(&world, "ann", "thing?atLeast=4");
    let elsewhere = read(&world, "bob", "thing?atLeast=1");
    until_waiting(23).await;
    list(&world, "ann", "").await.expect(200);
    folded.create("new", json!({}));
    folded.write().await;
    for read in soon {
        let answer = answer(read).await;
        assert_eq!(
            (&answer.expect(200).json["asOf"], answer.json["items"][0]["entityId"].as_str()),
            (&json!(3), Some("new"))
        );
    }
    assert_eq!(answer(one).await.expect(200).json["item"]["updatedPosition"], 3);
    until_waiting(2).await;
    assert!(!late.is_finished() && !elsewhere.is_finished());
    folded.create("newer", json!({}));
    folded.write().await;
    assert_eq!(answer(late).await.expect(200).json["asOf"], 4);
    // Nothing was ever folded of this space until now.
    with_things(&world, "bob", 1).await;
    assert_eq!(answer(elsewhere).await.expect(200).json["asOf"], 1);
    until_waiting(0).await;
    // The task that looked has ended, and another begins.
    let again = read(&world, "bob", "thing?atLeast=2");
    until_waiting(1).await;
    with_things(&world, "bob", 2).await;
    assert_eq!(answer(again).await.expect(200).json["asOf"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_is_not_applied_in_time_is_refused() {
    let _turn = turn().await;
    let world = options().set("gateway.at_least_wait_ms", 50).start().await;
    with_things(&world, "ann", 2).await;
    for path in ["thing?atLeast=3", "thing/t-0000?atLeast=9007199254740991", "thing/ghost?atLeast=3"] {
        let answer = answer(read(&world, "ann", path)).await;
        answer.expect_refusal(504, "projection-behind");
    }
    answer(read(&world, "nobody", "thing?atLeast=1")).await.expect_refusal(504, "projection-behind");
    until_waiting(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_hangs_up_leaves_its_place() {
    let _turn = turn().await;
    let world = patient().set("gateway.waiting_reads", 1).start().await;
    let gone = read(&world, "ann", "thing?atLeast=1");
    until_waiting(1).await;
    answer(read(&world, "ann", "thing?atLeast=1")).await.expect_refusal(503, "overloaded");
    gone.abort();
    until_waiting(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_gateway_answers_those_who_wait() {
    let _turn = turn().await;
    let world = patient().start().await;
    let read = read(&world, "ann", "thing?atLeast=1");
    until_waiting(1).await;
    drop(world);
    answer(read).await.expect_refusal(504, "projection-behind");
}
