//! An entity type in Rust: a struct, and how it is read from a view.

use super::field::RustField;
use super::layout::{bracketed, member};

/// The struct and what it does, lines ended.
pub(super) fn item(entity_type: &str, rust_type: &str, fields: &[RustField<'_>]) -> String {
    let mut declared = String::new();
    for field in fields {
        declared += &field.declaration(&field.shown_doc(), &field.shown_type());
    }
    let eq = if fields.iter().any(RustField::is_float) { "" } else { ", Eq" };
    let mut values = vec!["entity_id: fields.entity_id()".to_owned()];
    values.extend(fields.iter().map(|field| member(12, &field.identifier, "fields", &field.reading())));
    let value = bracketed(8, "Ok(Self", (" { ", " }"), &values, ")");
    format!(
        "/// An entity of type `{entity_type}`.
#[derive(Debug, Clone, PartialEq{eq})]
pub struct {rust_type} {{
    /// Its id.
    pub entity_id: EntityId,
{declared}}}

impl {rust_type} {{
    /// The entity type, as the schema names it.
    pub const TYPE: &'static str = \"{entity_type}\";
}}

impl TryFrom<&EntityView> for {rust_type} {{
    type Error = UnexpectedView;

    fn try_from(view: &EntityView) -> Result<Self, UnexpectedView> {{
        let fields = ViewFields::of(view, Self::TYPE)?;
{value}    }}
}}
"
    )
}
