//! Every panel of the dashboard shows something on a stack under load, as a Prometheus sees it that scrapes the stack.

use std::path::Path;
use std::process::Command;

use super::harness::{Stack, WORKSPACE};

/// More than one run of the check takes.
const LOAD: &str = "bench mixed --devices 6 --batch 20 --rate 200 --seconds 60 --json";

#[tokio::test(flavor = "multi_thread")]
async fn each_panel_of_the_dashboard_shows_something_on_a_stack_under_load() {
    let folder = tempfile::tempdir().unwrap();
    // Its phones report how their syncs went; the compactor ends sweeps while the test looks.
    let stack =
        Stack::start_in(folder, &["--phones", "2"], &[("TIDELOG__COMPACTOR__INTERVAL_MS", "1000")]).await;
    let mut load = stack.spawn(&LOAD.split(' ').collect::<Vec<_>>());
    // A read that the projector never gets to: it waits while the test looks.
    let facts = stack.facts();
    let text = |key: &str| facts[key].as_str().unwrap();
    let url = format!("{}/v1/spaces/me/entities/workout?atLeast=1000000", text("gatewayUrl"));
    let waiting = tokio::spawn(reqwest::Client::new().get(url).bearer_auth(text("token")).send());
    let mut check = Command::new("python3");
    check.arg(Path::new(WORKSPACE).join("tools/dashboard-check")).arg("--stack").arg(stack.file());
    check.args(["--seconds", "40"]);
    let output = tokio::task::spawn_blocking(move || check.output().unwrap()).await.unwrap();
    load.kill().unwrap();
    load.wait().unwrap();
    waiting.abort();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
}
