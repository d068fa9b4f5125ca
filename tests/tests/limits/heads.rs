//! Request heads that are slow, long, or have too much in them, and requests that take too long.

use std::time::Duration;

use reqwest::Method;
use tidelog_tests::{Answer, World, WorldOptions, metric};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::interval;

use super::line::{OPEN, answers, ask, connect};

/// Writes a header letter by letter until the gateway closes the connection.
async fn dribble(mut connection: tokio::net::TcpStream) {
    let mut turns = interval(Duration::from_millis(10));
    let mut read = [0; 16];
    loop {
        tokio::select! {
            _ = turns.tick() => {
                if connection.write_all(b"x").await.is_err() {
                    return;
                }
            }
            read = connection.read(&mut read) => {
                assert!(!matches!(read, Ok(1..)), "nothing was asked yet");
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_dribbles_in_ends_the_connection() {
    metric("tidelog_gateway_slow_connections_total");
    let world = WorldOptions::default().set("server.header_timeout_ms", 1000).start().await;
    let before = metric("tidelog_gateway_slow_connections_total");
    let mut first = connect(world.address).await;
    first.write_all(b"GET / HTTP/1.1\r\nSlow: ").await.unwrap();
    dribble(first).await;
    let mut second = connect(world.address).await;
    let answer = ask(&mut second, "GET /nothing HTTP/1.1\r\nHost: tidelog\r\n\r\n", "not-found\"").await;
    assert!(answer.contains("404 Not Found"), "{answer}");
    second.write_all(b"GET / HTTP/1.1\r\nSlow: ").await.unwrap();
    dribble(second).await;
    assert!(metric("tidelog_gateway_slow_connections_total") >= before + 2.0);
    answers(world.address).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_or_too_long_headers_are_refused() {
    let world = World::new().await;
    let many = "X-Many: 1\r\n".repeat(70);
    let long = format!("X-Long: {}\r\n", "x".repeat(20_000));
    for headers in [many, long] {
        let request = OPEN.replacen("\r\n\r\n", &format!("\r\n{headers}\r\n"), 1);
        let answer = ask(&mut connect(world.address).await, &request, "\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    let few = OPEN.replacen("\r\n\r\n", &format!("\r\n{}\r\n", "X-Few: 1\r\n".repeat(60)), 1);
    assert!(ask(&mut connect(world.address).await, &few, "200 OK").await.contains("200 OK"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_too_long_is_refused() {
    let world = World::new().await;
    let ask = async |bytes: usize| {
        Answer::of(world.request(Method::GET, &format!("/{}", "x".repeat(bytes - 1)), "ann")).await
    };
    ask(8192).await.expect_refusal(404, "not-found");
    ask(8193).await.expect_refusal(400, "request-invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_not_answered_in_time_is_given_up() {
    let world = WorldOptions::default().set("server.request_timeout_ms", 200).start().await;
    world.pull("ann", "after=0&wait=30").await.expect_refusal(408, "request-timeout");
    world.pull("ann", "after=0").await.expect(200);
}
