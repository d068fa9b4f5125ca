//! Compaction: own events that the log has had for long fold away; what they amount to stays in the confirmed state.

use rusqlite::{OptionalExtension, params};
use tidelog_events::id::SpaceId;
use tidelog_events::stamp::Stamp;

use super::{EventStore, StoreError, begin, spaces};

const DAY_MS: i64 = 86_400_000;
/// Own events are kept at least this long after they happened.
const KEPT_DAYS: i64 = 30;
/// And at least this long after the log had them: a server that was restored from a backup may ask for them again.
const KEPT_CONFIRMED_DAYS: i64 = 7;

/// Of the events recorded before `?2`, those that may go: not the last one of each queue. A server that is restored, and
/// asks for what is behind that one, names it, and must be believed.
const GOES: &str = "space = ?1 AND recorded < ?2 AND state = 1 AND EXISTS (
     SELECT 1 FROM events AS later
     WHERE later.queue = events.queue AND later.sequence > events.sequence AND later.recorded < ?2)";

impl EventStore {
    /// Folds away own events that happened more than 30 days before the last complete sync and that the log had had for
    /// more than 7 days by then: the oldest, in order of recording, up to the last one before the first that must stay.
    /// Rejected ones stay. Returns how many went.
    ///
    /// The server's time decides, since the device's own may lie; and that of the last sync, since the server may have
    /// been restored from a backup after it, and ask for them again.
    pub fn compact(&mut self, space: &SpaceId) -> Result<u64, StoreError> {
        let space = spaces::load(&self.connection, space)?;
        let Some(synced) = space.last_synced_at else { return Ok(0) };
        let happened = Stamp::from_millis(synced.0.saturating_sub(KEPT_DAYS * DAY_MS)).unwrap_or(Stamp::MIN);
        let confirmed_ms = synced.0.saturating_sub(KEPT_CONFIRMED_DAYS * DAY_MS);
        let first_kept: Option<i64> = self
            .connection
            .prepare_cached(
                "SELECT recorded FROM events WHERE space = ?1 AND state <> 2 \
                 AND (state = 0 OR overlay = 1 OR stamp >= ?2 OR settled_at_ms >= ?3) ORDER BY recorded LIMIT 1",
            )?
            .query_row(params![space.row, happened.to_string(), confirmed_ms], |row| row.get(0))
            .optional()?;
        let first_kept = first_kept.unwrap_or(i64::MAX);
        let anything = format!("SELECT EXISTS (SELECT 1 FROM events WHERE {GOES})");
        if !self.connection.query_row(&anything, [space.row, first_kept], |row| row.get::<_, bool>(0))? {
            return Ok(0);
        }
        let transaction = begin(&mut self.connection)?;
        let folded = transaction
            .prepare_cached(&format!("DELETE FROM events WHERE {GOES}"))?
            .execute([space.row, first_kept])?;
        transaction.commit()?;
        Ok(folded as u64)
    }
}
