//! TLS to the broker, as a service's own connection has it.

use tidelog_runtime::broker::{Broker, BrokerConfig};
use tidelog_runtime::config::{Config, Sources};
use tidelog_tests::{PrivateServers, eventually};
use tokio::time::timeout;

use super::servers::{Authority, Nats, toolbox};

/// Longer than a connection to this machine takes, several times.
const UNTIL_REFUSED: std::time::Duration = std::time::Duration::from_millis(600);

/// A connection with that URL and these keys of `[broker]`.
async fn connect(url: &str, keys: &[(&str, &std::path::Path)]) -> Broker {
    let keys = keys.iter().map(|(key, path)| (format!("TIDELOG__BROKER__{key}"), path.display().to_string()));
    let environment = keys.chain([("TIDELOG__BROKER__URL".to_owned(), url.to_owned())]).collect();
    let config = Config::load(&Sources { file: None, environment }).unwrap();
    let config: BrokerConfig = config.section("broker").unwrap();
    Broker::connect(&config, "tidelog-migrate").await.unwrap()
}

async fn is_connected(broker: &Broker) {
    eventually("the broker is connected", async || broker.is_connected().then_some(())).await;
}

async fn never_connects(broker: &Broker, why: &str) {
    let connected = eventually("a connection", async || broker.is_connected().then_some(()));
    assert!(timeout(UNTIL_REFUSED, connected).await.is_err(), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_speaks_to_the_right_server_by_tls_or_to_none() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let another = Authority::new(folder.path(), "another");
    let nats = Nats::start(&toolbox(), folder.path(), &authority, &[]).await;
    let own = authority.issue("own", "migrate", &[]);
    let foreign = another.issue("foreign", "migrate", &[]);
    let ca = ("TLS_CA_FILE", authority.certificate.as_path());
    let pair = [("TLS_CERTIFICATE_FILE", own.certificate.as_path()), ("TLS_KEY_FILE", own.key.as_path())];
    let foreign =
        [("TLS_CERTIFICATE_FILE", foreign.certificate.as_path()), ("TLS_KEY_FILE", foreign.key.as_path())];
    let url = nats.url("migrate");
    let with_host = |host| nats.url_with("tls", host, "migrate", "ofmigrate0");

    is_connected(&connect(&url, &[ca, pair[0], pair[1]]).await).await;
    let named_by_files_alone = nats.url_with("nats", "localhost", "migrate", "ofmigrate0");
    is_connected(&connect(&named_by_files_alone, &[ca, pair[0], pair[1]]).await).await;

    let plain = PrivateServers::start().await;
    let plain_url = plain.nats.url();
    let wrong_ca = ("TLS_CA_FILE", another.certificate.as_path());
    let wrong = [
        (connect(&url, &[wrong_ca, pair[0], pair[1]]).await, "its certificate is of another authority"),
        (connect(&url, &[pair[0], pair[1]]).await, "the system knows no such authority"),
        (connect(&with_host("127.0.0.1"), &[ca, pair[0], pair[1]]).await, "its certificate has another name"),
        (connect(&url, &[ca]).await, "it asks for a certificate"),
        (connect(&url, &[ca, foreign[0], foreign[1]]).await, "it asks for one of its authority"),
        (
            connect(&nats.url_with("tls", "localhost", "migrate", "guessed"), &[ca, pair[0], pair[1]]).await,
            "the password is another",
        ),
        (connect(&plain_url, &[ca]).await, "a server without TLS gets nothing, not even the password"),
        (connect(&plain_url.replace("nats://", "tls://"), &[]).await, "nor where the URL asks for TLS"),
    ];
    futures_util::future::join_all(wrong.iter().map(|(broker, why)| never_connects(broker, why))).await;
    is_connected(&connect(&plain_url, &[]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn renewed_files_are_taken_when_the_connection_is_next_made() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "authority");
    let own = authority.issue("own", "migrate", &[]);
    let mut nats = Nats::start(&toolbox(), folder.path(), &authority, &[]).await;
    let files = [
        ("TLS_CA_FILE", authority.certificate.as_path()),
        ("TLS_CERTIFICATE_FILE", own.certificate.as_path()),
        ("TLS_KEY_FILE", own.key.as_path()),
    ];
    let broker = connect(&nats.url("migrate"), &files).await;
    is_connected(&broker).await;

    // Another authority, and new certificates of both sides, in the same files.
    let renewed = Authority::new(folder.path(), "authority");
    renewed.issue("nats", "nats", &["localhost"]);
    nats.restart().await;
    eventually("the connection is lost", async || (!broker.is_connected()).then_some(())).await;
    never_connects(&broker, "its own certificate is still of the old authority").await;
    renewed.issue("own", "migrate", &[]);
    is_connected(&broker).await;
    assert!(broker.round_trip().await);
}
