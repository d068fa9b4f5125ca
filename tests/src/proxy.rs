//! A TCP proxy between any two processes, which breaks the network between them: as a test tells it, or as a script
//! that comes from a seed.

mod connection;
mod script;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use script::{Script, Step};

/// What the network does. All connections are treated alike, those that come later too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: bytes pass.
    Pass,
    /// Bytes arrive that much later, in each direction.
    Delay(Duration),
    /// In each direction of each connection only so many bytes pass in a second.
    Throttle {
        /// At least 1.
        bytes_per_second: u32,
    },
    /// The connections that are open are reset; new ones pass.
    Cut,
    /// Bytes in that direction vanish, and nobody is told. TCP never goes on behind bytes that are lost, so a
    /// connection that has lost some carries nothing in that direction any more, whatever comes after.
    HalfOpen(Direction),
    /// New connections are closed at once; those that are open pass.
    Refuse,
}

/// A direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From whoever connected.
    ToTarget,
    /// To whoever connected.
    FromTarget,
}

/// A proxy in front of one address. Dropping it resets what goes through it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    wire: Arc<Wire>,
    accepting: AbortHandle,
}

impl Proxy {
    /// Starts one in front of `target`, a `host:port`. It passes everything.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn start(target: impl ToString) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let wire = Arc::new(Wire::new());
        let accepting = tokio::spawn(accept(listener, target.to_string(), wire.clone())).abort_handle();
        Self { address, wire, accepting }
    }

    /// Where to connect instead of to the target.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on the network does that.
    pub fn set(&self, fault: Fault) {
        self.wire.set(fault);
    }

    /// Plays the script again and again until what is returned is dropped or ended.
    #[must_use]
    pub fn play(&self, script: Script) -> Playing {
        let stop = CancellationToken::new();
        let task = tokio::spawn(play(self.wire.clone(), script, stop.clone()));
        Playing { stop: stop.drop_guard(), task }
    }

    /// Connections that are open now.
    pub fn connections(&self) -> usize {
        self.wire.open.load(Ordering::Relaxed)
    }

    /// Connections that were cut, refused or lost bytes so far.
    pub fn broken(&self) -> u64 {
        self.wire.broken.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.wire.set(Fault::Cut);
    }
}

/// A script that is being played.
#[derive(Debug)]
pub struct Playing {
    stop: DropGuard,
    task: JoinHandle<()>,
}

impl Playing {
    /// Ends the trouble: with a last cut, for what has lost bytes never heals. Then everything passes.
    pub async fn end(self) {
        drop(self.stop);
        let _ = self.task.await;
    }
}

/// What the connections of a proxy share.
#[derive(Debug)]
struct Wire {
    fault: watch::Sender<Fault>,
    /// How often all connections were cut.
    cuts: watch::Sender<u64>,
    open: AtomicUsize,
    broken: AtomicU64,
}

impl Wire {
    fn new() -> Self {
        Self {
            fault: watch::Sender::new(Fault::Pass),
            cuts: watch::Sender::new(0),
            open: AtomicUsize::new(0),
            broken: AtomicU64::new(0),
        }
    }

    fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
        if fault == Fault::Cut {
            self.cuts.send_modify(|cuts| *cuts += 1);
        }
    }

    fn fault(&self) -> Fault {
        *self.fault.borrow()
    }

    fn note_broken(&self) {
        self.broken.fetch_add(1, Ordering::Relaxed);
    }
}

async fn accept(listener: TcpListener, target: String, wire: Arc<Wire>) {
    while let Ok((client, _)) = listener.accept().await {
        if wire.fault() == Fault::Refuse {
            wire.note_broken();
            continue;
        }
        let (target, wire) = (target.clone(), wire.clone());
        // Subscribed here: a cut that comes before the target has answered is meant for this one, too.
        let cuts = wire.cuts.subscribe();
        tokio::spawn(async move { connection::carry(client, &target, &wire, cuts).await });
    }
}

async fn play(wire: Arc<Wire>, script: Script, stop: CancellationToken) {
    let playing = async {
        loop {
            for step in &script.steps {
                wire.set(step.fault);
                sleep_until(Instant::now() + step.lasts).await;
            }
        }
    };
    stop.run_until_cancelled(playing).await;
    wire.set(Fault::Cut);
}
