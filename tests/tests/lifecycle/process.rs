//! A program of ours as a process of its own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tidelog_tests::eventually;

/// The example schema.
pub const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/fitness.yaml");

/// The four services.
pub const SERVICES: [&str; 4] = ["gateway", "ingest", "projector", "compactor"];

/// A program that lies beside the tests, without anything in its environment that was not asked for. `make test` builds it
/// first.
pub fn program(name: &str) -> Command {
    let tests = std::env::current_exe().unwrap();
    let program = tests.ancestors().nth(2).unwrap().join(name);
    assert!(program.exists(), "{} is missing: run `cargo build --workspace` first", program.display());
    let mut command = Command::new(program);
    command.env_clear().env("TIDELOG__SCHEMA__FILE", SCHEMA).env("RUST_BACKTRACE", "1");
    command
}

/// A service that runs, and its log.
pub struct Service {
    child: Child,
    log: PathBuf,
    operations: String,
}

impl Service {
    /// Starts it with these variables; it listens for `/readyz` at `operations`.
    pub fn start(name: &str, folder: &TempDir, operations: &str, environment: &[(String, String)]) -> Self {
        let log = folder.path().join(format!("{name}.log"));
        let file = std::fs::File::create(&log).unwrap();
        let listen = format!("TIDELOG__{}__OPERATIONS_LISTEN", name.to_uppercase());
        let child = program(&format!("tidelog-{name}"))
            .current_dir(folder.path())
            .env(listen, operations)
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { child, log, operations: operations.to_owned() }
    }

    /// The status and the text of a path of its operations port; none while it does not listen.
    pub async fn asked(&self, path: &str) -> Option<(u16, String)> {
        let answer = reqwest::get(format!("http://{}{path}", self.operations)).await.ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.text().await.ok()?))
    }

    /// Waits until it says that it is not ready, for that reason, while it says that it lives.
    pub async fn waits_for(&self, reason: &str) {
        eventually(&format!("{} waits for: {reason}", self.log.display()), async || {
            let (status, text) = self.asked("/readyz").await?;
            assert_eq!(self.asked("/healthz").await?, (200, "ok\n".to_owned()), "it lives whatever is away");
            (status == 503 && text.contains(reason)).then_some(())
        })
        .await;
    }

    /// Waits until it is ready.
    pub async fn is_ready(&self) {
        eventually(&format!("{} is ready", self.log.display()), async || {
            (self.asked("/readyz").await?.0 == 200).then_some(())
        })
        .await;
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Tells it to stop.
    pub fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// Waits for its end, and returns its exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let child = &mut self.child;
        eventually("the process ends", async || child.try_wait().unwrap()).await.code()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A free address of this machine.
pub fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// A file in that folder.
pub fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}
