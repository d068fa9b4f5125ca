//! Fields: what type of value they hold, and by which rule concurrent writes combine.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

use super::name::FieldName;

/// How many elements a `set` or `list` keeps when the schema does not say.
pub const DEFAULT_KEEP: NonZeroU32 = NonZeroU32::new(1000).unwrap();

/// What entities of one type have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityType {
    pub(super) fields: BTreeMap<FieldName, Field>,
}

impl EntityType {
    /// The fields by name.
    pub fn fields(&self) -> &BTreeMap<FieldName, Field> {
        &self.fields
    }

    /// One field.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.get(name)
    }
}

/// A field of an entity type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The type of its value, or of each element under the rules `set` and `list`.
    pub field_type: FieldType,
    /// The unit of its value, for people: `s`, `m/s`, `1/min`.
    pub unit: Option<Box<str>>,
    /// How concurrent writes combine; it fits [`Self::field_type`].
    pub merge: MergeRule,
    /// Whether queries by this field are to be fast.
    pub indexed: bool,
}

/// The type of a field's value in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// Any text.
    String,
    /// A whole number within ±(2⁵³ − 1). JSON does not tell `1.0` from `1`, so neither does the check.
    Integer,
    /// A finite number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A text that [`Stamp::parse`](crate::stamp::Stamp::parse) reads; never a number.
    Stamp,
}

impl FieldType {
    /// Every type, in the order of the documentation.
    pub const ALL: &'static [Self] = &[Self::String, Self::Integer, Self::Number, Self::Boolean, Self::Stamp];

    /// The type of that name.
    pub fn from_text(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field_type| field_type.as_str() == name)
    }

    /// The type's name in a schema.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Stamp => "stamp",
        }
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How concurrent writes to a field combine, and what a write looks like in a payload or in `sets`
/// (where not said otherwise: a value of the field's type). Event order is (stamp, device, sequence).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MergeRule {
    /// The last write by event order wins. The default.
    Latest,
    /// The first write by event order wins.
    First,
    /// The greatest value; for `integer`, `number` and `stamp`.
    Max,
    /// The least value; for `integer`, `number` and `stamp`.
    Min,
    /// The sum of all writes; for `integer` only, since adding floats depends on the order.
    Sum,
    /// A set. A write is `{"add":[…],"remove":[…]}`, at least one of the two, with elements of the field's
    /// type. Per element the latest write wins, and adding wins within one event.
    Set {
        /// How many elements are kept, the greatest by event order, removed ones included.
        keep: NonZeroU32,
    },
    /// Once `true` it stays `true`; for `boolean` only. Writing `false` is allowed and changes nothing.
    Flag,
    /// A list in event order. A write is one element of the field's type, which is appended.
    List {
        /// How many elements are kept, the greatest by event order.
        keep: NonZeroU32,
    },
}

impl MergeRule {
    /// The rule of that name; `keep` is for the rules that keep elements, the others let it fall.
    pub fn from_text(name: &str, keep: NonZeroU32) -> Option<Self> {
        Some(match name {
            "latest" => Self::Latest,
            "first" => Self::First,
            "max" => Self::Max,
            "min" => Self::Min,
            "sum" => Self::Sum,
            "set" => Self::Set { keep },
            "flag" => Self::Flag,
            "list" => Self::List { keep },
            _ => return None,
        })
    }

    /// The rule's name in a schema.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Latest => "latest",
            Self::First => "first",
            Self::Max => "max",
            Self::Min => "min",
            Self::Sum => "sum",
            Self::Set { .. } => "set",
            Self::Flag => "flag",
            Self::List { .. } => "list",
        }
    }

    /// How many elements are kept, by the rules that keep elements.
    pub fn keep(self) -> Option<NonZeroU32> {
        match self {
            Self::Set { keep } | Self::List { keep } => Some(keep),
            Self::Latest | Self::First | Self::Max | Self::Min | Self::Sum | Self::Flag => None,
        }
    }

    /// The types that the rule can combine, in a sentence, if `field_type` is not among them.
    pub(super) fn fault(self, field_type: FieldType) -> Option<&'static str> {
        use FieldType::{Boolean, Integer, Number, Stamp};
        match (self, field_type) {
            (Self::Latest | Self::First | Self::Set { .. } | Self::List { .. }, _)
            | (Self::Max | Self::Min, Integer | Number | Stamp)
            | (Self::Sum, Integer)
            | (Self::Flag, Boolean) => None,
            (Self::Max | Self::Min, _) => Some("fields of type integer, number or stamp"),
            (Self::Sum, _) => Some("fields of type integer"),
            (Self::Flag, _) => Some("fields of type boolean"),
        }
    }
}
