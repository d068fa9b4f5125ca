//! Pulls: what lies behind a cursor, in three forms, page by page.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidelog_tests::{Answer, Batch, World, WorldOptions};

/// Batches of three devices, one after the other; returns their event lines in the log's order.
async fn fill(world: &World, user: &str, batches: u64, events: u64) -> Vec<String> {
    let mut lines = Vec::new();
    for number in 0..batches {
        let device = format!("phone-{}", number % 3);
        let first = number / 3 * events + 1;
        let batch = Batch::new(&device, first, first + events - 1);
        world.push(user, &batch).await.expect(200);
        lines.extend(batch.lines);
    }
    lines
}

fn expect_headers(answer: &Answer, content_type: &str, encoding: Option<&str>) {
    assert_eq!(answer.headers["content-type"], content_type);
    let found = answer.headers.get("content-encoding").map(|value| value.to_str().unwrap());
    assert_eq!(found, encoding);
    assert_eq!(answer.headers["cache-control"], "no-store, no-transform");
    let vary: Vec<_> = answer.headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
    let vary: BTreeSet<_> =
        vary.iter().flat_map(|list| list.split(',')).map(|name| name.trim().to_lowercase()).collect();
    assert_eq!(vary, ["accept", "accept-encoding"].map(str::to_owned).into());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_three_forms_tell_the_same_events_and_say_what_they_are() {
    let world = World::new().await;
    let lines = fill(&world, "ann", 4, 5).await;
    let frames = world.pull_frames("ann", "").await;
    expect_headers(&frames.answer, "application/x-ndjson", Some("zstd"));
    let plain = world.pull_lines("ann", "").await;
    expect_headers(&plain.answer, "application/x-ndjson", None);
    for pulled in [&frames, &plain] {
        assert_eq!(pulled.lines(), lines);
        assert_eq!(pulled.positions(), (1..=20).collect::<Vec<_>>());
        assert_eq!((pulled.hello.head.0, pulled.hello.cursor.0, pulled.cursor), (20, 0, 20));
        assert_eq!(pulled.headers.len(), 4);
    }
    let request = world.pull_as("ann", "", "application/x-ndjson", "gzip").await;
    expect_headers(&request, "application/x-ndjson", Some("gzip"));

    let json = world.pull("ann", "").await;
    expect_headers(&json, "application/json", None);
    let events = json.json["events"].as_array().unwrap();
    for (index, (event, line)) in events.iter().zip(&lines).enumerate() {
        let mut expect: Value = serde_json::from_str(line).unwrap();
        expect["position"] = json!(index + 1);
        expect["userId"] = json!("ann");
        expect["deviceId"] = json!(format!("phone-{}", index / 5 % 3));
        expect["receivedAt"] = json!(plain.headers[index / 5].batches[0].received_at);
        assert_eq!(*event, expect);
    }
    assert_eq!((events.len(), &json.json["cursor"], &json.json["more"]), (20, &json!(20), &json!(false)));
    assert_eq!((&json.json["head"], &json.json["horizon"]), (&json!(20), &json!(0)));
    assert_eq!(json.json["epoch"], serde_json::to_value(plain.hello.epoch).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_that_nothing_was_pushed_to_is_an_empty_log() {
    let world = World::new().await;
    let json = world.pull("ann", "").await;
    json.expect(200);
    assert_eq!((&json.json["epoch"], &json.json["head"]), (&Value::Null, &json!(0)));
    assert_eq!((&json.json["events"], &json.json["cursor"]), (&json!([]), &json!(0)));
    let frames = world.pull_frames("ann", "").await;
    assert_eq!((frames.events.len(), frames.cursor, frames.hello.epoch), (0, 0, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn decoded_answers_begin_behind_the_cursor_and_end_at_the_limit() {
    let world = World::new().await;
    let lines = fill(&world, "ann", 4, 5).await;
    for (after, limit, last) in [(0, 1, 1), (0, 7, 7), (3, 4, 7), (5, 5, 10), (7, 100, 20), (19, 1, 20)] {
        let query = format!("after={after}&limit={limit}");
        let expect = &lines[after..last];
        let plain = world.pull_lines("ann", &query).await;
        assert_eq!(plain.lines(), expect, "{query}");
        assert_eq!((plain.hello.cursor.0, plain.cursor), (after as u64, last as u64), "{query}");
        let events: u64 = plain.headers.iter().map(tidelog_events::frame::SegmentHeader::events).sum();
        assert_eq!(events, (last - after) as u64, "{query}: nothing before the cursor is sent");

        let json = world.pull("ann", &query).await.json;
        let positions: Vec<_> =
            json["events"].as_array().unwrap().iter().map(|e| e["position"].as_u64()).collect();
        assert_eq!(positions, (after as u64 + 1..=last as u64).map(Some).collect::<Vec<_>>(), "{query}");
        assert_eq!((&json["cursor"], &json["more"]), (&json!(last), &json!(last < 20)), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_are_whole_segments_and_at_least_one() {
    let world = World::new().await;
    let lines = fill(&world, "ann", 4, 5).await;
    let stored = world.segments("ann").await;
    for (after, limit, first_segment, segments) in
        [(0, 1, 0, 1), (3, 1, 0, 1), (3, 5, 0, 2), (5, 5, 1, 1), (5, 6, 1, 2), (12, 100, 2, 2), (19, 1, 3, 1)]
    {
        let query = format!("after={after}&limit={limit}");
        let pulled = world.pull_frames("ann", &query).await;
        let wanted = &stored[first_segment..first_segment + segments];
        let expect: Vec<_> = wanted.iter().map(|s| (s.first as u64, s.last as u64)).collect();
        let found: Vec<_> = pulled.headers.iter().map(|header| (header.first.0, header.last.0)).collect();
        assert_eq!(found, expect, "{query}");
        let end = wanted.last().unwrap();
        assert_eq!(pulled.lines(), &lines[after..end.last as usize], "{query}");
        assert!(pulled.answer.body.ends_with(&end.frame), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_3_paging_misses_nothing_and_repeats_nothing() {
    let world = World::new().await;
    let lines = fill(&world, "ann", 7, 13).await;
    for limit in [1, 5, 13, 14, 1000] {
        let (mut frames, mut plain) = (Vec::new(), Vec::new());
        let (mut frames_cursor, mut cursor) = (0, 0);
        while frames_cursor < 91 {
            let page = world.pull_frames("ann", &format!("after={frames_cursor}&limit={limit}")).await;
            frames.extend(page.lines().into_iter().map(str::to_owned));
            assert!(page.cursor > frames_cursor, "{limit}");
            frames_cursor = page.cursor;
        }
        while cursor < 91 {
            let page = world.pull_lines("ann", &format!("after={cursor}&limit={limit}")).await;
            plain.extend(page.lines().into_iter().map(str::to_owned));
            assert_eq!(page.cursor, (cursor + limit).min(91));
            cursor = page.cursor;
        }
        assert_eq!((&frames, &plain), (&lines, &lines), "{limit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_beyond_the_head_is_answered_at_once_with_cursor_0() {
    let world = World::new().await;
    fill(&world, "ann", 1, 5).await;
    for (user, head) in [("ann", 5), ("bob", 0)] {
        let json = world.pull(user, "after=6&wait=60").await.json;
        assert_eq!((&json["cursor"], &json["events"]), (&json!(0), &json!([])));
        assert_eq!((&json["head"], &json["more"]), (&json!(head), &json!(head > 0)));
        for pulled in
            [world.pull_frames(user, "after=6&wait=60").await, world.pull_lines(user, "after=6").await]
        {
            assert_eq!((pulled.hello.cursor.0, pulled.cursor, pulled.headers.len()), (0, 0, 0));
        }
    }
    let at_head = world.pull("ann", "after=5").await.json;
    assert_eq!((&at_head["cursor"], &at_head["more"]), (&json!(5), &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_beyond_the_servers_is_clamped() {
    let world = WorldOptions::default().set("limits.pull_events", 8).start().await;
    let lines = fill(&world, "ann", 4, 5).await;
    for query in ["limit=9", "limit=1000000", ""] {
        let page = world.pull_lines("ann", query).await;
        assert_eq!(page.lines(), &lines[..8], "{query}");
    }
    assert_eq!(world.pull_lines("ann", "limit=0").await.lines(), &lines[..1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_bounded_in_bytes_and_still_moves_the_cursor() {
    let world = WorldOptions::default().set("gateway.pull_bytes", 1).start().await;
    let lines = fill(&world, "ann", 3, 5).await;
    let mut cursor = 0;
    for end in [5, 10, 15] {
        let page = world.pull_frames("ann", &format!("after={cursor}")).await;
        assert_eq!(page.lines(), &lines[cursor as usize..end]);
        let json = world.pull("ann", &format!("after={cursor}")).await.json;
        assert_eq!((&json["cursor"], &json["more"]), (&json!(end), &json!(end < 15)));
        cursor = page.cursor;
    }
}
