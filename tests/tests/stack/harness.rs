//! A stack in a folder of its own, started by the command that people type.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tidelog_tests::{Answer, Batch, built, eventually};

/// The repository.
pub const WORKSPACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// What a dead service held comes again within the test, so that a second handling would show; nobody waits long for
/// the dead.
pub const SOON: [(&str, &str); 3] = [
    ("TIDELOG__BROKER__ACK_WAIT_SECONDS", "3"),
    ("TIDELOG__DATABASE__STATEMENT_TIMEOUT_MS", "2000"),
    ("TIDELOG__GATEWAY__COMMIT_WAIT_MS", "1000"),
];

/// The recorded workouts to replay: a sample, or the file that `TIDELOG_TEST_TRACE` names.
pub fn trace() -> PathBuf {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/workouts-sample.ndjson.gz");
    std::env::var_os("TIDELOG_TEST_TRACE").map_or(sample, PathBuf::from)
}

/// A running `tidelog up`.
pub struct Stack {
    folder: TempDir,
    up: Child,
}

impl Stack {
    /// Starts one with those arguments and waits until it is up.
    pub async fn start(arguments: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), arguments, &[]).await
    }

    /// The same in that folder, with more environment variables, which its processes get as well.
    pub async fn start_in(folder: TempDir, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let up = spawn_up(folder.path(), arguments, environment);
        let mut stack = Self { folder, up };
        stack.wait_until_up(None).await;
        stack
    }

    /// Starts it again in the same folder.
    pub async fn start_again(&mut self) {
        self.start_again_with(&[]).await;
    }

    /// The same with those arguments.
    pub async fn start_again_with(&mut self, arguments: &[&str]) {
        let earlier = std::fs::read(self.file()).ok();
        self.up = spawn_up(self.folder.path(), arguments, &[]);
        self.wait_until_up(earlier).await;
    }

    async fn wait_until_up(&mut self, earlier: Option<Vec<u8>>) {
        let (file, log) = (self.file(), self.folder.path().join("up.log"));
        let up = &mut self.up;
        eventually("up.json is written", async || {
            let said = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(up.try_wait().unwrap().is_none(), "`tidelog up` ended: {}", said());
            let now = std::fs::read(&file).ok()?;
            (Some(now) != earlier).then_some(())
        })
        .await;
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its `up.json`.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join(".tidelog/up.json")
    }

    /// What `up.json` says now.
    pub fn facts(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.file()).unwrap()).unwrap()
    }

    /// The process of a role now.
    pub fn pid(&self, role: &str) -> Pid {
        Pid::from_raw(self.facts()["pids"][role].as_i64().unwrap() as i32).unwrap()
    }

    /// The process of a role, if one runs now.
    pub fn running(&self, role: &str) -> Option<Pid> {
        let pid = Pid::from_raw(self.facts()["pids"][role].as_i64()? as i32)?;
        test_kill_process(pid).is_ok().then_some(pid)
    }

    /// Kills the process of a role with SIGKILL, and waits until another has taken its place.
    pub async fn kill(&self, role: &str) {
        let killed = eventually(&format!("{role} runs"), async || self.running(role)).await;
        kill_process(killed, Signal::KILL).unwrap();
        self.is_replaced(role, killed).await;
    }

    /// Waits until another process has taken a role's place.
    pub async fn is_replaced(&self, role: &str, old: Pid) {
        let what = format!("{role} is started again");
        eventually(&what, async || self.running(role).filter(|now| *now != old)).await;
    }

    /// Pushes a batch to the space of the user whose token it prints.
    pub async fn push(&self, batch: &Batch) -> Answer {
        let facts = self.facts();
        let url = format!("{}/v1/spaces/me/events", facts["gatewayUrl"].as_str().unwrap());
        let request = reqwest::Client::new().post(url).bearer_auth(facts["token"].as_str().unwrap());
        Answer::of(request.header("Content-Type", "application/x-ndjson").body(batch.body())).await
    }

    /// Runs `tidelog` in its folder.
    pub async fn tidelog(&self, arguments: &[&str]) -> Output {
        self.tidelog_with(arguments, &[]).await
    }

    /// The same with more environment variables.
    pub async fn tidelog_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = tidelog(self.folder.path());
        command.args(arguments).envs(environment.iter().copied());
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// Runs another program that lies beside `tidelog`, in its folder and with its servers.
    pub async fn service(&self, program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let facts = self.facts();
        let mut command = self::program(program, self.folder.path());
        for (variable, fact) in [
            ("TIDELOG__ARCHIVE__URL", "archiveUrl"),
            ("TIDELOG__BROKER__URL", "natsUrl"),
            ("TIDELOG__DATABASE__URL", "databaseUrl"),
        ] {
            command.env(variable, facts[fact].as_str().unwrap());
        }
        command.args(arguments).envs(environment.iter().copied());
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// Starts `tidelog` in its folder and does not wait for it.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = tidelog(self.folder.path());
        command.args(arguments).stdout(Stdio::null()).spawn().unwrap()
    }

    /// Whether the process of a role sleeps, stopped by a signal.
    pub fn is_stopped(&self, role: &str) -> bool {
        let pid = self.pid(role).as_raw_nonzero();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
    }

    /// Replays the trace, and returns what is said about it.
    pub async fn replay(&self, arguments: &[&str]) -> String {
        let trace = trace();
        let mut all = vec!["replay", trace.to_str().unwrap()];
        all.extend(arguments);
        let output = self.tidelog(&all).await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// Has the log read from outside, in another language, and compared with the trace.
    pub async fn verify_from_outside(&self) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("outside/verify_log.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(self.file()).arg(trace());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Sends a signal to `tidelog up` and returns its exit code.
    pub async fn signal(&mut self, signal: Signal) -> Option<i32> {
        kill_process(Pid::from_child(&self.up), signal).unwrap();
        let up = &mut self.up;
        eventually("`tidelog up` ends", async || up.try_wait().unwrap()).await.code()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let _ = self.up.kill();
        let _ = self.up.wait();
    }
}

/// A `tidelog up` that is refused: a second one in the folder of a running one, or one of another kind.
pub fn second_up(folder: &Path, arguments: &[&str]) -> Output {
    tidelog(folder).arg("up").args(arguments).output().unwrap()
}

fn spawn_up(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Child {
    let log = std::fs::File::options().create(true).append(true).open(folder.join("up.log")).unwrap();
    let mut command = tidelog(folder);
    command.arg("up").args(arguments).envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    command.spawn().unwrap()
}

fn tidelog(folder: &Path) -> Command {
    program("tidelog", folder)
}

/// Where the servers and tools lie that tests run.
pub fn toolbox() -> PathBuf {
    Path::new(WORKSPACE).join(std::env::var_os("TIDELOG_TOOLBOX").unwrap_or(".toolbox".into()))
}

fn program(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(built(name));
    command
        .current_dir(folder)
        .env("TIDELOG_TOOLBOX", toolbox())
        .env("TIDELOG__SCHEMA__FILE", Path::new(WORKSPACE).join("config/fitness.yaml"));
    command
}
