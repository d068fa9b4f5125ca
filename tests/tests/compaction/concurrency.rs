//! Two compactors over the same spaces, while devices push, the projector folds and readers read: nobody notices.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, join4};
use serde_json::{Value, json};
use tidelog_compactor::{Compactor, Outcome, Pruned, Pruning};
use tidelog_events::fold::{Change, State};
use tidelog_events::id::Position;
use tidelog_events::schema::Schema;
use tidelog_tests::{Pulled, World, WorldOptions, eventually};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::archived::files;
use super::seen::{Seen, entities, folded};
use super::standing::horizon;
use super::things::{SCHEMA, things};

const SPACES: [&str; 3] = ["ann", "bob", "cid"];
const DEVICES: [&str; 2] = ["phone-1", "watch"];
const ROUNDS: u64 = 3;
const ROUND_BATCHES: u64 = 20;
const BATCH_EVENTS: u64 = 5;
/// What a device does in one space it does so often.
const PACE: Duration = Duration::from_millis(60);
/// Events that stay, and events of a merged segment, of which all or none go.
const KEPT: u64 = 30;
const MERGED: u64 = 40;
const AT_ONCE: u64 = 20;

/// A world in which a day lasts a second, and a day is what the log keeps.
async fn hasty_world() -> World {
    let options = WorldOptions::default().schema(SCHEMA).ingests(2).projectors(2);
    options
        .set("clock.development", true)
        .set("clock.day_seconds", 1)
        .set("retention.events_days", 1)
        .set("retention.patience_days", 0)
        .set("retention.keep_events", KEPT)
        .set("retention.prune_events", AT_ONCE)
        .set("compactor.merge_events", MERGED)
        .set("compactor.snapshot_grace_seconds", 1)
        .start()
        .await
}

/// Has the devices of a space push at once, and the horizon move before they go on.
async fn push(world: &World, space: &str) {
    for round in 0..ROUNDS {
        join_all(DEVICES.map(|device| push_round(world, space, device, round))).await;
        let known = (world.head(space).await as u64).saturating_sub(KEPT + MERGED + AT_ONCE);
        eventually("what is old is pruned", async || {
            (horizon(world, space).await as u64 > known).then_some(())
        })
        .await;
    }
}

async fn push_round(world: &World, space: &str, device: &str, round: u64) {
    let mut pace = interval(PACE);
    for number in round * ROUND_BATCHES..(round + 1) * ROUND_BATCHES {
        pace.tick().await;
        let first = number * BATCH_EVENTS + 1;
        world.push_until_committed(space, &things(device, first, first + BATCH_EVENTS - 1)).await.expect(200);
    }
}

/// Sweeps again and again; nothing may fail. Returns what it has pruned.
async fn sweep(compactor: Compactor, stop: &CancellationToken) -> Vec<(String, Pruned)> {
    let mut pruned = Vec::new();
    let mut pace = interval(Duration::from_millis(20));
    while !stop.is_cancelled() {
        pace.tick().await;
        let told = |space: &_, outcome: &Result<Outcome, _>| match outcome.as_ref().unwrap() {
            Outcome::Done { pruning: Pruning::Pruned(now), .. } => pruned.push((format!("{space}"), *now)),
            Outcome::Done { pruning: Pruning::Waits(_) | Pruning::Elsewhere, .. } | Outcome::Elsewhere => {}
            Outcome::Done { pruning, .. } => panic!("{space} is sound: {pruning:?}"),
        };
        compactor.sweep(stop, told).await.unwrap();
    }
    pruned
}

/// A device that keeps what it has read, folded.
#[derive(Default)]
struct Reader {
    cursor: u64,
    state: State,
    snapshots: u64,
}

impl Reader {
    /// Takes an answer in, as a device does.
    fn take(&mut self, pulled: &Pulled, schema: &Schema) {
        if let Some((header, lines)) = &pulled.snapshot {
            assert!(header.through.0 > self.cursor, "nobody needs an older one");
            self.state = State::from_lines(lines.iter().map(String::as_str), schema).unwrap();
            assert_eq!(*self.state.hash(), header.state_hash);
            self.cursor = header.through.0;
            self.snapshots += 1;
        }
        let known = self.cursor;
        for (position, line) in pulled.events.iter().filter(|(position, _)| *position > known) {
            assert_eq!(*position, self.cursor + 1, "no event is missing");
            let position = Position(*position);
            let header = pulled.headers.iter().find(|header| header.last >= position).unwrap();
            let device = header.batch_at(position).unwrap().device_id.clone();
            self.state.apply(Change::read(line, &Arc::new(device), schema).unwrap());
            self.cursor = position.0;
        }
        assert_eq!(self.cursor, pulled.cursor);
    }
}

/// Follows a log page by page until it has all of it, now in this form and now in that; returns what it has folded.
async fn follow(world: &World, space: &str, schema: &Schema, pushed: &CancellationToken) -> Reader {
    let mut reader = Reader::default();
    loop {
        let stopped = pushed.is_cancelled();
        let query = format!("deviceId={}&after={}&limit=40", DEVICES[0], reader.cursor);
        let pulled = if reader.cursor % 2 == 0 {
            world.pull_frames(space, &query).await
        } else {
            world.pull_lines(space, &query).await
        };
        reader.take(&pulled, schema);
        if reader.cursor == pulled.hello.head.0 {
            if stopped {
                return reader;
            }
            // It has everything, and rests for a while.
            eventually("the horizon has overtaken it", async || {
                let horizon = world.pull(space, "after=0&limit=1").await.json["horizon"].as_u64();
                (horizon > Some(reader.cursor) || pushed.is_cancelled()).then_some(())
            })
            .await;
        }
    }
}

/// What fresh devices get from moment to moment: the state's hash by its position.
async fn begin_again(
    world: &World,
    space: &str,
    schema: &Schema,
    stop: &CancellationToken,
) -> BTreeMap<u64, Value> {
    let mut moments = BTreeMap::new();
    let mut pace = interval(Duration::from_millis(30));
    while !stop.is_cancelled() {
        pace.tick().await;
        let mut reader = Reader::default();
        reader.take(&world.pull_frames(space, "after=0&limit=10000").await, schema);
        moments.insert(reader.cursor, json!(reader.state.hash()));
        let json = world.pull(space, &format!("after={}", reader.cursor / 2)).await;
        assert_eq!(
            json.expect(200).json["snapshot"].is_null(),
            json.json["horizon"].as_u64() <= Some(reader.cursor / 2)
        );
        entities(world, space).await;
    }
    moments
}

#[tokio::test(flavor = "multi_thread")]
async fn invariants_3_4_and_8_hold_while_two_compactors_prune_under_everybodys_feet() {
    let world = hasty_world().await;
    let schema = Schema::parse(SCHEMA).unwrap();
    let (pushed, stop) = (CancellationToken::new(), CancellationToken::new());
    let compactors = [world.compactor(|_| {}), world.compactor(|deps| deps.config.fold_bytes = 1)];
    let pushing = async {
        join_all(SPACES.map(|space| push(&world, space))).await;
        pushed.cancel();
        stop.cancel();
    };
    let [one, other] = compactors.map(|compactor| sweep(compactor, &stop));
    let compacting = async { tokio::join!(one, other) };
    let following = join_all(SPACES.map(|space| follow(&world, space, &schema, &pushed)));
    let beginning = join_all(SPACES.map(|space| begin_again(&world, space, &schema, &stop)));
    let ((), (one, other), readers, moments) =
        Box::pin(join4(pushing, compacting, following, beginning)).await;

    assert_each_was_pruned_once(&world, [one, other].concat()).await;
    for ((space, mut reader), moments) in SPACES.into_iter().zip(readers).zip(moments) {
        let seen = Seen::of(&world, space).await;
        let events = ROUNDS * ROUND_BATCHES * BATCH_EVENTS * DEVICES.len() as u64;
        assert_eq!(seen.events.len() as u64, events);
        assert_eq!(json!(reader.state.hash()), seen.model.state_hash, "{space}");
        assert!(reader.snapshots > 0, "the horizon has overtaken a reader of {space}");
        assert!(moments.len() > 5, "{}", moments.len());
        for (position, hash) in moments {
            let mut expected = folded(&world, &seen.events[..position as usize]);
            assert_eq!(hash, json!(expected.hash()), "{space} at {position}");
        }
        seen.assert_same_pruned_through(&world, horizon(&world, space).await as u64).await;
    }
}

/// Asserts that no two have pruned the same, and that each object of the archive was written for one of them.
async fn assert_each_was_pruned_once(world: &World, pruned: Vec<(String, Pruned)>) {
    for space in SPACES {
        let mut of_space: Vec<&Pruned> =
            pruned.iter().filter(|(name, _)| name == space).map(|(_, pruned)| pruned).collect();
        of_space.sort_by_key(|pruned| pruned.through);
        assert!(of_space.len() as u64 >= ROUNDS, "the horizon of {space} has moved {} times", of_space.len());
        let mut before = 0;
        for Pruned { through, events, .. } in of_space {
            assert_eq!(through.0 - before, *events, "{space}");
            before = through.0;
        }
        assert_eq!(before as i64, horizon(world, space).await);
    }
    let listed: i64 =
        sqlx::query_scalar("SELECT count(*) FROM archive").fetch_one(&world.pool).await.unwrap();
    assert_eq!(files(world).len() as i64, listed);
}
