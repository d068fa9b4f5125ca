//! `.tidelog/`: the folder of one stack. Held by one `tidelog up` at a time.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::phones;
use crate::local::{end_leftover, root};
use crate::stack_file::{self, StackFile};
use crate::terminal::say;

/// The folder in it with a cluster's data.
const CLUSTER: &str = "cluster";

/// The folder, locked until this is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Takes the folder, ends what a killed run left there, and empties it if `fresh`.
    pub(super) async fn take(fresh: bool) -> Result<Self> {
        let path = root().join(stack_file::FOLDER);
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let path = path.canonicalize()?;
        let folder = Self { _lock: lock(&path)?, path };
        folder.end_leftovers().await?;
        if fresh {
            folder.empty()?;
        }
        fs::create_dir_all(folder.path.join("logs"))?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn stack_file(&self) -> PathBuf {
        stack_file::path(&self.path)
    }

    /// Where a cluster has its data.
    pub(super) fn cluster(&self) -> PathBuf {
        self.path.join(CLUSTER)
    }

    /// Refuses a folder whose data is that of the other kind of stack: it would seem to be gone.
    pub(super) fn expect_kind(&self, is_cluster: bool) -> Result<()> {
        let has = |name: &str| self.path.join(name).exists();
        let folder = self.path.display();
        if is_cluster && (has("nats") || has("postgres")) {
            bail!(
                "the data in {folder} is that of a stack without --cluster. Start that, or use another folder, or delete \
                 the data with --fresh"
            );
        }
        if !is_cluster && has(CLUSTER) {
            bail!(
                "the data in {folder} is that of a cluster. Start it with `tidelog up --cluster`, or use another folder, \
                 or delete the data with --fresh"
            );
        }
        Ok(())
    }

    /// A new log file for `role`; the one of the last run is kept beside it.
    pub(super) fn log(&self, role: &str) -> PathBuf {
        let log = self.path.join("logs").join(format!("{role}.log"));
        // There is none at the first run.
        let _ = fs::rename(&log, log.with_extension("previous.log"));
        log
    }

    /// Removes the file that says that a stack is running.
    pub(super) fn forget_stack(&self) {
        let _ = fs::remove_file(self.stack_file());
    }

    async fn end_leftovers(&self) -> Result<()> {
        let Ok(stack) = StackFile::read(&self.stack_file()) else { return Ok(()) };
        for (role, pid) in stack.pids {
            let marker = match role.split('-').next().unwrap_or_default() {
                "nats" | "postgres" => self.path.display().to_string(),
                service => format!("tidelog-{service}"),
            };
            if end_leftover(pid, &marker).await? {
                say(&role, &format!("ended process {pid}, which an earlier run had left behind"));
            }
        }
        self.forget_stack();
        Ok(())
    }

    fn empty(&self) -> Result<()> {
        for name in ["nats", "postgres", CLUSTER, "archive", "logs", phones::FOLDER] {
            let inner = self.path.join(name);
            if inner.exists() {
                fs::remove_dir_all(&inner).with_context(|| format!("cannot empty {}", inner.display()))?;
            }
        }
        say("tidelog", &format!("emptied {}", self.path.display()));
        Ok(())
    }
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("up.lock");
    let mut lock = File::options().create(true).truncate(false).read(true).write(true).open(&path)?;
    match lock.try_lock() {
        Ok(()) => {
            lock.set_len(0)?;
            write!(lock, "{}", std::process::id())?;
            Ok(lock)
        }
        Err(TryLockError::WouldBlock) => {
            let pid = fs::read_to_string(&path).unwrap_or_default();
            bail!(
                "`tidelog up` already runs in {} as process {pid}: use that one, or stop it first",
                folder.display()
            )
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", path.display()))
        }
    }
}
