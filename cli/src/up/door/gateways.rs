//! The front door: new connections go to the gateways in turn, of those that are ready; connections that are made stay
//! where they are until they end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use reqwest::Client;
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval};

use super::{accept, dial, listen, pass};

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A gateway that has not said by then that it is ready is not.
const LOOK_TIMEOUT: Duration = Duration::from_millis(500);

/// One gateway, as a door sees it.
#[derive(Debug, Clone)]
pub(in super::super) struct Backend {
    pub(in super::super) address: SocketAddr,
    pub(in super::super) ready: Readiness,
}

/// Whether a gateway is ready, as it says itself again and again. Clones share it.
#[derive(Debug, Clone)]
pub(in super::super) struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Looks for as long as this process runs.
    pub(in super::super) fn watch(operations_url: &str) -> Result<Self> {
        let client = Client::builder().timeout(LOOK_TIMEOUT).build()?;
        let (url, ready) = (format!("{operations_url}/readyz"), Arc::new(AtomicBool::new(false)));
        let told = Arc::clone(&ready);
        tokio::spawn(async move {
            let mut looks = interval(LOOK_EVERY);
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                looks.tick().await;
                let answer = client.get(&url).send().await;
                let is_ready = answer.is_ok_and(|answer| answer.status().is_success());
                told.store(is_ready, Ordering::Relaxed);
            }
        });
        Ok(Self(ready))
    }
}

impl Backend {
    /// Opens a door to these, for as long as this process runs.
    pub(in super::super) async fn open_door(address: &str, backends: Vec<Self>) -> Result<()> {
        let listener = listen(address).await?;
        let (backends, turn) = (Arc::new(backends), AtomicUsize::new(0));
        tokio::spawn(accept(listener, move |client| {
            let ready: Vec<_> =
                backends.iter().map(|backend| backend.ready.0.load(Ordering::Relaxed)).collect();
            carry(client, backends.clone(), order(&ready, turn.fetch_add(1, Ordering::Relaxed)))
        }));
        Ok(())
    }
}

/// Whoever takes the connection first, has it.
async fn carry(client: TcpStream, backends: Arc<Vec<Backend>>, order: Vec<usize>) {
    for backend in order {
        if let Ok(server) = dial(backends[backend].address).await {
            return pass(client, server).await;
        }
    }
}

/// In which order gateways are asked to take a connection: those that are ready, beginning with another one at each turn;
/// then the others, since one that is not ready can at least say why.
fn order(ready: &[bool], turn: usize) -> Vec<usize> {
    let rotated = (0..ready.len()).map(|place| (place + turn) % ready.len());
    let (mut first, last): (Vec<_>, Vec<_>) = rotated.partition(|&backend| ready[backend]);
    first.extend(last);
    first
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;
    use crate::local::free_port;

    #[test]
    fn connections_are_spread_over_those_that_are_ready() {
        let check = |ready: &[bool], turn: usize, expect: &[usize]| {
            assert_eq!(order(ready, turn), expect, "{ready:?} at turn {turn}");
        };
        check(&[true, true], 0, &[0, 1]);
        check(&[true, true], 1, &[1, 0]);
        check(&[true, true], 2, &[0, 1]);
        check(&[false, true], 0, &[1, 0]);
        check(&[false, true], 1, &[1, 0]);
        check(&[true, false, true], 1, &[2, 0, 1]);
        check(&[false, false], 1, &[1, 0]);
        check(&[], 5, &[]);
    }

    #[tokio::test]
    async fn a_gateway_that_refuses_has_the_other_one_take_the_connection() {
        let there = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let backend = |address| Backend { address, ready: Readiness(Arc::new(AtomicBool::new(true))) };
        let gone = SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()));
        let door = format!("127.0.0.1:{}", free_port().unwrap());
        let backends = vec![backend(gone), backend(there.local_addr().unwrap())];
        Backend::open_door(&door, backends).await.unwrap();
        for _ in 0..2 {
            let mut client = TcpStream::connect(&door).await.unwrap();
            let (server, _) = there.accept().await.unwrap();
            drop(server);
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "it ends where the gateway ends it");
        }
    }
}
