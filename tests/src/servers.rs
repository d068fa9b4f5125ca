//! The servers that worlds stand on.

use std::path::PathBuf;

use reqwest::Url;
use tempfile::TempDir;
use tidelog_cli::local::{Durability, Given, NatsServer, Postgres, Servers, Toolbox};
use tokio::sync::OnceCell;

/// The pair that the tests of one process share; the kernel ends it with the process.
///
/// # Panics
/// When the servers cannot be started: without them nothing can be tested.
pub async fn shared_servers() -> &'static Servers {
    static SHARED: OnceCell<Servers> = OnceCell::const_new();
    SHARED
        .get_or_init(|| async {
            let folder = folder();
            let given = Given::from_environment();
            Servers::start(given, &folder, Durability::Unsynced, |line| println!("{line}"))
                .await
                .expect("the test servers start")
        })
        .await
}

/// Where the shared NATS listens, as a proxy's target.
///
/// # Panics
/// When the environment names one without an address.
pub async fn broker_address() -> String {
    address(&shared_servers().await.nats_url(), 4222)
}

/// Where the shared PostgreSQL listens, as a proxy's target.
///
/// # Panics
/// As [`broker_address`].
pub async fn database_address() -> String {
    let servers = shared_servers().await;
    match &servers.postgres {
        Some(server) => format!("127.0.0.1:{}", server.port()),
        None => address(&servers.database_url("postgres").expect("a URL"), 5432),
    }
}

fn address(url: &str, port: u16) -> String {
    let url = Url::parse(url).expect("a URL");
    format!("{}:{}", url.host_str().expect("a host"), url.port().unwrap_or(port))
}

/// Where this process's servers keep their data; what earlier processes left there is removed.
fn folder() -> PathBuf {
    let all = std::env::temp_dir().join("tidelog-tests");
    for entry in std::fs::read_dir(&all).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let alive = PathBuf::from("/proc").join(&name).exists();
        if !alive {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    all.join(std::process::id().to_string())
}

/// A pair that one test may stop, kill and wipe.
pub struct PrivateServers {
    /// Its NATS.
    pub nats: NatsServer,
    /// Its PostgreSQL.
    pub postgres: Postgres,
    postgres_log: PathBuf,
    _folder: TempDir,
}

impl PrivateServers {
    /// Starts a pair of its own.
    ///
    /// # Panics
    /// When the servers cannot be started.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let home = folder.path();
        let toolbox =
            Toolbox::fetch(&Given::from_environment(), |line| println!("{line}")).expect("a toolbox");
        let (nats, nats_log) = (home.join("nats"), home.join("nats.log"));
        let (postgres, postgres_log) = (home.join("postgres"), home.join("postgres.log"));
        let (nats, postgres) = tokio::join!(
            NatsServer::start(&toolbox, &nats, &nats_log, 0),
            Postgres::start(&toolbox, &postgres, &postgres_log, 0, Durability::Unsynced),
        );
        Self {
            nats: nats.expect("NATS starts"),
            postgres: postgres.expect("PostgreSQL starts"),
            postgres_log,
            _folder: folder,
        }
    }

    /// What its PostgreSQL has logged so far: errors among it, with the statements that met them.
    ///
    /// # Panics
    /// When there is no log.
    pub fn postgres_log(&self) -> String {
        std::fs::read_to_string(&self.postgres_log).expect("PostgreSQL's log")
    }
}
