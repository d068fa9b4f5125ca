//! From columns to the types of the domain. The tables hold only valid values, so a failure here is damage
//! and becomes a decode error that names the column.

use std::str::FromStr;

use sqlx::Row;
use sqlx::postgres::PgRow;
use tidelog_events::id::{Position, Sequence};
use tidelog_events::schema::SchemaId;

/// A text column as an id.
pub(crate) fn id<T>(row: &PgRow, column: &str) -> sqlx::Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    parse(column, row.try_get::<&str, _>(column)?)
}

/// A text array column as ids.
pub(crate) fn ids<T>(row: &PgRow, column: &str) -> sqlx::Result<Vec<T>>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.try_get::<Vec<String>, _>(column)?.iter().map(|text| parse(column, text)).collect()
}

fn parse<T>(column: &str, text: &str) -> sqlx::Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse().map_err(|error: T::Err| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: Box::new(error),
    })
}

/// A `bigint` column as a position.
pub(crate) fn position(row: &PgRow, column: &str) -> sqlx::Result<Position> {
    row.try_get(column).map(Position::from_i64)
}

/// A `bigint` column as a sequence.
pub(crate) fn sequence(row: &PgRow, column: &str) -> sqlx::Result<Sequence> {
    row.try_get(column).map(Sequence::from_i64)
}

/// The columns `schema_version` and `schema_fingerprint` as a schema's id.
pub(crate) fn schema(row: &PgRow) -> sqlx::Result<SchemaId> {
    let version: i64 = row.try_get("schema_version")?;
    let version = u32::try_from(version).map_err(|error| sqlx::Error::ColumnDecode {
        index: "schema_version".to_owned(),
        source: Box::new(error),
    })?;
    Ok(SchemaId { version, fingerprint: row.try_get::<&str, _>("schema_fingerprint")?.into() })
}
