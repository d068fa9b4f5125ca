//! A relay in this process, between the pool and a PostgreSQL that is reached over TCP. The driver leaves Nagle's
//! algorithm on, which holds back the end of a large write until the server has acknowledged what came before; the
//! relay's own connections have it off. It passes bytes and reads none of them, so TLS goes through it. See ADR 10.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::net::sockopt;
use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::time::{sleep, timeout};

use super::DatabaseConfig;

/// A server that does not take clients is tried again after this long at first, then after twice as long each time.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// Bytes in hand of each direction of each connection.
const CHUNK_BYTES: usize = 64 << 10;

/// The server behind a relay.
#[derive(Debug)]
struct Server {
    host: String,
    port: u16,
    /// How long to try to reach it for one client, who has given up by then.
    patience: Duration,
    /// A server that takes nothing for so long while there is something for it hangs.
    stalled_after: Duration,
}

/// A socket to which only this process can connect.
#[derive(Debug)]
pub(super) struct Relay {
    listener: UnixListener,
    place: Place,
    upstream: Upstream,
}

impl Relay {
    /// A relay to a server that is reached over TCP; to no other. It listens, and serves nobody before
    /// [`Relay::serve`]. Where none can be had everything works, but large writes wait.
    pub(super) fn before_tcp(options: &PgConnectOptions, config: &DatabaseConfig) -> Option<Self> {
        let host = options.get_host();
        if options.get_socket().is_some() || host.starts_with('/') {
            return None;
        }
        let server = Server {
            host: host.to_owned(),
            port: options.get_port(),
            patience: Duration::from_millis(config.acquire_timeout_ms) + PAUSE_MAX,
            stalled_after: config.statement_deadline(),
        };
        let relay = Place::new().and_then(|place| Self::bind(place, server));
        relay
            .inspect_err(|error| tracing::warn!(%error, "no relay to PostgreSQL: large writes will wait"))
            .ok()
    }

    fn bind(place: Place, server: Server) -> io::Result<Self> {
        // The driver makes this name of folder and port.
        let socket = place.path().join(format!(".s.PGSQL.{}", server.port));
        let upstream = Upstream { server, is_reachable: AtomicBool::new(true) };
        Ok(Self { listener: UnixListener::bind(socket)?, place, upstream })
    }

    /// What the driver is told to be the socket's folder.
    pub(super) fn folder(&self) -> &Path {
        self.place.path()
    }

    /// Serves until `closed`, then takes no more clients. A connection ends with its client, or with its server.
    pub(super) async fn serve(self, closed: impl Future<Output = ()>) {
        let Self { listener, place, upstream } = self;
        let accepting = accept(listener, Arc::new(upstream));
        tokio::select! {
            () = closed => {}
            () = accepting => {}
        }
        drop(place);
    }
}

async fn accept(listener: UnixListener, upstream: Arc<Upstream>) {
    loop {
        match listener.accept().await {
            Ok((client, _)) if is_ours(&client) => {
                let upstream = upstream.clone();
                tokio::spawn(async move { upstream.carry(client).await });
            }
            Ok(_) => tracing::warn!("another process connected to the relay to PostgreSQL, and was refused"),
            Err(error) => {
                tracing::warn!(%error, "the relay to PostgreSQL cannot accept");
                sleep(PAUSE_MAX).await;
            }
        }
    }
}

/// Whether the other end is in this process, as far as the system tells.
fn is_ours(client: &UnixStream) -> bool {
    let is_own = |pid: i32| pid.cast_unsigned() == std::process::id();
    client.peer_cred().is_ok_and(|peer| peer.pid().is_none_or(is_own))
}

/// The server, and whether it was there when it was last looked for.
#[derive(Debug)]
struct Upstream {
    server: Server,
    is_reachable: AtomicBool,
}

impl Upstream {
    /// One connection, from its beginning to its end.
    async fn carry(&self, mut client: UnixStream) {
        let server = match timeout(self.server.patience, self.reach()).await {
            Ok(server) => server,
            Err(elapsed) => return self.note_unreachable(&elapsed.into()),
        };
        let ended = pass(&mut client, server, self.server.stalled_after).await;
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection to PostgreSQL broke");
        }
    }

    /// Waits for the server. The driver, too, takes a server that refuses for one that is starting up.
    async fn reach(&self) -> TcpStream {
        let mut pause = PAUSE_MIN;
        loop {
            match dial(&self.server.host, self.server.port).await {
                Ok(server) => {
                    if !self.is_reachable.swap(true, Ordering::Relaxed) {
                        tracing::info!(host = self.server.host, "PostgreSQL is reached again");
                    }
                    return server;
                }
                Err(error) => self.note_unreachable(&error),
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// The driver will say no more than that its time is up: the cause stands here, once for each outage.
    fn note_unreachable(&self, error: &io::Error) {
        let Server { host, port, .. } = &self.server;
        if self.is_reachable.swap(false, Ordering::Relaxed) {
            tracing::warn!(host, port, %error, "PostgreSQL cannot be reached");
        } else {
            tracing::debug!(host, port, %error, "PostgreSQL still cannot be reached");
        }
    }
}

/// A connection to the server. The name is resolved each time: a failover may move it.
async fn dial(host: &str, port: u16) -> io::Result<TcpStream> {
    let server = TcpStream::connect((host, port)).await?;
    server.set_nodelay(true)?;
    // A server whose host is gone is noticed in about a minute, also by who only waits for its answer; and whoever
    // forgets idle connections on the way sees that this one is in use.
    sockopt::set_socket_keepalive(&server, true)?;
    sockopt::set_tcp_keepidle(&server, Duration::from_secs(30))?;
    sockopt::set_tcp_keepintvl(&server, Duration::from_secs(10))?;
    sockopt::set_tcp_keepcnt(&server, 3)?;
    Ok(server)
}

/// Passes bytes both ways until one side ends, which neither side does while it still waits for the other.
async fn pass(client: &mut UnixStream, mut server: TcpStream, stalled_after: Duration) -> io::Result<()> {
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::select! {
        // A client that is gone is not seen while the server takes nothing, hence the limit.
        ended = forward(from_client, to_server, stalled_after) => ended,
        // A client that is gone cannot be written to, and one that is there may take its time.
        ended = forward(from_server, to_client, Duration::MAX) => ended,
    }
}

/// Writes all that comes, until no more does.
async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    stalled_after: Duration,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = from.read(&mut chunk).await?;
        if count == 0 {
            return Ok(());
        }
        timeout(stalled_after, to.write_all(&chunk[..count])).await??;
    }
}

/// A folder for the socket that nobody else has.
#[derive(Debug)]
enum Place {
    /// A name that is in no file system (Linux): needs nothing that can be written, and leaves nothing behind.
    Abstract(PathBuf),
    /// A private folder, where there are no such names.
    Folder(TempDir),
}

impl Place {
    fn new() -> io::Result<Self> {
        if cfg!(target_os = "linux") { Ok(Self::nowhere()) } else { Self::somewhere() }
    }

    fn nowhere() -> Self {
        Self::Abstract(PathBuf::from(format!("\0tidelog-{:032x}", fastrand::u128(..))))
    }

    fn somewhere() -> io::Result<Self> {
        let private = Permissions::from_mode(0o700);
        tempfile::Builder::new().prefix("tidelog-").permissions(private).tempdir().map(Self::Folder)
    }

    fn path(&self) -> &Path {
        match self {
            Self::Abstract(name) => name,
            Self::Folder(folder) => folder.path(),
        }
    }
}

#[cfg(test)]
mod tests;
