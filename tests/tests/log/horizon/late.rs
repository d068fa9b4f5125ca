//! Pushes to a log that is pruned: what comes again is told from what comes late.

use serde_json::json;
use tidelog_tests::{Batch, World, WorldOptions, event_id};

use super::{LINES, Lines, PART, Reader, batch, event, filled};

/// A log of six segments, pruned through 20: ten events of each of the two devices.
async fn pruned() -> World {
    let world = filled(WorldOptions::default(), 6).await;
    world.prune("ann", 20, PART).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_2_events_that_were_pruned_are_duplicates_when_they_come_again() {
    let world = pruned().await;
    let before = world.holdings().await;
    let pruned = [batch("phone-1", 1, 5), batch("phone-1", 8, 10), batch("watch-1", 3, 10).without_after()];
    let across_the_horizon = [batch("phone-1", 9, 13), batch("watch-1", 1, 15)];
    for batch in pruned.iter().chain(&across_the_horizon) {
        let answer = world.push("ann", batch).await;
        answer.expect_committed(None);
        let receipts = answer.receipts();
        assert_eq!(receipts.len(), batch.lines.len());
        assert!(receipts.iter().all(|(_, status, _)| status == "duplicate"), "{receipts:?}");
    }
    assert_eq!(world.holdings().await, before);
    let overlap = world.push("ann", &batch("phone-1", 4, 17)).await;
    overlap.expect_committed(Some((31, 32)));
    assert_eq!(overlap.receipts().len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_2_another_event_with_a_sequence_that_is_not_pruned_is_still_a_fork() {
    let world = pruned().await;
    let other = |index: usize, sequence: u64| {
        let id = event_id("its double", sequence).to_string();
        batch("phone-1", 9, 15).with_line(index, event("phone-1", sequence).with("eventId", id).0)
    };
    world.push("ann", &other(3, 12)).await.expect_refusal(409, "device-forked");
    let after = json!({"deviceSequence": 15, "eventId": event_id("its double", 15)});
    world
        .push("ann", &batch("phone-1", 16, 17).with("after", after))
        .await
        .expect_refusal(409, "device-forked");
    // Of what was pruned the numbers alone are known.
    world.push("ann", &other(0, 9)).await.expect_committed(None);
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_5_an_event_with_a_stamp_before_the_horizon_still_folds_in() {
    let world = pruned().await;
    let (mut before, mut fresh) = (Reader::new(), Reader::new());
    before.catch_up(&world, 1000, Lines::Frames).await;
    // Written before everything that is in the snapshot, on a device that was away: a first value, a sum, a name that
    // is overwritten already, an element that was removed later, a note in the middle, and a delete of what was created
    // again later.
    let mut late = Batch::new("tablet-1", 1, 6);
    let events = [
        ("WORKOUT_CREATED", json!({"name": "late", "sport": "late", "tags": {"add": ["a", "late"]}})),
        ("LAP_RECORDED", json!({"laps": 1000})),
        ("NOTE_ADDED", json!({"notes": "late"})),
        ("WORKOUT_DELETED", json!({})),
        ("ROUTE_DRAWN", json!({"name": "late"})),
        ("SHOE_BOUGHT", json!({"name": "late"})),
    ];
    for ((line, sequence), (event_type, payload)) in late.lines.iter_mut().zip(1..).zip(events) {
        *line = event("tablet-1", sequence)
            .with("type", event_type)
            .with("payload", payload)
            .with("entityId", "e-0")
            .with("timestamp", format!("2024-01-01T00:00:00.000Z-{sequence:04X}"))
            .0
            .to_string();
    }
    world.push("ann", &late).await.expect_committed(Some((31, 36)));
    for reader in [&mut before, &mut fresh] {
        reader.catch_up(&world, 4, Lines::Plain).await;
        reader.assert_has_everything(&world).await;
    }
    let workout =
        fresh.state.lines().find(|line| line.contains("\"e-0\"") && line.contains("\"workout\"")).unwrap();
    assert!(workout.contains("\"first\":[\"late\""), "{workout}");
    assert!(!workout.contains("\"latest\":[\"late\""), "{workout}");
    // And when those are pruned, too.
    world.prune("ann", 36, PART).await;
    for form in LINES {
        let mut reader = Reader::new();
        reader.catch_up(&world, 1000, form).await;
        reader.assert_has_everything(&world).await;
    }
}
