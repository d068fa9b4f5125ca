//! What becomes of own events: the statements that make them synced, rejected or pending again, and take them out of
//! the overlay.

use std::collections::BTreeSet;

use rusqlite::{Connection, Params, Statement, params};
use tidelog_events::code::Fault;
use tidelog_events::fold::EntityKey;
use tidelog_events::id::{EventId, Position, Sequence};
use tidelog_events::protocol::UtcTime;
use tidelog_events::stamp::Stamp;

use super::columns::entity_key;
use super::queues::Queue;
use crate::defect::{Defect, is_planted};

/// Entities whose overlay must be folded anew.
pub(super) type Touched = BTreeSet<EntityKey>;

/// Runs a statement that returns entity types and ids, and notes them. Tells whether there were any.
pub(super) fn touch(
    statement: &mut Statement<'_>,
    values: impl Params,
    touched: &mut Touched,
) -> rusqlite::Result<bool> {
    let mut rows = statement.query(values)?;
    let mut any = false;
    while let Some(row) = rows.next()? {
        touched.insert(entity_key(row, 0)?);
        any = true;
    }
    Ok(any)
}

/// Events `first` to `last` are dealt with: they are not sent again. They stay in the overlay until their echo comes,
/// except where a snapshot has brought them already.
pub(super) fn retire(
    connection: &Connection,
    queue: &Queue,
    first: Sequence,
    last: Sequence,
    at: UtcTime,
    touched: &mut Touched,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE events SET state = 1, settled_at_ms = ?4, line = coalesce(logged, line), \
             stamp = coalesce(logged_stamp, stamp) \
             WHERE queue = ?1 AND sequence BETWEEN ?2 AND ?3 AND state = 0",
        )?
        .execute(params![queue.row, first.as_i64(), last.as_i64(), at.0])?;
    let through = if is_planted(Defect::OverlayDroppedAtWatermark) { last } else { queue.covered };
    cover(connection, queue.row, through, touched)
}

/// Synced events through that sequence are part of the confirmed state: they leave the overlay.
pub(super) fn cover(
    connection: &Connection,
    queue: i64,
    through: Sequence,
    touched: &mut Touched,
) -> rusqlite::Result<()> {
    if through == Sequence::ZERO {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(
        "UPDATE events SET overlay = 0 WHERE queue = ?1 AND sequence <= ?2 AND state = 1 AND overlay = 1 \
         RETURNING entity_type, entity_id",
    )?;
    touch(&mut statement, params![queue, through.as_i64()], touched)?;
    Ok(())
}

/// The event lies in quarantine. Tells whether that is new. One whose echo has come was released since.
pub(super) fn reject(
    connection: &Connection,
    queue: i64,
    (sequence, event_id): (Sequence, EventId),
    (code, detail): (Option<Fault>, &str),
    at: UtcTime,
    touched: &mut Touched,
) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(
        "UPDATE events SET state = 2, overlay = 0, code = ?4, detail = coalesce(nullif(?5, ''), detail), \
         settled_at_ms = ?6 \
         WHERE queue = ?1 AND sequence = ?2 AND event_id = ?3 AND state <> 2 AND position IS NULL \
         RETURNING entity_type, entity_id",
    )?;
    let code = code.map(Fault::as_str);
    let values = params![queue, sequence.as_i64(), event_id.to_string(), code, detail, at.0];
    touch(&mut statement, values, touched)
}

/// An event as the log has it.
#[derive(Clone, Copy)]
pub(super) struct Logged<'a> {
    pub(super) position: Position,
    pub(super) line: &'a str,
    pub(super) stamp: Stamp,
}

/// The log has the event, at this position, and so does the confirmed state: the log's bytes replace ours.
pub(super) fn echo(
    connection: &Connection,
    queue: i64,
    (sequence, event_id): (Sequence, EventId),
    logged: Logged<'_>,
    at: UtcTime,
    touched: &mut Touched,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "UPDATE events SET state = 1, overlay = 0, position = ?4, line = ?5, stamp = ?6, code = NULL, \
         detail = NULL, settled_at_ms = coalesce(settled_at_ms, ?7) WHERE queue = ?1 AND sequence = ?2 AND event_id = ?3 \
         RETURNING entity_type, entity_id",
    )?;
    let Logged { position, line, stamp } = logged;
    let (event_id, stamp) = (event_id.to_string(), stamp.to_string());
    let values = params![queue, sequence.as_i64(), event_id, position.as_i64(), line, stamp, at.0];
    touch(&mut statement, values, touched)?;
    Ok(())
}

/// Another life of this device has brought the event into the log, under a number of its own. So it is confirmed; what
/// we have numbered is still to be sent, and turns out to be a duplicate or a fork.
pub(super) fn echo_of_twin(
    connection: &Connection,
    space: i64,
    event_id: EventId,
    logged: Logged<'_>,
    touched: &mut Touched,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "UPDATE events SET overlay = 0, position = ?3, logged = ?4, logged_stamp = ?5 \
         WHERE space = ?1 AND event_id = ?2 AND overlay = 1 RETURNING entity_type, entity_id",
    )?;
    let Logged { position, line, stamp } = logged;
    let values = params![space, event_id.to_string(), position.as_i64(), line, stamp.to_string()];
    touch(&mut statement, values, touched)?;
    Ok(())
}

/// Whether anything is in the space's overlay.
pub(super) fn has_overlay(connection: &Connection, space: i64) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM events WHERE space = ?1 AND overlay = 1)")?
        .query_row([space], |row| row.get(0))
}

/// Events behind `through` are to be sent again: the server does not have them any more. What was rejected is shown
/// again until the server has judged it again.
pub(super) fn resume(
    connection: &Connection,
    queue: i64,
    through: Sequence,
    touched: &mut Touched,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(
        "UPDATE events SET overlay = 1 WHERE queue = ?1 AND sequence > ?2 AND state = 2 AND position IS NULL \
         RETURNING entity_type, entity_id",
    )?;
    touch(&mut statement, params![queue, through.as_i64()], touched)?;
    connection
        .prepare_cached(
            "UPDATE events SET state = 0, code = NULL, settled_at_ms = NULL, position = NULL, logged = NULL, \
             logged_stamp = NULL, dismissed = 0 \
             WHERE queue = ?1 AND sequence > ?2 AND state <> 0",
        )?
        .execute(params![queue, through.as_i64()])?;
    Ok(())
}
