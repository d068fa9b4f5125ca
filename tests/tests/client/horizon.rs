//! Phones that were behind while the log was pruned: a snapshot takes the place of what they lack, and nothing of their
//! own is lost or counts twice.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use tidelog_client::NewEvent;
use tidelog_client::store::{EntityView, Filter, Recorded};
use tidelog_client::transport::Request;
use tidelog_tests::{World, WorldOptions};

use super::line::Meddling;
use super::phone::{Phone, assert_log_holds, entity};

/// Every merge rule that the order of events matters to, and those that count.
const SCHEMA: &str = "
name: app
version: 1
entities:
  route: { fields: { name: { type: string } } }
  workout:
    fields:
      name: { type: string }
      sport: { type: string, merge: first }
      laps: { type: integer, merge: sum }
      tags: { type: string, merge: set }
      notes: { type: string, merge: list }
events:
  ROUTE_DRAWN: { entity: route, creates: true, payload: { name: required } }
  WORKOUT_CREATED: { entity: workout, creates: true, payload: { name: required, sport: required, tags: required } }
  WORKOUT_DELETED: { entity: workout, deletes: true }
  LAP_RECORDED: { entity: workout, payload: { laps: required } }
  NOTE_ADDED: { entity: workout, payload: { notes: required } }
";

/// Entities of a part of a snapshot.
const PART: usize = 2;
const DAY: Duration = Duration::from_hours(24);

async fn world() -> World {
    WorldOptions::default().schema(SCHEMA).start().await
}

fn event(event_type: &str, id: &str, payload: Value) -> NewEvent {
    NewEvent::new(event_type, entity(id), payload)
}

fn lap(id: &str) -> NewEvent {
    event("LAP_RECORDED", id, json!({"laps": 1}))
}

/// What `who` does to a workout: something for each merge rule. Each such round is two laps.
fn round(who: &str, id: &str) -> [NewEvent; 6] {
    let created = json!({"name": who, "sport": who, "tags": {"add": [who, "shared"]}});
    [
        event("WORKOUT_CREATED", id, created),
        lap(id),
        event("NOTE_ADDED", id, json!({ "notes": who })),
        lap(id),
        event("WORKOUT_CREATED", id, json!({"name": who, "sport": who, "tags": {"remove": ["shared"]}})),
        event("ROUTE_DRAWN", id, json!({ "name": who })),
    ]
}

async fn record(phone: &Phone, events: impl IntoIterator<Item = NewEvent>) -> Vec<Recorded> {
    let mut recorded = Vec::new();
    for event in events {
        recorded.push(phone.record(event).await);
    }
    recorded
}

fn field(workouts: &[EntityView], id: &str, name: &str) -> Value {
    workouts.iter().find(|workout| workout.entity_id == entity(id)).unwrap().fields[name].clone()
}

fn laps(workouts: &[EntityView], id: &str) -> Value {
    field(workouts, id, "laps")
}

async fn prune(world: &World) {
    world.prune("ann", world.head("ann").await as u64, PART).await;
}

/// Asserts that all phones show the same, that it is what all events fold into, and that these are the recorded ones.
async fn assert_same(world: &World, phones: Vec<Phone>, recorded: &[Recorded]) {
    assert_log_holds(world, "ann", recorded).await;
    for phone in &phones {
        phone.synced().await;
    }
    let shown = phones[0].workouts().await;
    for phone in phones {
        assert_eq!(phone.workouts().await, shown);
        phone.assert_is_the_log(world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_phone_begins_with_the_snapshot_and_goes_on_like_any_other() {
    let world = world().await;
    let (one, other) = (Phone::new(&world, "ann").await, Phone::new(&world, "ann").await);
    let mut recorded = record(&one, round("one", "w-1")).await;
    recorded.extend(record(&one, round("one", "w-2")).await);
    recorded.extend(record(&one, [event("WORKOUT_DELETED", "w-2", json!({}))]).await);
    one.synced().await;
    prune(&world).await;
    recorded.extend(record(&other, round("other", "w-1")).await);
    other.synced().await;
    recorded.extend(record(&other, [lap("w-2")]).await);
    other.synced().await;
    let fresh = Phone::new(&world, "ann").await;
    fresh.synced().await;
    assert_eq!(fresh.workouts().await.len(), 1);
    recorded.extend(record(&fresh, round("fresh", "w-2")).await);
    fresh.synced().await;
    assert_eq!(laps(&fresh.workouts().await, "w-1"), 4);
    assert_eq!(laps(&fresh.workouts().await, "w-2"), 5, "those of before it was deleted, too");
    assert_same(&world, vec![fresh, one, other], &recorded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_1_a_phone_that_was_behind_keeps_what_is_pending_and_counts_what_was_pruned_once() {
    let world = world().await;
    let (phone, other) = (Phone::new(&world, "ann").await, Phone::new(&world, "ann").await);
    let mut recorded = record(&phone, round("phone", "w-1")).await;
    phone.synced().await;
    recorded.extend(record(&other, round("other", "w-1")).await);
    other.synced().await;
    // These get into the log, and the phone never hears of it.
    recorded.extend(record(&phone, round("phone", "w-1")).await);
    phone.line.meddle(|request| match request {
        Request::Push(_) => Meddling::LoseAnswer,
        _ => Meddling::Pass,
    });
    phone.sync().await;
    recorded
        .extend(record(&phone, [lap("w-1"), event("NOTE_ADDED", "w-1", json!({"notes": "pending"}))]).await);
    recorded.extend(record(&other, round("other", "w-2")).await);
    other.synced().await;
    assert_eq!((phone.pending().await, world.head("ann").await), (8, 24));
    prune(&world).await;
    recorded.extend(record(&other, [lap("w-1")]).await);
    other.synced().await;

    // It pulls, and no push gets through: what the snapshot has is shown once, what it lacks is shown, too.
    phone.line.meddle(|request| match request {
        Request::Push(_) => Meddling::LoseRequest,
        _ => Meddling::Pass,
    });
    phone.sync().await;
    assert_eq!(phone.pending().await, 2);
    let shown = phone.workouts().await;
    assert_eq!((laps(&shown, "w-1"), laps(&shown, "w-2")), (json!(2 + 2 + 2 + 1 + 1), json!(2)));
    assert_eq!(field(&shown, "w-1", "notes"), json!(["phone", "phone", "other", "pending"]));

    phone.line.meddle(|_| Meddling::Pass);
    phone.synced().await;
    assert_eq!(laps(&phone.workouts().await, "w-1"), 8);
    assert_same(&world, vec![phone, other], &recorded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_what_a_phone_recorded_long_before_the_horizon_still_folds_in() {
    let world = world().await;
    let (away, other) = (Phone::new(&world, "ann").await, Phone::new(&world, "ann").await);
    // Three weeks ago, without a network: one workout that the other phone deletes later, one that it creates anew.
    away.clock.turn(-21);
    let mut recorded = record(&away, round("away", "w-1")).await;
    recorded.extend(record(&away, round("away", "w-2")).await);
    recorded.extend(record(&away, [event("WORKOUT_DELETED", "w-2", json!({}))]).await);
    away.clock.advance(DAY * 21);
    recorded.extend(record(&other, round("other", "w-1")).await);
    recorded.extend(record(&other, round("other", "w-2")).await);
    recorded.extend(record(&other, [event("WORKOUT_DELETED", "w-1", json!({}))]).await);
    other.synced().await;
    prune(&world).await;

    away.synced().await;
    let workouts = away.workouts().await;
    assert_eq!(workouts.len(), 1, "w-1 was deleted after all that was done to it");
    let fields = &workouts[0].fields;
    assert_eq!((&fields["name"], &fields["sport"]), (&json!("other"), &json!("away")), "the last, the first");
    assert_eq!((&fields["laps"], &fields["notes"]), (&json!(4), &json!(["away", "other"])));
    assert_eq!(fields["tags"], json!(["away", "other"]), "what was removed last is gone");
    prune(&world).await;
    let fresh = Phone::new(&world, "ann").await;
    assert_same(&world, vec![fresh, away, other], &recorded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_that_comes_back_from_a_backup_finds_its_pruned_events_in_the_archive() {
    let world = world().await;
    let phone = Phone::new(&world, "ann").await;
    let mut recorded = record(&phone, round("phone", "w-1")).await;
    let backup = phone.cloned(&world, true).await;
    recorded.extend(record(&phone, [lap("w-1"), lap("w-1")]).await);
    phone.synced().await;
    prune(&world).await;
    // It has six events that it believes to be pending, and two of its own that the log has not.
    recorded.extend(record(&backup, [lap("w-1"), lap("w-2")]).await);
    backup.synced().await;
    assert_eq!(laps(&backup.workouts().await, "w-1"), 2 + 2 + 1);
    assert_same(&world, vec![backup, phone], &recorded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_space_begins_with_the_entities_of_its_types() {
    let world = world().await;
    let (phone, watch) = (Phone::new(&world, "ann").await, Phone::new(&world, "ann").await);
    let types = Some(BTreeSet::from(["workout".to_owned()]));
    watch.store.join(&watch.space(), Filter { types, recent: None }).await.unwrap();
    let mut recorded = record(&phone, round("phone", "w-1")).await;
    phone.synced().await;
    recorded.extend(record(&watch, round("watch", "w-1")).await);
    prune(&world).await;
    watch.synced().await;
    let routes =
        watch.store.entities(&watch.space(), tidelog_client::store::Query::all("route")).await.unwrap();
    assert_eq!((routes.len(), laps(&watch.workouts().await, "w-1")), (0, json!(4)));
    prune(&world).await;
    // Everything again: what was left out is fetched.
    watch.store.join(&watch.space(), Filter::default()).await.unwrap();
    assert_same(&world, vec![watch, phone], &recorded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn phones_that_come_and_go_while_the_log_is_pruned_again_and_again_agree_in_the_end() {
    let world = world().await;
    let phones =
        [Phone::new(&world, "ann").await, Phone::new(&world, "ann").await, Phone::new(&world, "ann").await];
    let mut recorded = Vec::new();
    for turn in 0..12_usize {
        for (number, phone) in phones.iter().enumerate() {
            recorded
                .extend(record(phone, round(&format!("{number} {turn}"), &format!("w-{}", turn % 3))).await);
            // One syncs each time, one every third, one every fifth time.
            if turn % [1, 3, 5][number] == 0 {
                phone.synced().await;
            }
        }
        if turn % 2 == 1 {
            prune(&world).await;
        }
    }
    for phone in &phones {
        phone.synced().await;
    }
    assert_eq!(laps(&phones[0].workouts().await, "w-0").as_u64().unwrap(), 3 * 4 * 2);
    assert_same(&world, phones.into(), &recorded).await;
}
