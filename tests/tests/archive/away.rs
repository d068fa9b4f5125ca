//! A place that does not answer, or refuses: that is told from damage, and passes.

use std::error::Error;

use bytes::Bytes;
use tidelog_archive::{Archive, ArchiveConfig, ArchiveError};
use tidelog_tests::{S3Server, eventually};
use tokio::net::TcpListener;

use super::place::{folder_config, header};

const OBJECT: Bytes = Bytes::from_static(b"events");

/// Fails soon, so that tests need not wait.
fn hasty(config: ArchiveConfig) -> Archive {
    Archive::open(&ArchiveConfig { request_timeout_ms: 300, retry_for_ms: 200, ..config }).unwrap()
}

fn told(error: &ArchiveError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

fn assert_away<T: std::fmt::Debug>(result: Result<T, ArchiveError>) -> String {
    let error = result.unwrap_err();
    assert!(matches!(error, ArchiveError::Away { .. }), "{error:?}");
    told(&error)
}

#[tokio::test]
async fn a_server_that_ended_is_away_and_has_everything_when_it_is_back() {
    let mut server = S3Server::start().await;
    let patient = Archive::open(&server.bucket("tidelog")).unwrap();
    let stored = patient.store(&header("ann"), OBJECT).await.unwrap();
    let archive = hasty(server.bucket("tidelog"));
    server.kill();
    assert_away(archive.fetch(&stored.object, &stored.sha256).await);
    assert_away(archive.store(&header("ben"), OBJECT).await);
    server.restart().await;
    let fetched = eventually("the server has found its volumes", async || {
        archive.fetch(&stored.object, &stored.sha256).await.ok()
    });
    assert_eq!(fetched.await, OBJECT);
    patient.store(&header("ben"), OBJECT).await.unwrap();
}

#[tokio::test]
async fn a_request_waits_for_a_server_that_comes_back_in_time() {
    let mut server = S3Server::start().await;
    let archive = Archive::open(&server.bucket("tidelog")).unwrap();
    let stored = archive.store(&header("ann"), OBJECT).await.unwrap();
    server.kill();
    let (fetched, ()) = tokio::join!(archive.fetch(&stored.object, &stored.sha256), server.restart());
    assert_eq!(fetched.unwrap(), OBJECT);
}

#[tokio::test]
async fn a_server_that_takes_connections_and_says_nothing_is_away() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = ArchiveConfig {
        url: "s3://tidelog".to_owned(),
        s3_endpoint: format!("http://{}", silent.local_addr().unwrap()),
        s3_access_key_id: "id".to_owned(),
        s3_secret_access_key: "key".into(),
        s3_allow_http: true,
        ..folder_config("")
    };
    assert_away(hasty(config.clone()).fetch("a/b/c", &[]).await);
    assert_away(hasty(config).store(&header("ann"), OBJECT).await);
}

#[tokio::test]
async fn a_key_that_is_refused_says_so_and_stays_secret() {
    let server = S3Server::start().await;
    let config = ArchiveConfig { s3_secret_access_key: "not-the-key".into(), ..server.bucket("tidelog") };
    let archive = Archive::open(&config).unwrap();
    let told = assert_away(archive.store(&header("ann"), OBJECT).await);
    assert!(told.contains("SignatureDoesNotMatch"), "{told}");
    assert!(!told.contains("not-the-key") && !format!("{archive:?}").contains("not-the-key"), "{told}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_away_and_works_once_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("disk");
    std::fs::write(&in_the_way, "a file").unwrap();
    let archive = Archive::open(&folder_config(&in_the_way.join("archive").display().to_string())).unwrap();
    let told = assert_away(archive.store(&header("ann"), OBJECT).await);
    assert!(told.contains("disk"), "{told}");
    std::fs::remove_file(&in_the_way).unwrap();
    let stored = archive.store(&header("ann"), OBJECT).await.unwrap();
    assert_eq!(archive.fetch(&stored.object, &stored.sha256).await.unwrap(), OBJECT);
}
