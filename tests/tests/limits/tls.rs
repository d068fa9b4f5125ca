//! TLS of the public listener.

use std::path::Path;
use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use tempfile::TempDir;
use tidelog_tests::{World, WorldOptions, eventually};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::line::{OPEN, connect, read_to_end, read_until};

fn pair() -> CertifiedKey<KeyPair> {
    generate_simple_self_signed(["localhost".to_owned()]).unwrap()
}

fn write(folder: &Path, name: &str, text: &str) {
    let new = folder.join("new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(&new, folder.join(name)).unwrap();
}

fn write_pair(folder: &Path, pair: &CertifiedKey<KeyPair>) {
    write(folder, "certificate.pem", &pair.cert.pem());
    write(folder, "key.pem", &pair.signing_key.serialize_pem());
}

async fn start(pair: &CertifiedKey<KeyPair>) -> (World, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    write_pair(folder.path(), pair);
    let file = |name: &str| folder.path().join(name).display().to_string();
    let options = WorldOptions::default().set("server.tls_certificate_file", file("certificate.pem"));
    let options = options.set("server.tls_key_file", file("key.pem")).set("server.tls_watch_interval_ms", 20);
    (options.set("server.header_timeout_ms", 4000).start().await, folder)
}

/// A connection of a client that trusts only this certificate.
async fn handshake(
    world: &World,
    trusted: &CertifiedKey<KeyPair>,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.cert.der().clone()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, connect(world.address).await).await
}

async fn is_served(world: &World, trusted: &CertifiedKey<KeyPair>) -> bool {
    let Ok(mut connection) = handshake(world, trusted, &["http/1.1"]).await else { return false };
    connection.write_all(OPEN.as_bytes()).await.unwrap();
    read_until(&mut connection, "200 OK").await.contains("200 OK")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_public_api_speaks_both_versions_of_http_over_tls() {
    let pair = pair();
    let (world, _folder) = start(&pair).await;
    assert!(is_served(&world, &pair).await);
    assert!(!is_served(&world, &self::pair()).await, "another certificate is not its own");
    let both = handshake(&world, &pair, &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(both.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_taken_without_a_restart_and_a_broken_one_is_not() {
    let (first, second, third) = (pair(), pair(), pair());
    let (world, folder) = start(&first).await;
    assert!(is_served(&world, &first).await);
    write_pair(folder.path(), &second);
    eventually("the second pair is in use", async || is_served(&world, &second).await.then_some(())).await;
    // The third certificate with the second key, then no key at all.
    write(folder.path(), "certificate.pem", &third.cert.pem());
    assert!(is_served(&world, &second).await);
    write(folder.path(), "key.pem", "no key");
    assert!(is_served(&world, &second).await);
    write(folder.path(), "key.pem", &third.signing_key.serialize_pem());
    eventually("the third pair is in use", async || is_served(&world, &third).await.then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_plain_http_or_nothing_on_the_tls_port_gets_no_http_and_disturbs_nobody() {
    let pair = pair();
    let (world, _folder) = start(&pair).await;
    let mut plain = connect(world.address).await;
    plain.write_all(OPEN.as_bytes()).await.unwrap();
    let answered = read_to_end(&mut plain).await;
    assert!(!answered.starts_with(b"HTTP"), "{answered:?}");
    assert!(read_to_end(&mut connect(world.address).await).await.is_empty(), "a handshake has its time");
    assert!(is_served(&world, &pair).await);
}
