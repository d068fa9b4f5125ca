//! What is recorded on one phone comes to the others, and everybody has the same.

use std::time::Duration;

use tidelog_client::store::EventsQuery;
use tidelog_tests::World;

use super::phone::{Phone, assert_log_holds, created, lap};

const WEEK: Duration = Duration::from_hours(7 * 24);

#[tokio::test(flavor = "multi_thread")]
async fn what_phones_recorded_offline_is_the_same_everywhere_after_they_have_synced() {
    let world = World::new().await;
    let (one, other) = (Phone::new(&world, "ann").await, Phone::new(&world, "ann").await);
    let mut recorded = vec![one.record(created("w-1", "Run")).await];
    recorded.push(one.record(lap("w-1")).await);
    recorded.push(other.record(created("w-1", "Morning run")).await);
    recorded.push(other.record(lap("w-1")).await);
    recorded.push(other.record(created("w-2", "Swim")).await);
    assert!(one.workouts().await[0].pending);

    one.synced().await;
    other.synced().await;
    one.synced().await;
    let workouts = one.workouts().await;
    assert_eq!(workouts, other.workouts().await);
    assert_eq!(workouts.len(), 2);
    assert!(workouts.iter().all(|workout| !workout.pending));
    assert_eq!(workouts[0].fields["laps"], 2, "both laps count");
    assert_log_holds(&world, "ann", &recorded).await;
    one.assert_is_the_log(&world).await;
    other.assert_is_the_log(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_was_offline_for_a_week_with_5000_events_syncs_in_one_go() {
    let world = World::new().await;
    let phone = Phone::new(&world, "ann").await;
    let mut recorded = Vec::new();
    phone.clock.turn(-7);
    for number in 0..5000 {
        phone.clock.advance(WEEK / 5000);
        let id = format!("w-{}", number % 100);
        let event = if number < 100 { created(&id, "Run") } else { lap(&id) };
        recorded.push(phone.record(event).await);
    }
    phone.synced().await;
    assert_eq!(phone.pending().await, 0);
    assert_eq!(phone.store.events(&phone.space(), EventsQuery::synced()).await.unwrap().len(), 5000);
    assert_log_holds(&world, "ann", &recorded).await;
    let fresh = Phone::new(&world, "ann").await;
    fresh.synced().await;
    assert_eq!(fresh.workouts().await, phone.workouts().await);
    fresh.assert_is_the_log(&world).await;
    phone.assert_is_the_log(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_new_is_one_request() {
    let world = World::new().await;
    let phone = Phone::new(&world, "ann").await;
    phone.record(created("w-1", "Run")).await;
    phone.synced().await;
    phone.synced().await;
    let before = phone.line.requests();
    phone.synced().await;
    assert_eq!(phone.line.requests() - before, 1);
}
