//! How many connections there may be, and how long they may do nothing.

use tidelog_tests::{WorldOptions, metric};
use tokio::io::AsyncWriteExt;

use super::line::{OPEN, answers, ask, connect, connect_from, read_to_end};

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_too_many_is_closed_and_there_is_room_again_when_one_ends() {
    metric("tidelog_gateway_refused_connections_total");
    let world = WorldOptions::default().set("server.connections", 2).start().await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut connection = connect(world.address).await;
        assert!(ask(&mut connection, OPEN, "200 OK").await.contains("200 OK"));
        held.push(connection);
    }
    assert!(read_to_end(&mut connect(world.address).await).await.is_empty());
    assert!(metric("tidelog_gateway_refused_connections_total") >= 1.0);
    let admin = ask(&mut connect(world.admin_address).await, OPEN, "200 OK").await;
    assert!(admin.contains("200 OK"), "each listener has its own");
    held.pop();
    answers(world.address).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_may_have_so_many_connections_and_others_have_their_own() {
    let options = WorldOptions::default().set("server.connections_per_address", 1);
    let world = options.set("server.trusted_proxies", "127.0.0.3").start().await;
    let mut first = connect(world.address).await;
    assert!(ask(&mut first, OPEN, "200 OK").await.contains("200 OK"));
    assert!(read_to_end(&mut connect(world.address).await).await.is_empty());
    let mut proxied = Vec::new();
    for local in ["127.0.0.2", "127.0.0.3", "127.0.0.3"] {
        let mut other = connect_from(local, world.address).await;
        assert!(ask(&mut other, OPEN, "200 OK").await.contains("200 OK"), "{local}");
        proxied.push(other);
    }
    drop(first);
    answers(world.address).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_says_nothing_is_closed() {
    let world = WorldOptions::default().set("server.header_timeout_ms", 500).start().await;
    assert!(read_to_end(&mut connect(world.address).await).await.is_empty());
    answers(world.address).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_asks_nothing_more_is_closed() {
    let world = WorldOptions::default().set("server.idle_timeout_ms", 100).start().await;
    let mut connection = connect(world.address).await;
    connection.write_all(OPEN.as_bytes()).await.unwrap();
    let answered = read_to_end(&mut connection).await;
    assert!(answered.starts_with(b"HTTP/1.1 200 OK"));
}
