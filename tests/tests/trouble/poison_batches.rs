//! Batches whose values PostgreSQL refuses.

use futures_util::future::join_all;
use serde_json::Value;
use tidelog_tests::{Batch, History, World, WorldOptions, event_id, eventually};

use super::load::quarantined;

/// From here on the database refuses segments (or also watermarks) of devices that are called `bad…`.
async fn refuse_bad_devices(world: &World, table: &str) {
    let refuse = format!(
        "CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF NEW.device_id LIKE 'bad%' THEN
                 RAISE EXCEPTION 'no segment of %', NEW.device_id USING ERRCODE = '23514';
             END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION refuse()"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(refuse)).execute(&world.pool).await.expect("a trigger");
}

async fn accept_again(world: &World, table: &str) {
    let accept = format!("DROP TRIGGER refuse ON {table}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(accept)).execute(&world.pool).await.expect("no trigger");
}

/// A world in which many batches lie in PUSH before the ingest starts: it takes them in one round.
async fn world_with_backlog(table: &str, devices: &[String]) -> World {
    let world = WorldOptions::default().ingests(0).set("gateway.commit_wait_ms", 20).start().await;
    refuse_bad_devices(&world, table).await;
    join_all(devices.iter().map(async |device| {
        world.push("ann", &Batch::new(device, 1, 3)).await.expect(202);
    }))
    .await;
    world
}

fn devices(bad: &[usize]) -> Vec<String> {
    let name =
        |number| if bad.contains(&number) { format!("bad-{number}") } else { format!("phone-{number}") };
    (0..50).map(name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_poison_is_picked_out_of_a_round_and_the_others_commit() {
    let devices = devices(&[0, 17, 18, 49]);
    let world = world_with_backlog("segments", &devices).await;
    let _ingest = world.start_ingest();
    let good = devices.iter().filter(|device| device.starts_with("phone"));
    let history = History::of(good.map(|device| (device, 3)));
    eventually("the good ones are committed", async || {
        let events = (world.head("ann").await as u64, quarantined(&world).await);
        (events == (history.events(), (4 * 3, 0))).then_some(())
    })
    .await;
    history.assert_is_log_of(&world, "ann").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_poison_is_quarantined_event_by_event_and_its_device_goes_on() {
    let world = WorldOptions::default().set("gateway.commit_wait_ms", 60_000).start().await;
    refuse_bad_devices(&world, "segments").await;
    let poison = Batch::new("bad-1", 1, 3);
    for _ in 0..2 {
        let answer = world.push("ann", &poison).await;
        answer.expect_committed(None);
        let receipt = |sequence| (sequence, "quarantined".to_owned(), Some("event-poison".to_owned()));
        assert_eq!(answer.receipts(), [receipt(1), receipt(2), receipt(3)]);
        assert_eq!(answer.json["device"]["lastSequence"], 3);
    }
    let kept = sqlx::query_as::<_, (i64, uuid::Uuid, String, Vec<u8>)>(
        "SELECT device_sequence, event_id, code, line FROM quarantine ORDER BY device_sequence",
    );
    let kept = kept.fetch_all(&world.pool).await.unwrap();
    assert_eq!(kept.len(), 3);
    for ((sequence, (stored, id, code, line)), pushed) in (1..).zip(kept).zip(&poison.lines) {
        assert_eq!((stored, id), (sequence, event_id("bad-1", sequence as u64)));
        assert_eq!((code.as_str(), line.as_slice()), ("event-poison", pushed.as_bytes()));
    }

    accept_again(&world, "segments").await;
    world.push("ann", &Batch::new("bad-1", 4, 6)).await.expect_committed(Some((1, 3)));
    let hello = world.pull("ann", "after=0&deviceId=bad-1").await;
    let quarantined = hello.json["device"]["quarantined"].as_array().unwrap();
    let codes: Vec<&Value> = quarantined.iter().map(|event| &event["code"]).collect();
    assert_eq!(codes, ["event-poison"; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_poison_that_cannot_be_quarantined_is_kept_whole_and_blocks_nobody() {
    let devices = devices(&[9]);
    let world = world_with_backlog("devices", &devices).await;
    let _ingest = world.start_ingest();
    let good = devices.iter().filter(|device| device.starts_with("phone"));
    let history = History::of(good.map(|device| (device, 3)));
    eventually("the good ones are committed", async || {
        let events = (world.head("ann").await as u64, quarantined(&world).await);
        (events == (history.events(), (0, 1))).then_some(())
    })
    .await;
    history.assert_is_log_of(&world, "ann").await;
    let payload = sqlx::query_scalar::<_, Vec<u8>>("SELECT payload FROM quarantined_messages");
    assert_eq!(payload.fetch_one(&world.pool).await.unwrap(), Batch::new("bad-9", 1, 3).frame());
}
