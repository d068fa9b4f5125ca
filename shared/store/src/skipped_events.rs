//! `skipped_events`: events of the log that the fold skipped, and why.

use sqlx::PgConnection;
use tidelog_events::id::{Position, SpaceId};

/// Events to record, column by column.
#[derive(Debug, Default)]
pub struct SkippedColumns<'a> {
    spaces: Vec<&'a str>,
    generations: Vec<i32>,
    positions: Vec<i64>,
    reasons: Vec<&'a str>,
}

impl<'a> SkippedColumns<'a> {
    /// Adds an event.
    pub fn push(&mut self, space: &'a SpaceId, generation: i32, position: Position, reason: &'a str) {
        self.spaces.push(space.as_str());
        self.generations.push(generation);
        self.positions.push(position.as_i64());
        self.reasons.push(reason);
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spaces.is_empty()
    }
}

/// Records events.
pub async fn insert(connection: &mut PgConnection, events: &SkippedColumns<'_>) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO skipped_events (space_id, generation, position, reason)
         SELECT space_id, generation, position, reason
         FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::text[])
           AS skipped (space_id, generation, position, reason)
         ON CONFLICT DO NOTHING",
    )
    .bind(&events.spaces)
    .bind(&events.generations)
    .bind(&events.positions)
    .bind(&events.reasons)
    .execute(connection)
    .await?;
    Ok(())
}

/// The first event that the fold skipped.
pub async fn first(
    connection: &mut PgConnection,
    space: &SpaceId,
    generation: i32,
) -> sqlx::Result<Option<Position>> {
    let first: Option<i64> = sqlx::query_scalar(
        "SELECT min(position) FROM skipped_events WHERE space_id = $1 AND generation = $2",
    )
    .bind(space.as_str())
    .bind(generation)
    .fetch_one(connection)
    .await?;
    Ok(first.map(Position::from_i64))
}

/// Deletes those of a generation that nobody reads.
pub async fn delete_generation(
    connection: &mut PgConnection,
    space: &SpaceId,
    generation: i32,
) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM skipped_events WHERE space_id = $1 AND generation = $2")
        .bind(space.as_str())
        .bind(generation)
        .execute(connection)
        .await?;
    Ok(())
}
