//! Filtered pulls: only the entities of the types that were asked for, and only their parts.

use serde_json::json;

use super::{LINES, entities, positions, pruned_worlds, pull};

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_pull_has_the_entities_and_the_events_of_those_types_alone() {
    for world in pruned_worlds().await {
        let all = pull(&world, "", LINES[0]).await.snapshot.unwrap().1;
        for types in ["route", "workout", "route,workout", "shoe"] {
            let is_wanted = |line: &&String| {
                types.split(',').any(|name| line.ends_with(&format!("\"type\":\"{name}\"}}")))
            };
            let expect: Vec<String> = all.iter().filter(is_wanted).cloned().collect();
            assert_eq!(expect.is_empty(), types == "shoe");
            let query = format!("types={types}");
            for form in LINES {
                let pulled = pull(&world, &query, form).await;
                let (header, lines) = pulled.snapshot.unwrap();
                assert_eq!((header.entities as usize, &lines), (expect.len(), &expect), "{types} {form:?}");
                assert_eq!(json!(header.state_hash), json!({}), "{types} {form:?}");
                assert!(pulled.cursor >= 25, "{types} {form:?}");
            }
            let json = world.pull("ann", &query).await.json;
            assert_eq!((entities(&json), &json["snapshot"]["stateHash"]), (expect, &json!({})), "{types}");
            assert_eq!(positions(&json).is_empty(), types == "shoe", "{types}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_without_a_wanted_type_are_not_read() {
    let [_, streamed] = pruned_worlds().await;
    let broken = sqlx::query("UPDATE snapshot_parts SET frame = 'x' WHERE first_type > 'route'");
    assert!(broken.execute(&streamed.pool).await.unwrap().rows_affected() > 0);
    for form in LINES {
        let (header, lines) = pull(&streamed, "types=route", form).await.snapshot.unwrap();
        assert_eq!((header.entities, lines.len()), (3, 3), "{form:?}");
    }
    assert_eq!(entities(&streamed.pull("ann", "types=route").await.json).len(), 3);
}
