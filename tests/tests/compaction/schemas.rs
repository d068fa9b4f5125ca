//! Read models of another schema than the compactor's: they are not comparable, so they are not pruned until they are.

use serde_json::json;
use tidelog_compactor::{Pruning, Verdict, WhyNot};
use tidelog_events::id::Position;
use tidelog_events::schema::Schema;
use tidelog_tests::{Batch, EventLine, World};

use super::proof::{old, rebuild, young};
use super::seen::Seen;
use super::standing::{
    PAST_RETENTION, compact, compact_with, execute, horizon, options, prune_through, standing,
};
use super::things::{SCHEMA, event, version_2};

/// Asserts that the space is not comparable now, for a reason in which these words stand.
async fn assert_not_comparable(world: &World, words: &str) {
    match compact(world, "ann").await {
        Pruning::Refused(Verdict::NotComparable { reason }) => assert!(reason.contains(words), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(horizon(world, "ann").await, 0);
    let refusals: i64 = sqlx::query_scalar("SELECT count(*) FROM compactions WHERE refusal IS NOT NULL")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(refusals, 0, "it is nobody's fault");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_schema_has_folded_is_pruned_once_it_is_rebuilt() {
    let (world, time) = standing(options().projectors(0)).await;
    let projector = world.start_projector();
    world.push("ann", &old()).await.expect(200);
    world.push("ann", &young()).await.expect(200);
    world.assert_read_model_is_right("ann").await;
    projector.stop().await;
    time.advance(PAST_RETENTION);
    execute(&world, "UPDATE projections SET mixed = true").await;
    assert_not_comparable(&world, "several schemas").await;
    execute(&world, "UPDATE projections SET mixed = false").await;
    world.write_schema(&version_2());
    assert_not_comparable(&world, "another schema").await;
    // The same version with another content.
    world.write_schema(&SCHEMA.replace("merge: sum, ", "merge: sum, unit: m, "));
    assert_not_comparable(&world, "another schema").await;

    world.write_schema(&version_2());
    rebuild(&world, "ann").await;
    let before = Seen::of(&world, "ann").await;
    // A compactor that has not heard of the new version leaves it alone.
    let (_sender, older) = tokio::sync::watch::channel(Schema::parse(SCHEMA).unwrap().into());
    let older = compact_with(&world.compactor(|deps| deps.schema = older), "ann").await;
    assert!(matches!(older, Pruning::Refused(Verdict::NotComparable { .. })), "{older:?}");
    prune_through(&world, "ann", 6).await;
    before.assert_same_pruned_through(&world, 6).await;
}

/// What a newer schema alone knows: an event type, or a key of a payload.
async fn is_kept_for_the_newer(newer: &str, unknown: EventLine, found: &str) {
    let (world, time) = standing(options().projectors(0).schema(newer)).await;
    let projector = world.start_projector();
    world.push("ann", &old()).await.expect(200);
    let known = event("watch", 2, "NAMED", "o-2", json!({"name": "another"})).0;
    let batch = Batch::new("watch", 1, 2).with_line(0, unknown.0).with_line(1, known);
    world.push("ann", &batch).await.expect_committed(Some((5, 6)));
    world.assert_read_model_is_right("ann").await;
    projector.stop().await;
    time.advance(PAST_RETENTION);
    // A projector and a compactor that have not heard of it, although who took the events has.
    world.write_schema(SCHEMA);
    let older = format!(
        "DELETE FROM entities; DELETE FROM entity_keys; DELETE FROM skipped_events; DELETE FROM projections;
         INSERT INTO projections (space_id, schema_version, schema_fingerprint) VALUES ('ann', 1, '{}')",
        Schema::parse(SCHEMA).unwrap().id().fingerprint
    );
    execute(&world, older).await;
    rebuild(&world, "ann").await;
    world.assert_read_model_is_right("ann").await;
    compact(&world, "ann").await;
    let kept = compact(&world, "ann").await;
    let skips = matches!(kept, Pruning::Skips(Position(5)) | Pruning::Waits(WhyNot::ProjectorBehind { .. }));
    assert!(skips && horizon(&world, "ann").await < 5, "{kept:?}");

    world.write_schema(newer);
    rebuild(&world, "ann").await;
    let before = Seen::of(&world, "ann").await;
    prune_through(&world, "ann", 6).await;
    before.assert_same_pruned_through(&world, 6).await;
    rebuild(&world, "ann").await;
    let view = &before.model.entities.values().map(|entity| entity.1.to_string()).collect::<String>();
    assert!(view.contains(found), "{view}");
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_events_of_a_type_that_the_schema_does_not_know_are_not_pruned_before_one_does() {
    let titled = event("watch", 1, "TITLED", "o-1", json!({"name": "a title"}));
    is_kept_for_the_newer(&version_2(), titled, "a title").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_events_with_keys_that_the_schema_does_not_know_are_not_pruned_before_one_does() {
    let newer = version_2()
        .replace(
            "      name: { type: string }\n",
            "      name: { type: string }\n      mood: { type: string }\n",
        )
        .replace("{ name: required } }\n", "{ name: required, mood: optional } }\n");
    let moody = event("watch", 1, "NAMED", "o", json!({"name": "a name", "mood": "good"}));
    is_kept_for_the_newer(&newer, moody, "good").await;
}
