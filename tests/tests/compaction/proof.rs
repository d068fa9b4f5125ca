//! What is not proven is not pruned: a read model that is not what its log folds to, in whatever way.

use serde_json::{Value, json};
use sqlx::Row;
use tidelog_compactor::{Compactor, Verdict};
use tidelog_events::schema::Schema;
use tidelog_projector::{Measure, Rebuilder};
use tidelog_runtime::database;
use tidelog_tests::{Batch, World, WorldOptions};

use super::archived::files;
use super::seen::{Seen, folded};
use super::standing::{PAST_RETENTION, execute, horizon, id, options, standing};
use super::things::told;

/// What is old at the end: positions 1 to 4.
pub fn old() -> Batch {
    told(
        "phone-1",
        &[
            ("MADE", "a", 30, json!({"name": "first name", "total": 1})),
            ("CHANGED", "a", 31, json!({"name": "last name", "total": 2})),
            ("MADE", "b", 32, json!({"name": "b"})),
            ("NAMED", "o", 33, json!({"name": "o"})),
        ],
    )
}

/// What is young: positions 5 and 6.
pub fn young() -> Batch {
    told(
        "phone-2",
        &[("CHANGED", "b", 40, json!({"name": "b again"})), ("CHANGED", "a", 41, json!({"total": 3}))],
    )
}

/// A world in which each of the spaces has both, folded.
pub async fn world_with(spaces: &[&str]) -> World {
    world_of(options(), spaces).await
}

/// The same with other options.
pub async fn world_of(options: WorldOptions<'_>, spaces: &[&str]) -> World {
    let (world, time) = standing(options).await;
    for space in spaces {
        world.push(space, &old()).await.expect_committed(Some((1, 4)));
    }
    time.advance(PAST_RETENTION);
    for space in spaces {
        world.push(space, &young()).await.expect_committed(Some((5, 6)));
        world.assert_read_model_is_right(space).await;
    }
    world
}

/// Rebuilds a space's read model, as the command does that doctor offers.
pub async fn rebuild(world: &World, space: &str) {
    let pool = database::connect(&world.config.section("database").unwrap(), "rebuild").unwrap();
    let measure = Measure { stored_bytes: 4 << 20, decoded_bytes: 32 << 20, entity_bytes: 32 << 20 };
    let mut rebuilder = Rebuilder::new(pool, measure, std::time::Duration::from_secs(20)).unwrap();
    let schema = Schema::parse(&std::fs::read_to_string(&world.schema_file).unwrap()).unwrap();
    rebuilder.rebuild(&id(space), &schema).await.unwrap();
}

/// The refusal that stands for a space, and when it was made.
async fn refusal(world: &World, space: &str) -> Option<(Value, i64)> {
    let row = "SELECT refusal, (extract(epoch FROM refused_at) * 1000)::bigint AS refused_ms FROM compactions
               WHERE space_id = $1 AND refusal IS NOT NULL";
    let row = sqlx::query(row).bind(space).fetch_optional(&world.pool).await.unwrap()?;
    Some((row.get("refusal"), row.get("refused_ms")))
}

/// Asserts that nothing of the spaces was pruned.
pub async fn assert_untouched(world: &World, spaces: &[&str]) {
    for space in spaces {
        assert_eq!(horizon(world, space).await, 0, "{space}");
        let pulled = world.pull_frames(space, "after=0").await;
        assert!(pulled.snapshot.is_none() && pulled.positions() == [1, 2, 3, 4, 5, 6], "{space}");
        let listed = sqlx::query_scalar("SELECT count(*) FROM archive WHERE space_id = $1").bind(space);
        let listed: i64 = listed.fetch_one(&world.pool).await.unwrap();
        assert_eq!(listed, 0, "{space}");
    }
}

/// A hand in the database, and what it is found out by: of the first difference type, entity, field, what is folded, what
/// is stored, and the deciding event's device, sequence and position.
struct Altered {
    space: &'static str,
    statements: &'static str,
    found: Value,
}

/// The clock of an event.
fn at(minute: u8, device: &str, sequence: u64) -> Value {
    json!([format!("2025-08-06T10:{minute}:00.000Z-{sequence:04X}"), device, sequence])
}

fn altered() -> Vec<Altered> {
    let altered = |space, statements, found| Altered { space, statements, found };
    let name = |name: &str, clock| json!({"latest": [name, clock]});
    let last_name = |stored: Value| {
        json!(["thing", "a", "name", name("last name", at(31, "phone-1", 2)), stored, ["phone-1", 2, 2]])
    };
    vec![
        altered(
            "value",
            "UPDATE entities SET clocks = replace(clocks, 'last name', 'lost name')",
            last_name(name("lost name", at(31, "phone-1", 2))),
        ),
        altered(
            "clock",
            "UPDATE entities SET clocks = replace(clocks, '10:31', '10:39')",
            last_name(name("last name", at(39, "phone-1", 2))),
        ),
        altered(
            "young",
            "UPDATE entities SET clocks = replace(clocks, 'b again', 'b never')",
            json!(["thing", "b", "name", name("b again", at(40, "phone-2", 1)), name("b never", at(40, "phone-2", 1)), ["phone-2", 1, 5]]),
        ),
        altered(
            "sum",
            "UPDATE entities SET clocks = replace(clocks, '{\"sum\":6}', '{\"sum\":7}')",
            json!(["thing", "a", "total", {"sum": 6}, {"sum": 7}, ["phone-2", 2, 6]]),
        ),
        altered(
            "missing",
            "DELETE FROM entities WHERE entity_id = 'o'",
            json!(["other", "o", "created", at(33, "phone-1", 4), null, null]),
        ),
        altered(
            "surplus",
            "INSERT INTO entities SELECT space_id, generation, entity_type, 'z', visible, view,
                                         replace(clocks, '\"o\"', '\"z\"'), 4 FROM entities WHERE entity_id = 'o'",
            json!(["other", "z", "created", null, at(33, "phone-1", 4), null]),
        ),
        altered("hash", "UPDATE projections SET state_hash = '{}'", Value::Null),
        altered(
            "view",
            "UPDATE entities SET view = jsonb_set(view, '{name}', '\"seen\"') WHERE entity_id = 'a'",
            json!(["thing", "a", "name", "last name", "seen", ["phone-1", 2, 2]]),
        ),
        altered(
            "hidden",
            "UPDATE entities SET visible = false WHERE entity_id = 'b'",
            json!(["thing", "b", "visible", true, false, null]),
        ),
    ]
}

/// What a difference says, as [`Altered::found`] has it.
fn summary(difference: &Value) -> Value {
    let event = &difference["event"];
    let named = json!([event["deviceId"], event["deviceSequence"], event["position"]]);
    let event = if event.is_null() { Value::Null } else { named };
    let of = |key: &str| difference[key].clone();
    json!([of("type"), of("entityId"), of("field"), of("folded"), of("stored"), event])
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_8_an_altered_read_model_is_refused_and_named_and_prunes_once_it_is_rebuilt() {
    let all = altered();
    let spaces: Vec<&str> = all.iter().map(|altered| altered.space).collect();
    let world = world_with(&[&spaces[..], &["sound"]].concat()).await;
    for Altered { space, statements, .. } in &all {
        let only = if statements.contains("WHERE") { "AND" } else { "WHERE" };
        execute(&world, format!("{statements} {only} space_id = '{space}'")).await;
    }
    let swept = world.compact().await;
    assert_eq!((swept.refused, swept.pruned, swept.failed), (all.len() as u64, 1, 0));
    assert_eq!(horizon(&world, "sound").await, 4, "who is sound is pruned");
    assert_untouched(&world, &spaces).await;
    assert_eq!(files(&world).len(), 1, "and archived");
    let doctor = world.compactor(|_| {});
    for Altered { space, found, .. } in &all {
        assert_is_found(&world, &doctor, space, found).await;
    }
    assert_eq!(refusal(&world, "sound").await, None);

    for space in &spaces {
        rebuild(&world, space).await;
    }
    assert_eq!(world.compact().await.pruned, all.len() as u64);
    for space in spaces {
        assert_eq!(refusal(&world, space).await, None, "{space}");
        Seen::of(&world, space).await.assert_same_pruned_through(&world, 4).await;
    }
}

/// Asserts that the refusal names the difference, and that an examination finds the same.
async fn assert_is_found(world: &World, doctor: &Compactor, space: &str, found: &Value) {
    let (refusal, refused_ms) = refusal(world, space).await.unwrap();
    assert_eq!(refused_ms, world.clock.now().0);
    assert_eq!(
        (&refusal["verdict"], &refusal["applied"]),
        (&json!("different"), &json!(6)),
        "{space}: {refusal}"
    );
    let differences = refusal["differences"].as_array().unwrap();
    assert_eq!(differences.first().map_or(Value::Null, summary), *found, "{space}: {refusal}");
    assert_eq!(refusal["entities"], u8::from(!found.is_null()), "{space}: {refusal}");
    let examined = doctor.examine(&id(space)).await.unwrap();
    assert!(matches!(examined, Verdict::Different { .. }), "{space}: {examined:?}");
    assert_eq!(json!(examined), refusal, "{space}");
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_8_a_row_that_was_altered_together_with_its_hash_is_refused() {
    let world = world_with(&["ann"]).await;
    let mut events = Seen::of(&world, "ann").await.events;
    events[1].2 = events[1].2.replace("last name", "lost name");
    let forged = folded(&world, &events).hash().clone();
    execute(
        &world,
        format!(
            "UPDATE entities SET clocks = replace(clocks, 'last name', 'lost name'),
                                 view = replace(view::text, 'last name', 'lost name')::jsonb;
             UPDATE projections SET state_hash = '{}'",
            json!(forged)
        ),
    )
    .await;
    // It agrees with itself: only the log knows better.
    let swept = world.compact().await;
    assert_eq!((swept.refused, swept.pruned), (1, 0));
    assert_untouched(&world, &["ann"]).await;
    let (refusal, _) = refusal(&world, "ann").await.unwrap();
    let difference = &refusal["differences"][0];
    assert_eq!((&difference["entityId"], &difference["field"]), (&json!("a"), &json!("name")), "{refusal}");
}
