//! Conditions, `where=field:op:value`: what a field is compared with, read once by the schema.

use serde_json::{Number, Value};
use tidelog_events::fold::{Scalar, key_of, key_of_sum};
use tidelog_events::limits::MAX_SAFE_INTEGER;
use tidelog_events::schema::{EntityType, Field, FieldType, MergeRule};
use tidelog_store::entities::conditions::{Comparison, ConditionColumns, Order};

/// Characters of a caller's text that a sentence repeats.
const ECHOED_CHARS_MAX: usize = 60;

const COMPARISONS: [(&str, Comparison); 7] = [
    ("eq", Comparison::Equal),
    ("ne", Comparison::NotEqual),
    ("lt", Comparison::Less),
    ("le", Comparison::LessOrEqual),
    ("gt", Comparison::Greater),
    ("ge", Comparison::GreaterOrEqual),
    ("has", Comparison::Has),
];

/// What must hold of an entity.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Condition {
    /// The field.
    pub(super) field: Box<str>,
    /// Whether the schema says that it is indexed.
    pub(super) indexed: bool,
    /// How it is compared.
    pub(super) comparison: Comparison,
    operand: Operand,
}

/// What a field is compared with.
#[derive(Debug, PartialEq, Eq)]
enum Operand {
    Value(Scalar),
    /// Greater than any [`Scalar`], perhaps.
    Sum(i128),
}

impl Condition {
    /// Reads `field:op:value`; the value may hold colons.
    ///
    /// # Errors
    /// A sentence that says what would be right.
    pub(super) fn parse(text: &str, entity_type: &str, entity: &EntityType) -> Result<Self, String> {
        let mut parts = text.splitn(3, ':');
        let (Some(name), Some(word), Some(value)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("a condition is `field:op:value`, such as `duration:ge:60`".to_owned());
        };
        let field = entity
            .field(name)
            .ok_or_else(|| format!("the entity type {entity_type} has no field `{}`", shortened(name)))?;
        let comparison = comparison(name, word, field)?;
        let operand = Operand::read(field, value)
            .ok_or_else(|| format!("`{name}` is compared with {}", comparable(field)))?;
        Ok(Self { field: name.into(), indexed: field.indexed, comparison, operand })
    }

    /// Adds it to those of a statement.
    pub(super) fn push_to<'c>(&'c self, columns: &mut ConditionColumns<'c>) {
        let (order, operand) = match &self.operand {
            Operand::Value(value @ Scalar::Number(_)) => (Order::Numbers, value.to_json()),
            Operand::Value(value) => (Order::Texts, value.to_json()),
            Operand::Sum(sum) => (Order::Numbers, Value::from(sum.to_string())),
        };
        columns.push(&self.field, self.comparison, order, operand);
    }

    /// The index key of what the field is compared with.
    pub(super) fn key(&self) -> Vec<u8> {
        match &self.operand {
            Operand::Value(value) => key_of(value),
            Operand::Sum(sum) => key_of_sum(*sum),
        }
    }
}

fn comparison(name: &str, word: &str, field: &Field) -> Result<Comparison, String> {
    let (_, comparison) = COMPARISONS.into_iter().find(|(known, _)| *known == word).ok_or_else(|| {
        format!("the operators are eq, ne, lt, le, gt, ge and has, not `{}`", shortened(word))
    })?;
    match (field.merge, comparison) {
        (MergeRule::Set { .. } | MergeRule::List { .. }, Comparison::Has) => Ok(comparison),
        (MergeRule::Set { .. } | MergeRule::List { .. }, _) => {
            Err(format!("`{name}` is a {}: its operator is has", field.merge.as_str()))
        }
        (_, Comparison::Has) => {
            Err(format!("has is for sets and lists; the operators of `{name}` are eq, ne, lt, le, gt and ge"))
        }
        _ => Ok(comparison),
    }
}

impl Operand {
    fn read(field: &Field, text: &str) -> Option<Self> {
        if field.merge == MergeRule::Sum {
            return text.parse().ok().map(Self::Sum);
        }
        let json = match field.field_type {
            FieldType::Integer | FieldType::Number => Value::Number(text.parse::<Number>().ok()?),
            FieldType::Boolean => Value::Bool(text.parse().ok()?),
            // No event has one in a text, and PostgreSQL cannot take it.
            FieldType::String if text.contains('\0') => return None,
            FieldType::String | FieldType::Stamp => Value::from(text),
        };
        Scalar::read(field.field_type, &json).map(Self::Value)
    }
}

/// What the field can be compared with, as the end of a sentence.
fn comparable(field: &Field) -> String {
    match (field.merge, field.field_type) {
        (MergeRule::Sum, _) => "a whole number that fits in 128 bits".to_owned(),
        (_, FieldType::Integer) => format!("a whole number within ±{MAX_SAFE_INTEGER}"),
        (_, FieldType::Number) => "a finite number, such as 5.25".to_owned(),
        (_, FieldType::Boolean) => "true or false".to_owned(),
        (_, FieldType::String) => "a text without U+0000".to_owned(),
        (_, FieldType::Stamp) => {
            "a stamp, such as 2025-08-06T10:30:00Z or 2025-08-06T10:30:00.000Z-0003".to_owned()
        }
    }
}

/// A caller's text, short enough for a sentence.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(ECHOED_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use tidelog_events::fold::Double;
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
      duration: { type: integer }
      pace: { type: number, merge: min }
      points: { type: integer, merge: sum }
      done: { type: boolean, merge: flag }
      at: { type: stamp, merge: first }
      tags: { type: string, merge: set }
      splits: { type: number, merge: list }
events: {}
";

    fn parse(text: &str) -> Result<Condition, String> {
        let schema = Schema::parse(SCHEMA).unwrap();
        Condition::parse(text, "workout", schema.entity("workout").unwrap())
    }

    #[test]
    fn a_condition_is_read_by_the_type_of_its_field() {
        let check = |text: &str, comparison: Comparison, operand: Operand| {
            let condition = parse(text).unwrap();
            assert_eq!((condition.comparison, condition.operand), (comparison, operand), "{text}");
        };
        let text = |value: &str| Operand::Value(Scalar::Text(value.into()));
        let number = |value: f64| Operand::Value(Scalar::Number(Double::new(value).unwrap()));
        let boolean = |value: bool| Operand::Value(Scalar::Boolean(value));
        check("name:eq:Run", Comparison::Equal, text("Run"));
        check("name:ne:", Comparison::NotEqual, text(""));
        check("name:lt:a:b::", Comparison::Less, text("a:b::"));
        check("name:ge: é\n", Comparison::GreaterOrEqual, text(" é\n"));
        check("duration:le:60", Comparison::LessOrEqual, number(60.0));
        check("duration:gt:-6e1", Comparison::Greater, number(-60.0));
        check("duration:eq:-0", Comparison::Equal, number(0.0));
        check("duration:eq:9007199254740991", Comparison::Equal, number(9_007_199_254_740_991.0));
        check("pace:eq:5.25", Comparison::Equal, number(5.25));
        check("pace:eq:1e300", Comparison::Equal, number(1e300));
        check("points:eq:-7", Comparison::Equal, Operand::Sum(-7));
        check(&format!("points:lt:{}", i128::MAX), Comparison::Less, Operand::Sum(i128::MAX));
        check("done:eq:true", Comparison::Equal, boolean(true));
        check("done:lt:false", Comparison::Less, boolean(false));
        check(
            "at:eq:2025-08-06T10:30:00.000Z-0003",
            Comparison::Equal,
            text("2025-08-06T10:30:00.000Z-0003"),
        );
        check(
            "at:ge:2025-08-06T10:30:00Z",
            Comparison::GreaterOrEqual,
            text("2025-08-06T10:30:00.000Z-0000"),
        );
        check("tags:has:a:b", Comparison::Has, text("a:b"));
        check("splits:has:1.0", Comparison::Has, number(1.0));
        assert!(parse("sport:eq:x").unwrap().indexed && !parse("name:eq:x").unwrap().indexed);
    }

    #[test]
    fn what_is_no_condition_is_refused_with_what_would_be_right() {
        let check = |text: &str, sentence: &str| {
            let found = parse(text).unwrap_err();
            assert!(found.contains(sentence), "{text:?}: {found}");
        };
        for text in ["", "name", "name:eq", ":"] {
            check(text, "`field:op:value`");
        }
        check("ghost:eq:1", "workout has no field `ghost`");
        check("::", "has no field ``");
        check(&format!("{}:eq:1", "x".repeat(500)), &format!("no field `{}`", "x".repeat(60)));
        check("name:like:x", "eq, ne, lt, le, gt, ge and has, not `like`");
        check("name:EQ:x", "not `EQ`");
        check("name::x", "not ``");
        check("name:has:x", "has is for sets and lists");
        check("points:has:1", "has is for sets and lists");
        check("tags:eq:x", "`tags` is a set: its operator is has");
        check("splits:gt:1", "`splits` is a list: its operator is has");
        for value in ["", "x", "1.5", "0x10", "01", " 1", "\"1\"", "true", "9007199254740992", "1e400"] {
            check(&format!("duration:eq:{value}"), "a whole number within ±9007199254740991");
        }
        for value in ["", "NaN", "Infinity", "1e400", "1,5", ".5", "1 "] {
            check(&format!("pace:eq:{value}"), "a finite number");
        }
        for value in ["", "1.0", "x", "170141183460469231731687303715884105728"] {
            check(&format!("points:eq:{value}"), "128 bits");
        }
        for value in ["", "1", "True", "yes", "\"true\""] {
            check(&format!("done:eq:{value}"), "true or false");
        }
        for value in ["", "2025-08-06", "2025-02-30T10:30:00Z", "1754476200000", "2025-08-06t10:30:00z"] {
            check(&format!("at:eq:{value}"), "a stamp, such as");
        }
        check("name:eq:a\0b", "a text without U+0000");
        check("splits:has:a", "a finite number");
    }
}
