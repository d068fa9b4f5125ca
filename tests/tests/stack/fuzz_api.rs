//! The APIs answer as they are described, whatever they are asked: a short run of `make fuzz-api`.

use std::path::Path;
use std::process::Command;

use tidelog_tests::built;

use super::harness::{WORKSPACE, toolbox};

#[tokio::test(flavor = "multi_thread")]
async fn both_apis_answer_as_they_are_described() {
    let mut command = Command::new("python3");
    command
        .arg(Path::new(WORKSPACE).join("tools/fuzz-api"))
        .arg("--tidelog")
        .arg(built("tidelog"))
        .args(["--examples", "5", "--seed", "1"])
        .env("TIDELOG_TOOLBOX", toolbox());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    for caller in ["user", "backend", "admin"] {
        assert!(out.contains(&format!("== as {caller}: ")), "{out}");
    }
}
