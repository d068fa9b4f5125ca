//! A list by an indexed field looks at what it finds, not at the whole table.

use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::Row;
use tidelog_tests::{World, eventually};

use super::{Folded, ids, list, options};

const THINGS: u64 = 10_000;
const SPORTS: u64 = 100;
/// No condition here holds for more; and ends of ranges belong to them.
const KEYS_MAX: u64 = THINGS / SPORTS + 1;

/// What PostgreSQL has counted of the read models' tables: rows read one after the other, lookups of keys, and index
/// rows that these read.
#[derive(Debug, Clone, Copy)]
struct Counted {
    rows_in_sequence: i64,
    key_lookups: i64,
    keys_read: i64,
}

async fn counted(world: &World) -> Counted {
    let row = sqlx::query(
        "SELECT (SELECT sum(seq_tup_read)::bigint FROM pg_stat_user_tables
                 WHERE relname IN ('entities', 'entity_keys')) AS rows_in_sequence,
                idx_scan AS key_lookups, idx_tup_read AS keys_read
         FROM pg_stat_user_indexes WHERE indexrelname = 'entity_keys_pkey'",
    );
    let row = row.fetch_one(&world.pool).await.unwrap();
    Counted {
        rows_in_sequence: row.get("rows_in_sequence"),
        key_lookups: row.get("key_lookups"),
        keys_read: row.get("keys_read"),
    }
}

/// Asks until PostgreSQL has counted it: it tells once a second what a connection did, and the gateway has only one.
async fn check(world: &World, query: &str, matching: u64) {
    let before = counted(world).await;
    let mut fastest = Duration::MAX;
    let after = eventually("the lookup is counted", async || {
        let began = Instant::now();
        let page = list(world, "ann", &format!("limit=1000&{query}")).await;
        fastest = fastest.min(began.elapsed());
        assert_eq!(ids(&page.expect(200).json).len() as u64, matching, "{query}");
        let after = counted(world).await;
        (after.key_lookups > before.key_lookups).then_some(after)
    })
    .await;
    let lookups = after.key_lookups - before.key_lookups;
    let keys = (after.keys_read - before.keys_read) / lookups;
    println!("{query}: {keys} keys a lookup, {fastest:?}");
    assert!(keys as u64 <= KEYS_MAX, "{query}: {keys} keys were read for {matching} things");
    let in_sequence = after.rows_in_sequence - before.rows_in_sequence;
    assert!(in_sequence < THINGS as i64 / 10, "{query}: {in_sequence} rows were read one after the other");
}

async fn execute(world: &World, statement: &'static str) {
    sqlx::query(statement).execute(&world.pool).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_condition_on_an_indexed_field_is_a_lookup_among_ten_thousand_entities() {
    let world = options().set("database.max_connections", 1).start().await;
    // What the planner knows of the tables must not matter, so it is not to learn of them by chance.
    execute(&world, "ALTER TABLE entities SET (autovacuum_enabled = false)").await;
    execute(&world, "ALTER TABLE entity_keys SET (autovacuum_enabled = false)").await;
    let mut folded = Folded::new(&world, "ann");
    folded.create("t-0000", json!({"sport": "s-0"}));
    folded.write().await;
    execute(&world, "VACUUM ANALYZE").await;
    // Plans that are made now are right for tables of one page, and would be wrong later.
    for _ in 0..20 {
        list(&world, "ann", "where=sport:eq:s-7").await.expect(200);
    }
    for number in 0..THINGS {
        let (sport, tag) = (format!("s-{}", number % SPORTS), format!("t-{}", number % 1000));
        let tags = json!({"add": [tag, "all"]});
        let fields = json!({"sport": sport, "duration": number, "laps": number, "tags": tags});
        folded.create(&format!("t-{number:04}"), fields);
    }
    folded.write().await;
    for knowing in [false, true] {
        if knowing {
            execute(&world, "ANALYZE").await;
        }
        check(&world, "where=sport:eq:s-7", THINGS / SPORTS).await;
        check(&world, "where=duration:ge:500&where=duration:lt:600", 100).await;
        check(&world, "where=laps:ge:9990", 10).await;
        check(&world, "where=tags:has:t-5", 10).await;
        check(&world, "where=tags:has:t-5&where=duration:ge:0&where=name:ne:x", 10).await;
    }
}
