//! A nats-server with the authorization and the TLS settings that are shipped for Kubernetes.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use tidelog_cli::local::{Process, Toolbox, command, free_port};
use tidelog_tests::eventually;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;

use super::{Authority, HOST};

const USERS: [&str; 5] = ["gateway", "ingest", "projector", "migrate", "system"];

/// The place in the shipped file where a reader of LOG is added.
const READERS: &str = "      # A reader of LOG of yours";

pub struct Nats {
    toolbox: Toolbox,
    configuration: PathBuf,
    log: PathBuf,
    port: u16,
    process: Process,
}

/// Where the shipped files lie.
pub fn nats_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kubernetes/base/nats")
}

pub fn password(user: &str) -> String {
    let owner = if user == "operator" { "system" } else { user };
    format!("of{owner}0")
}

impl Nats {
    /// Starts one for the shipped users and those that are told here, as lines of its file.
    pub async fn start(toolbox: &Toolbox, folder: &Path, authority: &Authority, readers: &[&str]) -> Self {
        let folder = folder.join("nats");
        fs::create_dir_all(&folder).unwrap();
        let shipped = |name: &str| fs::read_to_string(nats_folder().join(name)).unwrap();
        let authorization = shipped("authorization.conf");
        assert!(authorization.contains(READERS), "the place for readers");
        let authorization = authorization.replace(READERS, &format!("{}\n{READERS}", readers.join("\n")));
        fs::write(folder.join("authorization.conf"), authorization).unwrap();
        let pair = authority.issue("nats", "nats", &[HOST]);
        let tls = shipped("tls.conf")
            .replace("/etc/nats-tls/tls.crt", pair.certificate.to_str().unwrap())
            .replace("/etc/nats-tls/tls.key", pair.key.to_str().unwrap())
            .replace("/etc/nats-tls/ca.crt", authority.certificate.to_str().unwrap());
        fs::write(folder.join("tls.conf"), tls).unwrap();
        let (port, configuration) = (free_port().unwrap(), folder.join("nats.conf"));
        let data = folder.join("jetstream");
        let text = format!(
            "listen: \"127.0.0.1:{port}\"\nmax_payload: 8MB\ninclude ./tls.conf\ninclude ./authorization.conf\n\
             jetstream: {{ store_dir: \"{}\", max_memory_store: 16MB, max_file_store: 1GB }}\n",
            data.display()
        );
        fs::write(&configuration, text).unwrap();
        let log = folder.join("log");
        let process = launch(toolbox, &configuration, &log, port).await;
        Self { toolbox: toolbox.clone(), configuration, log, port, process }
    }

    /// Where that user connects, by a name that stands in the certificate.
    pub fn url(&self, user: &str) -> String {
        self.url_with("tls", HOST, user, &password(user))
    }

    /// The same with another host, user or scheme in it.
    pub fn url_with(&self, scheme: &str, host: &str, user: &str, password: &str) -> String {
        format!("{scheme}://{user}:{password}@{host}:{}", self.port)
    }

    /// What it has logged since it was last started.
    pub fn words(&self) -> String {
        self.process.words()
    }

    pub async fn restart(&mut self) {
        self.process.stop(Signal::TERM, std::time::Duration::from_secs(10)).await.unwrap();
        self.process = launch(&self.toolbox, &self.configuration, &self.log, self.port).await;
    }
}

async fn launch(toolbox: &Toolbox, configuration: &Path, log: &Path, port: u16) -> Process {
    let mut start = command(toolbox.nats_server(), false);
    start.arg("-c").arg(configuration);
    for user in USERS {
        start.env(format!("NATS_{}_PASSWORD", user.to_uppercase()), password(user));
    }
    let mut process = Process::spawn("nats", start, log).unwrap();
    eventually("nats-server takes clients", async || {
        assert!(process.exited().unwrap().is_none(), "it ended: {}", process.last_words());
        let stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        let mut greeting = String::new();
        BufReader::new(stream).read_line(&mut greeting).await.ok()?;
        greeting.contains("\"jetstream\":true").then_some(())
    })
    .await;
    process
}
