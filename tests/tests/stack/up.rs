//! Starting, stopping, and starting again.

use rustix::process::{Signal, test_kill_process};
use serde_json::Value;
use tidelog_tests::Batch;

use super::harness::{Stack, second_up};

const ROLES: [&str; 4] = ["nats", "postgres", "gateway", "ingest"];

/// After one push. What has not happened yet is there with 0.
async fn each_service_tells_its_metrics(facts: &Value) {
    let expected: [(&str, &[&str]); 4] = [
        (
            "gateway",
            &[
                "tidelog_gateway_requests_total{endpoint=\"push\",status=\"2xx\"} 1",
                "tidelog_gateway_requests_total{endpoint=\"admin_list_audit\",status=\"5xx\"} 0",
                "tidelog_gateway_device_syncs_total{outcome=\"failed\"} 0",
                "tidelog_broker_publishes_total{stream=\"push\",outcome=\"acknowledged\"} 1",
            ],
        ),
        (
            "ingest",
            &[
                "tidelog_ingest_events_total 5",
                "tidelog_ingest_quarantined_events_total{code=\"event-poison\"} 0",
                "tidelog_broker_publishes_total{stream=\"log\",outcome=\"full\"} 0",
            ],
        ),
        ("projector", &["tidelog_projector_failures_total 0", "tidelog_broker_connected 1"]),
        ("compactor", &["tidelog_compactor_refusals_total{reason=\"different\"} 0"]),
    ];
    for (service, lines) in expected {
        let url = format!("{}/metrics", facts["operationsUrls"][service].as_str().unwrap());
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        let build = format!("tidelog_build_info{{service=\"{service}\",version=\"");
        assert!(text.contains(&build), "{service}: {text}");
        let everywhere = ["tidelog_database_connections_max ", "process_resident_memory_bytes "];
        for begin in everywhere.iter().copied().chain(lines.iter().copied()) {
            assert!(text.lines().any(|line| line.starts_with(begin)), "{service}: {begin}: {text}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_stops_everything_and_the_data_stays() {
    let mut stack = Stack::start(&[]).await;
    let facts = stack.facts();
    for key in ["gatewayUrl", "adminUrl", "natsUrl", "databaseUrl", "jwtSecret", "token", "adminToken"] {
        assert!(facts[key].is_string(), "{key} in {facts}");
    }
    assert!(facts["operationsUrls"]["ingest"].is_string());
    let batch = Batch::new("phone-1", 1, 5);
    stack.push(&batch).await.expect_committed(Some((1, 5)));
    each_service_tells_its_metrics(&facts).await;

    let second = second_up(stack.folder(), &[]);
    assert!(!second.status.success(), "a second one in the same folder is refused");

    let pids = ROLES.map(|role| stack.pid(role));
    assert_eq!(stack.signal(Signal::INT).await, Some(0));
    for pid in pids {
        assert!(test_kill_process(pid).is_err(), "{pid:?} is gone");
    }
    assert!(!stack.file().exists());

    stack.start_again().await;
    assert_eq!(stack.facts()["gatewayUrl"], facts["gatewayUrl"], "addresses stay");
    stack.push(&batch).await.expect_committed(None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_up_leaves_nothing_running_that_the_next_one_would_trip_over() {
    let mut stack = Stack::start(&[]).await;
    assert_eq!(stack.signal(Signal::KILL).await, None);
    stack.start_again().await;
    let output = stack.tidelog(&["token", "--sub", "ann"]).await;
    assert!(output.status.success());
    let token = String::from_utf8(output.stdout).unwrap();
    assert_eq!(token.trim_end().split('.').count(), 3, "a JWT and nothing else: {token}");
}
