//! A database that is restored from an older copy, as docs/operations/backup.md has it done: readers learn that it is another
//! log, and PUSH brings back what the copy lacks.

use std::path::Path;
use std::process::Command;

use rustix::process::{Signal, kill_process};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tidelog_tests::{Answer, Batch, eventually};

use super::harness::Stack;

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

/// What the gateway answers to a read of the user's space, if it is 200.
async fn read(stack: &Stack, path: &str) -> Option<Value> {
    let facts = stack.facts();
    let url = format!("{}/v1/spaces/me/{path}", facts["gatewayUrl"].as_str().unwrap());
    let request = reqwest::Client::new().get(url).header("Accept", "application/json");
    let answer = Answer::try_of(request.bearer_auth(facts["token"].as_str().unwrap())).await.ok()?;
    (answer.status == 200).then_some(answer.json)
}

/// Steps 4 and 6 of the page, while ingest is stopped: the database is another one, and PUSH is read from its beginning.
async fn have_it_taken_for_another_one(stack: &Stack) {
    kill_process(stack.pid("ingest"), Signal::STOP).unwrap();
    let facts = stack.facts();
    let mut database = PgConnection::connect(facts["databaseUrl"].as_str().unwrap()).await.unwrap();
    let update = "UPDATE incarnation SET system_identifier = system_identifier - 1";
    assert_eq!(sqlx::query(update).execute(&mut database).await.unwrap().rows_affected(), 1);
    let broker = async_nats::connect(facts["natsUrl"].as_str().unwrap()).await.unwrap();
    async_nats::jetstream::new(broker).delete_consumer_from_stream("ingest", "PUSH").await.unwrap();
    stack.kill("ingest").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_is_another_log_and_push_brings_back_what_the_copy_lacks() {
    let mut stack = Stack::start(&[]).await;
    stack.push(&Batch::new("phone-1", 1, 5)).await.expect_committed(Some((1, 5)));
    let (database, backup) = (stack.folder().join(".tidelog/postgres"), stack.folder().join("backup"));
    assert_eq!(stack.signal(Signal::TERM).await, Some(0));
    copy(&database, &backup);
    stack.start_again().await;
    stack.push(&Batch::new("phone-1", 6, 9)).await.expect_committed(Some((6, 9)));
    let before = read(&stack, "log?after=0").await.unwrap();
    assert_eq!(stack.signal(Signal::TERM).await, Some(0));

    std::fs::remove_dir_all(&database).unwrap();
    copy(&backup, &database);
    stack.start_again().await;
    assert_eq!(read(&stack, "log?after=0").await.unwrap()["head"], 5, "the copy is older");
    have_it_taken_for_another_one(&stack).await;
    let after = eventually("PUSH has brought back the rest", async || {
        read(&stack, "log?after=0").await.filter(|log| log["head"] == 9)
    })
    .await;
    assert_ne!(after["epoch"], before["epoch"], "whoever has read the lost log begins again");
    let events = |log: &Value| {
        let events = log["events"].as_array().unwrap().iter();
        events.map(|event| (event["position"].clone(), event["eventId"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(events(&after), events(&before));
    let folded = read(&stack, "entities/workout?atLeast=9").await.unwrap();
    assert_eq!(folded["asOf"], 9);
    // A device that has heard of the commit, and sends it again, sends what is there.
    let again = stack.push(&Batch::new("phone-1", 6, 9)).await;
    let again = again.expect(200);
    assert_eq!((&again.json["first"], &again.json["head"]), (&Value::Null, &9.into()));
}
