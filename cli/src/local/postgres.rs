//! One PostgreSQL on a loopback port and a unix socket: alone, or one of a pair (`postgres/member.rs`).

mod member;

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tempfile::TempDir;

use super::leftover::{end_leftover, is_running, read_pid};
use super::process::{Process, command};
use super::toolbox::Toolbox;
use super::wait::Deadline;
use super::{ports, servers};
pub use member::{FoundMember, PairMember, Replication};

const READY_PATIENCE: Duration = Duration::from_secs(30);
const STOP_GRACE: Duration = Duration::from_secs(20);
/// A unix socket's path has at most 107 bytes, and PostgreSQL appends `/.s.PGSQL.<port>`.
const SOCKET_FOLDER_MAX_BYTES: usize = 85;

/// What PostgreSQL does so that a crash of the operating system loses nothing. A killed PostgreSQL loses nothing
/// either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Every commit is synced to the disk.
    Synced,
    /// Nothing is synced: quick, for tests.
    Unsynced,
}

/// A PostgreSQL of ours. Dropping it kills it; its data stays.
#[derive(Debug)]
pub struct Postgres {
    toolbox: Toolbox,
    data: PathBuf,
    socket: SocketFolder,
    log: PathBuf,
    port: u16,
    durability: Durability,
    /// Its place in a pair.
    member: Option<PairMember>,
    process: Option<Process>,
}

#[derive(Debug)]
enum SocketFolder {
    Beside(PathBuf),
    Short(TempDir),
}

impl Postgres {
    /// Starts one with its data in `folder`, created at the first time, and returns when it takes clients. Port 0:
    /// any free one.
    pub async fn start(
        toolbox: &Toolbox,
        folder: &Path,
        log: &Path,
        port: u16,
        durability: Durability,
    ) -> Result<Self> {
        let mut server = Self::stopped(toolbox, folder, log, port, durability)?;
        server.initialise()?;
        server.launch().await?;
        Ok(server)
    }

    /// One that does not run, and of which there need be no data yet.
    fn stopped(
        toolbox: &Toolbox,
        folder: &Path,
        log: &Path,
        port: u16,
        durability: Durability,
    ) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let folder = folder.canonicalize()?;
        Ok(Self {
            toolbox: toolbox.clone(),
            data: folder.join("data"),
            socket: SocketFolder::create(&folder)?,
            log: log.to_owned(),
            port: if port == 0 { ports::free_port()? } else { port },
            durability,
            member: None,
            process: None,
        })
    }

    /// Where clients find `database` over TCP.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://tidelog@127.0.0.1:{}/{database}", self.port)
    }

    /// Where clients find `database` over the unix socket, which is quicker for large writes.
    pub fn socket_url(&self, database: &str) -> String {
        let folder = self.socket.path().display();
        format!("postgresql://tidelog@localhost/{database}?host={folder}&port={}", self.port)
    }

    /// Its port, kept over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process, for signals; none while it is stopped.
    pub fn process(&mut self) -> Option<&mut Process> {
        self.process.as_mut()
    }

    /// Creates `database`, unless it exists.
    pub async fn create_database(&self, database: &str) -> Result<()> {
        servers::create_database(&self.url("postgres"), database).await
    }

    /// SIGKILL of the postmaster: what a crash of the database is like.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |mut process| process.kill())
    }

    /// Stops it in good order: running transactions are rolled back.
    pub async fn stop(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.stop(Signal::INT, STOP_GRACE).await,
            None => Ok(()),
        }
    }

    /// Starts it again on the same port and data, stopping it first if it runs.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.launch().await
    }

    /// Makes the data folder once, under another name until it is whole.
    fn initialise(&self) -> Result<()> {
        if self.data.exists() {
            return Ok(());
        }
        let unfinished = self.new_data_folder()?;
        let output = command(self.toolbox.postgres("initdb"), true)
            .arg("--pgdata")
            .arg(&unfinished)
            .args(["--username=tidelog", "--encoding=UTF8", "--locale=C", "--no-instructions"])
            .args(["--auth-local=trust", "--auth-host=trust"])
            .args((self.durability == Durability::Unsynced).then_some("--no-sync"))
            .output()
            .context("cannot run initdb")?;
        if !output.status.success() {
            let reason = String::from_utf8_lossy(&output.stderr);
            bail!(
                "initdb could not create the database's folder. {}\nIt said: {}",
                root_advice(),
                reason.trim()
            );
        }
        if self.member.is_some() {
            member::include_replication(&unfinished)?;
        }
        fs::rename(&unfinished, &self.data)?;
        Ok(())
    }

    /// An empty folder, which is renamed when the data is whole.
    fn new_data_folder(&self) -> Result<PathBuf> {
        let unfinished = self.data.with_extension("unfinished");
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        fs::DirBuilder::new().mode(0o700).create(&unfinished)?;
        Ok(unfinished)
    }

    async fn launch(&mut self) -> Result<()> {
        let pid_file = self.data.join("postmaster.pid");
        if let Some(pid) = read_pid(&pid_file) {
            end_leftover(pid, &self.data.display().to_string()).await?;
            // PostgreSQL takes any process of this user with that id for a running server. Otherwise the file stays:
            // by it the new server knows the shared memory in which the old one's backends may still be at work.
            if is_running(pid, "") {
                fs::remove_file(&pid_file)?;
            }
        }
        let mut process = self.spawn()?;
        let deadline = Deadline::after(READY_PATIENCE, "PostgreSQL taking clients");
        while !is_ready(&pid_file, process.id()) {
            if let Some(status) = process.exited()? {
                if !is_going(&process.words()) {
                    let words = process.last_words();
                    bail!("PostgreSQL ended at once ({status}). {}\nIts last words:\n{words}", root_advice());
                }
                process = self.spawn()?;
            }
            deadline.next_look().await?;
        }
        self.process = Some(process);
        Ok(())
    }

    fn spawn(&self) -> Result<Process> {
        let mut start = command(self.toolbox.postgres("postgres"), true);
        start.arg("-D").arg(&self.data);
        for setting in self.settings() {
            start.arg("-c").arg(setting);
        }
        Process::spawn("postgres", start, &self.log)
    }

    fn settings(&self) -> Vec<String> {
        let mut settings = vec![
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={}", self.port),
            format!("unix_socket_directories={}", self.socket.path().display()),
            "max_connections=400".to_owned(),
            "shared_buffers=256MB".to_owned(),
            "max_wal_size=2GB".to_owned(),
            "log_checkpoints=off".to_owned(),
        ];
        if self.durability == Durability::Unsynced {
            settings.extend(["fsync=off".to_owned(), "full_page_writes=off".to_owned()]);
        }
        settings.extend(self.member.iter().flat_map(PairMember::settings));
        settings
    }
}

impl SocketFolder {
    fn create(folder: &Path) -> Result<Self> {
        if folder.as_os_str().len() <= SOCKET_FOLDER_MAX_BYTES {
            return Ok(Self::Beside(folder.to_owned()));
        }
        let short = tempfile::Builder::new().prefix("tidelog-").tempdir_in("/tmp");
        Ok(Self::Short(short.context("cannot create a folder for PostgreSQL's socket in /tmp")?))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Beside(path) => path,
            Self::Short(folder) => folder.path(),
        }
    }
}

/// Whether the new server ended because the old one, killed, or its backends are gone only in a moment.
fn is_going(words: &str) -> bool {
    words.contains("still in use") || words.contains("lock file") && words.contains("already exists")
}

/// PostgreSQL writes its state as the eighth line of its pid file.
fn is_ready(pid_file: &Path, pid: u32) -> bool {
    read_pid(pid_file) == Some(pid)
        && fs::read_to_string(pid_file)
            .is_ok_and(|text| text.lines().nth(7).is_some_and(|state| state.trim() == "ready"))
}

fn root_advice() -> &'static str {
    if rustix::process::geteuid().is_root() {
        "PostgreSQL refuses to run as root, so it was started in a user namespace (unshare); where that is \
         forbidden, run as an ordinary user or name a server of your own in TIDELOG_DATABASE_URL."
    } else {
        "If it cannot run here, name a server of your own in TIDELOG_DATABASE_URL."
    }
}
