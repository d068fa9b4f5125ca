//! Child processes: they write to a log file, can be stopped or killed, and die with this process, however
//! it ends.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{LazyLock, mpsc};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::wait::Deadline;

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    log_start_bytes: u64,
}

impl Process {
    /// Starts `command`, its output appended to the file `log`.
    pub fn spawn(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write the log file {}", log.display()))?;
        let log_start_bytes = output.metadata()?.len();
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        // Ctrl-C in a terminal reaches the whole group; children are stopped by us, in order.
        command.process_group(0);
        let program = command.get_program().to_owned();
        let child = spawn_from_lasting_thread(command)
            .with_context(|| format!("cannot start {name} ({})", program.display()))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned(), log_start_bytes })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot ask after {}", self.name))
    }

    /// What it wrote to its log since it was started.
    pub fn words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let start = usize::try_from(self.log_start_bytes).unwrap_or(usize::MAX);
        String::from_utf8_lossy(text.get(start..).unwrap_or_default()).into_owned()
    }

    /// The last lines of that, for messages.
    pub fn last_words(&self) -> String {
        let text = self.words();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        // An error means that it has ended already.
        let _ = self.child.kill();
        self.child.wait().with_context(|| format!("cannot wait for {}", self.name))?;
        Ok(())
    }

    /// Sends `signal` and waits for the end; after `grace` it is killed.
    pub async fn stop(&mut self, signal: Signal, grace: Duration) -> Result<()> {
        if self.exited()?.is_some() {
            return Ok(());
        }
        // The child was not waited for, so its id cannot belong to another process.
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process(pid, signal);
        }
        let deadline = Deadline::after(grace, self.name.clone());
        while self.exited()?.is_none() {
            if deadline.next_look().await.is_err() {
                return self.kill();
            }
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command for `program` that the kernel kills when we die, also by SIGKILL. `unprivileged`: PostgreSQL
/// refuses to run as root, so root starts it in a user namespace where root's files belong to an ordinary user.
///
/// `setpriv` of util-linux does what would otherwise need an unsafe `pre_exec`. It replaces itself by the
/// program, so that the child's id is the program's. Where it is missing, the next start ends what is left over.
pub fn command(program: impl AsRef<OsStr>, unprivileged: bool) -> Command {
    let mut words: Vec<String> = Vec::new();
    if unprivileged && rustix::process::geteuid().is_root() {
        let user = ordinary_user();
        words.extend(["unshare".into(), "-U".into()]);
        words.extend([format!("--map-user={user}"), format!("--map-group={user}")]);
    }
    if *DIES_WITH_PARENT {
        words.extend(["setpriv".into(), "--pdeathsig".into(), "KILL".into()]);
    }
    let mut words = words.into_iter();
    let Some(first) = words.next() else { return Command::new(program) };
    let mut command = Command::new(first);
    command.args(words).arg(program);
    command
}

static DIES_WITH_PARENT: LazyLock<bool> = LazyLock::new(|| {
    let probe = Command::new("setpriv").args(["--pdeathsig", "KILL", "true"]).stderr(Stdio::null()).status();
    probe.is_ok_and(|status| status.success())
});

/// The first user of this machine that is not root: `initdb` insists on one that exists.
fn ordinary_user() -> u32 {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let ids = users.lines().filter_map(|line| line.split(':').nth(2)?.parse::<u32>().ok());
    ids.filter(|&id| id != 0).min().unwrap_or(1)
}

type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// The kernel's "parent" of `--pdeathsig` is the *thread* that started the child, so one that lasts as long as the
/// process starts them all: a test's or a runtime's own thread may end earlier.
static SPAWNER: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
    let (sender, orders) = mpsc::channel::<Order>();
    std::thread::spawn(move || {
        for (mut command, answer) in orders {
            let _ = answer.send(command.spawn());
        }
    });
    sender
});

fn spawn_from_lasting_thread(command: Command) -> io::Result<Child> {
    let (answer, child) = mpsc::channel();
    SPAWNER.send((command, answer)).map_err(io::Error::other)?;
    child.recv().map_err(io::Error::other)?
}
