//! Batches that are small on the wire and large in the database, and batches that break their connection.

use futures_util::future::join_all;
use tidelog_tests::{Batch, EventLine, World, WorldOptions, eventually};

/// A thousand events of an unknown type, 4 MiB decoded and a few KiB as a frame.
fn large_and_bad(device: &str) -> Batch {
    let mut batch = Batch::new(device, 1, 1000);
    let name = "N".repeat(3800);
    for (line, sequence) in batch.lines.iter_mut().zip(1..) {
        *line = EventLine::new(device, sequence).with("type", name.as_str()).0.to_string();
    }
    batch
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_that_is_large_only_in_the_database_is_worked_off_in_rounds_that_fit() {
    let world = WorldOptions::default()
        .ingests(0)
        .set("gateway.commit_wait_ms", 1)
        .set("ingest.transaction_bytes", 8 << 20)
        .set("ingest.in_hand_bytes", 16 << 20)
        .start()
        .await;
    for number in 0..12 {
        world.push(&format!("user-{number}"), &large_and_bad("phone-1")).await.expect(202);
    }
    let _ingest = world.start_ingest();
    world.push_until_committed("ann", &Batch::new("phone-1", 1, 5)).await;
    eventually("all of it is in quarantine", async || {
        let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM quarantine");
        (count.fetch_one(&world.pool).await.ok()? == 12_000).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_a_batch_that_breaks_its_connection_stops_nobody() {
    let world = World::new().await;
    sqlx::raw_sql(
        "CREATE FUNCTION break() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$;
         CREATE TRIGGER break BEFORE INSERT ON segments FOR EACH ROW
           WHEN (NEW.device_id = 'breaker') EXECUTE FUNCTION break();",
    )
    .execute(&world.pool)
    .await
    .expect("a trigger");
    let users: Vec<String> = (0..20).map(|number| format!("user-{number}")).collect();
    let good = users.iter().map(async |user| {
        world.push_until_committed(user, &Batch::new("phone-1", 1, 5)).await.expect(200);
    });
    let bad = Batch::new("breaker", 1, 3);
    let (answer, _) = tokio::join!(world.push_until_committed("mallory", &bad), join_all(good));
    answer.expect(200);
    let receipts = answer.receipts();
    assert_eq!(receipts.len(), 3);
    assert!(
        receipts
            .iter()
            .all(|(_, status, code)| status == "quarantined" && code.as_deref() == Some("event-poison"))
    );
    world
        .push_until_committed("mallory", &Batch::new("breaker-2", 1, 3))
        .await
        .expect_committed(Some((1, 3)));
}
