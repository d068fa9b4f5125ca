//! A PostgreSQL that is one of a pair: primary or standby, and how it becomes the one or the other. Who is to be which
//! decides whoever supervises both.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

use super::{Durability, Postgres};
use crate::local::process::command;
use crate::local::toolbox::Toolbox;
use crate::local::wait::Deadline;

const PROMOTION_PATIENCE: Duration = Duration::from_mins(1);
/// Backends of a killed server are gone by then.
const ORPHANS_PATIENCE: Duration = Duration::from_secs(10);
/// By this file a server knows that it is a standby.
const STANDBY_FILE: &str = "standby.signal";
/// Beside the data, not in it: a copy of the data must not bring it along.
const REPLICATION_FILE: &str = "replication.conf";

/// A server's place in its pair.
#[derive(Debug, Clone)]
pub struct PairMember {
    /// Its name, and that of its process.
    pub name: String,
    /// The other one's port.
    pub other_port: u16,
}

/// What of a member there is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundMember {
    /// There is data.
    pub has_data: bool,
    /// It was a standby last.
    pub is_standby: bool,
    /// The timeline of its history: each promotion begins a new one.
    pub timeline: u32,
}

impl PairMember {
    pub(super) fn settings(&self) -> Vec<String> {
        let Self { name, other_port } = self;
        vec![
            format!("cluster_name={name}"),
            format!("primary_conninfo=host=127.0.0.1 port={other_port} user=tidelog application_name={name}"),
            // So much a standby may miss and still go on; one that missed more is made anew.
            "wal_keep_size=1GB".to_owned(),
            "wal_retrieve_retry_interval=100ms".to_owned(),
        ]
    }
}

impl Postgres {
    /// A member of a pair that does not run yet.
    pub fn member(
        toolbox: &Toolbox,
        folder: &Path,
        log: &Path,
        port: u16,
        durability: Durability,
        member: PairMember,
    ) -> Result<Self> {
        let mut server = Self::stopped(toolbox, folder, log, port, durability)?;
        server.member = Some(member);
        Ok(server)
    }

    /// Its name in the pair; `postgres` for one that is alone.
    pub fn name(&self) -> &str {
        self.member.as_ref().map_or("postgres", |member| &member.name)
    }

    /// What is on disk.
    pub fn found(&self) -> FoundMember {
        FoundMember {
            has_data: self.data.exists(),
            is_standby: self.data.join(STANDBY_FILE).exists(),
            timeline: timeline(&self.data),
        }
    }

    /// Starts it as the primary, and makes it one if it was a standby. Commits wait for nobody at first.
    pub async fn start_as_primary(&mut self) -> Result<()> {
        self.initialise()?;
        self.require_standby(None)?;
        self.launch().await?;
        if self.found().is_standby { self.promote().await } else { Ok(()) }
    }

    /// Makes a standby that runs the primary. One that is the primary already stays it.
    pub async fn promote(&mut self) -> Result<()> {
        self.require_standby(None)?;
        let promoting = promote(self.url("postgres"), format!("the promotion of {}", self.name()));
        // A server that takes a connection and does not answer keeps nobody for ever.
        timeout(PROMOTION_PATIENCE, promoting).await.context("it does not answer")?
    }

    /// Starts it as a standby of the primary at `primary_port`. What it has that the primary has not is undone; where
    /// that cannot be, and where it has nothing, it takes a copy of the whole.
    pub async fn start_as_standby(&mut self, primary_port: u16) -> Result<()> {
        self.stop().await?;
        self.require_standby(None)?;
        let FoundMember { has_data, is_standby, .. } = self.found();
        let can_follow = has_data && (is_standby || self.rewind(primary_port).await.is_ok());
        if !can_follow {
            self.copy_from(primary_port).await?;
        }
        fs::File::create(self.data.join(STANDBY_FILE))?.sync_all()?;
        self.launch().await
    }

    /// Copies the primary's data in place of its own.
    pub async fn copy_from(&mut self, primary_port: u16) -> Result<()> {
        self.stop().await?;
        let unfinished = self.new_data_folder()?;
        let mut copy = command(self.toolbox.postgres("pg_basebackup"), true);
        copy.args(["--host=127.0.0.1", "--username=tidelog", "--wal-method=stream", "--checkpoint=fast"])
            .arg(format!("--port={primary_port}"))
            .arg("--pgdata")
            .arg(&unfinished)
            .args((self.durability == Durability::Unsynced).then_some("--no-sync"));
        succeeded("pg_basebackup", &output(copy).await?)?;
        // Before it has its name: data that is not a standby's was a primary's.
        fs::File::create(unfinished.join(STANDBY_FILE))?.sync_all()?;
        if self.data.exists() {
            fs::remove_dir_all(&self.data)?;
        }
        fs::rename(&unfinished, &self.data)?;
        Ok(())
    }

    /// Undoes what an old primary has that the new one has not.
    async fn rewind(&self, primary_port: u16) -> Result<()> {
        let deadline = Deadline::after(ORPHANS_PATIENCE, "the end of the old primary's processes");
        loop {
            let mut rewind = command(self.toolbox.postgres("pg_rewind"), true);
            let source = format!("host=127.0.0.1 port={primary_port} user=tidelog dbname=postgres");
            rewind.arg("--target-pgdata").arg(&self.data).arg(format!("--source-server={source}"));
            let rewound = output(rewind).await?;
            if rewound.status.success() || !super::is_going(&String::from_utf8_lossy(&rewound.stderr)) {
                return succeeded("pg_rewind", &rewound);
            }
            deadline.next_look().await?;
        }
    }

    /// Has every commit wait until that standby has it on its disk; or for nobody.
    pub fn require_standby(&mut self, name: Option<&str>) -> Result<()> {
        self.replication().require_standby(name)?;
        let pid = self.process.as_ref().and_then(|process| Pid::from_raw(process.id().cast_signed()));
        match pid {
            Some(pid) => kill_process(pid, Signal::HUP).context("PostgreSQL cannot be told its settings"),
            None => Ok(()),
        }
    }

    /// What it reads of standbys when it is told to.
    pub fn replication(&self) -> Replication {
        Replication { file: self.data.with_file_name(REPLICATION_FILE) }
    }
}

/// A member's settings that change while it runs.
#[derive(Debug, Clone)]
pub struct Replication {
    file: PathBuf,
}

impl Replication {
    /// Writes that every commit is to wait until that standby has it on its disk; or for nobody. The server does not know
    /// before it reads its settings again.
    pub fn require_standby(&self, name: Option<&str>) -> Result<()> {
        let names = name.map(|name| format!("\"{name}\"")).unwrap_or_default();
        fs::write(&self.file, format!("synchronous_standby_names = '{names}'\n"))
            .with_context(|| format!("cannot write {}", self.file.display()))
    }
}

/// Has new data read what stands beside it.
pub(super) fn include_replication(data: &Path) -> Result<()> {
    let mut settings = fs::File::options().append(true).open(data.join("postgresql.conf"))?;
    // Relative to the file that includes it.
    Ok(writeln!(settings, "include_if_exists = '../{REPLICATION_FILE}'")?)
}

async fn promote(url: String, what: String) -> Result<()> {
    let mut connection = PgConnection::connect(&url).await?;
    if is_in_recovery(&mut connection).await? {
        sqlx::query("SELECT pg_promote(wait => false)").execute(&mut connection).await?;
        let deadline = Deadline::after(PROMOTION_PATIENCE, what);
        while is_in_recovery(&mut connection).await? {
            deadline.next_look().await?;
        }
    }
    connection.close().await?;
    Ok(())
}

async fn is_in_recovery(connection: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("SELECT pg_is_in_recovery()").fetch_one(connection).await
}

async fn output(mut command: Command) -> Result<Output> {
    Ok(tokio::task::spawn_blocking(move || command.output()).await??)
}

fn succeeded(program: &str, output: &Output) -> Result<()> {
    if !output.status.success() {
        bail!("{program} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

/// A server keeps a file of each timeline but the first, named after it in hexadecimal.
fn timeline(data: &Path) -> u32 {
    let entries = fs::read_dir(data.join("pg_wal")).into_iter().flatten().flatten();
    let number = |name: String| u32::from_str_radix(name.strip_suffix(".history")?, 16).ok();
    entries.filter_map(|entry| number(entry.file_name().into_string().ok()?)).max().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_history_tells_the_timeline() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(timeline(data.path()), 1);
        let wal = data.path().join("pg_wal");
        fs::create_dir(&wal).unwrap();
        for name in ["00000002.history", "0000000B.history", "00000001000000000000000A", "archive_status"] {
            fs::write(wal.join(name), "").unwrap();
        }
        assert_eq!(timeline(data.path()), 11);
    }
}
