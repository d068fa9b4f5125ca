//! One connection through a proxy: two pumps, each of which does to its bytes what the network does just now.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::{Direction, Fault, Wire};

const CHUNK_BYTES: usize = 64 * 1024;
/// A throttled pump sends that often.
const SENDS_PER_SECOND: u32 = 20;

/// Carries bytes both ways until both ends have closed, one of them breaks, or the connection is cut.
pub(super) async fn carry(mut client: TcpStream, target: &str, wire: &Wire, mut cuts: watch::Receiver<u64>) {
    wire.open.fetch_add(1, Ordering::Relaxed);
    let mut server = None;
    let carried = tokio::select! {
        _ = cuts.changed() => {
            wire.note_broken();
            Err(io::ErrorKind::ConnectionAborted.into())
        }
        carried = relay(&mut client, &mut server, target, wire) => carried,
    };
    if carried.is_err() {
        for stream in [Some(client), server].into_iter().flatten() {
            // Closing resets then, as a crashed peer or a firewall does.
            let _ = stream.set_zero_linger();
        }
    }
    wire.open.fetch_sub(1, Ordering::Relaxed);
}

async fn relay(
    client: &mut TcpStream,
    server: &mut Option<TcpStream>,
    target: &str,
    wire: &Wire,
) -> io::Result<()> {
    let server = server.insert(TcpStream::connect(target).await?);
    for stream in [&*client, &*server] {
        stream.set_nodelay(true)?;
    }
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::try_join!(
        pump(Direction::ToTarget, from_client, to_server, wire),
        pump(Direction::FromTarget, from_server, to_client, wire),
    )?;
    Ok(())
}

async fn pump(
    direction: Direction,
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    wire: &Wire,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let bytes = from.read(&mut chunk).await?;
        let arrived = Instant::now();
        match wire.fault() {
            Fault::HalfOpen(lost) if lost == direction => {
                wire.note_broken();
                return swallow(from, chunk).await;
            }
            Fault::Delay(latency) => sleep_until(arrived + latency).await,
            _ => {}
        }
        if bytes == 0 {
            return to.shutdown().await;
        }
        send(&chunk[..bytes], &mut to, wire).await?;
    }
}

/// Reads on as if somebody took it. Not even the end is passed on.
async fn swallow(mut from: ReadHalf<'_>, mut chunk: Vec<u8>) -> io::Result<()> {
    while from.read(&mut chunk).await.is_ok_and(|bytes| bytes > 0) {}
    std::future::pending().await
}

/// Sends at the pace of the moment.
async fn send(mut bytes: &[u8], to: &mut WriteHalf<'_>, wire: &Wire) -> io::Result<()> {
    while !bytes.is_empty() {
        let Fault::Throttle { bytes_per_second } = wire.fault() else { return to.write_all(bytes).await };
        let started = Instant::now();
        let most = (bytes_per_second / SENDS_PER_SECOND).max(1) as usize;
        let (now, later) = bytes.split_at(most.min(bytes.len()));
        to.write_all(now).await?;
        let takes = Duration::from_secs(1) * now.len() as u32 / bytes_per_second;
        sleep_until(started + takes).await;
        bytes = later;
    }
    Ok(())
}
