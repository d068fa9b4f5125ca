//! Conditions on entities, as the statements of `visible` take them.

use serde_json::Value;
use sqlx::types::Json;

/// How a condition compares a field with its operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// The field is the operand.
    Equal,
    /// The field is something else, or absent.
    NotEqual,
    /// The field is less.
    Less,
    /// The field is less, or the operand.
    LessOrEqual,
    /// The field is greater.
    Greater,
    /// The field is greater, or the operand.
    GreaterOrEqual,
    /// The field, a set or a list, has the operand as an element.
    Has,
}

impl Comparison {
    /// What the field may be in comparison with the operand: `<`, `=` (or having it as an element), `>`, or `?`, which
    /// is absent.
    fn accepted(self) -> &'static str {
        match self {
            Self::Equal | Self::Has => "=",
            Self::NotEqual => "<>?",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// How values of a field stand in views, and so how they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As numbers, or as texts of their digits.
    Numbers,
    /// As texts, which are compared by their bytes, or booleans.
    Texts,
}

/// Conditions that must all hold, column by column.
#[derive(Debug, Default)]
pub struct ConditionColumns<'a> {
    pub(super) fields: Vec<&'a str>,
    pub(super) kinds: Vec<&'static str>,
    pub(super) accepted: Vec<&'static str>,
    pub(super) operands: Vec<Json<Value>>,
}

impl<'a> ConditionColumns<'a> {
    /// Adds a condition.
    pub fn push(&mut self, field: &'a str, comparison: Comparison, order: Order, operand: Value) {
        let kind = match (comparison, order) {
            (Comparison::Has, _) => "elements",
            (_, Order::Numbers) => "number",
            (_, Order::Texts) => "text",
        };
        self.fields.push(field);
        self.kinds.push(kind);
        self.accepted.push(comparison.accepted());
        self.operands.push(Json(operand));
    }
}
