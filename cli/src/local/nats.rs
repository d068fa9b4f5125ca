//! One nats-server with JetStream on a loopback port: alone, or a node of a cluster.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::leftover::{end_leftover, read_pid};
use super::ports;
use super::process::{Process, command};
use super::toolbox::Toolbox;
use super::wait::Deadline;

const READY_PATIENCE: Duration = Duration::from_secs(20);
const STOP_GRACE: Duration = Duration::from_secs(10);

/// How many processors a Go program uses at once.
const PROCESSORS_VARIABLE: &str = "GOMAXPROCS";

/// A node's place in its cluster. Every message is on the disks of most nodes before it is acknowledged.
#[derive(Debug, Clone)]
pub struct NatsPeers {
    /// This node's name, different from that of every other.
    pub name: String,
    /// The port on which the other nodes reach this one.
    pub route_port: u16,
    /// Those ports of all nodes; this one's may be among them.
    pub routes: Vec<u16>,
}

/// A nats-server of ours. Dropping it kills it; its data stays.
#[derive(Debug)]
pub struct NatsServer {
    program: PathBuf,
    folder: PathBuf,
    log: PathBuf,
    port: u16,
    peers: Option<NatsPeers>,
    process: Option<Process>,
}

impl NatsServer {
    /// Starts one with its configuration and data in `folder` and returns when it takes clients. Port 0: any free one.
    pub async fn start(toolbox: &Toolbox, folder: &Path, log: &Path, port: u16) -> Result<Self> {
        Self::start_with(toolbox, folder, log, port, None).await
    }

    /// Starts a node of a cluster in the same way. It takes clients before it has found the others.
    pub async fn start_node(
        toolbox: &Toolbox,
        folder: &Path,
        log: &Path,
        port: u16,
        peers: NatsPeers,
    ) -> Result<Self> {
        Self::start_with(toolbox, folder, log, port, Some(peers)).await
    }

    async fn start_with(
        toolbox: &Toolbox,
        folder: &Path,
        log: &Path,
        port: u16,
        peers: Option<NatsPeers>,
    ) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let folder = folder.canonicalize()?;
        let port = if port == 0 { ports::free_port()? } else { port };
        let mut server =
            Self { program: toolbox.nats_server(), folder, log: log.to_owned(), port, peers, process: None };
        server.launch().await?;
        Ok(server)
    }

    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its name: `nats`, or that of the node.
    pub fn name(&self) -> &str {
        self.peers.as_ref().map_or("nats", |peers| &peers.name)
    }

    /// Its port, kept over restarts.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process, for signals; none while it is stopped.
    pub fn process(&mut self) -> Option<&mut Process> {
        self.process.as_mut()
    }

    /// SIGKILL: what a crash of the broker is like.
    pub fn kill(&mut self) -> Result<()> {
        self.process.take().map_or(Ok(()), |mut process| process.kill())
    }

    /// Stops it in good order.
    pub async fn stop(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.stop(Signal::TERM, STOP_GRACE).await,
            None => Ok(()),
        }
    }

    /// Starts it again on the same port and data, stopping it first if it runs.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.launch().await
    }

    /// Deletes all that JetStream stored: what losing the broker's disk is like. The server is killed first.
    pub fn wipe_data(&mut self) -> Result<()> {
        self.kill()?;
        match fs::remove_dir_all(self.data()) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// The folder in which JetStream keeps its streams.
    pub fn data(&self) -> PathBuf {
        self.folder.join("jetstream")
    }

    async fn launch(&mut self) -> Result<()> {
        let configuration = self.folder.join("nats.conf");
        if let Some(pid) = read_pid(&self.pid_file()) {
            end_leftover(pid, &configuration.display().to_string()).await?;
        }
        fs::write(&configuration, self.configuration())?;
        let mut start = command(&self.program, false);
        start.arg("-c").arg(&configuration);
        if std::env::var_os(PROCESSORS_VARIABLE).is_none() {
            start.env(PROCESSORS_VARIABLE, processors().to_string());
        }
        let mut process = Process::spawn("nats", start, &self.log)?;
        let deadline = Deadline::after(READY_PATIENCE, "nats-server taking clients");
        while !greets(self.port).await {
            if let Some(status) = process.exited()? {
                bail!("nats-server ended at once ({status}). Its last words:\n{}", process.last_words());
            }
            deadline.next_look().await?;
        }
        self.process = Some(process);
        Ok(())
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.join("nats.pid")
    }

    /// No monitoring port. `max_file_store` bounds what streams may reserve, not what they use: the tests' streams
    /// reserve far more together than they ever fill.
    fn configuration(&self) -> String {
        let name = self.peers.as_ref().map_or("tidelog-local", |peers| &peers.name);
        let sync = self.peers.as_ref().map_or("", |_| ", sync_interval: always");
        format!(
            "server_name: \"{name}\"\nlisten: \"127.0.0.1:{}\"\npid_file: {}\nmax_payload: 8MB\n\
             jetstream {{ store_dir: {}, max_memory_store: 256MB, max_file_store: 4TB{sync} }}\n{}",
            self.port,
            quoted(&self.pid_file()),
            quoted(&self.data()),
            self.peers.as_ref().map(cluster).unwrap_or_default(),
        )
    }
}

fn cluster(NatsPeers { route_port, routes, .. }: &NatsPeers) -> String {
    let routes: Vec<_> = routes.iter().map(|port| format!("\"nats://127.0.0.1:{port}\"")).collect();
    let routes = routes.join(", ");
    format!("cluster {{ name: \"tidelog\", listen: \"127.0.0.1:{route_port}\", routes: [{routes}] }}\n")
}

/// Half of this machine's: with all of them it spends a fifth of its time on waking its own threads, while the services
/// beside it wait.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, |all| all.get().div_ceil(2))
}

fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('\\', "\\\\").replace('"', "\\\""))
}

/// Whether the server's greeting offers JetStream: it opens its port after it has recovered the streams.
async fn greets(port: u16) -> bool {
    let Ok(stream) = TcpStream::connect(("127.0.0.1", port)).await else { return false };
    let mut greeting = String::new();
    let mut reader = BufReader::new(stream);
    let read = timeout(Duration::from_secs(2), reader.read_line(&mut greeting)).await;
    matches!(read, Ok(Ok(_))) && greeting.starts_with("INFO ") && greeting.contains("\"jetstream\":true")
}
