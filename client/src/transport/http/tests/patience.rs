//! How long an answer is waited for, against gateways that are slow, or fall silent.

use std::future::pending;

use tokio::time::interval;

use super::*;

/// Long enough that no busy machine takes that long between two bytes.
const LONG: Duration = Duration::from_secs(2);
const SHORT: Duration = Duration::from_millis(50);
const EVER: Duration = Duration::from_hours(1);

/// An answer to a pull, and the one line in it.
fn pulled() -> (Vec<u8>, String) {
    let line = format!("{{\"hello\":{}}}\n", "1".repeat(50));
    (http("200 OK", "Content-Type: application/x-ndjson\r\n", line.as_bytes()), line)
}

/// Answers one request with the answer's beginning, then in small pieces for so long, then with the rest.
async fn slow_server(answer: Vec<u8>, body_takes: Duration) -> HttpTransport {
    let (address, listener) = listen().await;
    tokio::spawn(async move {
        let (mut connection, _) = accept(&listener).await;
        let (head, body) = answer.split_at(answer.len() - 50);
        connection.write_all(head).await.unwrap();
        let mut ticks = interval(body_takes / 50);
        for byte in body {
            ticks.tick().await;
            // An error says that the device has given up.
            if connection.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    });
    HttpTransport::new(&format!("http://{address}")).unwrap()
}

/// Answers one request with these bytes, then says nothing more.
async fn silent_server(answer: Vec<u8>) -> HttpTransport {
    let (address, listener) = listen().await;
    tokio::spawn(async move {
        let (mut connection, _) = accept(&listener).await;
        connection.write_all(&answer).await.unwrap();
        pending::<()>().await;
    });
    HttpTransport::new(&format!("http://{address}")).unwrap()
}

#[tokio::test]
async fn a_pull_may_take_longer_than_its_answer_may_be_silent() {
    let (answer, line) = pulled();
    let transport = slow_server(answer, LONG * 5 / 4).await.request_timeout(LONG);
    assert_eq!(transport.send(&pull(), "t").await, Ok(Answer::Pulled(line)));
}

#[tokio::test]
async fn a_gateway_that_falls_silent_is_given_up() {
    let (answer, _) = pulled();
    for request in [pull(), push(), own_events()] {
        for bytes in [0, 10, answer.len() - 20] {
            let transport = silent_server(answer[..bytes].to_vec()).await.request_timeout(SHORT);
            let Unreachable { cause, detail: why } = transport.send(&request, "t").await.unwrap_err();
            assert_eq!(why, "no whole answer came in time", "{request:?} after {bytes} bytes");
            assert_eq!(cause, SyncFailureCause::Timeout);
        }
    }
}

#[tokio::test]
async fn no_pull_takes_for_ever() {
    let (answer, _) = pulled();
    let transport = slow_server(answer, EVER).await.request_timeout(EVER).pull_timeout(SHORT);
    let Unreachable { detail: why, .. } = transport.send(&pull(), "t").await.unwrap_err();
    assert_eq!(why, "no whole answer came in time");
}

#[tokio::test]
async fn the_answer_to_a_push_has_as_long_as_a_request_with_its_answer() {
    let (answer, _) = pulled();
    for request in [push(), own_events()] {
        let transport = slow_server(answer.clone(), EVER).await.request_timeout(SHORT);
        let Unreachable { detail: why, .. } = transport.send(&request, "t").await.unwrap_err();
        assert_eq!(why, "no whole answer came in time");
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_not_made_is_given_up_before_the_answer_is_due() {
    let (address, _listener) = listen().await;
    // Nobody says anything of TLS.
    let transport = HttpTransport::new(&format!("https://{address}")).unwrap().request_timeout(EVER);
    let Unreachable { detail: why, .. } = transport.send(&push(), "t").await.unwrap_err();
    assert!(why.starts_with("no connection"), "{why}");
}
