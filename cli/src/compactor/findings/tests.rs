//! What the doctor says, word for word.

use tidelog_events::fold::StateHash;
use tidelog_events::id::{Epoch, SpaceId};
use tidelog_events::protocol::UtcTime;
use tidelog_events::schema::SchemaId;
use uuid::Uuid;

use super::*;

fn findings(horizon: u64, verdict: Value) -> Findings {
    let space = SpaceId::new("ann").unwrap();
    let (head, horizon) = (Position(1500), Position(horizon));
    let projection = Projection {
        space: space.clone(),
        generation: 1,
        applied: head,
        state_hash: StateHash::default(),
        schema: SchemaId { version: 3, fingerprint: "f".into() },
        mixed: false,
        head,
        horizon,
    };
    let log = Space { space, head, horizon, epoch: Epoch(Uuid::nil()) };
    let verdict = serde_json::from_value(verdict).unwrap();
    Findings { log, projection: Some(projection), refused_at: None, verdict }
}

/// With what the log says, what the read model has, and the event.
fn difference(field: &str, values: [Value; 3]) -> Value {
    let [folded, stored, event] = values;
    json!({"type": "workout", "entityId": "w-1", "field": field, "folded": folded, "stored": stored, "event": event})
}

fn event(position: Option<u64>) -> Value {
    let timestamp = "2025-08-06T10:30:00.000Z-0033";
    json!({"deviceId": "phone-1", "deviceSequence": 51, "timestamp": timestamp, "position": position})
}

#[test]
fn a_space_that_is_well_is_told_in_two_lines() {
    let found = findings(0, json!({"verdict": "equal", "applied": 1500, "entities": 120}));
    assert!(found.is_well());
    assert_eq!(
        found.to_string(),
        "ann: 1500 events, folded through position 1500 with schema version 3, none of them pruned\n\
         Compared with the log, through position 1500: all 120 entities and the state hash are equal.\n"
    );
}

#[test]
fn each_difference_names_entity_and_field_both_values_and_the_event() {
    let clock = |stamp: &str| json!([format!("2025-08-06T10:30:00.000Z-{stamp}"), "phone-1", 51]);
    let differences = [
        difference("laps", [json!({"sum": 4}), json!({"sum": 99}), event(Some(1203))]),
        difference("name", [json!({"latest": ["run", clock("0033")]}), Value::Null, event(None)]),
        difference("sport", [json!("running"), json!("rowing"), Value::Null]),
        difference("deleted", [Value::Null, clock("0033"), Value::Null]),
        difference(
            "notes",
            [
                json!({"list": [["windy", clock("0033")]]}),
                json!({"list": [["windy", clock("0034")]]}),
                event(Some(7)),
            ],
        ),
    ];
    let verdict = json!({"verdict": "different", "applied": 1500, "entities": 1, "differences": differences});
    let found = Findings { refused_at: Some(UtcTime(0)), ..findings(1000, verdict) };
    assert!(!found.is_well());
    let expected = r#"ann: 1500 events, folded through position 1500 with schema version 3, pruned through position 1000
The compactor has refused to prune it further, at last on 1970-01-01T00:00:00.000Z.
Compared with the snapshot through position 1000 and the log behind it, through position 1500: one entity differs.

  workout w-1, laps
    the log says        4
    the read model has  99
    the event           at position 1203: device phone-1, sequence 51, 2025-08-06T10:30:00.000Z-0033

  workout w-1, name
    the log says        "run"
    the read model has  nothing
    the event           is pruned, see `tidelog history`: device phone-1, sequence 51, 2025-08-06T10:30:00.000Z-0033

  workout w-1, sport
    the log says        "running"
    the read model has  "rowing"
    the event           is none that the log still has

  workout w-1, deleted
    the log says        nothing
    the read model has  2025-08-06T10:30:00.000Z-0033, device phone-1, sequence 51
    the event           is none that the log still has

  workout w-1, notes
    the log says        {"list":[["windy",["2025-08-06T10:30:00.000Z-0033","phone-1",51]]]}
    the read model has  {"list":[["windy",["2025-08-06T10:30:00.000Z-0034","phone-1",51]]]}
    the event           at position 7: device phone-1, sequence 51, 2025-08-06T10:30:00.000Z-0033

The log is what was recorded; the read model can be made again from it: --rebuild
The space is not pruned before that. What has written the wrong values is not known here: keep this.
"#;
    assert_eq!(found.to_string(), expected);
}

#[test]
fn what_cannot_be_compared_says_why() {
    let found =
        findings(0, json!({"verdict": "notComparable", "reason": "nothing of the space is folded yet"}));
    assert!(
        found.to_string().contains("It cannot be compared with the log: nothing of the space is folded yet.")
    );
    assert!(!found.is_well());
}

#[test]
fn a_rebuild_is_told_with_what_it_began_from_and_whether_it_helped() {
    let equal = json!({"verdict": "equal", "applied": 1500, "entities": 120});
    let hash = json!({"verdict": "different", "applied": 1500, "entities": 0, "differences": []});
    let check = |snapshot, verdict: &Value, expected: &str| {
        let rebuilt = Rebuilt { applied: Some(Position(1500)), snapshot: Position(snapshot) };
        let treated = Treated { rebuilt, verdict: serde_json::from_value(verdict.clone()).unwrap() };
        assert_eq!(treated.to_string(), expected);
        let found = findings(snapshot, hash.clone()).json(Some(&treated));
        assert_eq!((&found["found"], &found["rebuilt"]["found"]), (&hash, verdict));
        assert_eq!(found["rebuilt"]["snapshot"], snapshot);
    };
    check(
        1000,
        &equal,
        "\nRebuilt from the snapshot through position 1000 and the log behind it, through position 1500.\n\
         Compared with that, through position 1500: all 120 entities and the state hash are equal.\n",
    );
    check(
        0,
        &hash,
        "\nRebuilt from the log, through position 1500.\n\
         Compared with that, through position 1500: the entities are equal, and the state hash is not theirs.\n\n\
         What is rebuilt differs, too. That is a defect of Tidelog: please report it.\n",
    );
}
