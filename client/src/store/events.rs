//! The table `events`, as the app lists it: what was recorded on this device, and what became of it.

use rusqlite::{Connection, Row, params};
use tidelog_events::code::Fault;
use tidelog_events::id::{DeviceId, EntityId, EventId, Position, Sequence, SpaceId};
use tidelog_events::stamp::Stamp;

use super::columns::{natural, parsed};
use super::{EventStore, StoreError, begin, line, spaces};

/// In the column `state`; pending is 0.
const SYNCED: i64 = 1;
const REJECTED: i64 = 2;

/// What became of an own event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventState {
    /// It is to be sent, or sent again.
    Pending,
    /// It is in the log.
    Synced,
    /// It lies in quarantine: the log cannot take it. The device keeps it.
    Rejected {
        /// Why.
        code: Option<Fault>,
        /// Why, for people.
        detail: String,
    },
}

/// Which own events to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsQuery {
    /// Only those that are to be sent.
    pub pending: bool,
    /// Only those that are in the log.
    pub synced: bool,
    /// Only those that were rejected, and not dismissed.
    pub rejected: bool,
    /// Those recorded behind this row.
    pub after_row: u64,
    /// At most so many.
    pub limit: usize,
}

impl EventsQuery {
    /// All of them, from the first.
    pub fn all() -> Self {
        Self { pending: true, synced: true, rejected: true, after_row: 0, limit: usize::MAX }
    }

    /// Those that are to be sent.
    pub fn pending() -> Self {
        Self { synced: false, rejected: false, ..Self::all() }
    }

    /// Those that are in the log.
    pub fn synced() -> Self {
        Self { pending: false, rejected: false, ..Self::all() }
    }

    /// Those that were rejected, and not dismissed.
    pub fn rejected() -> Self {
        Self { pending: false, synced: false, ..Self::all() }
    }
}

/// An event that was recorded on this device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnEvent {
    /// Its place in the order of recording.
    pub row: u64,
    /// The device id it is sent under.
    pub device_id: DeviceId,
    /// Its number.
    pub device_sequence: Sequence,
    /// Its id.
    pub event_id: EventId,
    /// Its type.
    pub event_type: String,
    /// The type of what it is about.
    pub entity_type: String,
    /// What it is about.
    pub entity_id: EntityId,
    /// Its stamp.
    pub timestamp: Stamp,
    /// The event itself; as the log has it once its echo has come.
    pub line: String,
    /// What became of it.
    pub state: EventState,
    /// Its position, once its echo has come.
    pub position: Option<Position>,
}

/// What [`read`] reads, of `events JOIN queues`.
pub(super) const COLUMNS: &str = "recorded, device_id, sequence, event_id, entity_id, stamp, line, state, code, detail, \
                                  position, entity_type";

pub(super) fn read(row: &Row<'_>) -> Result<OwnEvent, StoreError> {
    let line: String = row.get(6)?;
    let code: Option<String> = row.get(8)?;
    let detail: Option<String> = row.get(9)?;
    let state = match row.get(7)? {
        SYNCED => EventState::Synced,
        REJECTED => EventState::Rejected {
            code: code.and_then(|code| Fault::from_text(&code)),
            detail: detail.unwrap_or_default(),
        },
        _ => EventState::Pending,
    };
    Ok(OwnEvent {
        row: natural(row.get(0)?),
        device_id: parsed(row, 1)?,
        device_sequence: Sequence::from_i64(row.get(2)?),
        event_id: EventId(parsed(row, 3)?),
        event_type: line::read(&line)?.event_type.into_owned(),
        entity_type: row.get(11)?,
        entity_id: parsed(row, 4)?,
        timestamp: parsed(row, 5)?,
        line,
        state,
        position: row.get::<_, Option<i64>>(10)?.map(Position::from_i64),
    })
}

impl EventStore {
    /// Own events, in order of recording.
    pub fn events(&self, space: &SpaceId, query: &EventsQuery) -> Result<Vec<OwnEvent>, StoreError> {
        let space = spaces::load(&self.connection, space)?;
        list(&self.connection, space.row, query)
    }

    /// Stops listing a rejected event. It stays in the store.
    pub fn dismiss(&mut self, space: &SpaceId, event: EventId) -> Result<bool, StoreError> {
        let transaction = begin(&mut self.connection)?;
        let space = spaces::load(&transaction, space)?;
        let dismissed = transaction.execute(
            "UPDATE events SET dismissed = 1 WHERE space = ?1 AND state = 2 AND event_id = ?2",
            params![space.row, event.to_string()],
        )?;
        transaction.commit()?;
        Ok(dismissed > 0)
    }
}

fn list(connection: &Connection, space: i64, query: &EventsQuery) -> Result<Vec<OwnEvent>, StoreError> {
    let states = [
        (query.pending, "state = 0"),
        (query.synced, "state = 1"),
        (query.rejected, "state = 2 AND dismissed = 0"),
    ];
    let states: Vec<&str> =
        states.into_iter().filter_map(|(wanted, state)| wanted.then_some(state)).collect();
    if states.is_empty() {
        return Ok(Vec::new());
    }
    // In the text, not as parameters: SQLite would prepare anew what a parameter may decide about a partial index.
    let statement = format!(
        "SELECT {COLUMNS} FROM events JOIN queues USING (queue) \
         WHERE events.space = ?1 AND recorded > ?2 AND ({}) ORDER BY recorded LIMIT ?3",
        states.join(" OR ")
    );
    let mut statement = connection.prepare_cached(&statement)?;
    let after = i64::try_from(query.after_row).unwrap_or(i64::MAX);
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![space, after, limit])?;
    let mut events = Vec::new();
    while let Some(row) = rows.next()? {
        events.push(read(row)?);
    }
    Ok(events)
}
