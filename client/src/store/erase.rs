//! Erasing: a space that the server has erased is erased here, too.

use tidelog_events::id::SpaceId;

use super::answers::Taken;
use super::{Changed, EventStore, Notice, StoreError, begin, spaces};

impl EventStore {
    pub(super) fn erase(&mut self, space: &SpaceId) -> Result<Taken, StoreError> {
        let transaction = begin(&mut self.connection)?;
        let row = spaces::load(&transaction, space)?;
        for statement in [
            "DELETE FROM entities WHERE space = ?1",
            "DELETE FROM events WHERE space = ?1",
            "DELETE FROM sync_counts WHERE space = ?1",
            "DELETE FROM queues WHERE space = ?1",
            "DELETE FROM spaces WHERE space = ?1",
        ] {
            transaction.execute(statement, [row.row])?;
        }
        transaction.commit()?;
        self.states.remove(space);
        self.syncs.remove(space);
        self.changed.push(Changed::Notice(Notice::SpaceErased { space: space.clone() }));
        // What was erased must not be left in free pages, nor in the write-ahead log.
        if let Err(error) = self.connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);") {
            tracing::warn!(%space, %error, "an erased space may still lie in unused pages of the store's file");
        }
        Ok(Taken::Erased)
    }
}
