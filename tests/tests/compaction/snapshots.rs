//! Snapshots: the same bytes however they were folded, and gone when nobody reads them.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use sqlx::Row;
use tidelog_compactor::{Compactor, Pruning};
use tidelog_tests::{World, WorldOptions};

use super::archived::files;
use super::seen::Seen;
use super::standing::{PAST_RETENTION, compact, compact_with, execute, options, prune_through, standing};
use super::things::{event, push_in_turn, things};

/// Segments stay as they were pushed, each a run of its own where folding has room for one.
fn unmerged() -> WorldOptions<'static> {
    options().set("compactor.merge_after_hours", 1_000_000)
}

/// Devices that each push so many batches, all at once: the log's order is any.
async fn push_at_once(world: &World, user: &str, devices: u64, from: u64, batches: u64) {
    join_all((0..devices).map(async |device| {
        push_in_turn(world, user, &[&format!("phone-{device}")], from, batches, 3).await;
    }))
    .await;
}

/// Many small things, and one that is larger than a part.
async fn push_much(world: &World, user: &str) {
    for first in (1..=1200).step_by(400) {
        let mut batch = things("importer", first, first + 399);
        for (line, sequence) in batch.lines.iter_mut().zip(first..) {
            let name = json!({"name": "n".repeat(150), "total": sequence});
            *line = event("importer", sequence, "MADE", &format!("many-{sequence}"), name).0.to_string();
        }
        world.push(user, &batch).await.expect(200);
    }
    for sequence in 1..=6 {
        let page = json!({"pages": format!("{sequence}").repeat(60_000)});
        let line = event("scanner", sequence, "CHANGED", "large", page).0;
        world.push(user, &things("scanner", sequence, sequence).with_line(0, line)).await.expect(200);
    }
}

/// The snapshot through the space's horizon: what its row says, and its parts.
async fn stored_snapshot(world: &World, space: &str) -> (serde_json::Value, Vec<(i32, i32, Vec<u8>)>) {
    let header = "SELECT jsonb_build_array(through, entities, state_hash, devices, parts, bytes) AS header
                  FROM snapshots JOIN spaces USING (space_id) WHERE space_id = $1 AND through = horizon";
    let header = sqlx::query(header).bind(space).fetch_one(&world.pool).await.unwrap().get("header");
    let parts = "SELECT part, snapshot_parts.entities, frame FROM snapshot_parts JOIN spaces USING (space_id)
                 WHERE space_id = $1 AND through = horizon ORDER BY part";
    (header, sqlx::query_as(parts).bind(space).fetch_all(&world.pool).await.unwrap())
}

async fn prune_with(compactor: &Compactor, space: &str) {
    let pruning = compact_with(compactor, space).await;
    assert!(matches!(pruning, Pruning::Pruned(_)), "{pruning:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fold_that_spills_to_files_writes_the_same_bytes_as_one_in_memory() {
    let (world, time) = standing(unmerged()).await;
    let work = tempfile::tempdir().unwrap();
    let spilling = world.compactor(|deps| {
        // A run for each segment: more than may be open at once.
        deps.config.fold_bytes = 1;
        deps.config.work_folder = work.path().to_owned();
    });
    let in_memory = world.compactor(|deps| deps.config.fold_bytes = 1 << 30);
    for round in 0..2 {
        for user in ["ann", "twin"] {
            push_at_once(&world, user, 10, round * 45, 15).await;
        }
        if round == 0 {
            tokio::join!(push_much(&world, "ann"), push_much(&world, "twin"));
        }
        time.advance(PAST_RETENTION);
        // What lies behind the horizon is folded, too, to compare.
        for user in ["ann", "twin"] {
            push_in_turn(&world, user, &["young"], round * 300, 100, 3).await;
            world.assert_read_model_is_right(user).await;
        }
        let before = Seen::of(&world, "ann").await;
        tokio::join!(prune_with(&spilling, "ann"), prune_with(&in_memory, "twin"));
        let (spilled, twin) = tokio::join!(stored_snapshot(&world, "ann"), stored_snapshot(&world, "twin"));
        assert!(spilled == twin, "{} and {}", spilled.0, twin.0);
        assert!(spilled.1.len() >= 3, "several parts: {}", spilled.0);
        let horizon = spilled.0[0].as_u64().unwrap();
        before.assert_same_pruned_through(&world, horizon).await;
    }
    assert_eq!(std::fs::read_dir(work.path()).unwrap().count(), 0, "nothing is left in the work folder");
}

/// Which snapshots there are, and how many parts of each; of parts without a snapshot, too.
async fn kept(world: &World) -> Vec<(i64, i64)> {
    let kept = "SELECT through, count(part) FROM snapshots FULL JOIN snapshot_parts USING (space_id, through)
                GROUP BY through ORDER BY through";
    sqlx::query_as(kept).fetch_all(&world.pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_superseded_snapshot_stays_for_the_grace_and_then_goes() {
    let (world, time) = standing(options().set("compactor.snapshot_grace_seconds", 600)).await;
    for (round, through) in [(0, 20), (1, 40)] {
        push_in_turn(&world, "ann", &["phone-1", "watch"], round * 10, 1, 10).await;
        world.assert_read_model_is_right("ann").await;
        time.advance(PAST_RETENTION);
        prune_through(&world, "ann", through).await;
    }
    assert_eq!(kept(&world).await, [(20, 1), (40, 1)]);
    time.advance(Duration::from_secs(599));
    world.compact().await;
    assert_eq!(kept(&world).await, [(20, 1), (40, 1)], "somebody may just read it");
    time.advance(Duration::from_secs(2));
    world.compact().await;
    assert_eq!(kept(&world).await, [(40, 1)]);
    time.advance(PAST_RETENTION);
    world.compact().await;
    assert_eq!(kept(&world).await, [(40, 1)], "the one at the horizon stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_run_that_was_cut_off_has_left_is_never_read_and_cleared() {
    let (world, time) = standing(options()).await;
    push_in_turn(&world, "ann", &["phone-1", "watch"], 0, 2, 10).await;
    world.assert_read_model_is_right("ann").await;
    // A snapshot through the very position that is next, one beyond it, and parts of one that was never finished.
    execute(
        &world,
        "INSERT INTO snapshots (space_id, through, schema_version, schema_fingerprint, entities, state_hash, devices,
                                parts, bytes, written_at)
         SELECT 'ann', through, 1, '', '{\"thing\": 1}', '{}', '{}', 1, 1, now() FROM unnest('{40, 1000}'::int[]) AS through;
         INSERT INTO snapshot_parts (space_id, through, part, first_type, last_type, entities, frame)
         SELECT 'ann', through, part, 'thing', 'thing', 1, '\\x00'
         FROM unnest('{30, 40, 1000}'::int[]) AS through, generate_series(0, 250) AS part",
    )
    .await;
    let pulled = world.pull_frames("ann", "after=0").await;
    assert!(pulled.snapshot.is_none() && pulled.events.len() == 40, "nobody reads them");
    time.advance(PAST_RETENTION);
    let before = Seen::of(&world, "ann").await;
    prune_through(&world, "ann", 40).await;
    assert_eq!(kept(&world).await, [(40, 1)]);
    before.assert_same_pruned_through(&world, 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let (world, time) = standing(options()).await;
    for user in ["ann", "bob"] {
        push_in_turn(&world, user, &["phone-1", "watch"], 0, 4, 10).await;
        world.assert_read_model_is_right(user).await;
    }
    time.advance(PAST_RETENTION);
    push_in_turn(&world, "cid", &["phone-1"], 0, 1, 10).await;
    world.assert_read_model_is_right("cid").await;
    execute(&world, "UPDATE entities SET view = '{}' WHERE space_id = 'bob'").await;
    let (before, stored) = (everything(&world).await, files(&world));
    let mut told = Vec::new();
    world.compactor(|_| {}).dry_run(|space, plan| told.push(format!("{space}: {plan}"))).await.unwrap();
    let plan = "merge the segments from 1 to 80; prune through 80";
    assert_eq!(told, [format!("ann: {plan}"), format!("bob: {plan}")], "cid's events are young");
    assert_eq!(everything(&world).await, before);
    assert_eq!(files(&world), stored);
    assert!(matches!(compact(&world, "ann").await, Pruning::Pruned(_)));
    assert_ne!(everything(&world).await, before, "that would have been seen");
}

/// A digest of every row of every table.
async fn everything(world: &World) -> Vec<(String, Option<String>)> {
    let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&world.pool).await.unwrap();
    let mut digests = Vec::new();
    for table in tables {
        let digest = format!("SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} AS t");
        let digest = sqlx::query_scalar(sqlx::AssertSqlSafe(digest)).fetch_one(&world.pool).await.unwrap();
        digests.push((table, digest));
    }
    digests
}
