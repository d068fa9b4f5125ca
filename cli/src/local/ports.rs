//! Loopback ports for local servers.

use std::collections::HashMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::Mutex;

use anyhow::{Result, bail};

/// Below the range from which systems take the ports of outgoing connections: a restarted server must find its
/// port free, and no client may have got it in between.
const RANGE: std::ops::Range<u16> = 15_000..32_000;

/// Ports handed out by this process, each with the lock that tells other processes: a server that is about to start, or
/// to start again, does not listen yet.
static TAKEN: Mutex<Option<HashMap<u16, File>>> = Mutex::new(None);

/// A loopback port that nobody listens on, and that no process that lives was given before.
pub fn free_port() -> Result<u16> {
    let mut guard = TAKEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let taken = guard.get_or_insert_default();
    for _ in 0..1000 {
        let port = fastrand::u16(RANGE);
        if taken.contains_key(&port) || !is_free(port) {
            continue;
        }
        if let Some(lock) = claim(port)? {
            taken.insert(port, lock);
            return Ok(port);
        }
    }
    bail!("found no free port between {} and {} on 127.0.0.1", RANGE.start, RANGE.end)
}

/// Takes a lock that ends with this process; `None` where another one has it.
fn claim(port: u16) -> Result<Option<File>> {
    let folder = std::env::temp_dir().join("tidelog-ports");
    fs::create_dir_all(&folder)?;
    let Ok(lock) =
        File::options().create(true).write(true).truncate(false).open(folder.join(port.to_string()))
    else {
        // Another user's.
        return Ok(None);
    };
    Ok(lock.try_lock().is_ok().then_some(lock))
}

/// Whether a server could listen on this loopback port now.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
