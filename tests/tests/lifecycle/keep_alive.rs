//! A client of HTTP/1 that keeps its connection as long as it may, and tells apart how a connection can end.

use std::net::SocketAddr;

use tidelog_tests::{Batch, World};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How a request went.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// It was answered with that status.
    Answered(u16),
    /// Nobody took the connection: the server has none any more, or the system dropped it before the server had it.
    Refused,
    /// The server had the connection, and closed it instead of answering.
    Broken(String),
}

/// A client.
pub struct KeepAlive {
    address: SocketAddr,
    connection: Option<TcpStream>,
    /// Connections that the server asked it to leave.
    pub asked_to_leave: u64,
}

impl KeepAlive {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, connection: None, asked_to_leave: 0 }
    }

    /// Pushes a batch.
    pub async fn push(&mut self, world: &World, user: &str, batch: &Batch) -> Asked {
        let body = batch.frame();
        let head = format!(
            "POST /v1/spaces/me/events HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\n\
             content-type: application/x-ndjson\r\ncontent-encoding: zstd\r\ncontent-length: {}\r\n\r\n",
            world.token(user),
            body.len()
        );
        self.ask(&[head.as_bytes(), &body].concat()).await
    }

    /// Gets a path.
    pub async fn get(&mut self, world: &World, user: &str, path: &str) -> Asked {
        let token = world.token(user);
        let head = format!("GET {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {token}\r\n\r\n");
        self.ask(head.as_bytes()).await
    }

    /// Sends a request on the connection that there is, or on a new one.
    pub async fn ask(&mut self, request: &[u8]) -> Asked {
        let (mut connection, is_new) = match self.connection.take() {
            Some(connection) => (connection, false),
            None => match TcpStream::connect(self.address).await {
                Ok(connection) => (connection, true),
                Err(_) => return Asked::Refused,
            },
        };
        let _ = connection.write_all(request).await;
        match answer(&mut connection).await {
            Ok((status, leaves)) => {
                self.asked_to_leave += u64::from(leaves);
                self.connection = (!leaves).then_some(connection);
                Asked::Answered(status)
            }
            Err(read) if read.is_empty() && is_new => Asked::Refused,
            Err(read) => Asked::Broken(read),
        }
    }
}

/// The status of an answer, and whether the connection ends with it; or what was read of it.
async fn answer(connection: &mut TcpStream) -> Result<(u16, bool), String> {
    let mut read = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&read).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            let length: usize = header("content-length:").unwrap_or("0").parse().unwrap();
            if body.len() >= length {
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                return Ok((status, header("connection:") == Some("close")));
            }
        }
        match connection.read(&mut piece).await {
            Ok(bytes) if bytes > 0 => read.extend_from_slice(&piece[..bytes]),
            _ => return Err(String::from_utf8_lossy(&read).into_owned()),
        }
    }
}
