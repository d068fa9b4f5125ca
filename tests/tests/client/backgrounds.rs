//! Background slots: a phone that is woken for a few seconds does what fits, and ends in time.

use std::time::Duration;

use tidelog_client::sync::SyncFailure;
use tidelog_tests::World;

use super::line::Meddling;
use super::phone::{Phone, assert_log_holds, lap};

/// What iOS gives.
const SLOT: Duration = Duration::from_secs(25);

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_does_what_fits_and_says_what_is_left() {
    let world = World::new().await;
    let phone = Phone::new(&world, "ann").await;
    let mut recorded = Vec::new();
    for _ in 0..500 {
        recorded.push(phone.record(lap("w-1")).await);
    }
    // Every request takes 10 seconds of the phone's clock.
    let clock = phone.clock.clone();
    phone.line.meddle(move |_| {
        clock.advance(Duration::from_secs(10));
        Meddling::Pass
    });
    phone.syncer.set_connectivity(true);
    let mut slots = 0;
    loop {
        slots += 1;
        let (requests, began_ms) = (phone.line.requests(), phone.clock.wall_ms());
        let report = phone.syncer.sync_for(SLOT).await;
        assert_eq!(phone.line.under_way(), 0, "nothing is under way when it returns");
        assert!(phone.line.requests() - requests <= 3, "the third begins in time, a fourth would not");
        assert!(phone.clock.wall_ms() - began_ms <= 30_000);
        let left = report.spaces.first().unwrap();
        assert_eq!(usize::try_from(left.pending).unwrap(), phone.pending().await);
        match &left.outcome {
            Ok(()) => break,
            Err(failure) => assert_eq!(*failure, SyncFailure::OutOfTime),
        }
        assert!(slots < 20, "{report:?}");
        phone.clock.advance(Duration::from_hours(1));
    }
    assert!(slots > 3, "it took {slots} slots");
    assert_log_holds(&world, "ann", &recorded).await;
    phone.assert_is_the_log(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_hangs_is_given_up_when_the_slot_ends() {
    let world = World::new().await;
    let phone = Phone::new(&world, "ann").await;
    phone.record(lap("w-1")).await;
    phone.line.meddle(|_| Meddling::Hang);
    phone.syncer.set_connectivity(true);
    let report = phone.syncer.sync_for(Duration::from_millis(300)).await;
    assert_eq!(report.spaces[0].outcome, Err(SyncFailure::OutOfTime));
    assert_eq!((report.pending(), phone.line.under_way()), (1, 0));
    phone.line.meddle(|_| Meddling::Pass);
    phone.synced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_without_time_asks_nothing() {
    let world = World::new().await;
    let phone = Phone::new(&world, "ann").await;
    phone.synced().await;
    let before = phone.line.requests();
    let report = phone.syncer.sync_for(Duration::ZERO).await;
    assert_eq!(report.spaces[0].outcome, Err(SyncFailure::OutOfTime));
    assert_eq!(phone.line.requests(), before);
}
