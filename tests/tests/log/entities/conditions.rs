//! Conditions: every operator on every type, by index and without.

use serde_json::json;
use tidelog_tests::World;

use super::{Folded, encoded, ids, list, options};

/// Things `a` to `d` with values from low to high, `e` with none, `x` with odd ones.
fn things<'w>(world: &'w World, space: &str) -> Folded<'w> {
    let mut folded = Folded::new(world, space);
    folded.create("a", json!({
        "name": "", "sport": "Z", "duration": -5, "pace": -1.5, "laps": -3, "points": -3, "done": false, "open": false,
        "at": "2025-01-01T00:00:00Z", "seen": "2025-01-01T00:00:00Z",
        "tags": {"add": ["red"]}, "marks": {"add": [1, 2]}, "splits": 1.5,
    }));
    folded.create("b", json!({
        "name": "a:b", "sport": "a", "duration": 0, "pace": 0, "laps": 0, "points": 0, "done": false, "open": false,
        "at": "2025-01-01T00:00:00.000Z-0001", "seen": "2025-01-01T00:00:00.000Z-0001",
        "tags": {"add": ["red", "a:b", ""]}, "marks": {"add": [2, 3]}, "splits": 2,
    }));
    folded.create("c", json!({
        "name": "é 100%", "sport": "\u{ff5e}", "duration": 9, "pace": 5.25, "laps": 12, "points": 12, "done": true,
        "open": true, "at": "2025-01-01T00:00:00.001Z", "seen": "2025-01-01T00:00:00.001Z",
        "tags": {"add": ["été 🏃"]}, "marks": {"add": [10]}, "splits": 1e300,
    }));
    folded.create(
        "d",
        json!({
            "name": "🏃", "sport": "\u{1f600}", "duration": 10, "pace": 1e300, "done": true, "open": true,
            "at": "2026-01-01T00:00:00Z", "seen": "2026-01-01T00:00:00Z",
            "tags": {"add": []}, "marks": {"add": []}, "splits": 0.1,
        }),
    );
    for _ in 0..3 {
        folded.change("d", json!({"laps": 9_007_199_254_740_991_i64, "points": 9_007_199_254_740_991_i64}));
        folded.change("d", json!({"splits": 2}));
    }
    folded.create("e", json!({}));
    folded
}

/// Which condition holds for which things.
const CASES: &[(&str, &str)] = &[
    ("name:eq:", "a"),
    ("name:eq:a:b", "b"),
    ("name:eq:é 100%", "c"),
    ("name:eq:A:B", ""),
    ("name:ne:🏃", "abce"),
    ("name:lt:b", "ab"),
    ("name:le:🏃", "abcd"),
    ("name:gt:", "bcd"),
    ("name:ge:é", "cd"),
    ("sport:eq:a", "b"),
    ("sport:eq:", ""),
    ("sport:ne:a", "acde"),
    ("sport:lt:a", "a"),
    ("sport:le:a", "ab"),
    // As bytes, so the emoji comes behind the tilde, as it does not in UTF-16.
    ("sport:lt:\u{1f600}", "abc"),
    ("sport:gt:\u{ff5e}", "d"),
    ("sport:ge:\u{ff5e}", "cd"),
    ("sport:gt:", "abcd"),
    ("duration:eq:-0", "b"),
    ("duration:eq:9.0", "c"),
    ("duration:ne:9", "abde"),
    // By number, not as text.
    ("duration:lt:10", "abc"),
    ("duration:le:10", "abcd"),
    ("duration:gt:-5", "bcd"),
    ("duration:ge:-5", "abcd"),
    ("duration:gt:9007199254740991", ""),
    ("pace:eq:5.25", "c"),
    ("pace:eq:1e300", "d"),
    ("pace:eq:0.0", "b"),
    ("pace:ne:0", "acde"),
    ("pace:lt:0", "a"),
    ("pace:le:5.25", "abc"),
    ("pace:gt:5.2499999999999", "cd"),
    ("pace:ge:-1.5", "abcd"),
    ("pace:lt:1e301", "abcd"),
    ("laps:eq:12", "c"),
    ("laps:ne:12", "abde"),
    ("laps:eq:27021597764222973", "d"),
    ("laps:ne:27021597764222973", "abce"),
    ("laps:eq:27021597764222972", ""),
    ("laps:gt:27021597764222972", "d"),
    ("laps:lt:27021597764222974", "abcd"),
    ("laps:ge:27021597764222973", "d"),
    ("laps:le:-3", "a"),
    ("laps:gt:-170141183460469231731687303715884105728", "abcd"),
    ("points:eq:27021597764222973", "d"),
    ("points:gt:3", "cd"),
    ("points:lt:27021597764222973", "abc"),
    ("points:ge:-3", "abcd"),
    ("points:ne:0", "acde"),
    ("done:eq:true", "cd"),
    ("done:eq:false", "ab"),
    ("done:ne:true", "abe"),
    ("done:lt:true", "ab"),
    ("done:le:true", "abcd"),
    ("done:gt:false", "cd"),
    ("done:ge:false", "abcd"),
    ("open:eq:true", "cd"),
    ("open:ne:false", "cde"),
    ("open:lt:true", "ab"),
    ("open:gt:true", ""),
    ("at:eq:2025-01-01T00:00:00Z", "a"),
    ("at:eq:2025-01-01T00:00:00.000Z", "a"),
    ("at:eq:2025-01-01T00:00:00.000Z-0000", "a"),
    ("at:eq:2025-01-01T00:00:00.000999Z", "a"),
    ("at:ne:2025-01-01T00:00:00Z", "bcde"),
    ("at:gt:2025-01-01T00:00:00Z", "bcd"),
    ("at:ge:2025-01-01T00:00:00.001Z", "cd"),
    ("at:lt:2025-01-01T00:00:00.001Z", "ab"),
    ("at:le:2025-01-01T00:00:00.000Z-0001", "ab"),
    ("seen:eq:2026-01-01T00:00:00Z", "d"),
    ("seen:ne:2026-01-01T00:00:00Z", "abce"),
    ("seen:gt:2025-01-01T00:00:00Z", "bcd"),
    ("seen:le:2025-01-01T00:00:00.000Z-0001", "ab"),
    ("tags:has:red", "ab"),
    ("tags:has:a:b", "b"),
    ("tags:has:", "b"),
    ("tags:has:été 🏃", "c"),
    ("tags:has:re", ""),
    ("tags:has:[\"red\"]", ""),
    ("marks:has:2", "ab"),
    ("marks:has:2.0", "ab"),
    ("marks:has:1", "a"),
    ("marks:has:0", ""),
    ("splits:has:2", "bd"),
    ("splits:has:0.1", "d"),
    ("splits:has:1e300", "c"),
    ("splits:has:1.50", "a"),
    ("splits:has:3", ""),
    // All must hold.
    ("duration:ge:0&duration:lt:10", "bc"),
    ("duration:ge:0&done:eq:true&name:ne:🏃", "c"),
    ("tags:has:red&tags:has:a:b", "b"),
    ("sport:eq:a&sport:eq:Z", ""),
    ("sport:ge:Z&sport:le:Z", "a"),
    ("marks:has:2&open:eq:false&laps:lt:0", "a"),
    ("pace:gt:0&at:gt:2025-06-01T00:00:00Z", "d"),
    ("name:ne:x&sport:ne:x&duration:ne:1&laps:ne:1", "abcde"),
    ("name:ne:x&laps:eq:0", "b"),
    ("splits:has:2&splits:has:0.1", "d"),
];

async fn check(world: &World, user: &str, how: &str) {
    for &(conditions, expect) in CASES {
        let query: Vec<_> = conditions.split('&').map(|text| format!("where={}", encoded(text))).collect();
        let page = list(world, user, &query.join("&")).await;
        assert_eq!(ids(&page.expect(200).json).concat(), expect, "{how}: {conditions}");
        assert_eq!(page.json["next"], json!(null));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operator_finds_the_same_by_an_index_and_without() {
    let world = options().start().await;
    let mut folded = things(&world, "ann");
    folded.write().await;
    check(&world, "ann", "by keys").await;
    // Keys of another version may be missing, and so they are not looked at.
    folded.has_keys = false;
    for (mixed, schema_version) in [(true, 3), (false, 2), (false, 4)] {
        (folded.mixed, folded.schema_version) = (mixed, schema_version);
        folded.write().await;
        check(&world, "ann", &format!("mixed: {mixed}, version {schema_version}")).await;
    }
    (folded.mixed, folded.schema_version) = (false, 3);
    // Another content of the same version: somebody edited the file and raised nothing.
    let fingerprint = std::mem::take(&mut folded.schema_fingerprint);
    folded.write().await;
    check(&world, "ann", "another content").await;
    folded.schema_fingerprint = fingerprint;
    folded.write().await;
    let without_keys = list(&world, "ann", "where=sport:eq:a").await;
    assert_eq!(ids(&without_keys.json), [] as [&str; 0], "and otherwise they are");
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_that_begin_alike_are_told_apart_where_their_keys_end() {
    let world = options().start().await;
    let mut folded = Folded::new(&world, "ann");
    let text = |end: &str| format!("{}{end}", "é".repeat(200));
    for (id, end) in [("a", ""), ("b", "b"), ("c", "c")] {
        folded.create(id, json!({"sport": text(end), "tags": {"add": [text(end), text("z")]}}));
    }
    folded.write().await;
    let cases = [
        ("sport:eq", "b", "b"),
        ("sport:lt", "b", "a"),
        ("sport:le", "b", "ab"),
        ("sport:gt", "b", "c"),
        ("sport:ge", "b", "bc"),
        ("tags:has", "c", "c"),
        ("tags:has", "z", "abc"),
        ("tags:has", "y", ""),
    ];
    for (begin, end, expect) in cases {
        let page = list(&world, "ann", &format!("where={begin}:{}", encoded(&text(end)))).await;
        assert_eq!(ids(&page.expect(200).json).concat(), expect, "{begin} …{end}");
    }
}
