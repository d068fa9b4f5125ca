//! Opening a store: its file, its format, whose it is, and on which device.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior, params};
use tidelog_events::id::{DeviceId, SpaceId, UserId};
use tidelog_events::schema::Schema;

use super::{EventStore, StoreError, columns, spaces, sync_counts};

/// The format that this version writes, in SQLite's `user_version`.
const FORMAT: i64 = 1;
/// In SQLite's `application_id`: "Tide".
const APPLICATION: i64 = 0x5469_6465;
/// How long a statement waits for another process that has the file open.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Prepared statements that are kept.
const STATEMENTS: usize = 96;

/// What a device must know to open a store.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Who records.
    pub user: UserId,
    /// The app's schema.
    pub schema: Arc<Schema>,
    /// The device id that lies outside of backups.
    pub identity: DeviceId,
    /// Where event ids come from.
    pub random: fastrand::Rng,
}

/// Whose store a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The user.
    pub user: UserId,
    /// The app's name.
    pub app: String,
    /// Events that are not synced.
    pub pending: u64,
}

/// Why a store was not opened. Nothing of it was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is another user's.
    #[error("the store belongs to `{bound_to}` and holds {pending} events that are not synced")]
    OtherUser {
        /// Whose it is.
        bound_to: UserId,
        /// Events that are not synced.
        pending: u64,
    },
    /// It is another app's.
    #[error("the store belongs to the app `{0}`")]
    OtherApp(String),
    /// A later version of the SDK wrote it.
    #[error("the store has format {found}, and this version reads {FORMAT}: update the app")]
    TooNew {
        /// Its format.
        found: i64,
    },
    /// The file is a database of something else.
    #[error("the file is no store of Tidelog")]
    NotAStore,
    /// Something else reads the file just now, so that it cannot be set aside.
    #[error("the store is open elsewhere: close it there, and try again")]
    InUse,
    /// The file cannot be set aside.
    #[error("the store's file cannot be renamed: {0}")]
    Rename(#[source] io::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl EventStore {
    /// Opens the store in that file, or makes it. The user's personal space is joined.
    pub fn open(path: &Path, options: StoreOptions) -> Result<Self, OpenError> {
        Self::open_over(Connection::open(path)?, options)
    }

    /// Opens the store over a connection that the caller has made.
    pub fn open_over(mut connection: Connection, options: StoreOptions) -> Result<Self, OpenError> {
        let StoreOptions { user, schema, identity, mut random } = options;
        let bound = bound(&connection)?;
        if let Some(bound) = &bound {
            refuse_foreign(bound, &user, &schema)?;
        }
        set_up(&connection)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let fingerprint = schema.id().fingerprint;
        if bound.is_none() {
            create(&transaction, &user, &schema, &identity)?;
        } else {
            adopt(&transaction, &identity, &fingerprint, &mut random)?;
        }
        let personal = SpaceId::new(user.as_str()).map_err(|error| StoreError::Damaged(error.to_string()))?;
        spaces::join(&transaction, &personal, None, &identity)?;
        let syncs = sync_counts::load(&transaction)?;
        transaction.commit()?;
        Ok(Self {
            connection,
            schema,
            user,
            identity,
            random,
            latest_sent: BTreeMap::new(),
            clock_offset_ms: None,
            states: BTreeMap::new(),
            syncs,
            changed: Vec::new(),
        })
    }
}

/// Whose store the file is; `None` where it is not there, or holds nothing.
pub fn bound_to(path: &Path) -> Result<Option<Bound>, OpenError> {
    if !path.exists() {
        return Ok(None);
    }
    bound(&Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?)
}

/// Puts a store's file aside, under a name beside it, and tells that name. Nothing is deleted.
pub fn set_aside(path: &Path) -> Result<PathBuf, OpenError> {
    // What lies in the write-ahead log moves into the file: so one rename is all, and no crash can part them.
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(Duration::ZERO)?;
    if connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))? {
        return Err(OpenError::InUse);
    }
    connection.close().map_err(|(_, error)| error)?;
    let beside = |number: u32| {
        let mut name = OsString::from(path);
        name.push(format!(".aside-{number}"));
        PathBuf::from(name)
    };
    let aside = (1..u32::MAX).map(beside).find(|aside| !aside.exists()).unwrap_or_else(|| beside(u32::MAX));
    std::fs::rename(path, &aside).map_err(OpenError::Rename)?;
    Ok(aside)
}

pub(super) fn bound(connection: &Connection) -> Result<Option<Bound>, OpenError> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    match (number("application_id")?, number("user_version")?) {
        (APPLICATION, found) if found > FORMAT => return Err(OpenError::TooNew { found }),
        (APPLICATION, _) => {}
        (0, 0) if is_empty(connection)? => return Ok(None),
        _ => return Err(OpenError::NotAStore),
    }
    let pending = "SELECT count(*) FROM events WHERE state = 0";
    let pending = connection.query_row(pending, [], |row| row.get(0)).map(columns::natural)?;
    let owner = connection
        .query_row("SELECT user_id, app FROM store", [], |row| Ok((row.get::<_, String>(0)?, row.get(1)?)))
        .optional()?;
    let Some((user, app)) = owner else { return Err(OpenError::NotAStore) };
    let user = UserId::new(user).map_err(|error| StoreError::Damaged(error.to_string()))?;
    Ok(Some(Bound { user, app, pending }))
}

fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))
}

fn refuse_foreign(bound: &Bound, user: &UserId, schema: &Schema) -> Result<(), OpenError> {
    if bound.app != schema.name() {
        return Err(OpenError::OtherApp(bound.app.clone()));
    }
    if bound.user != *user {
        return Err(OpenError::OtherUser { bound_to: bound.user.clone(), pending: bound.pending });
    }
    Ok(())
}

fn set_up(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // In WAL mode, less than this may lose committed transactions when the power fails.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")
}

fn create(
    transaction: &Connection,
    user: &UserId,
    schema: &Schema,
    identity: &DeviceId,
) -> rusqlite::Result<()> {
    transaction.execute_batch(include_str!("tables.sql"))?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.execute(
        "INSERT INTO store (only, user_id, app, identity, schema_fingerprint) VALUES (1, ?1, ?2, ?3, ?4)",
        params![user.as_str(), schema.name(), identity.as_str(), &*schema.id().fingerprint],
    )?;
    Ok(())
}

/// Takes note of what changed since the last opening: the schema, or the device under the file.
fn adopt(
    transaction: &Connection,
    identity: &DeviceId,
    fingerprint: &str,
    random: &mut fastrand::Rng,
) -> Result<(), StoreError> {
    let (known, folded_with): (String, String) =
        transaction.query_row("SELECT identity, schema_fingerprint FROM store", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    if folded_with != fingerprint {
        // Another schema may fold what the former one had to skip.
        transaction.execute("UPDATE spaces SET refetch = 1", [])?;
        transaction.execute("UPDATE store SET schema_fingerprint = ?1", [fingerprint])?;
    }
    if known != identity.as_str() {
        // A backup of another device. What it has recorded is sent on under its id; this device numbers its own.
        spaces::record_as(transaction, identity, random)?;
        transaction.execute("UPDATE store SET identity = ?1", [identity.as_str()])?;
    }
    Ok(())
}
