//! `admin_audit`: the calls of the admin API. The one table that the gateway writes.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use tidelog_events::protocol::UtcTime;
use uuid::Uuid;

/// Calls that one page looks at, at most, whatever it finds among them.
const WINDOW: i64 = 10_000;

/// A call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedCall {
    /// Its id, a UUID v7.
    pub id: Uuid,
    /// When it was made.
    pub at: UtcTime,
    /// The token's `sub`.
    pub actor: String,
    /// The token's scope.
    pub scope: String,
    /// What was called, by a name that stays.
    pub action: String,
    /// The HTTP method.
    pub method: String,
    /// The path.
    pub path: String,
    /// The query; empty for none.
    pub query: String,
    /// The space that it names; empty for none.
    pub space: String,
    /// The answer's status; `None` until there is one.
    pub status: Option<u16>,
    /// Where it came from.
    pub remote_address: Option<String>,
    /// What made it, by its own account.
    pub user_agent: Option<String>,
}

/// Where a call stands among all, which are in order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its time.
    pub at: UtcTime,
    /// Its id.
    pub id: Uuid,
}

/// Which calls to look for.
#[derive(Debug, Clone, Default)]
pub struct Wanted<'a> {
    /// Those that name this space.
    pub space: Option<&'a str>,
    /// Those of this user.
    pub actor: Option<&'a str>,
    /// Those of this action.
    pub action: Option<&'a str>,
    /// Not those before this time.
    pub from: Option<UtcTime>,
    /// Only those before this time.
    pub to: Option<UtcTime>,
    /// Only those before this one.
    pub before: Option<Place>,
}

/// Some calls, the latest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The calls.
    pub calls: Vec<AuditedCall>,
    /// The last one that was looked at, if there may be more behind it.
    pub next: Option<Place>,
}

fn call(row: &PgRow) -> sqlx::Result<AuditedCall> {
    Ok(AuditedCall {
        id: row.try_get("id")?,
        at: UtcTime(row.try_get("at_ms")?),
        actor: row.try_get("actor")?,
        scope: row.try_get("scope")?,
        action: row.try_get("action")?,
        method: row.try_get("method")?,
        path: row.try_get("path")?,
        query: row.try_get("query")?,
        space: row.try_get("space_id")?,
        status: row.try_get::<Option<i16>, _>("status")?.map(i16::cast_unsigned),
        remote_address: row.try_get("remote_address")?,
        user_agent: row.try_get("user_agent")?,
    })
}

fn place(row: &PgRow) -> sqlx::Result<Place> {
    Ok(Place { at: UtcTime(row.try_get("at_ms")?), id: row.try_get("id")? })
}

/// Records a call.
pub async fn insert(connection: &mut PgConnection, call: &AuditedCall) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO admin_audit (space_id, at, id, actor, scope, action, method, path, query, remote_address,
                                  user_agent)
         VALUES ($1, timestamptz 'epoch' + $2 * interval '1 millisecond', $3, $4, $5, $6, $7, $8, $9, $10::inet,
                 $11)",
    )
    .bind(&call.space)
    .bind(call.at.0)
    .bind(call.id)
    .bind(&call.actor)
    .bind(&call.scope)
    .bind(&call.action)
    .bind(&call.method)
    .bind(&call.path)
    .bind(&call.query)
    .bind(&call.remote_address)
    .bind(&call.user_agent)
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes how a call was answered.
pub async fn answered(
    connection: &mut PgConnection,
    space: &str,
    place: Place,
    status: u16,
) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE admin_audit SET status = $4
         WHERE space_id = $1 AND at = timestamptz 'epoch' + $2 * interval '1 millisecond' AND id = $3",
    )
    .bind(space)
    .bind(place.at.0)
    .bind(place.id)
    .bind(status.cast_signed())
    .execute(connection)
    .await?;
    Ok(())
}

/// Up to `limit` of the wanted calls, the latest first, among as many as one page looks at.
pub async fn list(connection: &mut PgConnection, wanted: &Wanted<'_>, limit: usize) -> sqlx::Result<Page> {
    // Of the three parts one is carried out: a range of the index that fits best.
    let rows = sqlx::query(
        "WITH looked_at AS (
             (SELECT * FROM admin_audit
              WHERE $1::text IS NOT NULL AND space_id = $1
                AND (at, id) < (timestamptz 'epoch' + $5 * interval '1 millisecond', $6::uuid)
                AND at >= timestamptz 'epoch' + $4 * interval '1 millisecond'
              ORDER BY at DESC, id DESC LIMIT $7)
             UNION ALL
             (SELECT * FROM admin_audit
              WHERE $1::text IS NULL AND $2::text IS NOT NULL AND actor = $2
                AND (at, id) < (timestamptz 'epoch' + $5 * interval '1 millisecond', $6::uuid)
                AND at >= timestamptz 'epoch' + $4 * interval '1 millisecond'
              ORDER BY at DESC, id DESC LIMIT $7)
             UNION ALL
             (SELECT * FROM admin_audit
              WHERE $1::text IS NULL AND $2::text IS NULL
                AND (at, id) < (timestamptz 'epoch' + $5 * interval '1 millisecond', $6::uuid)
                AND at >= timestamptz 'epoch' + $4 * interval '1 millisecond'
              ORDER BY at DESC, id DESC LIMIT $7)
         ), judged AS (
             SELECT *, row_number() OVER (ORDER BY at DESC, id DESC) AS place,
                    ($2::text IS NULL OR actor = $2) AND ($3::text IS NULL OR action = $3) AS is_wanted
             FROM looked_at
         )
         SELECT id, (extract(epoch FROM at) * 1000)::bigint AS at_ms, actor, scope, action, method, path, query,
                space_id, status, host(remote_address) AS remote_address, user_agent, place, is_wanted
         FROM judged WHERE is_wanted OR place = $7
         ORDER BY at DESC, id DESC LIMIT $8",
    )
    .bind(wanted.space)
    .bind(wanted.actor)
    .bind(wanted.action)
    .bind(within_bounds(wanted.from.unwrap_or(EARLIEST)).0)
    .bind(within_bounds(end(wanted).at).0)
    .bind(end(wanted).id)
    .bind(WINDOW)
    .bind(limit as i64 + 1)
    .fetch_all(connection)
    .await?;
    page(&rows, limit)
}

/// No call was made before, or will be later.
const EARLIEST: UtcTime = UtcTime(0);
/// In the year 9999.
const LATEST: UtcTime = UtcTime(253_402_300_799_000);

/// A time that PostgreSQL takes.
fn within_bounds(time: UtcTime) -> UtcTime {
    time.clamp(EARLIEST, LATEST)
}

/// What all wanted calls stand before.
fn end(wanted: &Wanted<'_>) -> Place {
    let to = Place { at: wanted.to.unwrap_or(LATEST), id: Uuid::nil() };
    wanted.before.filter(|before| before.at < to.at).unwrap_or(to)
}

/// The rows are calls that are wanted, and the last one that was looked at where there may be more.
fn page(rows: &[PgRow], limit: usize) -> sqlx::Result<Page> {
    let mut page = Page { calls: Vec::new(), next: None };
    for row in rows {
        if page.calls.len() == limit {
            let last = page.calls.last().map(|call| Place { at: call.at, id: call.id });
            page.next = last;
            break;
        }
        if row.try_get("is_wanted")? {
            page.calls.push(call(row)?);
        }
        if row.try_get::<i64, _>("place")? == WINDOW {
            page.next = Some(place(row)?);
        }
    }
    Ok(page)
}

/// Deletes up to `limit` calls from before that time, the oldest; returns how many.
pub async fn forget(connection: &mut PgConnection, before: UtcTime, limit: i64) -> sqlx::Result<u64> {
    // Other gateways may be at it, too.
    let done = sqlx::query(
        "DELETE FROM admin_audit WHERE (space_id, at, id) IN (
             SELECT space_id, at, id FROM admin_audit
             WHERE at < timestamptz 'epoch' + $1 * interval '1 millisecond'
             ORDER BY at, id LIMIT $2
             FOR UPDATE SKIP LOCKED
         )",
    )
    .bind(before.0)
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}
