//! Our own programs as processes, as operators run them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process};
use tidelog_cli::local::{Process, command, free_port};

use crate::poll::eventually;

/// A program that lies beside the tests. `make test` builds it first.
///
/// # Panics
/// When it is not there.
pub fn built(name: &str) -> PathBuf {
    let tests = std::env::current_exe().expect("a test knows its program");
    let folder = tests.ancestors().nth(2).expect("tests lie in a folder of what was built");
    let program = folder.join(name);
    assert!(program.exists(), "{} is missing: run `cargo build --workspace` first", program.display());
    program
}

/// A service that runs in a process of its own, with nothing in its environment that was not asked for. Dropping it kills it.
pub struct ServiceProcess {
    role: String,
    operations: String,
    process: Process,
}

impl ServiceProcess {
    /// Starts that program as the service `role`. Its log goes to a file in `folder`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start<V: AsRef<OsStr>, T: AsRef<OsStr>>(
        role: &str,
        program: &Path,
        folder: &Path,
        environment: impl IntoIterator<Item = (V, T)>,
    ) -> Self {
        let port = free_port().expect("a free port");
        let operations = format!("127.0.0.1:{port}");
        let mut start = command(program, false);
        start
            .env_clear()
            .env("RUST_BACKTRACE", "1")
            .env(format!("TIDELOG__{}__OPERATIONS_LISTEN", role.to_uppercase()), &operations)
            .envs(environment)
            .current_dir(folder);
        let log = folder.join(format!("{role}-{port}.log"));
        let process = Process::spawn(role, start, &log).expect("a service that can be started");
        Self { role: role.to_owned(), operations, process }
    }

    /// The status and the text of a path of its operations port; none while it does not listen.
    pub async fn asked(&self, path: &str) -> Option<(u16, String)> {
        let answer = reqwest::get(format!("http://{}{path}", self.operations)).await.ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.text().await.ok()?))
    }

    /// Waits until it says that it is not ready, for that reason, while it says that it lives.
    ///
    /// # Panics
    /// When it does not, or does not live.
    pub async fn waits_for(&self, reason: &str) {
        eventually(&format!("{} waits for: {reason}", self.role), async || {
            let (status, text) = self.asked("/readyz").await?;
            assert_eq!(self.asked("/healthz").await?, (200, "ok\n".to_owned()), "it lives whatever is away");
            (status == 503 && text.contains(reason)).then_some(())
        })
        .await;
    }

    /// Waits until it is ready.
    ///
    /// # Panics
    /// When it does not get there.
    pub async fn is_ready(&self) {
        let what = format!("{} is ready", self.role);
        eventually(&what, async || (self.asked("/readyz").await?.0 == 200).then_some(())).await;
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process.words()
    }

    /// Tells it to stop.
    ///
    /// # Panics
    /// When there is no such process.
    pub fn terminate(&self) {
        let pid = Pid::from_raw(self.process.id().cast_signed()).expect("a process has an id");
        kill_process(pid, Signal::TERM).expect("a process that takes a signal");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn ended(&mut self) -> ExitStatus {
        let what = format!("{} ends", self.role);
        eventually(&what, async || self.process.exited().expect("a child of ours")).await
    }
}
