//! Live connections to a gateway that is killed under them.

use super::harness::Stack;

#[tokio::test(flavor = "multi_thread")]
async fn invariant_9_two_thousand_connections_survive_their_gateway_and_miss_nothing() {
    let stack = Stack::start(&[]).await;
    let arguments =
        ["bench", "live", "--connections", "2000", "--devices", "4", "--seconds", "1", "--kill", "--json"];
    let output = stack.tidelog(&arguments).await;
    // The bench itself refuses positions that are skipped or come twice.
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["connections"], &report["deliveredEvents"]), (&2000.into(), &4.into()), "{report}");
    assert_eq!(report["lostEvents"], 0);
    assert_eq!((&report["killed"]["events"], &report["killed"]["received"]), (&2000.into(), &2000.into()));
    assert!(report["deliveryMs"]["p50"].as_f64().unwrap() > 0.0 && report["deliveryMs"]["p99"].is_number());
    assert!(report["bytesPerIdleConnection"].as_f64().unwrap() > 0.0);
}
