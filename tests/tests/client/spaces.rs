//! Several spaces in one store, parts of a space, and several users of one phone.

use std::collections::BTreeSet;

use serde_json::json;
use tidelog_cli::token::{Access, Claims};
use tidelog_client::store::{Filter, OpenError, Query, StoreConfig};
use tidelog_client::sync::{NoToken, SyncFailure, SyncOptions};
use tidelog_client::{NewEvent, Store, Syncer};
use tidelog_events::id::UserId;
use tidelog_tests::{SECRET, World, WorldOptions, eventually, token};

use super::line::Line;
use super::phone::{Phone, assert_log_holds, created, entity, lap, offline, space};

const SCHEMA: &str = "
name: app
version: 1
entities:
  workout: { fields: { duration: { type: integer } } }
  route: { fields: { name: { type: string } } }
events:
  WORKOUT_STARTED: { entity: workout, creates: true, payload: { duration: required } }
  ROUTE_DRAWN: { entity: route, creates: true, payload: { name: required } }
";

/// A phone whose token opens these spaces too.
async fn phone_with_spaces(world: &World, spaces: &[(&str, Access)]) -> Phone {
    let claims = spaces
        .iter()
        .fold(Claims::new("ann", 1), |claims, (space, access)| claims.with_space(*space, *access));
    let token = claims.sign(SECRET).unwrap();
    Phone::with(world, "ann", Line::to(world.address), |parts| {
        let tokens = move |_| {
            let token = token.clone();
            async move { Ok::<_, NoToken>(token) }
        };
        Syncer::start(parts.store.clone(), parts.line.clone(), tokens, offline())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_that_is_refused_does_not_hold_up_the_others() {
    let world = World::new().await;
    let phone = phone_with_spaces(&world, &[("team-9", Access::Rw)]).await;
    for id in ["closed-club", "team-9"] {
        phone.store.join(&space(id), Filter::default()).await.unwrap();
        phone.store.record(&space(id), created("w-1", id)).await.unwrap();
    }
    phone.record(created("w-1", "Run")).await;
    let report = phone.sync().await;
    assert_eq!(report.spaces.len(), 3);
    for space in &report.spaces {
        match space.space.as_str() {
            "closed-club" => {
                assert_eq!(space.outcome.as_ref().unwrap_err().code(), "forbidden");
                assert_eq!(space.pending, 1);
            }
            _ => assert_eq!((&space.outcome, space.pending), (&Ok(()), 0), "{space:?}"),
        }
    }
    assert_eq!((world.head("ann").await, world.head("team-9").await), (1, 1));
    let statuses = phone.syncer.statuses().await.unwrap();
    let errors: Vec<_> =
        statuses.iter().map(|status| status.last_error.as_ref().map(SyncFailure::code)).collect();
    assert_eq!(errors, [None, Some("forbidden"), None]);
    // Alone, too.
    phone.store.record(&space("team-9"), lap("w-1")).await.unwrap();
    assert_eq!(phone.syncer.sync_space_now(&space("team-9")).await, Ok(()));
    assert_eq!(world.head("team-9").await, 2);
    let nowhere = phone.syncer.sync_space_now(&space("nowhere")).await;
    assert_eq!(nowhere, Err(SyncFailure::NoSuchSpace(space("nowhere"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_that_may_only_be_read_is_read_and_what_was_recorded_stays() {
    let world = World::new().await;
    let phone = phone_with_spaces(&world, &[("team-9", Access::R)]).await;
    let coach = phone_with_spaces(&world, &[("team-9", Access::Rw)]).await;
    for phone in [&phone, &coach] {
        phone.store.join(&space("team-9"), Filter::default()).await.unwrap();
    }
    coach.store.record(&space("team-9"), created("w-1", "Run")).await.unwrap();
    coach.synced().await;
    phone.synced().await;
    let workouts = phone.store.entities(&space("team-9"), Query::all("workout")).await.unwrap();
    assert_eq!(workouts.len(), 1);
    phone.store.record(&space("team-9"), lap("w-1")).await.unwrap();
    assert_eq!(phone.syncer.sync_space_now(&space("team-9")).await.unwrap_err().code(), "forbidden");
    assert_eq!(phone.store.status(&space("team-9")).await.unwrap().pending, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_that_is_joined_is_synced_without_being_asked() {
    let world = World::new().await;
    let team = [("team-9", Access::Rw)];
    let (phone, coach) = (phone_with_spaces(&world, &team).await, phone_with_spaces(&world, &team).await);
    coach.store.join(&space("team-9"), Filter::default()).await.unwrap();
    coach.store.record(&space("team-9"), created("w-1", "Run")).await.unwrap();
    coach.synced().await;
    phone.synced().await;
    phone.store.join(&space("team-9"), Filter::default()).await.unwrap();
    eventually("the team's workout is there", async || {
        let workouts = phone.store.entities(&space("team-9"), Query::all("workout")).await.unwrap();
        (workouts.len() == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_space_has_the_types_that_were_asked_for_and_pushes_all_the_same() {
    let world = WorldOptions::default().schema(SCHEMA).start().await;
    let workout = |id: &str| NewEvent::new("WORKOUT_STARTED", entity(id), json!({"duration": 1}));
    let route = |id: &str| NewEvent::new("ROUTE_DRAWN", entity(id), json!({"name": id}));
    let (phone, watch) = (Phone::new(&world, "ann").await, Phone::new(&world, "ann").await);
    let only = |name: &str| Filter { types: Some(BTreeSet::from([name.to_owned()])), recent: None };
    watch.store.join(&watch.space(), only("workout")).await.unwrap();
    let mut recorded = vec![phone.record(workout("w-1")).await, phone.record(route("r-1")).await];
    phone.synced().await;
    recorded.push(watch.record(route("r-2")).await);
    recorded.push(watch.record(workout("w-2")).await);
    watch.synced().await;
    phone.synced().await;

    let count = async |phone: &Phone, name: &str| {
        phone.store.entities(&phone.space(), Query::all(name)).await.unwrap().len()
    };
    assert_eq!((count(&phone, "workout").await, count(&phone, "route").await), (2, 2));
    assert_eq!((count(&watch, "workout").await, count(&watch, "route").await), (2, 0));
    assert_log_holds(&world, "ann", &recorded).await;
    let status = watch.store.status(&watch.space()).await.unwrap();
    assert_eq!((status.cursor, status.pending), (status.head, 0));
    // Everything again: what was left out is fetched.
    watch.store.join(&watch.space(), Filter::default()).await.unwrap();
    watch.synced().await;
    watch.assert_is_the_log(&world).await;
    phone.assert_is_the_log(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_users_token_syncs_nothing() {
    let world = World::new().await;
    let phone = Phone::with(&world, "ann", Line::to(world.address), |parts| {
        let tokens = |_| async { Ok::<_, NoToken>(token("bob")) };
        Syncer::start(parts.store.clone(), parts.line.clone(), tokens, offline())
    })
    .await;
    phone.record(created("w-1", "Run")).await;
    let outcome = phone.sync().await.spaces.remove(0).outcome;
    assert_eq!(outcome, Err(SyncFailure::OtherUser { token_of: "bob".to_owned() }));
    assert_eq!(phone.line.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_logs_in_as_another_user_has_a_store_of_their_own_and_nothing_of_the_other_is_lost() {
    let world = World::new().await;
    let phone = Phone::new(&world, "ann").await;
    let recorded = phone.record(created("w-1", "Run")).await;
    phone.syncer.close().await;
    phone.store.close().await;
    let config = |user: &str| {
        let schema = phone.store.schema().clone();
        StoreConfig::new(phone.path(), UserId::new(user).unwrap(), schema, phone.identity())
    };
    let refused = Store::switch_user(config("bob"), false).await.err().unwrap();
    assert!(matches!(refused, OpenError::OtherUser { pending: 1, .. }), "{refused}");
    let switched = Store::switch_user(config("bob"), true).await.unwrap();
    let aside = switched.set_aside.unwrap();
    let sync = async |store: &Store, user: &'static str| {
        let tokens = move |_| async move { Ok::<_, NoToken>(token(user)) };
        let syncer = Syncer::start(store.clone(), Line::to(world.address), tokens, SyncOptions::default());
        let report = syncer.sync_now().await;
        assert!(report.is_synced(), "{report:?}");
        syncer.close().await;
    };
    let of_bob = switched.store.record(&space("bob"), created("w-1", "Swim")).await.unwrap();
    sync(&switched.store, "bob").await;
    assert_log_holds(&world, "bob", &[of_bob]).await;
    assert_eq!(world.head("ann").await, 0);

    // The file that was set aside is a store like any other.
    let store = Store::open(StoreConfig { path: aside, ..config("ann") }).await.unwrap();
    sync(&store, "ann").await;
    assert_log_holds(&world, "ann", &[recorded]).await;
}
