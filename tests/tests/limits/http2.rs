//! HTTP/2, frame by frame (RFC 9113), as no honest client would use it.

use tidelog_tests::{World, WorldOptions, token};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::line::{answers, connect, read_to_end};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const CANCEL: u32 = 8;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A text of HPACK, not Huffman-coded (RFC 7541, section 5).
fn text(value: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    match value.len() {
        short if short < 127 => bytes.push(short as u8),
        long => {
            bytes.push(127);
            let mut rest = long - 127;
            while rest >= 128 {
                bytes.push((rest % 128 + 128) as u8);
                rest /= 128;
            }
            bytes.push(rest as u8);
        }
    }
    bytes.extend_from_slice(value.as_bytes());
    bytes
}

/// The headers of a GET: method and scheme by their place in the static table, the others in full.
fn get(path: &str, authorization: &str) -> Vec<u8> {
    [
        &[0x82, 0x86, 0x04][..],
        &text(path),
        &[0x01],
        &text("tidelog"),
        &[0x00],
        &text("authorization"),
        &text(authorization),
    ]
    .concat()
}

async fn begin(world: &World) -> TcpStream {
    let mut connection = connect(world.address).await;
    connection.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
    connection
}

/// The next frame of that kind, its stream and payload.
async fn next(connection: &mut TcpStream, kind: u8) -> Option<(u32, Vec<u8>)> {
    loop {
        let mut head = [0; 9];
        connection.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        connection.read_exact(&mut payload).await.ok()?;
        if head[3] == kind {
            return Some((u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload));
        }
    }
}

fn error(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[payload.len() - 4..].try_into().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_beyond_the_streams_of_a_connection_are_refused() {
    let world = WorldOptions::default().set("server.http2_streams", 2).start().await;
    let mut connection = begin(&world).await;
    let waiting = get("/v1/spaces/me/log?after=0&wait=30", &format!("Bearer {}", token("ann")));
    let open = |stream| frame(HEADERS, END_STREAM | END_HEADERS, stream, &waiting);
    connection.write_all(&[open(1), open(3), open(5)].concat()).await.unwrap();
    let (stream, payload) = next(&mut connection, RST_STREAM).await.unwrap();
    assert_eq!((stream, error(&payload)), (5, REFUSED_STREAM));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_taken_back_at_once_end_the_connection() {
    let world = World::new().await;
    let mut connection = begin(&world).await;
    let request = get("/v1/spaces/me/log?after=0&wait=30", &format!("Bearer {}", token("ann")));
    let rapid = (0..2000_u32).flat_map(|number| {
        let stream = 2 * number + 1;
        let open = frame(HEADERS, END_STREAM | END_HEADERS, stream, &request);
        [open, frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes())].concat()
    });
    // The gateway may close while this is on its way.
    let _ = connection.write_all(&rapid.collect::<Vec<_>>()).await;
    if let Some((_, payload)) = next(&mut connection, GOAWAY).await {
        assert_eq!(u32::from_be_bytes(payload[4..8].try_into().unwrap()), ENHANCE_YOUR_CALM);
    }
    read_to_end(&mut connection).await;
    answers(world.address).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_never_end_end_the_connection() {
    let world = World::new().await;
    let mut connection = begin(&world).await;
    connection.write_all(&frame(HEADERS, END_STREAM, 1, &get("/openapi.json", "none"))).await.unwrap();
    let more =
        frame(CONTINUATION, 0, 1, &[&[0x00][..], &text("x-more"), &text(&"x".repeat(10_000))].concat());
    // Far more than the gateway takes; its socket breaks before, or what it sends ends.
    for _ in 0..1000 {
        if connection.write_all(&more).await.is_err() {
            break;
        }
    }
    read_to_end(&mut connection).await;
    answers(world.address).await;
}
