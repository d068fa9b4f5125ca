//! The answer in every form, held in memory or sent as it is read.

use serde_json::{Value, json};
use tidelog_tests::World;

use super::{LINES, Lines, PART, Reader, entities, positions, pruned_worlds, pull};

#[tokio::test(flavor = "multi_thread")]
async fn invariant_4_a_fresh_reader_folds_snapshot_and_tail_to_what_all_events_fold_to_in_every_form() {
    for world in pruned_worlds().await {
        for form in LINES {
            let mut reader = Reader::new();
            reader.catch_up(&world, 1000, form).await;
            reader.assert_has_everything(&world).await;
            assert_eq!(reader.snapshots, 1, "{form:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_forms_tell_the_same_snapshot() {
    let [whole, streamed] = pruned_worlds().await;
    let (header, lines) = pull(&whole, "", Lines::Frames).await.snapshot.unwrap();
    assert_eq!((header.through.0, header.entities as usize), (20, lines.len()));
    assert_eq!(json!(header.devices), json!({"phone-1": 10, "watch-1": 10}));
    assert!(lines.len() > 2 * PART, "it has several parts");
    for world in [&whole, &streamed] {
        for form in LINES {
            let pulled = pull(world, "", form).await;
            assert_eq!(pulled.snapshot, Some((header.clone(), lines.clone())), "{form:?}");
            assert_eq!((pulled.hello.cursor.0, pulled.hello.horizon.0, pulled.hello.head.0), (0, 20, 30));
        }
        let json = world.pull("ann", "").await;
        json.expect(200);
        let json = json.json;
        assert_eq!(entities(&json), lines);
        let mut said = json["snapshot"].clone();
        said["entities"] = json!(header.entities);
        assert_eq!(said, json!(header));
        assert_eq!((&json["horizon"], &json["head"]), (&json!(20), &json!(30)));
    }
    let is_streamed = async |world: &World| {
        let answer = world.pull("ann", "").await;
        answer.headers.get("content-length").is_none()
    };
    assert!(!is_streamed(&whole).await && is_streamed(&streamed).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_are_the_stored_parts_and_segments() {
    for world in pruned_worlds().await {
        let body = pull(&world, "", Lines::Frames).await.answer.body;
        let parts: Vec<Vec<u8>> = sqlx::query_scalar("SELECT frame FROM snapshot_parts ORDER BY part")
            .fetch_all(&world.pool)
            .await
            .unwrap();
        let parts = parts.concat();
        assert!(body.windows(parts.len()).any(|bytes| bytes == parts), "part behind part");
        let stored = world.segments("ann").await;
        let last = pull(&world, "", Lines::Frames).await.cursor as i64;
        let last = stored.iter().find(|segment| segment.last == last).unwrap();
        assert!(body.ends_with(&last.frame));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_at_the_horizon_gets_no_snapshot_and_one_before_it_does() {
    for world in pruned_worlds().await {
        for (after, has_snapshot, first) in
            [(0, true, 21), (1, true, 21), (19, true, 21), (20, false, 21), (22, false, 23)]
        {
            for device in ["", "&deviceId=phone-1"] {
                let query = format!("after={after}{device}");
                for form in LINES {
                    let pulled = pull(&world, &query, form).await;
                    assert_eq!(pulled.snapshot.is_some(), has_snapshot, "{query} {form:?}");
                    let found = pulled.positions().into_iter().find(|position| *position > after);
                    assert_eq!((found, pulled.hello.cursor.0), (Some(first), after), "{query} {form:?}");
                }
                let json = world.pull("ann", &query).await.json;
                assert_eq!(json.get("snapshot").is_some(), has_snapshot, "{query}");
                assert_eq!(positions(&json)[0], first, "{query}");
                assert_eq!(json["device"]["lastSequence"] == 15, !device.is_empty());
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_counts_the_events_behind_the_snapshot() {
    let [world, _] = pruned_worlds().await;
    for (after, limit, last) in [(0, 1, 21), (0, 3, 23), (19, 3, 23), (20, 3, 23), (0, 10, 30), (0, 20, 30)] {
        let query = format!("after={after}&limit={limit}");
        let expect: Vec<u64> = (21..=last).collect();
        let plain = pull(&world, &query, Lines::Plain).await;
        assert_eq!((plain.positions(), plain.cursor), (expect.clone(), last), "{query}");
        let json = world.pull("ann", &query).await.json;
        assert_eq!((positions(&json), &json["cursor"]), (expect, &json!(last)), "{query}");
        assert_eq!(json["more"], json!(last < 30), "{query}");
        let frames = pull(&world, &query, Lines::Frames).await;
        assert_eq!(frames.cursor, last.next_multiple_of(5), "{query}: whole segments");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_pruned_to_its_head_is_a_snapshot_alone() {
    for world in pruned_worlds().await {
        world.prune("ann", 30, PART).await;
        for form in LINES {
            let pulled = pull(&world, "after=25", form).await;
            assert_eq!((pulled.snapshot.is_some(), pulled.headers.len(), pulled.cursor), (true, 0, 30));
            let pulled = pull(&world, "after=30", form).await;
            assert_eq!((pulled.snapshot.is_some(), pulled.headers.len(), pulled.cursor), (false, 0, 30));
        }
        let json = world.pull("ann", "").await.json;
        assert_eq!(
            (&json["cursor"], &json["more"], &json["events"]),
            (&json!(30), &json!(false), &json!([]))
        );
        let mut reader = Reader::new();
        reader.catch_up(&world, 10, Lines::Frames).await;
        reader.assert_has_everything(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_beyond_the_head_gets_no_snapshot() {
    for world in pruned_worlds().await {
        for form in LINES {
            let pulled = pull(&world, "after=31", form).await;
            assert_eq!((pulled.snapshot.is_some(), pulled.headers.len()), (false, 0));
            assert_eq!((pulled.hello.cursor.0, pulled.cursor), (0, 0));
        }
        let json = world.pull("ann", "after=31").await.json;
        assert_eq!((json.get("snapshot"), &json["cursor"]), (None::<&Value>, &json!(0)));
    }
}
