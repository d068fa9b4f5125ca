//! Events that come after their time: recorded before what is pruned, released from quarantine after it was pruned. They
//! fold as if nothing had been pruned.

use serde_json::{Value, json};
use tidelog_tests::{Batch, World, eventually};

use super::seen::{Seen, entities};
use super::standing::{PAST_RETENTION, options, prune_through, standing};
use super::things::{event, told, version_2};

/// What happens at half past ten, and a minute later.
fn in_time() -> Batch {
    let all = json!({"name": "kept", "first": 7, "least": 3, "most": 3, "total": 5, "done": false,
                     "tags": {"add": ["x"]}, "notes": "second"});
    told(
        "phone-1",
        &[
            ("MADE", "a", 30, all),
            ("CHANGED", "a", 31, json!({"tags": {"remove": ["y"]}, "notes": "third"})),
            ("GONE", "b", 30, json!({})),
            ("GONE", "c", 30, json!({})),
            ("MADE", "d", 30, json!({"name": "d"})),
            ("MADE", "e", 30, json!({"name": "e"})),
            ("MADE", "f", 30, json!({"notes": "1"})),
            ("CHANGED", "f", 31, json!({"notes": "2"})),
            ("CHANGED", "f", 32, json!({"notes": "3"})),
            ("CHANGED", "f", 33, json!({"notes": "4"})),
        ],
    )
}

/// What happened at ten and comes when all of that is pruned; and a little from a quarter to eleven.
fn late() -> Batch {
    let all = json!({"name": "late", "first": 1, "least": 1, "most": 9, "total": 10, "done": true,
                     "tags": {"add": ["y", "z"], "remove": ["x"]}, "notes": "first"});
    told(
        "lost-phone",
        &[
            ("CHANGED", "a", 0, all),
            ("MADE", "b", 0, json!({"name": "made before it was deleted"})),
            ("MADE", "c", 45, json!({"name": "made again"})),
            ("GONE", "d", 0, json!({})),
            ("GONE", "e", 45, json!({})),
            ("CHANGED", "f", 0, json!({"notes": "0: the list keeps four"})),
            ("MADE", "g", 0, json!({"name": "new"})),
        ],
    )
}

/// The visible things by id.
async fn visible(world: &World) -> Value {
    let items = entities(world, "ann").await;
    items.iter().map(|item| (item["entityId"].as_str().unwrap().to_owned(), item["fields"].clone())).collect()
}

fn expected() -> Value {
    let born = |minute: u8, sequence: u8| format!("2025-08-06T10:{minute:02}:00.000Z-{sequence:04X}");
    json!({
        "a": {"name": "kept", "first": 1, "least": 1, "most": 9, "total": 15, "done": true, "tags": ["x", "z"],
              "notes": ["first", "second", "third"], "born": born(30, 1)},
        "c": {"name": "made again", "born": born(45, 3)},
        "d": {"name": "d", "born": born(30, 5)},
        "f": {"notes": ["1", "2", "3", "4"], "born": born(30, 7)},
        "g": {"name": "new", "born": born(0, 7)},
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_events_from_before_the_pruned_ones_fold_as_if_nothing_were_pruned() {
    let (world, time) = standing(options()).await;
    world.push("ann", &in_time()).await.expect_committed(Some((1, 10)));
    world.assert_read_model_is_right("ann").await;
    time.advance(PAST_RETENTION);
    prune_through(&world, "ann", 10).await;
    world.push("ann", &late()).await.expect_committed(Some((11, 17)));
    world.assert_read_model_is_right("ann").await;
    assert_eq!(visible(&world).await, expected());

    // And so they do in the snapshot, once they are pruned themselves.
    time.advance(PAST_RETENTION);
    let before = Seen::of(&world, "ann").await;
    prune_through(&world, "ann", 17).await;
    before.assert_same_pruned_through(&world, 17).await;
    assert_eq!(visible(&world).await, expected());
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_events_that_are_released_when_all_around_them_is_pruned_fold_right() {
    let (world, time) = standing(options()).await;
    let titled =
        |sequence| event("phone-1", sequence, "TITLED", "o-1", json!({"name": format!("title {sequence}")}));
    let batch = |first: u64, last: u64| {
        let mut batch = Batch::new("phone-1", first, last);
        batch.lines = (first..=last).map(|sequence| titled(sequence).0.to_string()).collect();
        let named = event("phone-1", first, "NAMED", "o-1", json!({"name": format!("name {first}")}));
        batch.with_line(0, named.0)
    };
    world.push("ann", &batch(1, 3)).await.expect_committed(Some((1, 1)));
    world.push("ann", &batch(4, 4)).await.expect_committed(Some((2, 2)));
    world.assert_read_model_is_right("ann").await;
    time.advance(PAST_RETENTION);
    prune_through(&world, "ann", 2).await;

    world.write_schema(&version_2());
    eventually("both titles are released", async || (world.head("ann").await == 4).then_some(())).await;
    folded_with(&world, 2).await;
    world.assert_read_model_is_right("ann").await;
    let name = json!({"o-1": {"name": "name 4"}});
    assert_eq!(visible(&world).await, name, "the titles are older than the last name");
    // They were received as long ago as what was around them, so they may go at once.
    let before = Seen::of(&world, "ann").await;
    prune_through(&world, "ann", 4).await;
    before.assert_same_pruned_through(&world, 4).await;
    let again = world.push("ann", &batch(1, 3)).await;
    again.expect_committed(None);
    assert!(again.receipts().iter().all(|(_, status, _)| status == "duplicate"), "{:?}", again.receipts());
}

/// Waits until ann's read model is folded with that version alone.
async fn folded_with(world: &World, version: i64) {
    eventually("the read model is rebuilt", async || {
        let folded = sqlx::query_scalar("SELECT schema_version = $1 AND NOT mixed FROM projections");
        folded.bind(version).fetch_one(&world.pool).await.ok().filter(|folded: &bool| *folded)
    })
    .await;
}
