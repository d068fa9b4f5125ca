//! The tables as a whole: which migrations they have, how they are brought to a release, and whether a release can work
//! with them. Migrations that only add (*expand*) run while services of the release before serve; those that take away
//! (*contract*) run when none of them does any more.

mod plan;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::pin::Pin;
use std::sync::LazyLock;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, Migrator};
use sqlx::{Connection, PgConnection, PgPool, Row};

pub use plan::Misfit;
use plan::Named;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// How often a migration is tried whose table is in use: for a quarter of an hour, as each try waits for
/// [`LOCK_TIMEOUT`]. Whoever wants the table next waits behind a try, so none may take long.
const TRIES: u32 = 450;
const LOCK_TIMEOUT: Duration = Duration::from_secs(2);

/// SQLSTATE of a statement that met a table that is not there.
const UNDEFINED_TABLE: &str = "42P01";
/// SQLSTATE of a statement that waited too long for a lock.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// What a release knows of the tables: its migrations.
#[derive(Debug)]
pub struct Tables {
    migrations: Vec<Migration>,
}

/// The tables could not be brought to a release.
#[derive(Debug, thiserror::Error)]
pub enum TablesError {
    /// They are of a release that this one cannot work beside.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// Something would be taken away that running services need.
    #[error("services of an older release are running: {services}. Replace them, then try again")]
    OldServices {
        /// Which, and how many connections each has.
        services: String,
    },
    /// A table was in use for too long. What was applied before stays.
    #[error("migration {number} waits for a table that is in use: end the long transaction, then try again")]
    InUse {
        /// The migration.
        number: i64,
    },
    /// A migration failed. What was applied before stays.
    #[error(transparent)]
    Migration(#[from] MigrateError),
    /// The database does not answer.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl Tables {
    /// Those of this release.
    pub fn of_this_release() -> &'static Self {
        static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables::new(MIGRATIONS.iter().cloned().collect()));
        &TABLES
    }

    /// Those of a release with these migrations.
    pub fn new(mut migrations: Vec<Migration>) -> Self {
        migrations.sort();
        Self { migrations }
    }

    /// The migrations that it knows, in order.
    pub fn migrations(&self) -> &[Migration] {
        &self.migrations
    }

    /// The last migration that the release knows.
    pub fn number(&self) -> i64 {
        self.migrations.last().map_or(0, |migration| migration.version)
    }

    /// How a service of this release is known to the database, so that [`Tables::contract`] sees whom it would hurt.
    pub fn application_name(&self, service: &str) -> String {
        format!("{service}/{}", self.number())
    }

    /// Adds what the release needs, while older services serve; what takes away something of theirs is left to
    /// [`Tables::contract`]. Safe to run again, and several at once. Returns the migrations that it applied.
    ///
    /// # Errors
    /// The tables cannot be brought there, or not now; see [`TablesError`].
    pub async fn expand(&self, pool: &PgPool) -> Result<Vec<i64>, TablesError> {
        let applied = applied(&mut *pool.acquire().await?).await?;
        if let Err(misfit @ Misfit::Contracted { .. }) = plan::fits(&self.named(), &applied) {
            return Err(misfit.into());
        }
        let (now, _) = plan::split(&self.named(), &applied);
        self.apply(&now, &applied, pool).await
    }

    /// Takes away what only older releases need. Returns the migrations that it applied.
    ///
    /// # Errors
    /// [`TablesError::OldServices`]: some of them run.
    pub async fn contract(&self, pool: &PgPool) -> Result<Vec<i64>, TablesError> {
        let applied = applied(&mut *pool.acquire().await?).await?;
        plan::fits(&self.named(), &applied)?;
        let (_, later) = plan::split(&self.named(), &applied);
        self.apply(&later, &applied, pool).await
    }

    /// Whether the release can work with the tables as they are.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn fit(&self, connection: &mut PgConnection) -> sqlx::Result<Result<(), Misfit>> {
        Ok(plan::fits(&self.named(), &applied(connection).await?))
    }

    fn named(&self) -> Vec<Named<'_>> {
        let known = self.migrations.iter();
        known.map(|migration| Named { number: migration.version, name: &migration.description }).collect()
    }

    async fn apply(
        &self,
        migrations: &[Named<'_>],
        applied: &BTreeMap<i64, String>,
        pool: &PgPool,
    ) -> Result<Vec<i64>, TablesError> {
        // Those that were applied are among them: one that was changed since is an error.
        let mut due = self.migrations.clone();
        due.retain(|migration| applied.contains_key(&migration.version));
        for migration in migrations {
            if migration.contracts() {
                refuse_while_needed(migration.number, pool).await?;
            }
            due.extend(self.migrations.iter().filter(|due| due.version == migration.number).cloned());
            apply(&due, pool).await?;
        }
        Ok(migrations.iter().map(|migration| migration.number).collect())
    }
}

/// Applies what is not yet applied of these, which is the last of them, again and again while its table is in use.
async fn apply(due: &[Migration], pool: &PgPool) -> Result<(), TablesError> {
    let Some(last) = due.last() else { return Ok(()) };
    let mut migrator = Migrator::with_migrations(due.to_vec());
    migrator.set_ignore_missing(true);
    for _ in 0..TRIES {
        // Its settings are its own, and a failed try keeps the lock that migrations take: it is closed each time.
        let mut connection = pool.acquire().await?.detach();
        unhurried(&mut connection, last.no_tx).await?;
        let tried = migrator.run(&mut connection).await;
        // What it did is done; how the connection ends does not matter.
        drop(connection.close().await);
        match tried {
            Err(error) if is_in_use(&error) => {}
            tried => return Ok(tried?),
        }
    }
    Err(TablesError::InUse { number: last.version })
}

/// Why the database cannot be worked with now.
#[derive(Debug, thiserror::Error)]
pub enum NotReady {
    /// It is away, or refuses.
    #[error(transparent)]
    Away(#[from] sqlx::Error),
    /// Its tables are of another release.
    #[error(transparent)]
    Misfit(#[from] Misfit),
}

/// A look at the tables.
pub type LookFuture = Pin<Box<dyn Future<Output = Result<(), NotReady>> + Send>>;

/// Looks at them again and again, each time it is called, with a connection of its own to where `pool` goes: one that waited for
/// its turn among the work would take a busy service for one without a database.
pub fn look(pool: &PgPool) -> impl Fn() -> LookFuture + Send + Sync + 'static + use<> {
    let options = pool.options().clone().max_connections(1);
    let pool = options.connect_lazy_with((*pool.connect_options()).clone());
    move || {
        let pool = pool.clone();
        Box::pin(async move { ready(&pool).await })
    }
}

/// Whether services of this release can work with the database.
pub async fn ready(pool: &PgPool) -> Result<(), NotReady> {
    let mut connection = pool.acquire().await?;
    Ok(Tables::of_this_release().fit(&mut connection).await??)
}

/// The migrations that the tables have, by number and name; none where there is no table of them.
async fn applied(connection: &mut PgConnection) -> sqlx::Result<BTreeMap<i64, String>> {
    let statement = "SELECT version, description FROM _sqlx_migrations WHERE success ORDER BY version";
    let rows = match sqlx::query(statement).fetch_all(connection).await {
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(UNDEFINED_TABLE) => Vec::new(),
        rows => rows?,
    };
    rows.iter().map(|row| Ok((row.try_get("version")?, row.try_get("description")?))).collect()
}

/// Fails while services are connected that do not know migration `number`, and so may need what it takes away.
async fn refuse_while_needed(number: i64, pool: &PgPool) -> Result<(), TablesError> {
    let rows = sqlx::query(
        "SELECT application_name, count(*) AS connections FROM pg_stat_activity
         WHERE datname = current_database()
           AND application_name ~ '^tidelog-(gateway|ingest|projector|compactor)(/|$)'
         GROUP BY application_name ORDER BY application_name",
    )
    .fetch_all(pool)
    .await?;
    let mut services = String::new();
    for row in rows {
        let name: String = row.try_get("application_name")?;
        if plan::number_of(&name) < number {
            let comma = if services.is_empty() { "" } else { ", " };
            let _ = write!(services, "{comma}{name} ({} connections)", row.try_get::<i64, _>("connections")?);
        }
    }
    if services.is_empty() { Ok(()) } else { Err(TablesError::OldServices { services }) }
}

/// A migration may take as long as its table is large. Waiting for a table is another matter: all who want it meanwhile
/// wait behind. A migration without a transaction (`CREATE INDEX CONCURRENTLY`) keeps nobody waiting.
async fn unhurried(connection: &mut PgConnection, without_transaction: bool) -> sqlx::Result<()> {
    let wait = if without_transaction { Duration::ZERO } else { LOCK_TIMEOUT };
    sqlx::query(
        "SELECT set_config('lock_timeout', $1, false), set_config('statement_timeout', '0', false),
                set_config('idle_in_transaction_session_timeout', '0', false)",
    )
    .bind(format!("{}ms", wait.as_millis()))
    .execute(connection)
    .await?;
    Ok(())
}

fn is_in_use(error: &MigrateError) -> bool {
    let (MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _)) = error else {
        return false;
    };
    let code = cause.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.as_deref() == Some(LOCK_NOT_AVAILABLE)
}
