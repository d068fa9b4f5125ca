//! Live messages are hints (invariant 9): whatever gets lost on the way is found in the log.

use async_nats::HeaderMap;
use tidelog_events::frame::{FIRST_HEADER, LAST_HEADER, SPACE_HEADER};
use tidelog_events::id::SpaceId;
use tidelog_tests::{Batch, World, WorldOptions};

fn headers(first: u64, last: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(SPACE_HEADER, "ann");
    headers.insert(FIRST_HEADER, first.to_string());
    headers.insert(LAST_HEADER, last.to_string());
    headers
}

fn log_of_ann(world: &World) -> String {
    world.broker.subjects().log(SpaceId::new("ann").unwrap().slot())
}

async fn announce(world: &World, headers: HeaderMap, payload: Vec<u8>) {
    let subject = log_of_ann(world);
    world.broker.client().publish_with_headers(subject, headers, payload.into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_9_a_lost_announcement_is_found_by_the_next_one_or_by_a_look_at_the_head() {
    let world = WorldOptions::default().set("live.sweep_seconds", "1").start().await;
    let mut live = world.live("ann", "").await;
    live.hello().await;
    world.push("ann", &Batch::new("phone-1", 1, 1)).await.expect(200);
    assert_eq!(live.event().await.0, 1);
    // As if ingest had died between COMMIT and LOG: three segments that nobody is told of.
    let mut transaction = world.pool.begin().await.unwrap();
    for position in 2..=4_i64 {
        sqlx::query(
            "INSERT INTO segments (space_id, first, last, device_id, user_id, first_sequence, last_sequence, received_at, frame)
             SELECT space_id, $1, $1, device_id, user_id, $1, $1, received_at, frame FROM segments
             WHERE space_id = 'ann' AND last = 1",
        )
        .bind(position)
        .execute(&mut *transaction)
        .await
        .unwrap();
    }
    sqlx::query("UPDATE spaces SET head = 4 WHERE space_id = 'ann'")
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    for position in 2..=4 {
        assert_eq!(live.event().await.0, position);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_9_announcements_that_are_late_doubled_or_damaged_change_nothing() {
    let world = World::new().await;
    let mut live = world.live("ann", "").await;
    live.hello().await;
    let mut announced = tidelog_tests::subscribe(&world.broker, log_of_ann(&world)).await;
    world.push("ann", &Batch::new("phone-1", 1, 2)).await.expect(200);
    let first = tidelog_tests::next_message("the segment", &mut announced).await;
    assert_eq!([live.event().await.0, live.event().await.0], [1, 2]);
    announce(&world, headers(1, 2), first.payload.to_vec()).await;
    announce(&world, headers(3, 4), b"no segment at all".to_vec()).await;
    announce(&world, headers(9, 9), first.payload[..20].to_vec()).await;
    world.push("ann", &Batch::new("phone-1", 3, 3)).await.expect(200);
    assert_eq!(live.event().await.0, 3);
    world.push("ann", &Batch::new("phone-1", 4, 5)).await.expect(200);
    assert_eq!([live.event().await.0, live.event().await.0], [4, 5]);
}
