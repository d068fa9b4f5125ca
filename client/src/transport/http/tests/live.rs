//! Live connections, against a socket that answers any bytes and then speaks WebSocket, well or badly.

use std::future::pending;

use futures_util::{SinkExt, StreamExt};
use tidelog_events::live::{CursorCall, LiveCall, LiveNotice, PresenceCall};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;

use super::*;
use crate::transport::{LiveEnd, LiveMessage, NotLive};

fn asked() -> PullRequest {
    let Request::Pull(pull) = pull() else { unreachable!() };
    pull
}

fn transport(address: SocketAddr) -> HttpTransport {
    HttpTransport::new(&format!("http://{address}/sync/")).unwrap().app_version("2.14.0").unwrap()
}

fn key_of(request: &[u8]) -> String {
    let request = String::from_utf8_lossy(request);
    let key = request.lines().find_map(|line| line.strip_prefix("sec-websocket-key: "));
    key.expect("a key").to_owned()
}

fn switching(accept: &str, protocol: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {protocol}\r\n\r\n"
    )
    .into_bytes()
}

/// Agrees to one connection and gives it, with the request that it began with.
async fn agree(listener: &TcpListener) -> (WebSocketStream<TcpStream>, Vec<u8>) {
    let (mut connection, request) = accept(listener).await;
    let answer = switching(&derive_accept_key(key_of(&request).as_bytes()), "tidelog.v1");
    connection.write_all(&answer).await.unwrap();
    (WebSocketStream::from_raw_socket(connection, Role::Server, None).await, request)
}

/// Connects to a server that agrees and then sends these messages; keeps the connection open.
async fn told(messages: Vec<Message>) -> HttpLive {
    let (address, listener) = listen().await;
    tokio::spawn(async move {
        let (mut socket, _) = agree(&listener).await;
        for message in messages {
            socket.send(message).await.unwrap();
        }
        pending::<()>().await;
    });
    transport(address).connect(&asked(), "a.b.c").await.unwrap()
}

fn frame(lines: &str) -> Vec<u8> {
    Encoder::new().unwrap().encode(lines.as_bytes()).unwrap()
}

#[tokio::test]
async fn a_live_connection_is_asked_for_as_a_pull_and_carries_the_log_in_frames() {
    let (address, listener) = listen().await;
    let serving = tokio::spawn(async move {
        let (mut socket, request) = agree(&listener).await;
        let frames = [frame("{\"hello\":1}\n"), frame("{}\n")].concat();
        socket.send(Message::binary(frames)).await.unwrap();
        let (first, second) = (socket.next().await, socket.next().await);
        (request, first.unwrap().unwrap(), second.unwrap().unwrap())
    });
    let mut live = transport(address).connect(&asked(), "a.b.c").await.unwrap();
    let message = live.next().await;
    assert_eq!(message, Ok(LiveMessage::Log("{\"hello\":1}\n{}\n".to_owned())));
    assert_eq!(live.ready(), None);
    live.say(&LiveCall::Cursor(CursorCall { position: Position(9), report: None })).await.unwrap();
    live.say(&LiveCall::Presence(PresenceCall { state: serde_json::json!("typing") })).await.unwrap();
    let (request, first, second) = serving.await.unwrap();
    assert_eq!(first, Message::text(r#"{"cursor":{"position":9}}"#));
    assert_eq!(second, Message::text(r#"{"presence":{"state":"typing"}}"#));
    let request = String::from_utf8(request).unwrap().to_ascii_lowercase();
    let path = "/sync/v1/spaces/%c3%a9quipe%209%2fbl%c3%a5/live";
    let first_line = format!("get {path}?after=7&deviceid=phone%261&types=set%2cworkout http/1.1");
    assert_eq!(request.lines().next(), Some(first_line.as_str()));
    for header in [
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-protocol: tidelog.v1",
        "authorization: bearer a.b.c",
        "tidelog-client-version: 2.14.0",
    ] {
        assert!(request.lines().any(|line| line == header), "{header} is not in {request}");
    }
}

#[tokio::test]
async fn what_refuses_is_told_from_what_knows_no_live_connections() {
    let problem = |status: &str, code: &str| {
        let body = format!(r#"{{"code":"{code}","detail":"no"}}"#);
        http(status, "Content-Type: application/problem+json\r\nRetry-After: 7\r\n", body.as_bytes())
    };
    let refused = async |answer: Vec<u8>| {
        let (address, _serving) = server(answer).await;
        transport(address).connect(&asked(), "a.b.c").await.err().unwrap()
    };
    for (status, code, known) in [
        ("401 Unauthorized", "unauthorized", Refusal::Unauthorized),
        ("403 Forbidden", "device-revoked", Refusal::DeviceRevoked),
        ("410 Gone", "space-erased", Refusal::SpaceErased),
        ("426 Upgrade Required", "client-too-old", Refusal::ClientTooOld),
        ("503 Service Unavailable", "overloaded", Refusal::Overloaded),
    ] {
        let NotLive::Refused(refused) = refused(problem(status, code)).await else { panic!("{code}") };
        assert_eq!((refused.code, refused.retry_after), (Some(known), Some(Duration::from_secs(7))));
    }
    let page = |status: &str| http(status, "Content-Type: text/html\r\n", b"<html>");
    for answer in [
        problem("404 Not Found", "not-found"),
        page("404 Not Found"),
        page("400 Bad Request"),
        page("200 OK"),
    ] {
        assert!(matches!(refused(answer).await, NotLive::Unavailable(_)));
    }
    assert!(matches!(refused(page("502 Bad Gateway")).await, NotLive::Refused(_)));
    assert!(matches!(refused(b"HTTP/1.1 101".to_vec()).await, NotLive::Unreachable(_)));
}

#[tokio::test]
async fn whoever_answers_another_handshake_or_protocol_is_no_gateway() {
    for (right_key, protocol) in [(false, "tidelog.v1"), (true, "chat"), (true, "")] {
        let (address, listener) = listen().await;
        tokio::spawn(async move {
            let (mut connection, request) = accept(&listener).await;
            let key = if right_key { key_of(&request) } else { "another".to_owned() };
            connection.write_all(&switching(&derive_accept_key(key.as_bytes()), protocol)).await.unwrap();
            pending::<()>().await;
        });
        let answer = transport(address).connect(&asked(), "a.b.c").await;
        assert!(matches!(answer.err(), Some(NotLive::Unavailable(_))), "{right_key} {protocol}");
    }
}

#[tokio::test]
async fn notices_are_told_and_what_a_later_gateway_says_is_passed_over() {
    let presence = r#"{"presence":{"connection":"c","userId":"bob","deviceId":null,"state":1}}"#;
    let messages = ["{\"news\":{}}", "no json", presence, "{\"presence\":7}"];
    let messages = messages.map(Message::text).into_iter().chain([Message::binary(frame("{}\n"))]);
    let mut live = told(messages.collect()).await;
    let Ok(LiveMessage::Notice(LiveNotice::Presence(presence))) = live.next().await else { panic!() };
    assert_eq!(presence.connection, "c");
    assert_eq!(live.next().await, Ok(LiveMessage::Log("{}\n".to_owned())));
}

#[tokio::test]
async fn an_end_has_its_code() {
    let close = |code: u16| Message::Close(Some(CloseFrame { code: code.into(), reason: "why".into() }));
    for code in [1001, 4401, 4408] {
        assert_eq!(told(vec![close(code)]).await.next().await, Err(LiveEnd::Closed(code)));
    }
    assert_eq!(told(vec![Message::Close(None)]).await.next().await, Err(LiveEnd::Closed(1005)));
}

#[tokio::test]
async fn damaged_and_endless_messages_end_the_connection() {
    let mut bomb = frame(&"\n".repeat(1000));
    bomb.truncate(bomb.len() - 2);
    for damaged in [b"no frame".to_vec(), bomb, frame("\u{fffd}\n")[..5].to_vec()] {
        let end = told(vec![Message::binary(damaged)]).await.next().await;
        assert!(matches!(end, Err(LiveEnd::Lost(_))), "{end:?}");
    }
    // The header of a binary message of 2^40 bytes: nothing is reserved for it.
    let (address, listener) = listen().await;
    tokio::spawn(async move {
        let (socket, _) = agree(&listener).await;
        let mut connection = socket.into_inner();
        connection.write_all(&[0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0]).await.unwrap();
        pending::<()>().await;
    });
    let mut live = transport(address).connect(&asked(), "a.b.c").await.unwrap();
    assert!(matches!(live.next().await, Err(LiveEnd::Lost(_))));
}

#[tokio::test]
async fn silence_ends_a_connection_and_a_ping_is_no_silence() {
    let (address, listener) = listen().await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        let (mut socket, _) = agree(&listener).await;
        let mut stopped = stopped;
        let mut pongs = 0;
        while stopped.try_recv().is_err() {
            socket.send(Message::Ping("".into())).await.unwrap();
            pongs += u32::from(matches!(socket.next().await, Some(Ok(Message::Pong(_)))));
        }
        (socket, pongs)
    });
    let silence = Duration::from_millis(200);
    let connected = transport(address).live_silence(silence).connect(&asked(), "a.b.c").await;
    let mut live = connected.unwrap();
    // Nothing but pings for longer than it may be silent.
    let waited = tokio::time::timeout(silence * 3, live.next()).await;
    assert!(waited.is_err(), "{waited:?}");
    stop.send(()).unwrap();
    assert!(matches!(live.next().await, Err(LiveEnd::Lost(_))));
    let (_socket, pongs) = serving.await.unwrap();
    assert!(pongs > 1, "pings are answered");
}
