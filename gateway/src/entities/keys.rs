//! By which keys of indexed fields a list is found: those of the condition that promises the fewest entities.

use tidelog_events::fold::MAX_KEY_BYTES;
use tidelog_store::entities::conditions::Comparison;
use tidelog_store::entities::visible::KeyRange;

use super::condition::Condition;

/// The keys among which every entity has one for which all conditions hold; none if no condition is about an indexed
/// field. Keys are cut, so that the ends belong to it, and the conditions must be looked at again.
pub(super) fn narrowest(conditions: &[Condition]) -> Option<KeyRange> {
    let mut ranges: Vec<KeyRange> = Vec::new();
    for condition in conditions {
        let Some(range) = range(condition) else { continue };
        match ranges.iter_mut().find(|present| present.field == range.field) {
            // An entity has one key of a field, which must lie in both. Of a set or list it has several.
            Some(present) if condition.comparison != Comparison::Has => {
                present.least = range.least.max(std::mem::take(&mut present.least));
                present.greatest = range.greatest.min(std::mem::take(&mut present.greatest));
            }
            _ => ranges.push(range),
        }
    }
    ranges.into_iter().min_by_key(width)
}

fn range(condition: &Condition) -> Option<KeyRange> {
    if !condition.indexed {
        return None;
    }
    let (least, greatest) = match condition.comparison {
        Comparison::Equal | Comparison::Has => (condition.key(), condition.key()),
        Comparison::Less | Comparison::LessOrEqual => (Vec::new(), condition.key()),
        Comparison::Greater | Comparison::GreaterOrEqual => (condition.key(), beyond_all_keys()),
        Comparison::NotEqual => return None,
    };
    Some(KeyRange { field: condition.field.clone(), least, greatest })
}

fn beyond_all_keys() -> Vec<u8> {
    vec![u8::MAX; MAX_KEY_BYTES + 1]
}

/// A rough order: a single key first, then a range between two, then one that is open on one side.
fn width(range: &KeyRange) -> usize {
    if range.least >= range.greatest {
        0
    } else {
        1 + usize::from(range.least.is_empty() || range.greatest == beyond_all_keys())
    }
}

#[cfg(test)]
mod tests {
    use tidelog_events::fold::{Double, Scalar, key_of, key_of_sum};
    use tidelog_events::schema::Schema;

    use super::*;

    const SCHEMA: &str = "
name: test
version: 1
entities:
  workout:
    fields:
      name: { type: string }
      sport: { type: string, indexed: true }
      duration: { type: integer, indexed: true }
      points: { type: integer, merge: sum, indexed: true }
      tags: { type: string, merge: set, indexed: true }
events: {}
";

    fn found(conditions: &[&str]) -> Option<(String, Vec<u8>, Vec<u8>)> {
        let schema = Schema::parse(SCHEMA).unwrap();
        let parse =
            |text: &&str| Condition::parse(text, "workout", schema.entity("workout").unwrap()).unwrap();
        let range = narrowest(&conditions.iter().map(parse).collect::<Vec<_>>())?;
        Some((range.field.to_string(), range.least, range.greatest))
    }

    fn number(value: f64) -> Vec<u8> {
        key_of(&Scalar::Number(Double::new(value).unwrap()))
    }

    #[test]
    fn the_condition_that_promises_the_fewest_entities_is_looked_up() {
        let check = |conditions: &[&str], field: &str, least: Vec<u8>, greatest: Vec<u8>| {
            let expect = (field.to_owned(), least, greatest);
            assert_eq!(found(conditions), Some(expect), "{conditions:?}");
        };
        let text = |text: &str| text.as_bytes().to_vec();
        check(&["sport:eq:run"], "sport", text("run"), text("run"));
        check(&["sport:eq:"], "sport", text(""), text(""));
        check(&["sport:lt:run"], "sport", text(""), text("run"));
        check(&["duration:ge:60"], "duration", number(60.0), beyond_all_keys());
        check(&["points:eq:-7"], "points", key_of_sum(-7), key_of_sum(-7));
        check(&["duration:ge:60", "sport:eq:run"], "sport", text("run"), text("run"));
        check(&["duration:ge:60", "tags:has:a"], "tags", text("a"), text("a"));
        check(&["sport:gt:a", "duration:ge:60", "duration:lt:90"], "duration", number(60.0), number(90.0));
        check(&["tags:has:a", "tags:has:b"], "tags", text("a"), text("a"));
        check(
            &["duration:ge:60", "duration:ge:70", "duration:gt:65"],
            "duration",
            number(70.0),
            beyond_all_keys(),
        );
        // Nothing lies between them, and so nothing is found.
        check(&["sport:eq:b", "sport:eq:a"], "sport", text("b"), text("a"));
        let long = "x".repeat(1000);
        check(&[&format!("sport:gt:{long}")], "sport", text(&long[..MAX_KEY_BYTES]), beyond_all_keys());
    }

    #[test]
    fn without_a_condition_on_an_indexed_field_nothing_is_looked_up() {
        for conditions in [&[][..], &["name:eq:x"], &["sport:ne:run"], &["sport:ne:run", "name:ge:a"]] {
            assert_eq!(found(conditions), None, "{conditions:?}");
        }
    }

    #[test]
    fn an_open_range_ends_beyond_every_key() {
        let greatest = [
            key_of(&Scalar::Text("\u{10ffff}".repeat(1000).into())),
            number(f64::MAX),
            key_of_sum(i128::MAX),
            key_of(&Scalar::Boolean(true)),
        ];
        assert!(greatest.iter().all(|key| *key < beyond_all_keys()));
    }
}
