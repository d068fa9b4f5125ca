//! The cookbook's commands do what it says.

use std::process::Command;

use tidelog_cli::token::{Access, Claims};
use tidelog_tests::{SECRET, WorldOptions};

use super::blocks::{matches, steps, values};

/// Stands between what the steps print.
const NEXT: &str = "----8<----";

#[tokio::test(flavor = "multi_thread")]
async fn the_cookbooks_commands_print_what_it_says() {
    let world = WorldOptions::default().projectors(1).start().await;
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cookbook.md")).unwrap();
    // What stands before sets the variables that are set here.
    let steps = steps(&text, "A short function for the commands below:");
    assert!(steps.len() >= 12, "{}", steps.len());
    let mut script = "set -euo pipefail\n".to_owned();
    for step in &steps {
        script.push_str(&step.commands);
        script.push_str("\necho; echo '");
        script.push_str(NEXT);
        script.push_str("'\n");
    }
    let signed = |claims: Claims| claims.sign(SECRET).unwrap();
    let mut command = Command::new("bash");
    command
        .args(["-c", &script])
        .env("GATEWAY", format!("http://{}", world.address))
        .env("ANN", signed(Claims::new("ann", 1)))
        .env("TEAM", signed(Claims::new("ann", 1).with_space("team-9", Access::Rw)))
        .env("COACH", signed(Claims::new("carl", 1).with_space("team-9", Access::R)))
        .env("BACKEND", signed(Claims::new("backend", 1).with_space("*", Access::Rw)));
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{err}{out}");
    for (step, printed) in steps.iter().zip(out.split(NEXT)) {
        let printed = values(printed);
        let as_written = step.printed.len() == printed.len()
            && step.printed.iter().zip(&printed).all(|(written, printed)| matches(written, printed));
        assert!(as_written, "{}\nprinted {printed:#?}\nthe cookbook says {:#?}", step.commands, step.printed);
    }
}
