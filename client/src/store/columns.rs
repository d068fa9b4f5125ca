//! Values between SQLite's columns and the types of the glossary.

use std::str::FromStr;

use rusqlite::types::Type;
use rusqlite::{Row, RowIndex};
use tidelog_events::fold::EntityKey;
use uuid::Uuid;

/// A column that holds the text of a `T`.
pub(super) fn parsed<T>(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    parse(&row.get::<_, String>(column)?)
}

/// A column that holds the text of a `T`, or nothing.
pub(super) fn parsed_or_null<T>(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<Option<T>>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.get::<_, Option<String>>(column)?.map(|text| parse(&text)).transpose()
}

/// A column that holds a UUID in text, or nothing.
pub(super) fn uuid_or_null<T>(
    row: &Row<'_>,
    column: impl RowIndex,
    of: impl Fn(Uuid) -> T,
) -> rusqlite::Result<Option<T>> {
    Ok(parsed_or_null::<Uuid>(row, column)?.map(of))
}

/// The entity whose type is in column `first`, and its id in the next.
pub(super) fn entity_key(row: &Row<'_>, first: usize) -> rusqlite::Result<EntityKey> {
    Ok(EntityKey { entity_type: row.get(first)?, entity_id: parsed(row, first + 1)? })
}

/// A number that is never negative in a store.
pub(super) fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

fn parse<T>(text: &str) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse().map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error)))
}
