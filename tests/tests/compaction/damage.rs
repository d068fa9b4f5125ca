//! Damaged snapshots and logs: nothing of such a space is pruned, the others are, and it is once it is repaired.

use sqlx::Row;
use tidelog_tests::{World, frame};

use super::proof::{assert_untouched, world_with};
use super::seen::Seen;
use super::standing::{PAST_RETENTION, execute, horizon, options, standing};
use super::things::{push_in_turn, things};

/// A hand in the database.
struct Hand {
    space: &'static str,
    statements: &'static str,
    shows: Shows,
}

/// How the damage shows.
#[derive(Clone, Copy, PartialEq)]
enum Shows {
    /// The compactor cannot work on the space.
    AsFailure,
    /// It can, and finds that the result is another one.
    InComparison,
    /// Not yet: nothing is left that is old.
    Later,
}

const fn hand(space: &'static str, statements: &'static str) -> Hand {
    Hand { space, statements, shows: Shows::AsFailure }
}

fn count(hands: &[Hand], shows: Shows) -> u64 {
    hands.iter().filter(|hand| hand.shows == shows).count() as u64
}

/// What is done to a space, which the statements call `$1`.
async fn damage(world: &World, hands: &[Hand]) {
    for Hand { space, statements, .. } in hands {
        execute(world, statements.replace("$1", &format!("'{space}'"))).await;
    }
}

/// Has the compactor work through all spaces, and asserts that it prunes so many and none of these.
async fn assert_none_is_pruned(world: &World, hands: &[Hand], others: u64) {
    let mut before = Vec::new();
    for Hand { space, .. } in hands {
        before.push(horizon(world, space).await);
    }
    let swept = world.compact().await;
    let expected = (count(hands, Shows::InComparison), count(hands, Shows::AsFailure), others);
    assert_eq!((swept.refused, swept.failed, swept.pruned), expected);
    for (Hand { space, .. }, before) in hands.iter().zip(before) {
        assert_eq!(horizon(world, space).await, before, "{space}");
    }
}

/// Keeps the rows of these tables beside them.
async fn keep(world: &World, tables: &[&str]) {
    for table in tables {
        execute(world, format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}")).await;
    }
}

/// Puts back the rows that were kept of these spaces.
async fn repair(world: &World, tables: &[&str], hands: &[Hand]) {
    for table in tables {
        for Hand { space, .. } in hands {
            let back = format!(
                "DELETE FROM {table} WHERE space_id = '{space}';
                 INSERT INTO {table} SELECT * FROM kept_{table} WHERE space_id = '{space}'"
            );
            execute(world, back).await;
        }
    }
}

/// Rewrites a stored frame as somebody would who knows how: it reads well, and says something else.
async fn rewrite(world: &World, table: &str, space: &str, change: impl Fn(&str) -> String) {
    let select = format!("SELECT frame FROM {table} WHERE space_id = $1 ORDER BY 1 LIMIT 1");
    let row = sqlx::query(sqlx::AssertSqlSafe(select)).bind(space).fetch_one(&world.pool).await.unwrap();
    let stored: Vec<u8> = row.get("frame");
    let text = String::from_utf8(zstd::decode_all(&stored[..]).unwrap()).unwrap();
    let changed = change(&text);
    assert_ne!(changed, text);
    let update = format!("UPDATE {table} SET frame = $1 WHERE space_id = $2 AND frame = $3");
    let update = sqlx::query(sqlx::AssertSqlSafe(update)).bind(frame(changed.as_bytes()));
    let done = update.bind(space).bind(stored).execute(&world.pool).await.unwrap();
    assert_eq!(done.rows_affected(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_8_a_damaged_snapshot_is_no_beginning_for_the_next_one() {
    let hands = [
        hand(
            "flipped",
            "UPDATE snapshot_parts SET frame = set_byte(frame, 40, get_byte(frame, 40) # 1) WHERE space_id = $1",
        ),
        hand(
            "torn",
            "UPDATE snapshot_parts SET frame = substr(frame, 1, octet_length(frame) - 5) WHERE space_id = $1",
        ),
        hand("lost", "DELETE FROM snapshot_parts WHERE space_id = $1"),
        hand("unknown", "DELETE FROM snapshots WHERE space_id = $1"),
        hand("miscounted", "UPDATE snapshot_parts SET entities = entities + 1 WHERE space_id = $1"),
        hand("longer", "UPDATE snapshots SET parts = 2 WHERE space_id = $1"),
        hand(
            "rehashed",
            "UPDATE snapshots SET state_hash = '{\"thing\": \"00000000000000000000000000000000\"}' WHERE space_id = $1",
        ),
        hand("rewritten", "SELECT"),
        hand("shortened", "UPDATE snapshot_parts SET entities = entities - 1 WHERE space_id = $1"),
        Hand { space: "forged", statements: "SELECT", shows: Shows::InComparison },
    ];
    let (world, time) = standing(options()).await;
    let spaces = || hands.iter().map(|hand| hand.space).chain(["sound"]);
    for space in spaces() {
        push_in_turn(&world, space, &["phone-1", "watch"], 0, 1, 20).await;
        world.assert_read_model_is_right(space).await;
    }
    time.advance(PAST_RETENTION);
    assert_eq!(world.compact().await.pruned, spaces().count() as u64);
    for space in spaces() {
        world.push(space, &things("phone-1", 21, 30)).await.expect_committed(Some((41, 50)));
        world.assert_read_model_is_right(space).await;
    }
    time.advance(PAST_RETENTION);
    let tables = ["snapshots", "snapshot_parts"];
    keep(&world, &tables).await;
    damage(&world, &hands).await;
    rewrite(&world, "snapshot_parts", "rewritten", |lines| lines.replace("é", "e")).await;
    rewrite(&world, "snapshot_parts", "shortened", |lines| lines.split_once('\n').unwrap().1.to_owned())
        .await;
    rewrite(&world, "snapshot_parts", "forged", |lines| lines.replace("é", "e")).await;
    execute(
        &world,
        format!(
            "UPDATE snapshots SET state_hash = '{}' WHERE space_id = 'forged'",
            forged_hash(&world).await
        ),
    )
    .await;
    assert_none_is_pruned(&world, &hands, 1).await;
    repair(&world, &tables, &hands).await;
    assert_eq!(world.compact().await.pruned, hands.len() as u64);
    for space in spaces() {
        Seen::of(&world, space).await.assert_same_pruned_through(&world, 50).await;
    }
}

/// The hash of the lines that the space `forged` has in its snapshot now.
async fn forged_hash(world: &World) -> String {
    let frame = sqlx::query_scalar("SELECT frame FROM snapshot_parts WHERE space_id = 'forged'");
    let frame: Vec<u8> = frame.fetch_one(&world.pool).await.unwrap();
    let lines = String::from_utf8(zstd::decode_all(&frame[..]).unwrap()).unwrap();
    let mut hash = tidelog_events::fold::StateHash::default();
    for line in lines.lines() {
        let entity: serde_json::Value = serde_json::from_str(line).unwrap();
        let digest = tidelog_events::fold::LineDigest::of(line.as_bytes());
        hash.replace(entity["type"].as_str().unwrap(), None, digest);
    }
    serde_json::to_string(&hash).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_8_a_damaged_log_is_not_pruned() {
    let hands = [
        hand("old-torn", "UPDATE segments SET frame = substr(frame, 5) WHERE space_id = $1 AND first = 1"),
        Hand {
            space: "old-lost",
            statements: "DELETE FROM segments WHERE space_id = $1 AND first = 1",
            shows: Shows::Later,
        },
        hand("young-torn", "UPDATE segments SET frame = substr(frame, 5) WHERE space_id = $1 AND first = 5"),
        hand("young-lost", "DELETE FROM segments WHERE space_id = $1 AND first = 5"),
        hand(
            "all-torn",
            "UPDATE segments SET frame = substr(frame, 1, octet_length(frame) - 5) WHERE space_id = $1",
        ),
        Hand { space: "old-rewritten", statements: "SELECT", shows: Shows::InComparison },
    ];
    let spaces: Vec<&str> = hands.iter().map(|hand| hand.space).collect();
    let world = world_with(&[&spaces[..], &["sound"]].concat()).await;
    keep(&world, &["segments"]).await;
    damage(&world, &hands).await;
    rewrite(&world, "segments", "old-rewritten", |lines| lines.replace("last name", "lost name")).await;
    assert_none_is_pruned(&world, &hands, 1).await;
    repair(&world, &["segments"], &hands).await;
    assert_untouched(&world, &spaces).await;
    assert_eq!(world.compact().await.pruned, hands.len() as u64);
    for space in spaces {
        Seen::of(&world, space).await.assert_same_pruned_through(&world, 4).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_8_a_snapshot_is_believed_only_as_it_is_read_back() {
    // What is written is not what is stored.
    let hands = [
        hand("flips", "NEW.frame := set_byte(NEW.frame, 40, get_byte(NEW.frame, 40) # 1)"),
        hand("drops", "NEW := NULL"),
        hand("miscounts", "NEW.entities := NEW.entities + 1"),
    ];
    let of_snapshot = [
        hand("forgets-devices", "NEW.devices := '{}'"),
        hand("forgets-entities", "NEW.entities := '{}'"),
        hand("forgets-hash", "NEW.state_hash := '{}'"),
        hand("forgets-schema", "NEW.schema_version := 7"),
        hand("forgets-parts", "NEW.parts := 0"),
        hand("forgets-all", "NEW := NULL"),
    ];
    let spaces: Vec<&str> = hands.iter().chain(&of_snapshot).map(|hand| hand.space).collect();
    let world = world_with(&spaces).await;
    for (table, hands) in [("snapshot_parts", &hands[..]), ("snapshots", &of_snapshot)] {
        let case = |Hand { space, statements, .. }: &Hand| {
            format!("IF NEW.space_id = '{space}' THEN {statements}; END IF; ")
        };
        let cases = hands.iter().map(case).collect::<Vec<_>>().concat();
        execute(
            &world,
            format!(
                "CREATE FUNCTION lossy_{table}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {cases} RETURN NEW; END $$;
                 CREATE TRIGGER lossy BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION lossy_{table}()"
            ),
        )
        .await;
    }
    let swept = world.compact().await;
    assert_untouched(&world, &spaces).await;
    assert_eq!((swept.failed, swept.pruned), (spaces.len() as u64, 0));
    execute(&world, "DROP TRIGGER lossy ON snapshots; DROP TRIGGER lossy ON snapshot_parts").await;
    assert_eq!(world.compact().await.pruned, spaces.len() as u64);
    for space in spaces {
        Seen::of(&world, space).await.assert_same_pruned_through(&world, 4).await;
    }
}
