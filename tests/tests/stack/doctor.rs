//! Why a space is not pruned, and what helps, as operators ask: by `tidelog compactor`.

use std::process::Output;

use serde_json::Value;
use sqlx::PgPool;

use super::harness::Stack;

/// Everything is old enough to be pruned.
const EVERYTHING_GOES: [(&str, &str); 4] = [
    ("TIDELOG__RETENTION__EVENTS_DAYS", "0"),
    ("TIDELOG__RETENTION__KEEP_EVENTS", "10"),
    ("TIDELOG__RETENTION__PRUNE_EVENTS", "1"),
    ("TIDELOG__RETENTION__PATIENCE_DAYS", "0"),
];

struct Told {
    fine: bool,
    out: String,
    err: String,
}

/// What `tidelog` says to that.
async fn told(stack: &Stack, arguments: &[&str]) -> Told {
    let Output { status, stdout, stderr } = stack.tidelog_with(arguments, &EVERYTHING_GOES).await;
    let [out, err] = [stdout, stderr].map(|text| String::from_utf8(text).unwrap());
    Told { fine: status.success(), out, err }
}

/// Alters what readers get of one entity of `user-1`; returns its id.
async fn alter(stack: &Stack) -> String {
    let pool = PgPool::connect(stack.facts()["databaseUrl"].as_str().unwrap()).await.unwrap();
    let altered = "UPDATE entities SET view = jsonb_set(view, '{duration}', '99999')
                   WHERE (space_id, generation, entity_type, entity_id) IN (
                       SELECT space_id, generation, entity_type, entity_id
                       FROM entities JOIN projections USING (space_id, generation)
                       WHERE space_id = 'user-1' AND visible AND view ? 'duration' LIMIT 1
                   ) RETURNING entity_id";
    sqlx::query_scalar(altered).fetch_one(&pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_8_what_is_altered_is_named_and_not_pruned_before_it_is_rebuilt() {
    let stack = Stack::start(&["--compactors", "0"]).await;
    stack.replay(&[]).await;
    stack.verify_entities_from_outside().await;
    let well = told(&stack, &["compactor", "doctor", "user-1"]).await;
    assert!(well.fine && well.out.contains("and the state hash are equal"), "{}{}", well.out, well.err);

    let entity = alter(&stack).await;
    let refused = told(&stack, &["compactor", "run", "user-1"]).await;
    assert!(!refused.fine && refused.out.contains("ask `tidelog compactor doctor`"), "{}", refused.out);
    let ill = told(&stack, &["compactor", "doctor", "user-1"]).await;
    assert!(
        !ill.fine && ill.err.contains("the read model of user-1 is not what its log says"),
        "{}",
        ill.err
    );
    for what in [
        entity.as_str(),
        "The compactor has refused",
        ", duration",
        "the read model has  99999",
        "at position ",
        "--rebuild",
    ] {
        assert!(ill.out.contains(what), "{what}: {}", ill.out);
    }
    let rebuilt = told(&stack, &["compactor", "doctor", "user-1", "--rebuild"]).await;
    assert!(rebuilt.fine && rebuilt.out.contains("Rebuilt from the log"), "{}{}", rebuilt.out, rebuilt.err);
    assert!(rebuilt.out.ends_with("and the state hash are equal.\n"), "{}", rebuilt.out);
    stack.verify_entities_from_outside().await;

    let planned = told(&stack, &["compactor", "run", "--dry-run"]).await;
    assert!(planned.fine && planned.out.contains("user-1: ") && planned.out.contains("prune through"));
    let pruned = told(&stack, &["compactor", "run"]).await;
    assert!(pruned.fine && pruned.out.contains("pruned through"), "{}{}", pruned.out, pruned.err);
    assert!(pruned.out.contains(", 4 spaces pruned"), "{}", pruned.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pruned_space_is_rebuilt_from_its_snapshot_by_doctor_and_by_command() {
    let stack = Stack::start(&["--compactors", "0"]).await;
    stack.replay(&[]).await;
    stack.verify_entities_from_outside().await;
    assert!(told(&stack, &["compactor", "run"]).await.fine);
    alter(&stack).await;

    let ill = told(&stack, &["compactor", "doctor", "user-1", "--json"]).await;
    let found: Value = serde_json::from_str(&ill.out).unwrap();
    assert!(!ill.fine && found["rebuilt"].is_null());
    assert_eq!((&found["found"]["verdict"], &found["found"]["entities"]), (&"different".into(), &1.into()));
    assert_eq!(found["found"]["differences"][0]["stored"], 99999);
    let treated = told(&stack, &["compactor", "doctor", "user-1", "--rebuild", "--json"]).await;
    let treated_so: Value = serde_json::from_str(&treated.out).unwrap();
    assert!(treated.fine, "{}", treated.err);
    assert_eq!(treated_so["rebuilt"]["snapshot"], found["horizon"]);
    assert_eq!(treated_so["rebuilt"]["found"]["verdict"], "equal");
    stack.verify_entities_from_outside().await;

    let rebuilt = told(&stack, &["projector", "rebuild", "user-1"]).await;
    let from = format!("behind the snapshot through {} with schema version 3", found["horizon"]);
    assert!(rebuilt.fine && rebuilt.out.contains(&from), "{}", rebuilt.out);
    stack.verify_entities_from_outside().await;
    let nobody = told(&stack, &["compactor", "doctor", "nobody"]).await;
    assert!(!nobody.fine && nobody.err.contains("there is no space nobody"), "{}", nobody.err);
}
