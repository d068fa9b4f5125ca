//! The schema from outside: what is refused and where, what a payload may hold, what may follow what.

use super::*;

mod compatibility;
mod payloads;
mod problems;

/// The example of the design, section 6.
const FITNESS: &str = "
name: fitness
version: 3
entities:
  workout:
    fields:
      name:        { type: string }
      duration:    { type: integer, unit: s }
      laps:        { type: integer, merge: sum }
      bestPace:    { type: number,  merge: min }
      tags:        { type: string,  merge: set }
      completed:   { type: boolean, merge: flag }
      notes:       { type: string,  merge: list, keep: 200 }
      createdAt:   { type: stamp,   merge: first }
events:
  WORKOUT_CREATED:          { entity: workout, creates: true, payload: { name: required, tags: optional }, sets: { createdAt: $timestamp } }
  WORKOUT_DURATION_UPDATED: { entity: workout, payload: { duration: required } }
  LAP_RECORDED:             { entity: workout, payload: { laps: required } }
  WORKOUT_COMPLETED:        { entity: workout, sets: { completed: true } }
  WORKOUT_DELETED:          { entity: workout, deletes: true }
";

/// The example with each `from` replaced, which must be there.
fn fitness_with(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(FITNESS.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from:?} is not in the example");
        text.replace(from, to)
    })
}

#[test]
fn schemas_have_the_same_id_if_they_mean_the_same() {
    let id = |changes: &[(&str, &str)]| Schema::parse(&fitness_with(changes)).unwrap().id();
    let example = id(&[]);
    assert_eq!(example, id(&[("merge: sum }", "merge: sum, indexed: false } # counts laps")]));
    assert_eq!((example.version, example.fingerprint.len()), (3, 16));
    let indexed = id(&[("merge: sum }", "merge: sum, indexed: true }")]);
    assert_eq!(indexed.version, 3);
    assert_ne!(indexed.fingerprint, example.fingerprint);
    assert_ne!(id(&[("version: 3", "version: 4")]), example);
}

#[test]
fn the_example_of_the_design_is_a_schema() {
    let schema = Schema::parse(FITNESS).unwrap();
    assert_eq!((schema.name(), schema.version()), ("fitness", 3));
    assert_eq!(schema.entity_of("LAP_RECORDED"), Some("workout"));
    assert_eq!(schema.entity_of("UNHEARD_OF"), None);
    let field = |name| schema.entity("workout").unwrap().field(name).unwrap();
    assert_eq!(field("name").merge, MergeRule::Latest);
    assert_eq!(field("duration").unit.as_deref(), Some("s"));
    assert_eq!(field("tags").merge, MergeRule::Set { keep: DEFAULT_KEEP });
    assert_eq!(field("notes").merge.keep().unwrap().get(), 200);
    let created = schema.event("WORKOUT_CREATED").unwrap();
    assert!(created.creates() && !created.deletes());
    assert_eq!(created.sets().get("createdAt"), Some(&SetValue::Timestamp));
    assert_eq!(created.payload().get("tags"), Some(&Presence::Optional));
    let completed = schema.event("WORKOUT_COMPLETED").unwrap();
    assert_eq!(completed.sets().get("completed"), Some(&SetValue::Literal(true.into())));
}

#[test]
fn a_schema_comes_back_from_its_json() {
    let example = include_str!("../../../../../config/fitness.yaml");
    for text in [FITNESS, example] {
        let document = Schema::parse(text).unwrap().to_json();
        for json in [document.to_string(), serde_json::to_string_pretty(&document).unwrap()] {
            assert_eq!(Schema::parse(&json).unwrap().to_json(), document);
            let tabs_and_dos_lines = json.replace("  ", "\t").replace('\n', "\r\n");
            assert_eq!(Schema::parse(&tabs_and_dos_lines).unwrap().to_json(), document);
        }
    }
}

#[test]
fn json_texts_mean_in_a_schema_what_they_mean_in_json() {
    let text = r#"{"name":"a","version":1,"entities":{"e":{"fields":{"f":{"type":"string","unit":"\u00e9\/\ud83d\ude00\n\"\\"}}}},
        "events":{"E":{"entity":"e","sets":{"f":"yes"}}}}"#;
    let schema = Schema::parse(text).unwrap();
    let field = schema.entity("e").unwrap().field("f").unwrap();
    assert_eq!(field.unit.as_deref(), Some("é/😀\n\"\\"));
    assert_eq!(schema.event("E").unwrap().sets().get("f"), Some(&SetValue::Literal("yes".into())));
}

#[test]
fn defaults_are_written_out_in_the_normal_form() {
    let text = "{name: a, version: 1, entities: {e: {fields: {f: {type: string}, s: {type: string, merge: set}}}}, events: {E: {entity: e}}}";
    let expect = serde_json::json!({
        "name": "a",
        "version": 1,
        "entities": { "e": { "fields": {
            "f": { "type": "string", "merge": "latest", "indexed": false },
            "s": { "type": "string", "merge": "set", "keep": 1000, "indexed": false },
        } } },
        "events": { "E": { "entity": "e", "creates": false, "deletes": false, "payload": {}, "sets": {} } },
    });
    assert_eq!(Schema::parse(text).unwrap().to_json(), expect);
}

#[test]
fn a_big_schema_in_json_is_read() {
    let event = |number: usize| format!(r#""EVENT_{number}":{{"entity":"e","payload":{{"f":"required"}}}}"#);
    let events = (0..5000).map(event).collect::<Vec<_>>().join(",");
    let entities = r#"{"e":{"fields":{"f":{"type":"string"}}}}"#;
    let text = format!(r#"{{"name":"big","version":1,"entities":{entities},"events":{{{events}}}}}"#);
    assert_eq!(Schema::parse(&text).unwrap().events().len(), 5000);
}
