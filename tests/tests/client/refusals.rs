//! Refusals that a device handles by itself, and those that it tells the app.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tidelog_cli::token::Claims;
use tidelog_client::NewEvent;
use tidelog_client::store::{EventState, EventsQuery};
use tidelog_client::sync::{NoToken, SyncFailure};
use tidelog_client::transport::{Answer, Refused};
use tidelog_client::{Clock, Syncer};
use tidelog_events::code::{Fault, Refusal};
use tidelog_events::protocol::UtcTime;
use tidelog_tests::{SECRET, World, WorldOptions, token};

use super::line::{Line, refused};
use super::phone::{Phone, assert_log_holds, created, entity, lap, offline};

/// A token of the user that ended an hour ago.
fn expired(user: &str) -> String {
    let claims = Claims::new(user, 0);
    Claims { iat: claims.iat - 7200, exp: claims.exp - 3600, ..claims }.sign(SECRET).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_replaced_by_asking_the_app_once() {
    let world = World::new().await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = asked.clone();
    let tokens = move |stale: Option<String>| {
        noted.lock().unwrap().push(stale.clone());
        let token = if stale.is_some() { token("ann") } else { expired("ann") };
        async move { Ok::<_, NoToken>(token) }
    };
    let phone = Phone::with(&world, "ann", Line::to(world.address), |parts| {
        Syncer::start(parts.store.clone(), parts.line.clone(), tokens, offline())
    })
    .await;
    let recorded = phone.record(created("w-1", "Run")).await;
    phone.synced().await;
    phone.synced().await;
    assert_log_holds(&world, "ann", &[recorded]).await;
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked[0].is_none() && asked[1].is_some(), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_token_that_is_refused_too_ends_the_attempt_and_nothing_is_lost() {
    let world = World::new().await;
    let asked = Arc::new(AtomicU32::new(0));
    let counted = asked.clone();
    let tokens = move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move { Ok::<_, NoToken>(expired("ann")) }
    };
    let phone = Phone::with(&world, "ann", Line::to(world.address), |parts| {
        Syncer::start(parts.store.clone(), parts.line.clone(), tokens, offline())
    })
    .await;
    phone.record(created("w-1", "Run")).await;
    let report = phone.sync().await;
    assert_eq!(report.spaces[0].outcome, Err(SyncFailure::Unauthorized));
    assert_eq!((report.pending(), phone.pending().await), (1, 1));
    let status = phone.syncer.status(&phone.space()).await.unwrap();
    assert_eq!(status.last_error, Some(SyncFailure::Unauthorized));
    assert_eq!(world.head("ann").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_that_are_too_large_are_made_smaller() {
    let options = WorldOptions::default().set("limits.body_bytes", 20_000).set("limits.line_bytes", 10_000);
    let world = options.start().await;
    let phone = Phone::new(&world, "ann").await;
    let mut recorded = Vec::new();
    for number in 0..30 {
        recorded.push(phone.record(created(&format!("w-{number}"), &"x".repeat(3000))).await);
    }
    phone.synced().await;
    assert_log_holds(&world, "ann", &recorded).await;
    phone.assert_is_the_log(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_too_large_by_itself_is_withheld_and_those_behind_it_are_not() {
    let options = WorldOptions::default().set("limits.body_bytes", 20_000).set("limits.line_bytes", 4000);
    let world = options.start().await;
    let phone = Phone::new(&world, "ann").await;
    let before = phone.record(created("w-1", "Run")).await;
    let large = phone.record(created("w-2", &"x".repeat(5000))).await;
    let behind = phone.record(lap("w-1")).await;
    phone.synced().await;
    assert_log_holds(&world, "ann", &[before, behind]).await;
    let rejected = phone.store.events(&phone.space(), EventsQuery::rejected()).await.unwrap();
    assert_eq!(rejected.len(), 1);
    assert_eq!(rejected[0].event_id, large.event_id);
    assert!(rejected[0].line.contains("xxxxx"), "the device keeps the original");
    let EventState::Rejected { code, .. } = &rejected[0].state else { panic!("{rejected:?}") };
    assert_eq!(*code, Some(Fault::Withheld));
    assert!(phone.workouts().await.iter().all(|workout| workout.entity_id != entity("w-2")));
    assert!(phone.store.dismiss(&phone.space(), large.event_id).await.unwrap());
    assert_eq!(phone.store.events(&phone.space(), EventsQuery::rejected()).await.unwrap(), []);
    phone.assert_is_the_log(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_in_2099_is_corrected_before_anything_leaves_and_the_phone_is_not_stuck_there() {
    let world = World::new().await;
    let phone = Phone::new(&world, "ann").await;
    let days = 73 * 365;
    let first = phone.record(created("w-1", "Run")).await;
    phone.clock.turn(days);
    let second = phone.record(lap("w-1")).await;
    assert!(
        second.timestamp.to_string().starts_with("2099") || second.timestamp.millis() > 4_000_000_000_000
    );
    phone.synced().await;
    phone.clock.turn(-days);
    let third = phone.record(lap("w-1")).await;
    phone.synced().await;
    let log = world.whole_log("ann").await;
    let now_ms = phone.clock.wall_ms();
    let stamps: Vec<_> = log.iter().map(|event| event["timestamp"].as_str().unwrap().to_owned()).collect();
    assert!(stamps.is_sorted(), "{stamps:?}");
    for stamp in stamps {
        let stamp: tidelog_events::stamp::Stamp = stamp.parse().unwrap();
        assert!((stamp.millis() - now_ms).abs() < 60_000, "{stamp}");
    }
    assert_log_holds(&world, "ann", &[first, second, third]).await;
    phone.assert_is_the_log(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clock_ahead_is_answered_with_stamps_by_the_servers_time() {
    let world = World::new().await;
    let phone = Phone::new(&world, "ann").await;
    let recorded = phone.record(created("w-1", "Run")).await;
    // Between hello and push, the server's clock was found to be wrong, and set.
    let server_time = Some(UtcTime(phone.clock.now().wall_ms - 3_600_000));
    let ahead = Refused { server_time, ..refused(Refusal::ClockAhead) };
    phone.line.answer_next_push(Answer::Refused(ahead));
    phone.synced().await;
    assert_log_holds(&world, "ann", &[recorded]).await;
    phone.assert_is_the_log(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_wants_to_be_left_alone_is_until_then() {
    let world = World::new().await;
    for code in [Refusal::RateLimited, Refusal::Overloaded] {
        let phone = Phone::new(&world, code.as_str()).await;
        let recorded = phone.record(created("w-1", "Run")).await;
        let wait = Refused { retry_after: Some(Duration::from_mins(1)), ..refused(code) };
        phone.line.answer_next_push(Answer::Refused(wait));
        let outcome = phone.sync().await.spaces.remove(0).outcome;
        assert_eq!(outcome.unwrap_err().code(), code.as_str());
        let status = phone.syncer.status(&phone.space()).await.unwrap();
        assert!(status.next_attempt_at.unwrap().0 >= phone.clock.wall_ms() + 60_000, "{status:?}");
        assert_eq!(status.last_error.unwrap().code(), code.as_str());

        let before = phone.line.requests();
        let outcome = phone.sync().await.spaces.remove(0).outcome;
        assert!(matches!(outcome, Err(SyncFailure::NotYet { .. })), "{outcome:?}");
        assert_eq!(phone.line.requests(), before, "nothing was sent");
        phone.clock.advance(Duration::from_mins(1));
        phone.synced().await;
        assert_eq!(phone.syncer.status(&phone.space()).await.unwrap().last_error, None);
        assert_log_holds(&world, code.as_str(), &[recorded]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_servers_schema_does_not_know_lies_in_quarantine_and_the_app_is_told_why() {
    let world = World::new().await;
    let schema = std::fs::read_to_string(&world.schema_file).unwrap();
    // An app that was updated before its server.
    let newer = schema + "\n  NOTE_ADDED: { entity: workout, payload: { notes: required } }\n";
    let phone = Phone::with_schema(&world, "ann", &newer).await;
    let kept = phone.record(created("w-1", "Run")).await;
    let note = NewEvent::new("NOTE_ADDED", entity("w-1"), json!({ "notes": "windy" }));
    let rejected = phone.record(note).await;
    let behind = phone.record(lap("w-1")).await;
    assert_eq!(phone.workouts().await[0].fields["notes"], json!(["windy"]));
    phone.synced().await;
    assert_log_holds(&world, "ann", &[kept, behind]).await;
    let found = phone.store.events(&phone.space(), EventsQuery::rejected()).await.unwrap();
    assert_eq!(found[0].event_id, rejected.event_id);
    let EventState::Rejected { code, detail } = &found[0].state else { panic!("{found:?}") };
    assert!(*code == Some(Fault::UnknownType) && !detail.is_empty(), "{detail}");
    let workouts = phone.workouts().await;
    assert!(!workouts[0].pending && workouts[0].fields.get("notes").is_none(), "{workouts:?}");
}
