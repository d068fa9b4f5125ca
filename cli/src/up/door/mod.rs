//! One address for each thing of which there are several, as a Service of Kubernetes is one: passes connections on and reads
//! nothing of them.

mod database;
mod gateways;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
pub(super) use database::DatabaseDoor;
pub(super) use gateways::{Backend, Readiness};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use crate::terminal::warn;

/// Connections of one door at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 16_384;
/// How long accepting rests after an error such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

async fn listen(address: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// Accepts for as long as this process runs, and has each connection carried in a task of its own.
async fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    carry: impl Fn(TcpStream) -> F + Send,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    while let Ok(place) = places.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((client, _)) => {
                let carried = carry(client);
                tokio::spawn(async move {
                    carried.await;
                    drop(place);
                });
            }
            Err(error) => {
                warn("door", &format!("connections cannot be accepted just now: {error}"));
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn dial(address: SocketAddr) -> std::io::Result<TcpStream> {
    let server = TcpStream::connect(address).await?;
    server.set_nodelay(true)?;
    Ok(server)
}

/// Passes bytes both ways until both sides have ended, or one has failed.
async fn pass(mut client: TcpStream, mut server: TcpStream) {
    // Without it the end of an answer waits for the acknowledgement of its beginning.
    let _ = client.set_nodelay(true);
    // Which of the two has failed, both learn.
    let _ = copy_bidirectional(&mut client, &mut server).await;
}
