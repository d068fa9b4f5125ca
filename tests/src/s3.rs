//! A real S3 server on loopback ports: SeaweedFS, all its parts in one process. It can be killed and started again on
//! the ports and data that it had.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Client;
use tempfile::TempDir;
use tidelog_archive::ArchiveConfig;
use tidelog_cli::local::{Deadline, Given, Process, Toolbox, command, free_port};

const KEY_ID: &str = "tidelog";
const KEY: &str = "a-secret-key-of-tests";
const READY_PATIENCE: Duration = Duration::from_mins(1);
/// Its parts, each of which wants a port, and one for its gRPC, for which it leaves a socket in `/tmp`.
const PARTS: [&str; 4] = ["master", "volume", "filer", "s3"];

/// An S3 server. Dropping it kills it and deletes what it holds.
pub struct S3Server {
    program: PathBuf,
    /// By part: HTTP, gRPC.
    ports: Vec<(u16, u16)>,
    process: Option<Process>,
    folder: TempDir,
}

impl S3Server {
    /// Starts one of its own.
    ///
    /// # Panics
    /// When it cannot be fetched or started: without it nothing can be tested.
    pub async fn start() -> Self {
        let given = Given::from_environment();
        let program = Toolbox::fetch_s3_server(&given, |line| println!("{line}")).expect("weed");
        let port = || free_port().expect("a free port");
        let ports = PARTS.iter().map(|_| (port(), port())).collect();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let identities = format!(
            r#"{{"identities":[{{"name":"tests","credentials":[{{"accessKey":"{KEY_ID}","secretKey":"{KEY}"}}],
                 "actions":["Admin","Read","Write","List"]}}]}}"#
        );
        fs::write(folder.path().join("s3.json"), identities).expect("a written file");
        let mut server = Self { program, ports, process: None, folder };
        server.restart().await;
        server
    }

    /// A bucket of that name, which is made with its first object.
    pub fn bucket(&self, name: &str) -> ArchiveConfig {
        ArchiveConfig {
            url: format!("s3://{name}/some/prefix"),
            s3_endpoint: self.endpoint(),
            s3_region: String::new(),
            s3_access_key_id: KEY_ID.to_owned(),
            s3_secret_access_key: KEY.into(),
            s3_allow_http: true,
            s3_path_style: true,
            request_timeout_ms: 20_000,
            retry_for_ms: 20_000,
        }
    }

    /// SIGKILL.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("a killed server");
        }
    }

    /// Starts it again on the same ports and data, killing it first if it runs.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&mut self) {
        self.kill();
        let mut start = command(&self.program, false);
        start.args(["-logtostderr=true", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]);
        for (part, (http, grpc)) in PARTS.iter().zip(&self.ports) {
            start.args([format!("-{part}.port={http}"), format!("-{part}.port.grpc={grpc}")]);
        }
        let inside = |name: &str| self.folder.path().join(name).display().to_string();
        start.arg(format!("-dir={}", self.folder.path().display()));
        start.arg(format!("-s3.config={}", inside("s3.json")));
        start.arg(format!("-s3.localSocket={}", inside("s3.sock")));
        start.arg(format!("-filer.localSocket={}", inside("filer.sock")));
        start.args(["-master.telemetry=false", "-master.electionTimeout=1s", "-master.volumeSizeLimitMB=64"]);
        start.args(["-volume.max=8", "-volume.preStopSeconds=0", "-s3.port.iceberg=0", "-s3.port.lance=0"]);
        let process = Process::spawn("weed", start, &self.folder.path().join("weed.log"));
        let process = self.process.insert(process.expect("a process"));
        let deadline = Deadline::after(READY_PATIENCE, "SeaweedFS taking requests");
        let client = Client::new();
        let url = format!("http://127.0.0.1:{}", self.ports[3].0);
        while client.get(&url).send().await.is_err() {
            let ended = process.exited().expect("a process");
            assert!(ended.is_none(), "it ended: {}", process.last_words());
            let in_time = deadline.next_look().await;
            assert!(in_time.is_ok(), "it does not take requests: {}", process.last_words());
        }
    }

    fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[3].0)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.kill();
        for (part, (_, grpc)) in PARTS.iter().zip(&self.ports) {
            let _ = fs::remove_file(format!("/tmp/seaweedfs-{part}-grpc-{grpc}.sock"));
        }
    }
}
