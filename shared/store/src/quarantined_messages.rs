//! `quarantined_messages`: broker messages that ingest could make nothing of, kept whole.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use tidelog_events::command::DismissMessage;
use tidelog_events::protocol::UtcTime;

use crate::quarantine::listed::{Dismissal, dismissal};

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

/// Hides a message or shows it again, unless that was done later; false where there is none.
pub async fn dismiss(connection: &mut PgConnection, command: &DismissMessage) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE quarantined_messages
         SET dismissed = CASE WHEN said.later THEN $3 ELSE dismissed END,
             dismissed_by = CASE WHEN said.later THEN $4 ELSE dismissed_by END,
             dismissed_at = CASE WHEN said.later THEN said.at ELSE dismissed_at END
         FROM (
             SELECT space_id, digest, said.at, said.at > coalesce(dismissed_at, '-infinity') AS later
             FROM quarantined_messages,
                  (SELECT timestamptz 'epoch' + $5::bigint * interval '1 millisecond' AS at) AS said
             WHERE space_id = $1 AND digest = decode($2, 'hex')
             FOR UPDATE OF quarantined_messages
         ) AS said
         WHERE quarantined_messages.space_id = said.space_id AND quarantined_messages.digest = said.digest",
    )
    .bind(&command.space)
    .bind(&command.digest)
    .bind(command.dismissed)
    .bind(command.by.as_str())
    .bind(command.at.0)
    .execute(connection)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// A message that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedMessage {
    /// The space that it named; it may be empty, or no valid id.
    pub space: String,
    /// Its SHA-256, as hexadecimal digits.
    pub digest: String,
    /// Microseconds since 1970 when it came.
    pub received_us: i64,
    /// Why it is kept.
    pub reason: String,
    /// Its header, cut.
    pub header: String,
    /// Bytes of its payload.
    pub payload_bytes: u64,
    /// Whether it is hidden.
    pub dismissed: Option<Dismissal>,
}

/// Which messages are to be listed, the latest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<'a> {
    /// Of this space only.
    pub space: Option<&'a str>,
    /// Only those that are hidden, or only those that are not.
    pub dismissed: Option<bool>,
    /// Those behind the message with this time, space and digest.
    pub behind: (i64, &'a str, &'a str),
    /// At most so many.
    pub limit: i64,
    /// Characters of a header, at most.
    pub header_chars: i32,
}

/// The latest messages behind one.
pub async fn list(connection: &mut PgConnection, listing: &Listing<'_>) -> sqlx::Result<Vec<ListedMessage>> {
    let rows = sqlx::query(
        "SELECT space_id, encode(digest, 'hex') AS hex, reason, left(header, $7) AS header_part,
                octet_length(payload)::bigint AS payload_bytes, dismissed, dismissed_by,
                (extract(epoch FROM dismissed_at) * 1000)::bigint AS dismissed_ms,
                (extract(epoch FROM received_at) * 1000000)::bigint AS received_us
         FROM quarantined_messages
         WHERE (received_at, space_id, digest)
               < (timestamptz 'epoch' + $1::bigint * interval '1 microsecond', $2, decode($3, 'hex'))
           AND ($4::text IS NULL OR space_id = $4) AND ($5::boolean IS NULL OR dismissed = $5)
         ORDER BY received_at DESC, space_id DESC, digest DESC
         LIMIT $6",
    )
    .bind(listing.behind.0)
    .bind(listing.behind.1)
    .bind(listing.behind.2)
    .bind(listing.space)
    .bind(listing.dismissed)
    .bind(listing.limit)
    .bind(listing.header_chars)
    .fetch_all(connection)
    .await?;
    let listed = |row: &PgRow| {
        Ok(ListedMessage {
            space: row.try_get("space_id")?,
            digest: row.try_get("hex")?,
            received_us: row.try_get("received_us")?,
            reason: row.try_get("reason")?,
            header: row.try_get("header_part")?,
            payload_bytes: row.try_get::<i64, _>("payload_bytes")?.cast_unsigned(),
            dismissed: dismissal(row)?,
        })
    };
    rows.iter().map(listed).collect()
}

impl ListedMessage {
    /// When it came.
    pub fn received_at(&self) -> UtcTime {
        UtcTime(self.received_us / 1000)
    }
}
