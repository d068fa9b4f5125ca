//! Filtered pulls: only the events of some entity types, with the positions that they have.

use reqwest::Method;
use serde_json::{Value, json};
use tidelog_tests::{Answer, Batch, EventLine, World, WorldOptions};

const SCHEMA: &str = "
name: app
version: 1
entities:
  workout: { fields: { duration: { type: integer } } }
  route: { fields: { name: { type: string } } }
  shoe: { fields: { name: { type: string } } }
events:
  WORKOUT_DURATION_UPDATED: { entity: workout, payload: { duration: required } }
  ROUTE_DRAWN: { entity: route, payload: { name: required } }
";

fn route(device: &str, sequence: u64) -> Value {
    EventLine::new(device, sequence).with("type", "ROUTE_DRAWN").with("payload", json!({"name": "r"})).0
}

/// Positions 1–3 of a phone, 4–6 of a watch, 7–9 of the phone again; routes at 2, 4, 5 and 6.
async fn world_with_routes() -> (World, Vec<String>) {
    let world = WorldOptions::default().schema(SCHEMA).start().await;
    let batches = [
        Batch::new("phone-1", 1, 3).with_line(1, route("phone-1", 2)),
        Batch {
            lines: (1..=3).map(|sequence| route("watch-1", sequence).to_string()).collect(),
            ..Batch::new("watch-1", 1, 3)
        },
        Batch::new("phone-1", 4, 6),
    ];
    for (number, batch) in (0..).zip(&batches) {
        world.push("ann", batch).await.expect_committed(Some((number * 3 + 1, number * 3 + 3)));
    }
    (world, batches.into_iter().flat_map(|batch| batch.lines).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_pull_brings_the_events_of_those_entity_types_at_their_positions() {
    let (world, lines) = world_with_routes().await;
    let cases = [
        ("types=route", vec![2, 4, 5, 6], 9),
        ("types=workout", vec![1, 3, 7, 8, 9], 9),
        ("types=workout,route", (1..=9).collect(), 9),
        ("types=route&after=4", vec![5, 6], 9),
        ("types=workout&after=3&limit=5", vec![7, 8], 8),
        ("types=route&limit=3", vec![2], 3),
        ("types=route&after=6", vec![], 9),
        ("types=shoe", vec![], 9),
    ];
    for (query, positions, cursor) in cases {
        let expect: Vec<_> =
            positions.iter().map(|position| lines[*position as usize - 1].as_str()).collect();
        let plain = world.pull_lines("ann", query).await;
        assert_eq!((plain.positions(), plain.lines()), (positions.clone(), expect), "{query}");
        assert_eq!(plain.cursor, cursor, "{query}: the cursor passes over the others");
        for header in &plain.headers {
            assert!(header.positions.is_some() && !header.has_batch_line(), "{query}");
        }
        let json = world.pull("ann", query).await.json;
        let found: Vec<_> =
            json["events"].as_array().unwrap().iter().map(|e| e["position"].as_u64().unwrap()).collect();
        assert_eq!((found, &json["cursor"]), (positions, &json!(cursor)), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filtered_frames_are_written_anew_and_cover_every_position() {
    let (world, lines) = world_with_routes().await;
    for (query, after, positions) in [
        ("types=route", 0, vec![2, 4, 5, 6]),
        ("types=workout&after=3", 3, vec![7, 8, 9]),
        ("types=shoe", 0, vec![]),
    ] {
        let frames = world.pull_frames("ann", query).await;
        let expect: Vec<_> =
            positions.iter().map(|position| lines[*position as usize - 1].as_str()).collect();
        assert_eq!((frames.positions(), frames.lines()), (positions, expect), "{query}");
        assert_eq!(frames.cursor, 9, "{query}");
        let mut covered = after;
        for header in &frames.headers {
            assert_eq!(header.first.0, covered + 1, "{query}: no gap, no overlap");
            covered = header.last.0;
        }
        assert_eq!(covered, 9, "{query}");
        for (position, _) in &frames.events {
            let header = frames.headers.iter().find(|header| header.last.0 >= *position).unwrap();
            let origin = header.batch_at(tidelog_events::id::Position(*position)).unwrap();
            let device = if (4..=6).contains(position) { "watch-1" } else { "phone-1" };
            assert_eq!(origin.device_id.as_str(), device, "{query} {position}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_that_the_schema_does_not_have_is_refused_by_name() {
    let (world, _) = world_with_routes().await;
    for types in ["ghost", "route,ghost", "", "ROUTE_DRAWN"] {
        let request = world.request(Method::GET, &format!("/v1/spaces/me/log?types={types}"), "ann");
        Answer::of(request).await.expect_refusal(400, "request-invalid");
    }
}
