//! `quarantined_messages`: broker messages that ingest could make nothing of, kept whole.

use sqlx::PgConnection;

/// Keeps a message, once however often it comes.
pub async fn insert(
    connection: &mut PgConnection,
    space: &str,
    reason: &str,
    header: &str,
    payload: &[u8],
) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO quarantined_messages (space_id, digest, reason, header, payload)
         VALUES ($1, sha256(convert_to($3, 'UTF8') || $4), $2, $3, $4)
         ON CONFLICT DO NOTHING",
    )
    .bind(space)
    .bind(reason)
    .bind(header)
    .bind(payload)
    .execute(connection)
    .await?;
    Ok(())
}
