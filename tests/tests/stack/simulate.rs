//! Simulated phones against a real stack: everything converges, whatever they do, and whoever is killed meanwhile.

use serde_json::{Value, json};

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

/// Events stay for one day, which lasts a second, and compactors are always at it.
const PRUNES_ALWAYS: [(&str, &str); 9] = [
    ("TIDELOG__CLOCK__DEVELOPMENT", "true"),
    ("TIDELOG__CLOCK__DAY_SECONDS", "1"),
    ("TIDELOG__RETENTION__EVENTS_DAYS", "1"),
    ("TIDELOG__RETENTION__KEEP_EVENTS", "0"),
    ("TIDELOG__RETENTION__PRUNE_EVENTS", "1"),
    ("TIDELOG__RETENTION__PATIENCE_DAYS", "0"),
    ("TIDELOG__COMPACTOR__INTERVAL_MS", "100"),
    ("TIDELOG__COMPACTOR__MERGE_AFTER_HOURS", "0"),
    ("TIDELOG__COMPACTOR__SNAPSHOT_GRACE_SECONDS", "10"),
];

#[tokio::test(flavor = "multi_thread")]
async fn simulated_phones_converge_while_compactors_prune_what_they_have_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let stack = Stack::start_in(folder, &["--compactors", "2"], &PRUNES_ALWAYS).await;
    let days = ["--users", "6", "--events", "600", "--days", "30", "--pace", "1"];
    let (seeds, _) = simulate(&stack, &days).await;
    let counts = &seeds[0]["counts"];
    let is_clean = [&seeds[0]["lost"], &seeds[0]["twice"], &seeds[0]["divergent"]] == [&json!(0); 3];
    assert!(is_clean, "{}", seeds[0]);
    assert_eq!(counts["prunedSpaces"], 6, "{counts}");
    for (what, least) in [("/snapshots", 12), ("/faults/pruned", 12), ("/faults/away", 1)] {
        assert!(counts.pointer(what).and_then(Value::as_u64) >= Some(least), "{what}: {counts}");
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

#[tokio::test(flavor = "multi_thread")]
async fn simulated_phones_converge_over_live_connections_while_gateways_are_killed_and_logs_pruned() {
    let environment: Vec<_> = SOON.into_iter().chain(PRUNES_ALWAYS).collect();
    let stack = Stack::start_in(tempfile::tempdir().unwrap(), &[], &environment).await;
    let (seeds, beside) =
        simulate(&stack, &["--live", "--users", "12", "--events", "1200", "--kill", "3"]).await;
    let seed = &seeds[0];
    assert_eq!([&seed["lost"], &seed["twice"], &seed["divergent"]], [&json!(0); 3], "{beside}");
    let followed = seed["counts"]["followed"].as_u64().unwrap();
    assert!(followed > 100, "{followed} messages came on open connections");
}
