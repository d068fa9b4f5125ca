//! Simulated phones against a real stack: everything converges, whatever they do, and whoever is killed meanwhile.

use serde_json::Value;

use super::harness::{SOON, Stack};

/// Runs `tidelog simulate` and returns its objects, one a seed, and what it says beside them.
async fn simulate(stack: &Stack, arguments: &[&str]) -> (Vec<Value>, String) {
    let mut all = vec!["simulate", "--json"];
    all.extend(arguments);
    let output = stack.tidelog(&all).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let beside = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}{beside}");
    (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), beside)
}

#[tokio::test(flavor = "multi_thread")]
async fn simulated_phones_converge_on_a_real_stack_and_seeds_can_be_repeated() {
    let stack = Stack::start(&[]).await;
    let (first, _) = simulate(&stack, &["--seed", "1..2"]).await;
    assert_eq!(first.len(), 2);
    for seed in &first {
        assert!(seed["counts"]["faults"].as_object().unwrap().len() >= 10, "{seed}");
        assert_eq!((&seed["lost"], &seed["twice"], &seed["divergent"]), (&0.into(), &0.into(), &0.into()));
    }
    let (again, _) = simulate(&stack, &["--seed", "1..2"]).await;
    for (one, other) in first.iter().zip(&again) {
        assert_eq!(one["options"], other["options"]);
        assert_eq!(one["counts"]["phones"], other["counts"]["phones"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn simulated_phones_converge_while_servers_are_killed() {
    let stack = Stack::start_in(tempfile::tempdir().unwrap(), &[], &SOON).await;
    let (seeds, beside) = simulate(&stack, &["--users", "24", "--events", "2400", "--kill", "2"]).await;
    assert_eq!(
        (&seeds[0]["lost"], &seeds[0]["twice"], &seeds[0]["divergent"]),
        (&0.into(), &0.into(), &0.into())
    );
    let kills = beside.lines().find_map(|line| line.strip_prefix("killed: "));
    let kills: Value = serde_json::from_str(kills.unwrap_or("null")).unwrap();
    assert!(!kills.as_object().unwrap().is_empty(), "{beside}");
}
