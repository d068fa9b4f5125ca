//! The table `sync_counts`: how attempts to sync ended, until the server was told. It survives the app's end, as far as the
//! file can be written; counting never makes a sync fail.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use tidelog_events::id::SpaceId;
use tidelog_events::report::{SyncCounts, SyncFailureCause};

use super::{EventStore, StoreError, columns, spaces};

/// What was counted and not told before the file was closed last. Earlier versions made stores without the table.
pub(super) fn load(connection: &Connection) -> Result<BTreeMap<SpaceId, SyncCounts>, StoreError> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS sync_counts (space INTEGER PRIMARY KEY, counts TEXT NOT NULL) STRICT",
    )?;
    let mut statement =
        connection.prepare("SELECT space_id, counts FROM sync_counts JOIN spaces USING (space)")?;
    let rows = statement.query_map([], |row| Ok((columns::parsed(row, 0)?, row.get::<_, String>(1)?)))?;
    let mut all = BTreeMap::new();
    for row in rows {
        let (space, counts) = row?;
        // What cannot be read is not worth a store that does not open.
        all.insert(space, serde_json::from_str(&counts).unwrap_or_default());
    }
    Ok(all)
}

impl EventStore {
    /// Counts an attempt to sync the space: one that ended well, or why it did not.
    pub(crate) fn count_sync(&mut self, space: &SpaceId, failure: Option<SyncFailureCause>) {
        self.syncs.entry(space.clone()).or_default().count(failure);
        self.keep_syncs(space);
    }

    /// The server was told these.
    pub(crate) fn syncs_told(&mut self, space: &SpaceId, told: &SyncCounts) {
        if let Some(counts) = self.syncs.get_mut(space) {
            counts.subtract(told);
            self.keep_syncs(space);
        }
    }

    fn keep_syncs(&self, space: &SpaceId) {
        let keep = || {
            let counts = self.syncs.get(space).cloned().unwrap_or_default();
            let counts =
                serde_json::to_string(&counts).map_err(|error| StoreError::Damaged(error.to_string()))?;
            let row = spaces::load(&self.connection, space)?.row;
            self.connection
                .prepare_cached(
                    "INSERT INTO sync_counts (space, counts) VALUES (?1, ?2)
                     ON CONFLICT (space) DO UPDATE SET counts = excluded.counts",
                )?
                .execute(params![row, counts])?;
            Ok::<_, StoreError>(())
        };
        if let Err(error) = keep() {
            tracing::debug!(%space, %error, "how attempts to sync ended is known until the app ends, and not longer");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use tidelog_events::id::{DeviceId, UserId};
    use tidelog_events::schema::Schema;

    use super::*;
    use crate::store::StoreOptions;

    fn open(path: &Path) -> EventStore {
        let schema = Schema::parse(include_str!("../../../config/fitness.yaml")).unwrap();
        let options = StoreOptions {
            user: UserId::new("ann").unwrap(),
            schema: Arc::new(schema),
            identity: DeviceId::new("phone-1").unwrap(),
            random: fastrand::Rng::with_seed(1),
        };
        EventStore::open(path, options).unwrap()
    }

    fn to_tell(store: &EventStore) -> Option<SyncCounts> {
        store.device_report(&SpaceId::new("ann").unwrap()).unwrap().syncs
    }

    #[test]
    fn what_was_not_told_is_still_known_when_the_app_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let (path, ann) = (folder.path().join("store.sqlite"), SpaceId::new("ann").unwrap());
        let mut store = open(&path);
        store.count_sync(&ann, Some(SyncFailureCause::Timeout));
        let told = to_tell(&store).unwrap();
        store.count_sync(&ann, None);
        drop(store);

        let mut store = open(&path);
        store.syncs_told(&ann, &told);
        let left = SyncCounts { succeeded: 1, failed: BTreeMap::new() };
        assert_eq!(to_tell(&store), Some(left.clone()));
        drop(store);
        assert_eq!(to_tell(&open(&path)), Some(left));
    }

    #[test]
    fn a_store_of_an_earlier_version_opens_and_counts_from_now_on() {
        let folder = tempfile::tempdir().unwrap();
        let (path, ann) = (folder.path().join("store.sqlite"), SpaceId::new("ann").unwrap());
        drop(open(&path));
        Connection::open(&path).unwrap().execute_batch("DROP TABLE sync_counts").unwrap();
        let mut store = open(&path);
        assert_eq!(to_tell(&store), None);
        store.count_sync(&ann, None);
        drop(store);
        assert_eq!(to_tell(&open(&path)).unwrap().succeeded, 1);
    }

    #[test]
    fn a_file_that_takes_nothing_does_not_keep_a_failure_from_being_told() {
        let folder = tempfile::tempdir().unwrap();
        let ann = SpaceId::new("ann").unwrap();
        let mut store = open(&folder.path().join("store.sqlite"));
        store.connection.execute_batch("DROP TABLE sync_counts").unwrap();
        store.count_sync(&ann, Some(SyncFailureCause::Store));
        assert_eq!(to_tell(&store).unwrap().failed, BTreeMap::from([("store".to_owned(), 1)]));
    }
}
