//! Loopback ports for local servers.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;

use anyhow::{Result, bail};

/// Below the range from which systems take the ports of outgoing connections: a restarted server must find its
/// port free, and no client may have got it in between.
const RANGE: std::ops::Range<u16> = 15_000..32_000;

/// Ports handed out by this process, so that two servers that start at once do not get the same one.
static TAKEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// A loopback port that nobody listens on, never the same one twice in a process.
pub fn free_port() -> Result<u16> {
    let mut guard = TAKEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let taken = guard.get_or_insert_default();
    for _ in 0..1000 {
        let port = fastrand::u16(RANGE);
        if is_free(port) && taken.insert(port) {
            return Ok(port);
        }
    }
    bail!("found no free port between {} and {} on 127.0.0.1", RANGE.start, RANGE.end)
}

/// Whether a server could listen on this loopback port now.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
