//! An archive that is away, or that does not give back what it was given: nothing is pruned.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tidelog_archive::{Archive, ArchiveConfig, ArchiveError};
use tidelog_compactor::{CompactError, Compactor, Outcome};
use tidelog_tests::{World, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::archived::{archive_folder, files};
use super::proof::{assert_untouched, world_with};
use super::seen::Seen;
use super::standing::{id, prune_through};

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_pruned_while_the_archive_is_away() {
    let world = world_with(&["ann", "bob"]).await;
    // Where the folder would be made lies a file.
    std::fs::write(archive_folder(&world), "in the way").unwrap();
    let swept = world.compact().await;
    assert_eq!((swept.failed, swept.pruned), (2, 0));
    assert_untouched(&world, &["ann", "bob"]).await;
    std::fs::remove_file(archive_folder(&world)).unwrap();
    let swept = world.compact().await;
    assert_eq!((swept.failed, swept.pruned, files(&world).len()), (0, 2, 2));
    for space in ["ann", "bob"] {
        Seen::of(&world, space).await.assert_same_pruned_through(&world, 4).await;
    }
}

/// What a place gives back of the bytes that it was given.
type Lie = fn(Vec<u8>) -> Option<Vec<u8>>;

const LIES: [Lie; 4] = [
    |mut bytes| {
        bytes[30] ^= 1;
        Some(bytes)
    },
    |bytes| Some(bytes[..bytes.len() - 1].to_vec()),
    |_| Some(Vec::new()),
    |_| None,
];

#[tokio::test(flavor = "multi_thread")]
async fn invariant_8_nothing_is_pruned_that_the_archive_does_not_give_back() {
    let world = world_with(&["ann"]).await;
    let (place, lie) = lying_place().await;
    let compactor = world.compactor(|deps| deps.archive = place);
    for number in 0..LIES.len() {
        lie.store(number as u8, Ordering::SeqCst);
        assert_is_noticed(&compactor).await;
        assert_untouched(&world, &["ann"]).await;
    }
    assert_is_pruned_elsewhere(&world).await;
}

async fn assert_is_noticed(compactor: &Compactor) {
    let error = eventually("the claim of the try before is gone", async || {
        let outcome = compactor.compact(&id("ann")).await;
        (!matches!(outcome, Ok(Outcome::Elsewhere))).then_some(outcome)
    });
    let error = error.await.unwrap_err();
    let expected =
        matches!(error, CompactError::Archive(ArchiveError::Damaged { .. } | ArchiveError::Missing { .. }));
    assert!(expected, "{error:?}");
}

async fn assert_is_pruned_elsewhere(world: &World) {
    let before = Seen::of(world, "ann").await;
    prune_through(world, "ann", 4).await;
    before.assert_same_pruned_through(world, 4).await;
}

/// An S3 server as far as one is needed: it takes one object at a time, and gives it back as the lie of that number says.
async fn lying_place() -> (Archive, Arc<AtomicU8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = ArchiveConfig {
        url: "s3://bucket".to_owned(),
        s3_endpoint: format!("http://{}", listener.local_addr().unwrap()),
        s3_region: String::new(),
        s3_access_key_id: "id".to_owned(),
        s3_secret_access_key: "key".into(),
        s3_allow_http: true,
        s3_path_style: true,
        request_timeout_ms: 5000,
        retry_for_ms: 0,
    };
    let lie = Arc::new(AtomicU8::new(0));
    let number = lie.clone();
    tokio::spawn(async move {
        let mut object = Vec::new();
        while let Ok((mut connection, _)) = listener.accept().await {
            let (is_put, body) = request(&mut connection).await;
            let told = LIES[usize::from(number.load(Ordering::SeqCst))];
            let answer = if is_put {
                object = body;
                Some(Vec::new())
            } else {
                told(object.clone())
            };
            answer_with(&mut connection, answer).await;
        }
    });
    (Archive::open(&config).unwrap(), lie)
}

/// Whether the request puts something, and its body.
async fn request(connection: &mut TcpStream) -> (bool, Vec<u8>) {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            let body = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
            if bytes.len() >= body + length {
                return (text.starts_with("put "), bytes[body..body + length].to_vec());
            }
        }
        assert_ne!(connection.read_buf(&mut bytes).await.unwrap(), 0, "a whole request");
    }
}

async fn answer_with(connection: &mut TcpStream, body: Option<Vec<u8>>) {
    let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
    let body = body.unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {status}\r\nETag: \"1\"\r\nLast-Modified: Wed, 06 Aug 2025 12:00:00 GMT\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    connection.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
    let _ = connection.shutdown().await;
}
