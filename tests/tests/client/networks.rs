//! Networks that lose requests and answers: everything is synced in the end, and nothing twice.

use std::time::Duration;

use tidelog_client::sync::Report;
use tidelog_tests::{Proxy, Script, World, eventually};

use super::line::{Line, Meddling};
use super::phone::{Phone, assert_log_holds, created, lap, offline};

/// Attempts that a bad network may need.
const ATTEMPTS: u32 = 200;

async fn sync_at_last(phone: &Phone) -> u32 {
    for attempt in 1..=ATTEMPTS {
        let report: Report = phone.sync().await;
        if report.is_synced() && report.pending() == 0 {
            return attempt;
        }
    }
    panic!("not synced after {ATTEMPTS} attempts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_drops_every_third_request_or_answer_loses_and_doubles_nothing() {
    let world = World::new().await;
    let (one, other) = (Phone::new(&world, "ann").await, Phone::new(&world, "ann").await);
    for phone in [&one, &other] {
        let mut count = 0;
        phone.line.meddle(move |_| {
            count += 1;
            match count % 6 {
                0 => Meddling::LoseRequest,
                3 => Meddling::LoseAnswer,
                _ => Meddling::Pass,
            }
        });
    }
    let mut recorded = Vec::new();
    let mut attempts = 0;
    for round in 0..10 {
        for phone in [&one, &other] {
            recorded.push(phone.record(created(&format!("w-{round}"), "Run")).await);
            for _ in 0..60 {
                recorded.push(phone.record(lap(&format!("w-{round}"))).await);
            }
            attempts += sync_at_last(phone).await;
        }
    }
    assert!(attempts > 20, "the network was bad");
    sync_at_last(&one).await;
    sync_at_last(&other).await;
    assert_log_holds(&world, "ann", &recorded).await;
    assert_eq!(one.workouts().await, other.workouts().await);
    one.assert_is_the_log(&world).await;
    other.assert_is_the_log(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn phones_behind_a_broken_network_have_the_same_in_the_end() {
    let world = World::new().await;
    let gateway = Proxy::start(world.address).await;
    let mut phones = Vec::new();
    for _ in 0..3 {
        let line = Line::to(gateway.address()).patient_for(Duration::from_secs(2));
        phones.push(Phone::with(&world, "ann", line, |parts| parts.syncer(offline())).await);
    }
    let playing = gateway.play(Script::mixed(5));
    let mut recorded = Vec::new();
    eventually("the network has broken often", async || {
        for phone in &phones {
            recorded.push(phone.record(lap("w-1")).await);
            phone.sync().await;
        }
        (gateway.broken() > 20).then_some(())
    })
    .await;
    playing.end().await;
    recorded.push(phones[0].record(created("w-1", "Run")).await);
    for _ in 0..2 {
        for phone in &phones {
            sync_at_last(phone).await;
        }
    }
    assert_log_holds(&world, "ann", &recorded).await;
    for phone in phones {
        phone.assert_is_the_log(&world).await;
    }
}
