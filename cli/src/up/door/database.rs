//! The door to the primary PostgreSQL. When another one becomes the primary, or none is, every connection is cut: what was
//! the primary must not be asked any more. Who comes meanwhile waits for the next one.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Result;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::{accept, dial, listen, pass};

/// How long a new connection waits for a primary: longer than a promotion takes.
const WAIT_FOR_PRIMARY: Duration = Duration::from_secs(10);
/// A primary that has just ended may not be known to have done so.
const DIAL_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// The port on which the primary takes clients; `None` while there is none.
type Primary = Option<u16>;

/// The door, open for as long as this process runs.
#[derive(Debug)]
pub(in super::super) struct DatabaseDoor {
    primary: watch::Sender<Primary>,
}

impl DatabaseDoor {
    /// Opens it with nobody behind it.
    pub(in super::super) async fn open(port: u16) -> Result<Self> {
        let listener = listen(&format!("127.0.0.1:{port}")).await?;
        let primary = watch::Sender::new(None);
        let behind = primary.subscribe();
        tokio::spawn(accept(listener, move |client| carry(client, behind.clone())));
        Ok(Self { primary })
    }

    /// From now on it leads there.
    pub(in super::super) fn lead_to(&self, primary: Option<u16>) {
        self.primary.send_replace(primary);
    }

    /// Whether it leads to a primary.
    pub(in super::super) fn is_open(&self) -> bool {
        self.primary.borrow().is_some()
    }
}

async fn carry(client: TcpStream, mut primary: watch::Receiver<Primary>) {
    let Ok(Some((port, server))) = timeout(WAIT_FOR_PRIMARY, reach(&mut primary)).await else { return };
    tokio::select! {
        () = pass(client, server) => {}
        // Another primary, or none, or no door any more.
        _ = primary.wait_for(|now| *now != Some(port)) => {}
    }
}

/// Tries until the primary, whichever it is by then, is reached.
async fn reach(primary: &mut watch::Receiver<Primary>) -> Option<(u16, TcpStream)> {
    loop {
        let port = (*primary.wait_for(Option::is_some).await.ok()?)?;
        if let Ok(server) = dial(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await {
            return Some((port, server));
        }
        sleep(DIAL_AGAIN_AFTER).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::local::free_port;

    /// A server that answers every byte with its own letter.
    async fn server(letter: u8) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    while client.read_u8().await.is_ok() {
                        client.write_u8(letter).await.unwrap();
                    }
                });
            }
        });
        port
    }

    #[tokio::test]
    async fn every_connection_goes_to_the_primary_and_ends_with_it() {
        let (first, second) = (server(b'1').await, server(b'2').await);
        let port = free_port().unwrap();
        let door = DatabaseDoor::open(port).await.unwrap();
        let ask = async |client: &mut TcpStream| {
            client.write_u8(b'?').await?;
            client.read_u8().await
        };
        let mut early = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        assert!(!door.is_open());
        door.lead_to(Some(first));
        assert!(door.is_open());
        assert_eq!(ask(&mut early).await.unwrap(), b'1', "who came too early was kept waiting");
        door.lead_to(None);
        assert!(ask(&mut early).await.is_err(), "cut");
        let mut waiting = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        door.lead_to(Some(second));
        assert_eq!(ask(&mut waiting).await.unwrap(), b'2');
    }
}
