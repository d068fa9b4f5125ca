//! A device that stays connected: it connects again when it is cut off, and counts what it gets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, bail};
use tidelog_events::id::Position;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::socket::{Door, Socket};

/// The first pause before connecting again, doubled each time; a random part of it is waited.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(8);

/// What devices got, all together.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) connected: AtomicU64,
    pub(super) reconnects: AtomicU64,
    pub(super) events: AtomicU64,
}

/// When a position arrived at a device.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub(super) device: usize,
    pub(super) position: Position,
    pub(super) at: Instant,
}

/// Connects, and reports arrivals to `arrivals` if there is one; ends when it is dropped or something is wrong with the log.
pub(super) async fn stay_connected(
    device: usize,
    door: Door,
    counts: Arc<Counts>,
    arrivals: Option<mpsc::UnboundedSender<Arrival>>,
) -> Result<()> {
    let mut cursor = Position::ZERO;
    let mut pause = PAUSE;
    loop {
        if let Ok((mut socket, events)) = Socket::open(&door, cursor).await {
            pause = PAUSE;
            counts.connected.fetch_add(1, Ordering::Relaxed);
            note(&counts, cursor, &socket, events)?;
            cursor = socket.cursor;
            // A torn log ends the bench: the errors of `more` are the gateway's, not the network's.
            while let Some(events) = socket.more().await? {
                note(&counts, cursor, &socket, events)?;
                let at = Instant::now();
                for position in (cursor.0 + 1..=socket.cursor.0).map(Position) {
                    if let Some(arrivals) = &arrivals {
                        let _ = arrivals.send(Arrival { device, position, at });
                    }
                }
                cursor = socket.cursor;
            }
            counts.connected.fetch_sub(1, Ordering::Relaxed);
        }
        counts.reconnects.fetch_add(1, Ordering::Relaxed);
        sleep(pause.mul_f64(fastrand::f64())).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Counts events that came; they must be all of those between the cursors.
fn note(counts: &Counts, before: Position, socket: &Socket, events: u64) -> Result<()> {
    if events != socket.cursor.0 - before.0 {
        bail!("{events} events came from position {before} to {}", socket.cursor);
    }
    counts.events.fetch_add(events, Ordering::Relaxed);
    Ok(())
}
