//! Phones on this machine: in use beside a stack, looked into, and measured.

use std::process::Output;

use rustix::process::Signal;
use serde_json::Value;
use tidelog_tests::eventually;

use super::harness::Stack;

const STORE: &str = ".tidelog/phones/ann-1.sqlite";

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn phones_that_up_starts_record_sync_and_can_be_looked_into() {
    let mut stack = Stack::start(&["--phones", "2"]).await;
    let text = eventually("an event of the first phone is synced", async || {
        let output = stack.tidelog(&["device", "inspect", STORE]).await;
        let text = said(&output);
        (output.status.success() && text.contains("✅")).then_some(text)
    })
    .await;
    assert!(text.starts_with("the store of ann, app fitness"), "{text}");
    for part in ["   clock   20", "   cursor  ", "   queue   "] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let output = stack.tidelog(&["device", "inspect", STORE, "--json"]).await;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let seen: Value = serde_json::from_str(line).unwrap();
        assert!(seen["event"]["event"]["eventId"].is_string() || seen["space"]["cursor"].is_u64(), "{line}");
    }
    assert_eq!(stack.signal(Signal::INT).await, Some(0));
    let folder = stack.folder().join(".tidelog/phones");
    let left = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().ends_with("-wal")), "the stores are closed");

    let output = stack.tidelog(&["device", "inspect", "none.sqlite"]).await;
    assert!(!output.status.success() && said(&output).contains("there is no file none.sqlite"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phones_store_is_measured_without_a_stack() {
    let mut stack = Stack::start(&[]).await;
    assert_eq!(stack.signal(Signal::TERM).await, Some(0));
    let output = stack.tidelog(&["bench", "device", "--events", "600", "--json"]).await;
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| Value::from(said(&output)));
    assert_eq!(report["large"]["pending"], 100, "{report}");
    assert_eq!(report["coldPull"]["entities"], 100, "{report}");
    for pointer in ["/recordMs/p99", "/diskMs/p99", "/opened/oneMs", "/opened/allMs", "/coldPull/totalMs"] {
        assert!(
            report.pointer(pointer).and_then(Value::as_f64).is_some_and(|ms| ms > 0.0),
            "{pointer}: {report}"
        );
    }
}
