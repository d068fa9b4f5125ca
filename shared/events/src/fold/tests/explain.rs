//! An explanation says what the fold does, whatever the order in which it learns of the events.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::fold::explain::{Explanation, FieldExplanation, Witness, Written, meaning};
use crate::fold::{Clock, FieldState, Scalar};
use crate::id::{EventId, Position, UserId};
use crate::protocol::UtcTime;
use crate::schema::MergeRule;

/// More than any of these events.
const ALL: usize = 1000;
const ENTITY: &str = "e-1";

/// The changes of one entity.
fn changes<'s>(events: &[Recorded], schema: &'s Schema) -> Vec<Change<'s>> {
    let read = events.iter().filter_map(|(device, line)| Change::read(line, device, schema).ok());
    read.filter(|change| change.entity.entity_id.as_str() == ENTITY).collect()
}

/// Sequences number the events of all devices, so they name them.
fn witness(change: &Change<'_>) -> Witness {
    Witness {
        position: Position(change.at.sequence.0),
        event_id: EventId(uuid::Uuid::from_u128(change.at.sequence.0.into())),
        event_type: "ANY".into(),
        user: UserId::new("ann").unwrap(),
        received_at: UtcTime(0),
    }
}

fn explain(events: &[Recorded], schema: &Schema, listed: usize) -> Explanation {
    let mut explanation = Explanation::new(listed);
    for change in changes(events, schema) {
        let witness = witness(&change);
        explanation.take(change, witness);
    }
    explanation
}

/// All that it says, as text.
fn told(explanation: &Explanation) -> String {
    let fields = explanation.fields().map(|(name, state, field)| {
        let others: Vec<_> = field.others().map(|lost| (field.why(&lost), lost)).collect();
        let held: Vec<_> = field.held().collect();
        let rule = meaning(field.rule());
        format!("{name} {rule} {state:?} {held:?} {others:?} {}", field.more_others())
    });
    let whole = (explanation.entity(), explanation.created(), explanation.deleted());
    format!("{whole:?} {}", fields.collect::<Vec<_>>().join("\n"))
}

fn all_of(field: &FieldExplanation) -> Vec<Written> {
    field.held().cloned().chain(field.others()).collect()
}

/// That the writes that are said to be held are what the state consists of.
fn check_held(state: &FieldState, field: &FieldExplanation) -> Result<(), TestCaseError> {
    let held: Vec<&Written> = field.held().collect();
    let everything = all_of(field);
    // By no clock, but the first event that wrote what the state shows.
    let first_of = |value: &Scalar| {
        let same = everything.iter().filter(|written| written.value.as_ref() == Some(value));
        same.map(|written| &written.at).min()
    };
    let winner = field.winner().map(|winner| (winner.value.as_ref(), &winner.at));
    match state {
        FieldState::Latest(value, at) | FieldState::First(value, at) => {
            prop_assert_eq!(winner, Some((Some(value), at)));
            let clocks = everything.iter().map(|written| &written.at);
            let extreme = if matches!(state, FieldState::Latest(..)) { clocks.max() } else { clocks.min() };
            prop_assert_eq!(extreme, Some(at));
        }
        FieldState::Max(value) | FieldState::Min(value) => {
            prop_assert_eq!(winner.and_then(|(value, _)| value), Some(value));
            prop_assert_eq!(winner.map(|(_, at)| at), first_of(value));
        }
        FieldState::Flag(flag) => {
            let value = Scalar::Boolean(*flag);
            prop_assert_eq!(winner.and_then(|(value, _)| value), Some(&value));
            prop_assert_eq!(winner.map(|(_, at)| at), first_of(&value));
        }
        FieldState::Sum(sum) => {
            prop_assert!(held.is_empty());
            let values = everything.iter().map(|written| match &written.value {
                Some(Scalar::Number(number)) => i128::from(number.whole().unwrap()),
                other => panic!("{other:?} is summed"),
            });
            prop_assert_eq!(values.sum::<i128>(), *sum);
        }
        FieldState::Set(members) => {
            let named: BTreeMap<_, _> = held
                .iter()
                .map(|written| {
                    (written.value.clone().unwrap(), (written.at.clone(), written.present.unwrap()))
                })
                .collect();
            let expected: BTreeMap<_, _> = members
                .iter()
                .map(|(value, member)| (value.clone(), (member.at.clone(), member.present)))
                .collect();
            prop_assert_eq!(named, expected);
        }
        FieldState::List(elements) => {
            let named: BTreeMap<Clock, Scalar> =
                held.iter().map(|written| (written.at.clone(), written.value.clone().unwrap())).collect();
            prop_assert_eq!(&named, elements);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn an_explanation_does_not_depend_on_the_order_of_events(
        (events, shuffled) in events().prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle())),
        listed in 0..4_usize,
    ) {
        let schema = Schema::parse(SCHEMA).unwrap();
        for listed in [listed, ALL] {
            let (one, other) = (explain(&events, &schema, listed), explain(&shuffled, &schema, listed));
            prop_assert_eq!(told(&one), told(&other));
        }
    }

    #[test]
    fn an_explanation_has_the_folds_values_and_names_the_events_that_these_come_from(events in events()) {
        let schema = Schema::parse(SCHEMA).unwrap();
        let state = fold(&events, &schema);
        let folded = state.entities().iter().find(|(key, _)| key.entity_id.as_str() == ENTITY);
        let folded = folded.map(|(_, entity)| entity.clone()).unwrap_or_default();
        let explanation = explain(&events, &schema, ALL);
        prop_assert_eq!(explanation.entity(), &folded);
        prop_assert_eq!(explanation.fields().count(), folded.fields().len());
        for (_, state, field) in explanation.fields() {
            prop_assert!(state.is_of(field.rule()));
            check_held(state, field)?;
        }
        prop_assert_eq!(explanation.created().map(|written| &written.at), folded.created.as_ref());
        prop_assert_eq!(explanation.deleted().map(|written| &written.at), folded.deleted.as_ref());
    }

    #[test]
    fn winners_and_losers_together_are_the_events_that_touch_the_field(events in events()) {
        let schema = Schema::parse(SCHEMA).unwrap();
        let mut touched: BTreeMap<String, BTreeSet<Clock>> = BTreeMap::new();
        for change in changes(&events, &schema) {
            for field in change.fields() {
                touched.entry(field.to_owned()).or_default().insert(change.at.clone());
            }
        }
        let explanation = explain(&events, &schema, ALL);
        let named: BTreeMap<String, BTreeSet<Clock>> = explanation
            .fields()
            .map(|(name, _, field)| (name.to_owned(), all_of(field).into_iter().map(|w| w.at).collect()))
            .collect();
        prop_assert_eq!(named, touched);
        for (name, _, field) in explanation.fields() {
            let units: BTreeSet<_> =
                all_of(field).into_iter().map(|written| (written.at, written.value, written.present)).collect();
            prop_assert_eq!(units.len(), all_of(field).len(), "{} names nothing twice", name);
            for written in all_of(field) {
                prop_assert_eq!(written.witness.position.0, written.at.sequence.0, "each with its own witness");
            }
        }
    }

    #[test]
    fn of_many_losers_the_latest_are_listed_and_the_others_counted(events in events(), listed in 0..4_usize) {
        let schema = Schema::parse(SCHEMA).unwrap();
        let (few, all) = (explain(&events, &schema, listed), explain(&events, &schema, ALL));
        for ((_, _, few), (_, _, all)) in few.fields().zip(all.fields()) {
            let mut expected: Vec<Written> = all.others().collect();
            prop_assert!(expected.windows(2).all(|pair| pair[0].at >= pair[1].at), "the latest first");
            let total = expected.len() as u64;
            expected.truncate(listed);
            prop_assert_eq!(few.others().collect::<Vec<_>>(), expected);
            prop_assert_eq!(few.more_others() + few.others().count() as u64, total);
            prop_assert_eq!(few.held().collect::<Vec<_>>(), all.held().collect::<Vec<_>>());
        }
    }
}

/// Events of one entity: device, sequence, second and counter of the stamp, payload.
fn explained(events: &[(&str, u64, &str, Value)]) -> Explanation {
    let schema = Schema::parse(SCHEMA).unwrap();
    let line = |(device, sequence, stamp, payload): &(&str, u64, &str, Value)| {
        let line = json!({
            "eventId": "0198f2a4-0000-7000-8000-000000000001",
            "deviceSequence": sequence,
            "type": "WRITTEN",
            "entityId": ENTITY,
            "timestamp": format!("2025-08-06T10:30:0{stamp}"),
            "payload": payload,
        });
        (Arc::new(DeviceId::new(*device).unwrap()), line.to_string())
    };
    explain(&events.iter().map(line).collect::<Vec<_>>(), &schema, ALL)
}

/// Why each event lost that did, by sequence, in the only field that there is.
fn reasons(events: &[(&str, u64, &str, Value)]) -> Vec<(u64, String)> {
    let explanation = explained(events);
    let (_, _, field) = explanation.fields().next().unwrap();
    field.others().map(|lost| (lost.at.sequence.0, field.why(&lost))).collect()
}

#[test]
fn a_loser_is_told_by_what_it_lost() {
    const ZERO: &str = "0.000Z-0000";
    const ONE: &str = "1.000Z-0000";
    let check = |events: &[(&str, u64, &str, Value)], expect: &[(u64, &str)]| {
        let reasons = reasons(events);
        assert_eq!(reasons.len(), expect.len(), "{reasons:?}");
        for ((sequence, why), (expected, part)) in reasons.iter().zip(expect) {
            assert!(sequence == expected && why.contains(part), "{sequence}: {why}, not {part}");
        }
    };
    let set = |field: &str, value: Value| Value::from_iter([(field, value)]);
    let latest = |text: &str| set("latest", json!(text));
    check(
        &[("a", 1, ZERO, latest("x")), ("a", 2, ONE, latest("y"))],
        &[(1, "is earlier than the winner's, 2025-08-06T10:30:01")],
    );
    check(&[("b", 1, ONE, latest("x")), ("a", 2, ONE, latest("y"))], &[(2, "orders before")]);
    check(&[("a", 1, ONE, latest("x")), ("a", 2, ONE, latest("y"))], &[(1, "a lower sequence")]);
    let first = |value: u64| set("first", json!(value));
    check(&[("a", 1, ZERO, first(1)), ("a", 2, ONE, first(2))], &[(2, "is later than the winner's")]);
    check(&[("a", 1, ZERO, first(1)), ("b", 1, ZERO, first(2))], &[(1, "orders behind")]);
    check(&[("a", 1, ZERO, first(1)), ("a", 2, ZERO, first(2))], &[(2, "a higher sequence")]);
    let max = |value: f64| set("max", json!(value));
    check(
        &[("a", 1, ZERO, max(7.0)), ("b", 2, ZERO, max(7.0)), ("c", 3, ONE, max(-1.0))],
        &[(3, "less than"), (2, "had already")],
    );
    let flag = |value: bool| set("flag", json!(value));
    check(&[("a", 1, ZERO, flag(false)), ("b", 2, ONE, flag(true))], &[(1, "one true is enough")]);
    check(&[("a", 1, ZERO, flag(false)), ("b", 2, ONE, flag(false))], &[(2, "had already")]);
    let tags = |add: &[&str], remove: &[&str]| set("set", json!({"add": add, "remove": remove}));
    check(&[("a", 1, ZERO, tags(&["x"], &["x"]))], &[(1, "adding wins over removing")]);
    check(&[("a", 1, ZERO, tags(&["x"], &[])), ("b", 2, ONE, tags(&[], &["x"]))], &[(1, "earlier than")]);
    check(&[("a", 1, ZERO, tags(&[], &[]))], &[(1, "neither adds nor removes")]);
    check(
        &[("a", 1, ZERO, tags(&["x"], &[])), ("b", 2, ONE, tags(&["1", "2", "3"], &[]))],
        &[(1, "not among the 3 latest")],
    );
    let entry = |value: u64| set("list", json!(value));
    check(
        &[
            ("a", 1, ZERO, entry(1)),
            ("b", 2, ONE, entry(2)),
            ("b", 3, ONE, entry(3)),
            ("b", 4, ONE, entry(4)),
        ],
        &[(1, "not among the 3 latest entries")],
    );
    let summand = |value: u64| set("sum", json!(value));
    check(&[("a", 1, ZERO, summand(1))], &[(1, "every write counts")]);
}

#[test]
fn every_rule_has_a_meaning_of_its_own() {
    let keep = std::num::NonZeroU32::new(7).unwrap();
    let names = ["latest", "first", "max", "min", "sum", "set", "flag", "list"];
    let rules = names.map(|name| MergeRule::from_text(name, keep).unwrap());
    let meanings: BTreeSet<String> = rules.into_iter().map(meaning).collect();
    assert_eq!(meanings.len(), names.len());
}
