//! Fetching the confirmed state anew: after the log was restored to an older state, or the schema or filter changed.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use tidelog_events::id::{Position, Sequence};

use super::settle::{self, Touched};
use super::spaces::Space;
use super::{StoreError, entities, queues, spaces};

/// Forgets the confirmed state and puts everything of ours that was part of it back into the overlay: what the log
/// still has of it leaves again with its echo. The first part of what replaces it comes in the same transaction.
pub(super) fn reset(
    connection: &Connection,
    space: &mut Space,
    touched: &mut Touched,
) -> Result<(), StoreError> {
    entities::clear_confirmed(connection, space.row)?;
    let mut statement = connection
        .prepare("SELECT DISTINCT entity_type, entity_id FROM events WHERE space = ?1 AND state <> 2")?;
    settle::touch(&mut statement, [space.row], touched)?;
    connection.execute(
        "UPDATE events SET position = NULL, logged = NULL, logged_stamp = NULL, \
         overlay = ?2 IS NULL OR entity_type IN (SELECT value FROM json_each(?2)) \
         WHERE space = ?1 AND state <> 2",
        params![space.row, space.filter.types_json()?],
    )?;
    for mut queue in queues::of_space(connection, space.row)? {
        queue.covered = Sequence::ZERO;
        queues::save(connection, &queue)?;
    }
    spaces::note_snapshot(connection, space, &BTreeMap::new())?;
    space.cursor = Position::ZERO;
    space.refetch = false;
    Ok(())
}
