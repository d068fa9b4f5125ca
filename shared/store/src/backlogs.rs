//! What waits at the stages behind the log, over many spaces: for whoever watches the whole installation. Each statement
//! looks at a bounded number of rows.

use sqlx::{PgConnection, Row};
use tidelog_events::protocol::UtcTime;

/// What was found in some spaces, one behind the other in order of their ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Spaces that were looked at.
    pub spaces: u64,
    /// Those whose log goes on behind what is folded.
    pub behind: u64,
    /// Positions by which they are behind, together.
    pub positions: u64,
    /// Positions by which the one that is furthest behind is.
    pub most: u64,
    /// Spaces that have events to prune.
    pub due: u64,
}

impl Backlog {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            spaces: self.spaces + other.spaces,
            behind: self.behind + other.behind,
            positions: self.positions + other.positions,
            most: self.most.max(other.most),
            due: self.due + other.due,
        }
    }
}

/// When a space has events to prune.
#[derive(Debug, Clone, Copy)]
pub struct PruneBefore {
    /// They were received before that time, ...
    pub received: UtcTime,
    /// ... so many stay however old they are, ...
    pub keep_events: u64,
    /// ... and so many can go at once.
    pub prune_events: u64,
}

/// Looks at up to `window` spaces behind `after`, in order of their ids; and says where to go on, if there are more. A
/// space costs a look at its projection, and one at its segments where its log is long enough to be pruned.
pub async fn look(
    connection: &mut PgConnection,
    after: &str,
    window: i64,
    prune: &PruneBefore,
) -> sqlx::Result<(Backlog, Option<String>)> {
    let row = sqlx::query(
        "WITH looked_at AS MATERIALIZED (
             SELECT space_id, head, horizon FROM spaces WHERE space_id > $1 ORDER BY space_id LIMIT $2
         ), judged AS (
             SELECT space_id, greatest(0, head - coalesce((
                        SELECT applied FROM projections WHERE projections.space_id = looked_at.space_id
                    ), 0)) AS behind,
                    head - horizon >= $4::bigint + $5 AND (
                        SELECT received_at <= timestamptz 'epoch' + $3 * interval '1 millisecond' AND last <= head - $4
                        FROM segments WHERE segments.space_id = looked_at.space_id AND last >= horizon + $5
                        ORDER BY last LIMIT 1
                    ) AS is_due
             FROM looked_at
         )
         SELECT count(*) AS spaces, count(*) FILTER (WHERE behind > 0) AS behind,
                coalesce(sum(behind), 0)::bigint AS positions, coalesce(max(behind), 0) AS most,
                count(*) FILTER (WHERE is_due) AS due, max(space_id) AS last
         FROM judged",
    )
    .bind(after)
    .bind(window)
    .bind(prune.received.0)
    .bind(events(prune.keep_events))
    .bind(events(prune.prune_events))
    .fetch_one(connection)
    .await?;
    let number = |column: &str| row.try_get::<i64, _>(column).map(i64::cast_unsigned);
    let backlog = Backlog {
        spaces: number("spaces")?,
        behind: number("behind")?,
        positions: number("positions")?,
        most: number("most")?,
        due: number("due")?,
    };
    let is_end = backlog.spaces < window.cast_unsigned();
    Ok((backlog, row.try_get::<Option<String>, _>("last")?.filter(|_| !is_end)))
}

/// A number of events that can be added to a position: more than there will ever be is as good as that.
fn events(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX).min(i64::MAX / 4)
}

/// What was refused, or could not be taken, and waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Spaces that are not pruned since their read model differs from their log.
    pub spaces: u64,
    /// When the first of these refusals was made.
    pub since: Option<UtcTime>,
    /// Events in quarantine.
    pub events: u64,
    /// Messages that no event could be read from.
    pub messages: u64,
}

/// Counts what was refused, of each kind up to `limit`.
pub async fn refused(connection: &mut PgConnection, limit: i64) -> sqlx::Result<Refused> {
    let row = sqlx::query(
        "SELECT (SELECT count(*) FROM (SELECT FROM compactions WHERE refusal IS NOT NULL LIMIT $1) AS counted) AS spaces,
                (SELECT (extract(epoch FROM min(refused_at)) * 1000)::bigint
                 FROM compactions WHERE refusal IS NOT NULL) AS since_ms,
                (SELECT count(*) FROM (SELECT FROM quarantine LIMIT $1) AS counted) AS events,
                (SELECT count(*) FROM (SELECT FROM quarantined_messages LIMIT $1) AS counted) AS messages",
    )
    .bind(limit)
    .fetch_one(connection)
    .await?;
    let number = |column: &str| row.try_get::<i64, _>(column).map(i64::cast_unsigned);
    Ok(Refused {
        spaces: number("spaces")?,
        since: row.try_get::<Option<i64>, _>("since_ms")?.map(UtcTime),
        events: number("events")?,
        messages: number("messages")?,
    })
}
