//! A connection whose bytes a test writes itself.

use std::net::SocketAddr;

use tidelog_tests::eventually;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Connects.
pub(super) async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// Connects from another address of this machine.
pub(super) async fn connect_from(local: &str, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{local}:0").parse().unwrap()).unwrap();
    socket.connect(address).await.unwrap()
}

/// Reads until what was read holds `end`, or the other side closes.
pub(super) async fn read_until(stream: &mut (impl AsyncRead + Unpin), end: &str) -> String {
    let mut read = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&read);
        if text.contains(end) {
            return text.into_owned();
        }
        match stream.read(&mut piece).await {
            Ok(bytes) if bytes > 0 => read.extend_from_slice(&piece[..bytes]),
            _ => return text.into_owned(),
        }
    }
}

/// Reads until the other side closes.
pub(super) async fn read_to_end(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut read = Vec::new();
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut read).await;
    read
}

/// Sends a request and reads what the gateway answers, up to that text.
pub(super) async fn ask(stream: &mut TcpStream, request: &str, end: &str) -> String {
    // The gateway may have closed already.
    let _ = stream.write_all(request.as_bytes()).await;
    read_until(stream, end).await
}

/// A request that everyone may send.
pub(super) const OPEN: &str = "GET /openapi.json HTTP/1.1\r\nHost: tidelog\r\n\r\n";

/// Connects and asks until the gateway answers.
pub(super) async fn answers(address: SocketAddr) {
    eventually("the gateway answers", async || {
        let answer = ask(&mut connect(address).await, OPEN, "200 OK").await;
        answer.contains("200 OK").then_some(())
    })
    .await;
}
