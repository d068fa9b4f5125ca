//! The PostgreSQL pool, and what a database error means for the work that met it.

mod measure;
mod relay;
mod watch;

use std::future::Future;
use std::time::Duration;

use serde::Deserialize;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{Connection, Row};
use tokio::time::error::Elapsed;

pub use self::measure::measure;
use self::relay::Relay;
pub use self::watch::{until_ready, watch};
use crate::config::{Secret, positive};

/// A connection that was idle longer is tested before it is used: the server may have restarted meanwhile.
const TESTED_AFTER_IDLE: Duration = Duration::from_secs(1);

/// A connection that does not answer by then when its work is over is thrown away. The driver's own test at that
/// point waits for ever, and would keep the connection's place in the pool as long as the network is silent.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Connections are remade after this long, so that load spreads again after a failover.
const MAX_LIFETIME: Duration = Duration::from_mins(30);

/// `[database]` of the configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseConfig {
    /// `postgresql://…`; may hold a password.
    pub url: Secret,
    /// Connections of one process.
    #[serde(deserialize_with = "positive")]
    pub max_connections: u32,
    /// Milliseconds that a request waits for a connection.
    #[serde(deserialize_with = "positive")]
    pub acquire_timeout_ms: u64,
    /// Milliseconds after which PostgreSQL cancels a statement, and ends a connection that idles in a transaction.
    #[serde(deserialize_with = "positive")]
    pub statement_timeout_ms: u64,
    /// Whether a failover loses nothing that was committed.
    pub synchronous_failover: bool,
}

impl DatabaseConfig {
    /// What the URL says.
    ///
    /// # Errors
    /// It is none of PostgreSQL.
    pub fn options(&self) -> Result<PgConnectOptions, DatabaseConfigError> {
        let url = self.url.expose();
        if !["postgresql://", "postgres://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(DatabaseConfigError::Scheme);
        }
        Ok(url.parse()?)
    }

    /// How long to wait for one statement, for [`within`]: PostgreSQL's own limit goes first.
    pub fn statement_deadline(&self) -> Duration {
        Duration::from_millis(self.statement_timeout_ms) + ANSWER_TIMEOUT
    }
}

/// The database configuration cannot be used. The URL itself is not repeated: it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseConfigError {
    /// Another scheme; the driver would not notice.
    #[error("it must begin with postgresql:// or postgres://")]
    Scheme,
    /// Something else is wrong with it.
    #[error("it is no URL of a database")]
    Url(#[from] sqlx::Error),
}

/// A pool that connects when it is first used, and again whenever it must. `application_name` is what
/// `pg_stat_activity` shows.
///
/// # Panics
/// Outside of a Tokio runtime, which must live as long as the pool.
///
/// # Errors
/// The URL cannot be parsed. A server that is away is no error here.
pub fn connect(config: &DatabaseConfig, application_name: &str) -> Result<PgPool, DatabaseConfigError> {
    let timeout_ms = config.statement_timeout_ms.to_string();
    let options = config.options()?.application_name(application_name).options([
        ("statement_timeout", timeout_ms.as_str()),
        ("idle_in_transaction_session_timeout", timeout_ms.as_str()),
        // A process whose host is gone keeps its locks no longer than about a minute.
        ("tcp_keepalives_idle", "30"),
        ("tcp_keepalives_interval", "10"),
        ("tcp_keepalives_count", "3"),
    ]);
    let relay = Relay::before_tcp(&options, config);
    let options = match &relay {
        Some(relay) => options.socket(relay.folder()),
        None => options,
    };
    let pool = PgPoolOptions::new()
        .max_connections(config.max_connections)
        .acquire_timeout(Duration::from_millis(config.acquire_timeout_ms))
        // In a rush each request would say that it waited. Metrics do.
        .acquire_slow_threshold(Duration::MAX)
        .max_lifetime(MAX_LIFETIME)
        // A test for each use would cost a round trip each time.
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move {
                if meta.idle_for > TESTED_AFTER_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_release(|connection, _| Box::pin(within(ANSWER_TIMEOUT, is_out_of_transactions(connection))))
        .connect_lazy_with(options);
    if let Some(relay) = relay {
        // Closed is also what a pool is whose last handle is gone.
        tokio::spawn(relay.serve(pool.close_event()));
    }
    Ok(pool)
}

/// Whether a connection that comes back answers, and is in no transaction. The driver can leave one open where its
/// beginning was cut off; whatever then ran on the connection would never be committed.
async fn is_out_of_transactions(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    // In the simple protocol a statement of its own begins with its transaction, to the microsecond.
    let row = sqlx::raw_sql("SELECT now() = statement_timestamp()").fetch_one(connection).await?;
    row.try_get(0)
}

/// Bounds work on the database from our side: PostgreSQL ends a long statement itself, but not when it, or the
/// network to it, has fallen silent. Work that runs out of time is an [`DatabaseFault::Outage`], and whether it was
/// committed is not known.
///
/// # Errors
/// Those of `work`, or `Io` with `TimedOut`.
pub async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(elapsed) => Err(out_of_time(elapsed)),
    }
}

/// The error of work that was bounded otherwise and ran out of time, as [`within`] says it.
pub fn out_of_time(elapsed: Elapsed) -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, elapsed))
}

/// What to do about a failed statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseFault {
    /// The database is away, overloaded or read-only: try again later, the same work will succeed.
    Outage,
    /// Another transaction was in the way: try again at once.
    Conflict,
    /// The database refuses the values themselves: trying again cannot help.
    Poison,
    /// Ours or the operator's mistake (a missing table, a wrong password): log it, then treat it like an outage.
    Defect,
}

/// Judges an error by its SQLSTATE, or by where it arose.
pub fn classify(error: &sqlx::Error) -> DatabaseFault {
    match error {
        sqlx::Error::Database(error) => classify_sqlstate(error.code().as_deref().unwrap_or_default()),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => DatabaseFault::Outage,
        // The driver could not even write the value.
        sqlx::Error::Encode(_) => DatabaseFault::Poison,
        _ => DatabaseFault::Defect,
    }
}

/// SQLSTATE classes: PostgreSQL documentation, appendix A.
fn classify_sqlstate(code: &str) -> DatabaseFault {
    match code {
        // Serialization failure, deadlock, lock not available.
        "40001" | "40P01" | "55P03" => DatabaseFault::Conflict,
        // A read-only transaction (a standby not yet promoted), or one ended for idling.
        "25006" | "25P03" => DatabaseFault::Outage,
        _ => match code.get(..2) {
            // Data exception, integrity constraint, program limit.
            Some("22" | "23" | "54") => DatabaseFault::Poison,
            // Connection, rolled back with unknown result, resources, operator intervention, system.
            Some("08" | "40" | "53" | "57" | "58") => DatabaseFault::Outage,
            _ => DatabaseFault::Defect,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};

    fn config() -> DatabaseConfig {
        Config::load(&Sources::default()).unwrap().section("database").unwrap()
    }

    #[test]
    fn a_state_of_the_server_is_never_taken_for_a_fault_of_the_data() {
        let cases = [
            ("57P01", DatabaseFault::Outage),
            ("57P03", DatabaseFault::Outage),
            ("57014", DatabaseFault::Outage),
            ("53100", DatabaseFault::Outage),
            ("53300", DatabaseFault::Outage),
            ("08006", DatabaseFault::Outage),
            ("58030", DatabaseFault::Outage),
            ("25006", DatabaseFault::Outage),
            ("40003", DatabaseFault::Outage),
            ("40001", DatabaseFault::Conflict),
            ("40P01", DatabaseFault::Conflict),
            ("55P03", DatabaseFault::Conflict),
            ("22021", DatabaseFault::Poison),
            ("23505", DatabaseFault::Poison),
            ("54000", DatabaseFault::Poison),
            ("42P01", DatabaseFault::Defect),
            ("28P01", DatabaseFault::Defect),
            ("XX000", DatabaseFault::Defect),
            ("", DatabaseFault::Defect),
        ];
        for (code, expected) in cases {
            assert_eq!(classify_sqlstate(code), expected, "{code}");
        }
        assert_eq!(classify(&sqlx::Error::PoolTimedOut), DatabaseFault::Outage);
        assert_eq!(classify(&sqlx::Error::RowNotFound), DatabaseFault::Defect);
    }

    #[tokio::test]
    async fn an_absent_server_is_an_outage_within_the_acquire_timeout_and_no_error_at_start() {
        let config = DatabaseConfig {
            url: "postgresql://nobody@127.0.0.1:1/nothing".into(),
            acquire_timeout_ms: 200,
            ..config()
        };
        let pool = connect(&config, "test").unwrap();
        let error = pool.acquire().await.unwrap_err();
        assert_eq!(classify(&error), DatabaseFault::Outage);
    }

    #[tokio::test]
    async fn a_url_that_is_none_is_an_error_that_does_not_repeat_its_password() {
        for url in ["", "mysql://me:hunter2@host/db", "postgres://me:hunter2@host:port/db"] {
            let config = DatabaseConfig { url: url.into(), ..config() };
            let error = connect(&config, "test").unwrap_err();
            assert!(!format!("{error} {error:?} {config:?}").contains("hunter2"), "{error:?}");
        }
    }
}
