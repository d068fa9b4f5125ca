//! What a device tells of itself, and refusals that last until somebody does something about them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tidelog_client::sync::SyncFailure;
use tidelog_client::transport::{Answer, Request};
use tidelog_events::code::Refusal;
use tidelog_events::report::{DeviceReport, SyncCounts};
use tidelog_tests::{World, eventually};

use super::line::{Meddling, refused};
use super::live::wait;
use super::phone::{Phone, assert_log_holds, created, lap};

type Reports = Arc<Mutex<Vec<Option<DeviceReport>>>>;

/// What all pulls from now on report; `fate` meddles with them.
fn reports(phone: &Phone, fate: impl Fn(&Request) -> Meddling + Send + 'static) -> Reports {
    let reports = Reports::default();
    let noted = reports.clone();
    phone.line.meddle(move |request| {
        if let Request::Pull(pull) = request {
            noted.lock().unwrap().push(pull.report.as_deref().cloned());
        }
        fate(request)
    });
    reports
}

#[tokio::test(flavor = "multi_thread")]
async fn each_sync_tells_once_how_the_device_stands() {
    let world = World::new().await;
    let phone = Phone::new(&world, "ann").await;
    let told = reports(&phone, |_| Meddling::LoseRequest);
    phone.record(created("w-1", "Run")).await;
    phone.clock.turn(1);
    phone.sync().await;
    let first = DeviceReport { pending: Some(1), ..DeviceReport::default() };
    assert_eq!(told.lock().unwrap()[0], Some(first), "nothing is known of the server yet");

    let told = reports(&phone, |_| Meddling::Pass);
    phone.synced().await;
    phone.synced().await;
    let told = told.lock().unwrap().clone();
    let (first, last) = (told[0].clone().unwrap(), told.last().unwrap().clone().unwrap());
    assert_eq!(first.last_error.as_deref(), Some("unreachable: the server cannot be reached: lost"));
    assert!(told.contains(&None), "the second pull of a sync has nothing new to tell: {told:?}");
    assert_eq!((last.pending, &last.last_error), (Some(0), &None));
    let offset_ms = last.clock_offset_ms.unwrap();
    assert!((offset_ms - 86_400_000).abs() < 60_000, "its clock is a day ahead: {offset_ms}");

    let state = last.state.unwrap();
    let log = world.folded_log("ann").await;
    assert_eq!(serde_json::json!(state.hash), log.state_hash);
    assert_eq!(state.position, phone.store.status(&phone.space()).await.unwrap().cursor);
}

#[tokio::test(flavor = "multi_thread")]
async fn how_syncs_ended_is_told_by_a_later_one_until_a_report_was_answered() {
    let world = World::new().await;
    let phone = Phone::new(&world, "ann").await;
    let syncs = |succeeded: u64, failed: &[(&str, u64)]| {
        let failed = failed.iter().map(|(cause, count)| ((*cause).to_owned(), *count)).collect();
        Some(SyncCounts { succeeded, failed })
    };
    let told = async |fate: fn() -> Meddling| {
        let told = reports(&phone, move |_| fate());
        phone.sync().await;
        let told = told.lock().unwrap();
        told[0].as_ref().unwrap().syncs.clone()
    };
    phone.synced().await;
    told(|| Meddling::Pass).await;
    assert_eq!(told(|| Meddling::Pass).await, syncs(1, &[]), "the sync before");
    assert_eq!(told(|| Meddling::LoseRequest).await, syncs(1, &[]));
    let overloaded = || Meddling::Answer(Answer::Refused(refused(Refusal::Overloaded)));
    assert_eq!(told(overloaded).await, syncs(1, &[("broken", 1)]), "nobody has answered yet");
    assert_eq!(told(|| Meddling::LoseAnswer).await, syncs(1, &[("broken", 1), ("overloaded", 1)]));
    let again = syncs(1, &[("broken", 2), ("overloaded", 1)]);
    assert_eq!(
        told(|| Meddling::Pass).await,
        again,
        "the gateway has counted them, and the phone does not know"
    );
    assert_eq!(told(|| Meddling::Pass).await, syncs(1, &[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_device_or_an_app_that_is_too_old_keeps_everything_and_leaves_the_server_alone() {
    let world = World::new().await;
    for code in [Refusal::DeviceRevoked, Refusal::ClientTooOld] {
        let user = code.as_str();
        let phone = Phone::new(&world, user).await;
        let mut recorded = vec![phone.record(created("w-1", "Run")).await];
        phone.line.meddle(move |_| Meddling::Answer(Answer::Refused(refused(code))));
        let outcome = phone.sync().await.spaces.remove(0).outcome;
        let failure = outcome.unwrap_err();
        assert!(failure.is_lasting() && failure.code() == code.as_str(), "{failure:?}");

        // What is recorded meanwhile makes no attempt, and stays.
        let requests = phone.line.requests();
        for _ in 0..10 {
            wait(&phone, Duration::from_secs(10));
            recorded.push(phone.record(lap("w-1")).await);
        }
        let status = phone.syncer.status(&phone.space()).await.unwrap();
        let left_ms = status.next_attempt_at.unwrap().0 - phone.clock.wall_ms();
        assert!((50_000..=200_000).contains(&left_ms), "150 to 300 s after the refusal: {left_ms}");
        assert_eq!((status.pending, phone.line.requests()), (11, requests));
        assert!(matches!(status.last_error, Some(SyncFailure::Refused(_))), "{status:?}");

        // The device was restored, or the app updated: it goes on by itself, in its time.
        phone.line.meddle(|_| Meddling::Pass);
        eventually("it is tried again", async || {
            wait(&phone, Duration::from_secs(1));
            (phone.pending().await == 0).then_some(())
        })
        .await;
        assert_log_holds(&world, user, &recorded).await;
        assert_eq!(phone.syncer.sync_now().await.pending(), 0);
    }
}
