//! The health check of a container says what `/readyz` says.

use std::process::{Command, ExitStatus};
use std::time::Duration;

use tidelog_runtime::readiness::Readiness;
use tidelog_runtime::{metrics, operations};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::repository::yaml;

/// Runs the gateway's check, as the container would, against another port.
async fn checked(port: u16) -> ExitStatus {
    let compose = yaml("deploy/compose.yaml");
    let test = &compose["services"]["gateway"]["healthcheck"]["test"];
    let words: Vec<String> = serde_json::from_value(test.clone()).unwrap();
    assert_eq!(words[..3], ["CMD", "bash", "-c"]);
    let script = words[3].replace("$$", "$").replace("/9080 ", &format!("/{port} "));
    assert_ne!(script, words[3]);
    let run = move || Command::new("bash").args(["-c", &script]).status().unwrap();
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_health_check_is_green_while_the_service_is_ready_and_red_when_it_is_not_or_is_away() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let readiness = Readiness::new(Duration::ZERO);
    let shutdown = CancellationToken::new();
    let serving = operations::serve(listener, readiness.clone(), metrics::install().unwrap(), shutdown);
    assert!(checked(port).await.success(), "nothing says that it is not ready");
    readiness.drain();
    assert!(!checked(port).await.success(), "a service that drains is not ready");
    serving.abort();
    let _ = serving.await;
    assert!(!checked(port).await.success(), "nobody listens");
}
