//! An installation whose services are processes: of this release, and of the one before.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::Signal;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use tempfile::TempDir;
use tidelog_cli::local::{Process, command, free_port};
use tidelog_store::Tables;
use tidelog_tests::{SECRET, eventually, shared_servers};
use uuid::Uuid;

const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Whose programs run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    Previous,
    This,
}

impl Release {
    /// Where its programs lie; `make test` builds them.
    fn folder(self) -> PathBuf {
        let tests = std::env::current_exe().unwrap();
        let built = tests.ancestors().nth(2).unwrap();
        match self {
            Self::This => built.to_owned(),
            Self::Previous => {
                let named = include_str!("../../../tools/previous-release.txt");
                let commit = named.split_whitespace().nth(1).unwrap();
                let folder = built.parent().unwrap().join("previous").join(commit);
                assert!(
                    folder.exists(),
                    "the release before is not built: run `tools/previous-release {}`",
                    built.parent().unwrap().display()
                );
                folder
            }
        }
    }

    fn program(self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// What it knows of the tables.
    pub async fn tables(self) -> Tables {
        match self {
            Self::This => Tables::new(Tables::of_this_release().migrations().to_vec()),
            Self::Previous => {
                let migrations = Migrator::new(self.folder().join("migrations")).await.unwrap();
                Tables::new(migrations.iter().cloned().collect())
            }
        }
    }
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
    process: Process,
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
        let (service, operations) = self.spawn(release, role);
        let ready = format!("http://{operations}/readyz");
        eventually(&format!("{role} of {release:?} is ready"), async || {
            let answer = reqwest::get(&ready).await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
        service
    }

    /// Starts a service, and returns where it tells how it is.
    pub fn spawn(&self, release: Release, role: &'static str) -> (Service, SocketAddr) {
        let free = || SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()));
        let operations = free();
        let mut start = command(release.program(&format!("tidelog-{role}")), false);
        start.envs(&self.environment);
        start
            .env(format!("TIDELOG__{}__OPERATIONS_LISTEN", role.to_uppercase()), operations.to_string())
            .env("TIDELOG__ADMIN__LISTEN", "127.0.0.1:0");
        let address = (role == "gateway").then(free);
        if let Some(address) = address {
            start.env("TIDELOG__GATEWAY__LISTEN", address.to_string());
        }
        let log = self.folder.path().join(format!("{role}-{}.log", operations.port()));
        (Service { role, address, process: Process::spawn(role, start, &log).unwrap() }, operations)
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
        kill(&self.process, Signal::TERM);
        let what = format!("{} stops", self.role);
        let status = eventually(&what, async || self.process.exited().unwrap()).await;
        assert!(status.success(), "{} ended with {status}: {}", self.role, self.process.last_words());
    }
}

fn kill(process: &Process, signal: Signal) {
    let pid = rustix::process::Pid::from_raw(process.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}
