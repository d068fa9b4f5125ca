//! The state at any position is what the log through it folds into, pruned or not.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tidelog_events::fold::{Change, State};
use tidelog_events::schema::Schema;
use tidelog_tests::{Answer, SpaceEvent, World, eventually, frame};

use super::past::{SCHEMA, batch, items, look, options, push_segments};

async fn state(world: &World, space: &str, query: &str) -> Answer {
    look(world, &format!("/admin/v1/spaces/{space}/state?{query}")).await
}

/// All pages: the items, and the first page.
async fn whole(world: &World, query: &str, limit: u64) -> (Vec<Value>, Answer) {
    let first = state(world, "ann", &format!("{query}&limit={limit}")).await;
    let (mut found, mut next) = (items(&first), first.json["next"].clone());
    while let Some(cursor) = next.as_str() {
        let page = state(world, "ann", &format!("{query}&limit={limit}&cursor={cursor}")).await;
        assert!(items(&page).len() as u64 <= limit);
        assert_eq!(page.json["stateHash"], first.json["stateHash"]);
        found.extend(items(&page));
        next = page.json["next"].clone();
    }
    (found, first)
}

/// What the events through a position fold into: items without positions, the state hash, and how many were skipped.
fn folded(events: &[SpaceEvent], through: usize) -> (Vec<Value>, Value, u64) {
    let schema = Schema::parse(SCHEMA).unwrap();
    let (mut state, mut skipped) = (State::default(), 0);
    for event in &events[..through] {
        match Change::read(&event.line, &Arc::new(event.device.clone()), &schema) {
            Ok(change) => state.apply(change),
            Err(_) => skipped += 1,
        }
    }
    let hash = json!(state.hash());
    let item = |(key, entity): (&tidelog_events::fold::EntityKey, &tidelog_events::fold::Entity)| {
        json!({
            "entityId": key.entity_id, "type": key.entity_type, "visible": entity.is_visible(),
            "fields": entity.view(),
        })
    };
    (state.entities().iter().map(item).collect(), hash, skipped)
}

fn without_positions(mut items: Vec<Value>) -> Vec<Value> {
    for item in &mut items {
        item.as_object_mut().unwrap().remove("updatedPosition");
    }
    items
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_at_each_position_is_the_fold_of_the_log_through_it_across_the_horizon() {
    let world = options().projectors(1).start().await;
    push_segments(&world, "ann", 0, 6).await;
    let every = world.every_event("ann").await;
    let mut seen_invisible = false;
    for horizon in [0, 15, 30] {
        if horizon > 0 {
            world.prune("ann", horizon, 2).await;
        }
        for at in 0..=30 {
            let (found, first) = whole(&world, &format!("at={at}"), 3).await;
            let (expected, hash, _) = folded(&every, at as usize);
            seen_invisible |= expected.iter().any(|item| item["visible"] == false);
            assert_eq!(without_positions(found), expected, "at {at}, pruned through {horizon}");
            assert_eq!(first.json["stateHash"], hash, "at {at}, pruned through {horizon}");
            assert_eq!(first.json["asOf"], at);
            let from = if horizon <= at { horizon } else { 0 };
            assert_eq!(first.json["foldedFrom"], from, "at {at}, pruned through {horizon}");
        }
    }
    assert!(seen_invisible, "entities that nobody sees are told of, too");
    let model = eventually("everything is folded", async || {
        world.read_model("ann").await.filter(|model| model.applied == 30)
    })
    .await;
    let head = state(&world, "ann", "").await;
    assert_eq!(head.json["stateHash"], model.state_hash, "the projector's, at the same position");
    assert_eq!(
        (&head.json["asOf"], &head.json["head"], &head.json["horizon"]),
        (&json!(30), &json!(30), &json!(30))
    );
    assert_eq!(head.json["schemaVersion"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_says_by_which_position_it_was_last_written() {
    let world = options().projectors(1).start().await;
    push_segments(&world, "ann", 0, 4).await;
    let model = eventually("everything is folded", async || {
        world.read_model("ann").await.filter(|model| model.applied == 20)
    })
    .await;
    let position = |item: &Value| {
        let key = |name: &str| item[name].as_str().unwrap().to_owned();
        model.entities[&(key("type"), key("entityId"))].3
    };
    for item in whole(&world, "", 100).await.0 {
        assert_eq!(item["updatedPosition"], position(&item));
    }
    world.prune("ann", 10, 2).await;
    for item in whole(&world, "", 100).await.0 {
        let expected = Some(position(&item)).filter(|position| *position > 10);
        assert_eq!(item["updatedPosition"], json!(expected), "only what lies behind the snapshot is known");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_type_is_folded_alone_where_it_is_asked_for() {
    let world = options().start().await;
    push_segments(&world, "ann", 0, 6).await;
    for horizon in [0, 20] {
        if horizon > 0 {
            world.prune("ann", horizon, 2).await;
        }
        for at in [7, 20, 30] {
            let (everything, page) = whole(&world, &format!("at={at}"), 100).await;
            for entity_type in ["thing", "other"] {
                let (found, of_type) = whole(&world, &format!("at={at}&type={entity_type}"), 2).await;
                let of_that_type = everything.iter().filter(|item| item["type"] == entity_type);
                assert_eq!(found, of_that_type.cloned().collect::<Vec<_>>(), "{entity_type} at {at}");
                let hash = &page.json["stateHash"][entity_type];
                assert_eq!(of_type.json["stateHash"], json!({ entity_type: hash }), "{entity_type} at {at}");
            }
            let (nothing, of_type) = whole(&world, &format!("at={at}&type=never"), 2).await;
            assert_eq!((nothing, &of_type.json["stateHash"]), (vec![], &json!({})));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_of_the_position_of_the_first_one_while_the_log_grows() {
    let world = options().start().await;
    push_segments(&world, "ann", 0, 4).await;
    let (expected, _) = whole(&world, "", 100).await;
    let first = state(&world, "ann", "limit=2").await;
    push_segments(&world, "ann", 4, 6).await;
    world.prune("ann", 25, 2).await;
    let (mut found, mut next) = (items(&first), first.json["next"].clone());
    while let Some(cursor) = next.as_str() {
        let page = state(&world, "ann", &format!("limit=2&cursor={cursor}")).await;
        assert_eq!((&page.json["asOf"], &page.json["head"]), (&json!(20), &json!(30)));
        found.extend(items(&page));
        next = page.json["next"].clone();
    }
    assert_eq!(found, expected);
    let cursor = first.json["next"].as_str().unwrap();
    let other = state(&world, "ann", &format!("at=19&cursor={cursor}")).await;
    other.expect_refusal(400, "request-invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_the_schema_does_not_know_are_skipped_and_counted() {
    let world = options().start().await;
    push_segments(&world, "ann", 0, 2).await;
    forget_a_type(&world).await;
    let page = state(&world, "ann", "").await;
    let (expected, hash, skipped) = folded(&world.every_event("ann").await, 10);
    assert_eq!((skipped, &page.json["skipped"]), (2, &json!(2)));
    assert_eq!(without_positions(items(&page)), expected);
    assert_eq!(page.json["stateHash"], hash);
    assert_eq!(state(&world, "ann", "at=5").await.json["skipped"], 0);
    let path = "/admin/v1/spaces/ann/entities/thing/e-1/explain";
    let explained = look(&world, path).await;
    assert_eq!((&explained.expect(200).json["events"], &explained.json["skipped"]), (&json!(2), &json!(2)));
}

/// Puts events of a type that no schema has into the place of the second segment's two of the type `MADE`, both about
/// `e-1`: such as a schema would have left that was replaced against the rules.
async fn forget_a_type(world: &World) {
    let lines = world.segments("ann").await.pop().unwrap().lines();
    let body: String = lines.iter().map(|line| line.replace("\"MADE\"", "\"LOST\"") + "\n").collect();
    let changed = sqlx::query("UPDATE segments SET frame = $1 WHERE last = 10").bind(frame(body.as_bytes()));
    assert_eq!(changed.execute(&world.pool).await.unwrap().rows_affected(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_that_is_too_large_is_refused_and_a_part_of_it_is_not() {
    let world = options().set("admin.state_bytes", 600).start().await;
    push_segments(&world, "ann", 0, 6).await;
    for horizon in [0, 20] {
        if horizon > 0 {
            world.prune("ann", horizon, 2).await;
        }
        let refused = state(&world, "ann", "").await;
        refused.expect_refusal(422, "result-too-large");
        assert!(refused.json["detail"].as_str().unwrap().contains("admin.state_bytes"));
        state(&world, "ann", "type=other").await.expect(200);
    }
    let world = options().set("admin.history_events", 9).start().await;
    push_segments(&world, "ann", 0, 2).await;
    state(&world, "ann", "at=9").await.expect(200);
    let refused = state(&world, "ann", "").await;
    refused.expect_refusal(422, "result-too-large");
    assert!(refused.json["detail"].as_str().unwrap().contains("admin.history_events"));
    world.prune("ann", 5, 2).await;
    state(&world, "ann", "").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_archive_there_is_no_state_before_the_horizon_and_one_behind_it() {
    let world = options().start().await;
    push_segments(&world, "ann", 0, 6).await;
    let (before, _) = whole(&world, "at=22", 100).await;
    world.prune("ann", 20, 2).await;
    std::fs::remove_dir_all(world.archive_folder()).unwrap();
    assert!(state(&world, "ann", "at=19").await.status.is_server_error());
    let (behind, _) = whole(&world, "at=22", 100).await;
    assert_eq!(without_positions(behind), without_positions(before));
    sqlx::query("DELETE FROM snapshot_parts WHERE part = 1").execute(&world.pool).await.unwrap();
    state(&world, "ann", "at=22").await.expect_refusal(500, "internal");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_is_refused() {
    let world = options().start().await;
    world.push("ann", &batch("phone-1", 1, 3)).await.expect(200);
    for query in [
        "at=4",
        "at=-1",
        "at=NaN",
        "at=1.5",
        "at=99999999999999999999",
        "at=",
        "limit=0",
        "limit=1001",
        "limit=x",
        "cursor=x",
        "cursor=e30",
        "order=position",
        "at=1&at=2",
    ] {
        state(&world, "ann", query).await.expect_refusal(400, "request-invalid");
    }
    state(&world, "ben", "").await.expect_refusal(404, "not-found");
    let path = "/admin/v1/spaces/ann/state";
    Answer::of(world.admin_request(Method::GET, path, "")).await.expect_refusal(403, "forbidden");
    sqlx::query("INSERT INTO erasures (space_id) VALUES ('ann')").execute(&world.pool).await.unwrap();
    state(&world, "ann", "").await.expect_refusal(410, "space-erased");
}
