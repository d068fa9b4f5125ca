//! A field in Rust: what it is called, which type it has in an entity and in an event, and what its docs say.

use tidelog_events::schema::{EntityType, Field, FieldName, FieldType, MergeRule};

use super::layout::broken;
use super::name::{Names, escaped, snake_case};

/// A field of an entity type.
pub(super) struct RustField<'a> {
    /// Its name in the schema.
    pub(super) name: &'a str,
    /// Its name in Rust, escaped.
    pub(super) identifier: String,
    field: &'a Field,
}

impl<'a> RustField<'a> {
    /// The fields of an entity type; none is called like the entity's own id.
    pub(super) fn all(entity: &'a EntityType) -> Vec<Self> {
        let mut names = Names::without(&["entity_id"]);
        let of = |(name, field): (&'a FieldName, &'a Field)| {
            let identifier = escaped(&names.claim(snake_case(name.as_str()), "_field"));
            Self { name: name.as_str(), identifier, field }
        };
        entity.fields().iter().map(of).collect()
    }

    /// Whether it holds `f64`, which knows no full equality and no order.
    pub(super) fn is_float(&self) -> bool {
        self.field.field_type == FieldType::Number
    }

    /// Whether it holds texts, which are easier to pass as anything that is one.
    pub(super) fn is_plain_text(&self) -> bool {
        self.written_type() == "String"
    }

    fn value_type(&self) -> &'static str {
        match self.field.field_type {
            FieldType::String => "String",
            FieldType::Integer => "i64",
            FieldType::Number => "f64",
            FieldType::Boolean => "bool",
            FieldType::Stamp => "Stamp",
        }
    }

    /// Its type in an entity.
    pub(super) fn shown_type(&self) -> String {
        let value = self.value_type();
        match self.field.merge {
            MergeRule::Latest | MergeRule::First | MergeRule::Max | MergeRule::Min => {
                format!("Option<{value}>")
            }
            MergeRule::Sum => "i128".to_owned(),
            MergeRule::Flag => "bool".to_owned(),
            MergeRule::Set { .. } if !self.is_float() => format!("BTreeSet<{value}>"),
            MergeRule::Set { .. } | MergeRule::List { .. } => format!("Vec<{value}>"),
        }
    }

    /// Its line in a struct, with docs.
    pub(super) fn declaration(&self, doc: &str, rust_type: &str) -> String {
        let line = broken(4, &format!("pub {}:", self.identifier), " ", &format!("{rust_type},"), 0);
        format!("    /// {doc}\n{line}")
    }

    /// The call that reads it from a view's fields.
    pub(super) fn reading(&self) -> String {
        let method = if self.field.merge == MergeRule::Sum { "sum" } else { "read" };
        format!(".{method}(\"{}\")?", self.name)
    }

    /// What an entity's field shows.
    pub(super) fn shown_doc(&self) -> String {
        let sentence = match self.field.merge {
            MergeRule::Latest => "the latest write".to_owned(),
            MergeRule::First => "the first write".to_owned(),
            MergeRule::Max => "the greatest value".to_owned(),
            MergeRule::Min => "the least value".to_owned(),
            MergeRule::Sum => "the sum of all writes".to_owned(),
            MergeRule::Flag => "true once anything wrote true".to_owned(),
            MergeRule::Set { .. } if self.is_float() => "a set, in ascending order".to_owned(),
            MergeRule::Set { .. } => "a set".to_owned(),
            MergeRule::List { keep } => format!("the writes in event order, at most the latest {keep}"),
        };
        format!("`{}`: {sentence}{}.", self.name, self.unit())
    }

    /// Its type in an event that must carry it.
    pub(super) fn written_type(&self) -> String {
        let value = self.value_type();
        match self.field.merge {
            MergeRule::Set { .. } => format!("SetChange<{value}>"),
            _ => value.to_owned(),
        }
    }

    /// What an event writes to the field, of the entity `rust_entity`.
    pub(super) fn written_doc(&self, rust_entity: &str) -> String {
        let verb = match self.field.merge {
            MergeRule::Sum => "Added to",
            MergeRule::Set { .. } => "Put into and taken out of",
            MergeRule::List { .. } => "Appended to",
            _ => "Written to",
        };
        format!("{verb} [`{rust_entity}::{}`]{}.", self.identifier, self.unit())
    }

    /// A unit is any text: none of it may end the comment, or be read in another order than it is written.
    fn unit(&self) -> String {
        let plain = |letter: char| match letter {
            '`' => '\'',
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            letter if letter.is_control() || letter == '\u{2028}' || letter == '\u{2029}' => '\u{fffd}',
            letter => letter,
        };
        let unit: String = self.field.unit.iter().flat_map(|unit| unit.chars()).map(plain).collect();
        if unit.trim().is_empty() { String::new() } else { format!(", in `{}`", unit.trim()) }
    }
}
