//! `incarnation`: which PostgreSQL, on which timeline, wrote the log so far.

use sqlx::{PgConnection, Row};

/// PostgreSQL's identity. A restore from a backup, or a failover, begins a new timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Incarnation {
    /// Made by `initdb`.
    pub system_identifier: i64,
    /// Rises with every promotion.
    pub timeline: i64,
}

/// The server that this connection talks to.
pub async fn current(connection: &mut PgConnection) -> sqlx::Result<Incarnation> {
    let row = sqlx::query(
        // A WAL file's name begins with the current timeline; the control file tells it only after a checkpoint.
        "SELECT system_identifier,
                ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint AS timeline
         FROM pg_control_system()",
    )
    .fetch_one(connection)
    .await?;
    Ok(Incarnation {
        system_identifier: row.try_get("system_identifier")?,
        timeline: row.try_get("timeline")?,
    })
}

/// Records the server as the log's, and returns the one that stood there before. Locks the row, so that of
/// several replicas one alone sees a change.
pub async fn record(connection: &mut PgConnection, now: Incarnation) -> sqlx::Result<Option<Incarnation>> {
    let inserted = sqlx::query(
        "INSERT INTO incarnation (system_identifier, timeline) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    )
    .bind(now.system_identifier)
    .bind(now.timeline)
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 1 {
        return Ok(None);
    }
    let row = sqlx::query("SELECT system_identifier, timeline FROM incarnation FOR UPDATE")
        .fetch_one(&mut *connection)
        .await?;
    let before = Incarnation {
        system_identifier: row.try_get("system_identifier")?,
        timeline: row.try_get("timeline")?,
    };
    if before != now {
        sqlx::query("UPDATE incarnation SET system_identifier = $1, timeline = $2")
            .bind(now.system_identifier)
            .bind(now.timeline)
            .execute(connection)
            .await?;
    }
    Ok(Some(before))
}
