//! What goes over the wire and what is made of what comes back, against a socket that answers any bytes.

use std::net::SocketAddr;

use tidelog_events::code::Refusal;
use tidelog_events::frame::Decoder;
use tidelog_events::id::{DeviceId, Position, Sequence, SpaceId};
use tidelog_events::protocol::{PushAnswer, UtcTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::*;
use crate::transport::Refused;

mod live;
mod patience;

/// Answers one request with these bytes, then closes. Gives the request's bytes.
async fn server(answer: Vec<u8>) -> (SocketAddr, JoinHandle<Vec<u8>>) {
    let (address, listener) = listen().await;
    let serving = tokio::spawn(async move {
        let (mut connection, request) = accept(&listener).await;
        connection.write_all(&answer).await.unwrap();
        request
    });
    (address, serving)
}

async fn listen() -> (SocketAddr, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (listener.local_addr().unwrap(), listener)
}

/// The next connection, and the request on it.
async fn accept(listener: &TcpListener) -> (TcpStream, Vec<u8>) {
    let (mut connection, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !is_whole(&request) {
        assert_ne!(connection.read_buf(&mut request).await.unwrap(), 0, "the request is cut short");
    }
    (connection, request)
}

fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&request[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    request.len() - end - 4 == length.map_or(0, |length| length.parse().unwrap())
}

fn http(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn pull() -> Request {
    Request::Pull(PullRequest {
        space: SpaceId::new("équipe 9/blå").unwrap(),
        after: Position(7),
        limit: 1000,
        device: DeviceId::new("phone&1").unwrap(),
        types: Some(["workout".to_owned(), "set".to_owned()].into()),
        report: None,
    })
}

fn push() -> Request {
    Request::Push(PushRequest {
        space: SpaceId::new("ann").unwrap(),
        device: DeviceId::new("phone-1").unwrap(),
        first: Sequence(1),
        last: Sequence(1),
        body: b"{\"batch\":{\"deviceId\":\"phone-1\"}}\n{}\n".to_vec(),
    })
}

fn own_events() -> Request {
    Request::OwnEvents(OwnEventsRequest {
        space: SpaceId::new("ann").unwrap(),
        device: DeviceId::new("a b").unwrap(),
        from: Sequence(3),
        to: Sequence(9),
    })
}

/// Sends the request to a gateway that answers so; gives what came of it, and the request as it was sent.
async fn sent(request: Request, answer: Vec<u8>) -> (Result<Answer, Unreachable>, Vec<u8>) {
    let (address, serving) = server(answer).await;
    let transport = HttpTransport::new(&format!("http://{address}/sync/")).unwrap();
    let result = transport.send(&request, "a.b.c").await;
    (result, serving.await.unwrap())
}

#[tokio::test]
async fn a_pull_asks_for_frames_and_gets_their_lines() {
    let mut encoder = Encoder::new().unwrap();
    let frames = [encoder.encode(b"{\"hello\":1}\n").unwrap(), encoder.encode(b"{}\n").unwrap()].concat();
    let headers = "Content-Type: application/x-ndjson\r\nContent-Encoding: zstd\r\n";
    let (answer, request) = sent(pull(), http("200 OK", headers, &frames)).await;
    assert_eq!(answer, Ok(Answer::Pulled("{\"hello\":1}\n{}\n".to_owned())));
    let request = String::from_utf8(request).unwrap().to_ascii_lowercase();
    let (line, head) = request.split_once("\r\n").unwrap();
    let path = "/sync/v1/spaces/%c3%a9quipe%209%2fbl%c3%a5/log";
    let query = "after=7&deviceid=phone%261&types=set%2cworkout&limit=1000";
    assert_eq!(line, format!("get {path}?{query} http/1.1"));
    for header in ["accept: application/x-ndjson", "accept-encoding: zstd", "authorization: bearer a.b.c"] {
        assert!(head.lines().any(|line| line == header), "{header} is not in {head}");
    }
}

#[tokio::test]
async fn a_push_sends_its_body_as_one_frame() {
    let body = br#"{"committed":false,"first":null,"last":null,"device":null,
        "serverTime":"2026-01-01T00:00:00.000Z","receipts":[]}"#;
    let json = "Content-Type: application/json\r\n";
    let (answer, sent) = sent(push(), http("202 Accepted", json, body)).await;
    let expect: PushAnswer = serde_json::from_slice(body).unwrap();
    assert_eq!(answer, Ok(Answer::Pushed(expect)));
    let end = sent.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
    let Request::Push(PushRequest { body, .. }) = push() else { unreachable!() };
    assert_eq!(Decoder::new().unwrap().decode_one(&sent[end..], 1000).unwrap(), body);
    let head = String::from_utf8_lossy(&sent[..end]).to_ascii_lowercase();
    assert!(head.starts_with("post /sync/v1/spaces/ann/events http/1.1\r\n"), "{head}");
    for header in ["content-type: application/x-ndjson", "content-encoding: zstd"] {
        assert!(head.lines().any(|line| line == header), "{header} is not in {head}");
    }
}

#[tokio::test]
async fn a_devices_own_events_are_asked_for_by_their_sequences() {
    let body =
        br#"{"items":[{"deviceSequence":3,"eventId":"018f4f7e-0000-7000-8000-000000000001","position":5}]}"#;
    let (answer, request) =
        sent(own_events(), http("200 OK", "Content-Type: application/json\r\n", body)).await;
    let Ok(Answer::OwnEvents(items)) = answer else { panic!("{answer:?}") };
    assert_eq!((items[0].device_sequence, items[0].position), (Sequence(3), Some(Position(5))));
    let line = "GET /sync/v1/spaces/ann/devices/a%20b/events?from=3&to=9 HTTP/1.1\r\n";
    assert!(request.starts_with(line.as_bytes()), "{}", String::from_utf8_lossy(&request));
}

#[tokio::test]
async fn a_problem_is_a_refusal_with_what_a_device_acts_on() {
    let body =
        br#"{"type":"t","title":"t","status":409,"code":"sequence-gap","detail":"a gap","expected":4,"requestId":"r-1"}"#;
    let (answer, _) =
        sent(push(), http("409 Conflict", "Content-Type: application/problem+json\r\n", body)).await;
    let expect = Refused {
        status: 409,
        code: Some(Refusal::SequenceGap),
        detail: "a gap (request r-1)".to_owned(),
        expected: Some(Sequence(4)),
        server_time: None,
        retry_after: None,
    };
    assert_eq!(answer, Ok(Answer::Refused(expect)));

    let body = br#"{"code":"overloaded","serverTime":"1970-01-01T00:00:01.000Z"}"#;
    let headers = "Content-Type: application/problem+json\r\nRetry-After: 7\r\n";
    let (answer, _) = sent(pull(), http("503 Service Unavailable", headers, body)).await;
    let Ok(Answer::Refused(refused)) = answer else { panic!("{answer:?}") };
    assert_eq!(refused.code, Some(Refusal::Overloaded));
    assert_eq!(
        (refused.retry_after, refused.server_time),
        (Some(Duration::from_secs(7)), Some(UtcTime(1000)))
    );
}

#[tokio::test]
async fn what_stands_between_refuses_without_a_code() {
    let problem = "Content-Type: application/problem+json\r\n";
    let cases = [
        http("502 Bad Gateway", "Content-Type: text/html\r\n", b"<h1>502</h1>"),
        http("410 Gone", "Content-Type: application/json\r\n", br#"{"code":"space-erased"}"#),
        http("410 Gone", problem, br#"{"code":"space-er"#),
        http("302 Found", "Location: http://127.0.0.1:1/login\r\n", b""),
        http("400 Bad Request", problem, br#"{"code":"of-the-future","detail":"d"}"#),
    ];
    for case in cases {
        let text = String::from_utf8_lossy(&case).into_owned();
        let Ok(Answer::Refused(refused)) = sent(pull(), case).await.0 else { panic!("{text}") };
        assert_eq!(refused.code, None, "{text}");
        assert!(text.contains(&refused.status.to_string()), "{refused:?}");
    }
}

#[tokio::test]
async fn what_is_not_a_whole_answer_is_none() {
    let frames = "Content-Type: application/x-ndjson\r\nContent-Encoding: zstd\r\n";
    let lines = "Content-Type: application/x-ndjson\r\n";
    let json = "Content-Type: application/json\r\n";
    let whole = http("200 OK", lines, b"{}\n{}\n");
    let frame = Encoder::new().unwrap().encode(b"{}\n").unwrap();
    // A header that claims 1 GiB: nothing of it may be reserved.
    let bomb =
        [&[0x28, 0xB5, 0x2F, 0xFD, 0b1010_0100][..], &(1_u32 << 30).to_le_bytes(), &[1, 0, 0]].concat();
    let cases = [
        ("a login page", pull(), http("200 OK", "Content-Type: text/html\r\n", b"<h1>Login</h1>")),
        ("an answer of another kind", pull(), http("200 OK", json, b"{}")),
        (
            "an encoding that was not asked for",
            pull(),
            http("200 OK", &format!("{lines}Content-Encoding: br\r\n"), b""),
        ),
        ("half a frame", pull(), http("200 OK", frames, &frame[..frame.len() - 1])),
        ("a frame that is too large", pull(), http("200 OK", frames, &bomb)),
        ("no UTF-8", pull(), http("200 OK", lines, &[0xFF, b'\n'])),
        ("half an answer", pull(), whole[..whole.len() - 1].to_vec()),
        ("no answer", pull(), Vec::new()),
        ("half a push answer", push(), http("200 OK", json, br#"{"committed":true"#)),
        ("another success", push(), http("201 Created", json, b"{}")),
    ];
    for (what, request, answer) in cases {
        let (result, _) = sent(request, answer).await;
        let cause = result.as_ref().map_err(|unreachable| unreachable.cause);
        assert_eq!(cause, Err(SyncFailureCause::Broken), "{what}");
    }
}

#[tokio::test]
async fn nobody_there_is_said_without_the_url() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let transport = HttpTransport::new(&format!("http://{closed}")).unwrap();
    let Unreachable { cause, detail: why } = transport.send(&push(), "t").await.unwrap_err();
    assert!(why.starts_with("no connection: ") && !why.contains("ann"), "{why}");
    assert_eq!(cause, SyncFailureCause::Offline);

    let Unreachable { cause, detail: why } = transport.send(&push(), "two\nlines").await.unwrap_err();
    assert!(why.starts_with("the request cannot be written"), "{why}");
    assert_eq!(cause, SyncFailureCause::Other);
}

#[test]
fn only_an_http_url_is_a_gateways_address() {
    assert!(matches!(HttpTransport::new("sync.example.com"), Err(InvalidAddress::NotUrl(_))));
    assert!(matches!(HttpTransport::new("ftp://sync.example.com"), Err(InvalidAddress::Scheme(_))));
    assert!(HttpTransport::new("https://sync.example.com").is_ok());
}

#[tokio::test]
async fn an_id_that_no_url_can_name_is_not_sent_elsewhere() {
    let transport = HttpTransport::new("http://127.0.0.1:1").unwrap();
    for dots in [".", ".."] {
        let Request::OwnEvents(request) = own_events() else { unreachable!() };
        let request = OwnEventsRequest { device: DeviceId::new(dots).unwrap(), ..request };
        let Unreachable { detail: why, .. } =
            transport.send(&Request::OwnEvents(request), "t").await.unwrap_err();
        assert!(why.contains("cannot stand in a URL"), "{why}");
    }
}
