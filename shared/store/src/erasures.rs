//! `erasures`: the spaces that were erased, and must not come back.

use sqlx::{PgConnection, Row};
use tidelog_events::id::SpaceId;

use crate::columns;

/// Those of the spaces that were erased.
pub async fn among(connection: &mut PgConnection, spaces: &[&str]) -> sqlx::Result<Vec<SpaceId>> {
    let rows = sqlx::query("SELECT space_id FROM erasures WHERE space_id = ANY ($1::text[])")
        .bind(spaces)
        .fetch_all(connection)
        .await?;
    rows.iter().map(|row| columns::id(row, "space_id")).collect()
}

/// Whether the space was erased.
pub async fn contains(connection: &mut PgConnection, space: &SpaceId) -> sqlx::Result<bool> {
    sqlx::query("SELECT EXISTS (SELECT FROM erasures WHERE space_id = $1) AS erased")
        .bind(space.as_str())
        .fetch_one(connection)
        .await?
        .try_get("erased")
}
