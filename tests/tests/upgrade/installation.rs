//! An installation whose services are processes: of this release, and of the one before.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use sqlx::PgPool;
use sqlx::migrate::Migrator;
use tempfile::TempDir;
use tidelog_cli::local::free_port;
use tidelog_store::Tables;
use tidelog_tests::{SECRET, ServiceProcess, built, shared_servers};
use uuid::Uuid;

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Whose programs run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    Previous,
    This,
}

impl Release {
    /// One of its programs; `make test` builds them.
    fn program(self, name: &str) -> PathBuf {
        match self {
            Self::This => built(name),
            Self::Previous => previous().join(name),
        }
    }

    /// What it knows of the tables.
    pub async fn tables(self) -> Tables {
        match self {
            Self::This => Tables::new(Tables::of_this_release().migrations().to_vec()),
            Self::Previous => {
                let migrations = Migrator::new(previous().join("migrations")).await.unwrap();
                Tables::new(migrations.iter().cloned().collect())
            }
        }
    }
}

/// What `tools/previous-release` built.
fn previous() -> PathBuf {
    let named = include_str!("../../../tools/previous-release.txt");
    let commit = named.split_whitespace().nth(1).unwrap();
    let built = built("tidelog");
    let target = built.ancestors().nth(2).unwrap();
    let folder = target.join("previous").join(commit);
    let advice =
        format!("the release before is not built: run `tools/previous-release {}`", target.display());
    assert!(folder.exists(), "{advice}");
    folder
}

/// A database, subjects and an archive of its own.
pub struct Installation {
    pub pool: PgPool,
    environment: BTreeMap<&'static str, String>,
    folder: TempDir,
}

/// A running service.
pub struct Service {
    pub role: &'static str,
    /// Of a gateway: the public API.
    pub address: Option<SocketAddr>,
    process: ServiceProcess,
}

impl Installation {
    /// An empty one: no tables, no streams.
    pub async fn new() -> Self {
        let id = Uuid::new_v4().simple().to_string();
        let (database, servers) = (format!("upgrade_{id}"), shared_servers().await);
        servers.create_database(&database).await.unwrap();
        let database_url = servers.database_url(&database).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let environment = BTreeMap::from([
            ("TIDELOG__BROKER__URL", servers.nats_url()),
            ("TIDELOG__BROKER__SUBJECT_PREFIX", format!("u{id}")),
            ("TIDELOG__BROKER__STREAM_PREFIX", format!("U{id}_")),
            ("TIDELOG__DATABASE__URL", database_url.clone()),
            ("TIDELOG__DATABASE__MAX_CONNECTIONS", "6".to_owned()),
            ("TIDELOG__ARCHIVE__URL", folder.path().join("archive").display().to_string()),
            ("TIDELOG__SCHEMA__FILE", format!("{WORKSPACE}/config/fitness.yaml")),
            ("TIDELOG__AUTH__HS256_SECRET", SECRET.to_owned()),
            ("TIDELOG__RATES__ADDRESS_PER_SECOND", "0".to_owned()),
            ("TIDELOG__RATES__USER_PER_SECOND", "0".to_owned()),
        ]);
        let pool = PgPool::connect(&database_url).await.unwrap();
        Self { pool, environment, folder }
    }

    /// Starts a service and waits until it is ready.
    pub async fn start(&self, release: Release, role: &'static str) -> Service {
        let free = || SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()));
        let mut environment = self.environment.clone();
        environment.insert("TIDELOG__ADMIN__LISTEN", "127.0.0.1:0".to_owned());
        let address = (role == "gateway").then(free);
        environment.extend(address.map(|address| ("TIDELOG__GATEWAY__LISTEN", address.to_string())));
        let program = release.program(&format!("tidelog-{role}"));
        let process = ServiceProcess::start(role, &program, self.folder.path(), environment);
        process.is_ready().await;
        Service { role, address, process }
    }

    /// Runs this release's `tidelog migrate`, and returns whether it succeeded and what it said.
    pub async fn migrate(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(Release::This.program("tidelog"));
        command.arg("migrate").args(arguments).envs(&self.environment);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }
}

impl Service {
    /// SIGTERM, and waits for its end.
    pub async fn stop(mut self) {
        self.process.terminate();
        let status = self.process.ended().await;
        assert!(status.success(), "{} ended with {status}: {}", self.role, self.process.log());
    }
}
