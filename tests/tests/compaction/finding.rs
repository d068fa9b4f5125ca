//! Finds the spaces of which something is due, and whom they wait for.

use sqlx::{PgConnection, PgPool};
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::protocol::UtcTime;
use tidelog_store::compactions::{self, DueBefore};
use tidelog_store::devices;

use super::busy::quiet_world;

/// Times are in seconds here; what came before the 100th is old.
const OLD: UtcTime = UtcTime(100_000);

const BEFORE: DueBefore = DueBefore {
    pruned: OLD,
    keep_events: 20,
    prune_events: 10,
    merged: OLD,
    merge_segments: 8,
    superseded: OLD,
};

/// Makes a space with segments of `events` events each, received at these seconds.
async fn space(pool: &PgPool, name: &str, horizon: i64, events: i64, received: &[i64]) {
    let head = horizon + events * received.len() as i64;
    let statement = "INSERT INTO spaces (space_id, head, horizon) VALUES ($1, $2, $3)";
    sqlx::query(statement).bind(name).bind(head).bind(horizon).execute(pool).await.unwrap();
    let statement = "INSERT INTO segments (space_id, first, last, received_at, batches, frame)
                     SELECT $1, $2 + (nth - 1) * $3 + 1, $2 + nth * $3, to_timestamp(seconds), '[]', ''
                     FROM unnest($4::bigint[]) WITH ORDINALITY AS received (seconds, nth)";
    let query = sqlx::query(statement).bind(name).bind(horizon).bind(events).bind(received);
    query.execute(pool).await.unwrap();
}

async fn merged(pool: &PgPool, name: &str, through: i64) {
    let statement = "INSERT INTO compactions (space_id, merged_through) VALUES ($1, $2)";
    sqlx::query(statement).bind(name).bind(through).execute(pool).await.unwrap();
}

async fn snapshot(pool: &PgPool, name: &str, superseded: Option<i64>) {
    let statement =
        "INSERT INTO snapshots (space_id, through, schema_version, schema_fingerprint, entities, state_hash,
                                            devices, parts, bytes, written_at, superseded_at)
                     VALUES ($1, 1, 1, '', '{}', '{}', '{}', 0, 0, now(), to_timestamp($2::bigint))";
    sqlx::query(statement).bind(name).bind(superseded).execute(pool).await.unwrap();
}

/// The spaces that are due, `window` of all looked at at a time.
async fn due(connection: &mut PgConnection, window: i64) -> Vec<String> {
    let (mut due, mut after) = (Vec::new(), String::new());
    loop {
        let (found, next) = compactions::due(connection, &after, window, &BEFORE).await.unwrap();
        due.extend(found.iter().map(SpaceId::to_string));
        match next {
            Some(next) => after = next,
            None => return due,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_space_is_due_when_enough_of_it_can_be_merged_or_pruned_or_a_snapshot_can_go() {
    let (world, _) = quiet_world().await;
    let pool = &world.pool;
    let (old, young) = (100, 101);
    space(pool, "a-empty", 0, 1, &[]).await;
    space(pool, "b-merge", 0, 1, &[old; 8]).await;
    space(pool, "c-seven", 0, 1, &[old; 7]).await;
    space(pool, "d-eighth-young", 0, 1, &[old, old, old, old, old, old, old, young, old]).await;
    space(pool, "e-seven-behind", 5, 1, &[old; 12]).await;
    merged(pool, "e-seven-behind", 10).await;
    space(pool, "f-eight-behind", 5, 1, &[old; 13]).await;
    merged(pool, "f-eight-behind", 10).await;
    space(pool, "g-horizon-beyond", 5, 1, &[old; 7]).await;
    merged(pool, "g-horizon-beyond", 2).await;
    space(pool, "h-prune", 40, 10, &[old, young, young]).await;
    space(pool, "i-young", 40, 10, &[young; 3]).await;
    space(pool, "j-too-few-stay", 40, 11, &[old, young, young]).await;
    space(pool, "k-too-few-go", 40, 9, &[old, young, young, young]).await;
    space(pool, "l-superseded", 0, 1, &[]).await;
    snapshot(pool, "l-superseded", Some(old)).await;
    space(pool, "m-within-grace", 0, 1, &[]).await;
    snapshot(pool, "m-within-grace", Some(young)).await;
    space(pool, "n-in-force", 0, 1, &[]).await;
    snapshot(pool, "n-in-force", None).await;

    let mut connection = pool.acquire().await.unwrap();
    let expect = ["b-merge", "f-eight-behind", "h-prune", "j-too-few-stay", "l-superseded"];
    for window in [1, 2, 3, 14, 15, 1000] {
        assert_eq!(due(&mut connection, window).await, expect, "{window} at a time");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_cursor_is_that_of_an_active_numbered_device_between_horizon_and_head() {
    let (world, _) = quiet_world().await;
    let statement = "INSERT INTO devices (space_id, device_id, user_id, last_sequence, last_event_id, cursor, last_seen_at)
                     VALUES ($1, $2, 'ann', 1, gen_random_uuid(), $3, to_timestamp($4::bigint))";
    let rows: [(&str, &str, i64, i64); 7] = [
        ("ann", "event:1", 12, 200),
        ("ann", "a-inactive", 13, 99),
        ("ann", "b-before", 9, 200),
        ("ann", "event", 15, 100),
        ("ann", "phone", 14, 200),
        ("ann", "watch", 30, 200),
        ("bob", "phone", 11, 200),
    ];
    for (space, device, cursor, seen) in rows {
        let row = sqlx::query(statement).bind(space).bind(device).bind(cursor).bind(seen);
        row.execute(&world.pool).await.unwrap();
    }
    let mut connection = world.pool.acquire().await.unwrap();
    let mut least = async |from, below| {
        let (ann, range) = (SpaceId::new("ann").unwrap(), (Position(from), Position(below)));
        devices::least_active_cursor(&mut connection, &ann, OLD, range).await.unwrap().map(|cursor| cursor.0)
    };
    assert_eq!(least(10, 30).await, Some(14));
    assert_eq!(least(15, 31).await, Some(15));
    assert_eq!(least(16, 31).await, Some(30));
    assert_eq!(least(16, 30).await, None, "it is at the head");
    assert_eq!(least(10, 14).await, None);
}
