//! A snapshot of which not all parts are in memory at once.

use reqwest::Method;
use serde_json::json;
use tidelog_tests::{Answer, Batch, World, WorldOptions};

use super::{LINES, SCHEMA, entities, event, pull};

const ENTITIES: u64 = 90;
const NAME_BYTES: usize = 40_000;

/// A log of workouts and routes with names that do not compress, all of them in the snapshot, each in a part of its own:
/// some 3 MB.
async fn world(pull_bytes: u64) -> World {
    let options = WorldOptions::default().set("gateway.pull_bytes", pull_bytes);
    let world = options.schema(SCHEMA).start().await;
    let mut random = fastrand::Rng::with_seed(1);
    for first in (1..=ENTITIES).step_by(30) {
        let mut batch = Batch::new("phone-1", first, first + 29);
        for (line, sequence) in batch.lines.iter_mut().zip(first..) {
            let name: String = (0..NAME_BYTES).map(|_| random.alphanumeric()).collect();
            let event_type = if sequence.is_multiple_of(3) { "ROUTE_DRAWN" } else { "WORKOUT_CREATED" };
            let event = event("phone-1", sequence).with("entityId", format!("e-{sequence:03}"));
            *line = event.with("type", event_type).with("payload", json!({ "name": name })).0.to_string();
        }
        world.push("ann", &batch).await.expect(200);
    }
    world.prune("ann", ENTITIES, 1).await;
    world.push("ann", &Batch::new("phone-1", 91, 91).with_line(0, event("phone-1", 91).0)).await.expect(200);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_is_read_in_several_turns_is_told_as_one_that_is_read_in_one() {
    let (whole, streamed) = (world(8 << 20).await, world(1).await);
    for types in ["", "types=route", "types=shoe", "types=workout"] {
        let expect = pull(&whole, types, LINES[0]).await;
        assert!(expect.answer.headers.contains_key("content-length"), "{types}");
        for form in LINES {
            let found = pull(&streamed, types, form).await;
            assert!(!found.answer.headers.contains_key("content-length"), "{types} {form:?}");
            assert_eq!(found.snapshot, expect.snapshot, "{types} {form:?}");
            assert_eq!((&found.events, found.cursor), (&expect.events, 91), "{types} {form:?}");
        }
        let lines = expect.snapshot.unwrap().1;
        assert_eq!(entities(&streamed.pull("ann", types).await.json), lines, "{types}");
        let counts = [("types=route", 30), ("types=shoe", 0), ("types=workout", 60)];
        let count = counts.iter().find(|(name, _)| *name == types).map_or(90, |(_, count)| *count);
        assert_eq!(lines.len(), count, "{types}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_missing_in_the_middle_breaks_the_answer_off() {
    let world = world(1).await;
    let answer = async |query: &str| {
        let path = format!("/v1/spaces/me/log?{query}");
        Answer::try_of(world.request(Method::GET, &path, "ann").header("Accept", "application/json")).await
    };
    answer("").await.unwrap().expect(200);
    // A workout's: the routes come first.
    sqlx::query("DELETE FROM snapshot_parts WHERE part = 70").execute(&world.pool).await.unwrap();
    assert!(answer("").await.is_err());
    assert!(answer("types=workout").await.is_err());
    answer("types=route").await.unwrap().expect(200);
}
