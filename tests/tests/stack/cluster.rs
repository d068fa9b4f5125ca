//! `tidelog up --cluster`: servers are killed and services restarted under it, and nothing is lost.

use rustix::process::{Signal, test_kill_process};
use serde_json::Value;
use sqlx::PgPool;
use tidelog_tests::eventually;

use super::harness::{Stack, second_up};

/// A load that a busy machine carries, too.
const SMALL: [&str; 7] = ["--devices", "8", "--batch", "10", "--rate", "400", "--json"];

/// Runs a bench under a small load. Whether the machine was quick enough for its bounds, no test says.
async fn bench(stack: &Stack, arguments: &[&str]) -> Value {
    let output = stack.tidelog(&[&["bench"], arguments, &SMALL].concat()).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    let report = serde_json::from_str(&text);
    assert!(report.is_ok(), "{arguments:?}: {text}{error}");
    report.unwrap()
}

async fn pool(stack: &Stack) -> PgPool {
    PgPool::connect(stack.facts()["databaseUrl"].as_str().unwrap()).await.unwrap()
}

/// Which PostgreSQL is behind the door, and the one that follows it.
async fn primary_and_standby(stack: &Stack) -> (String, String) {
    let pool = pool(stack).await;
    eventually("commits wait for a standby", async || {
        let statement = "SELECT current_setting('cluster_name'), application_name FROM pg_stat_replication
                         WHERE sync_state = 'sync'";
        sqlx::query_as(statement).fetch_optional(&pool).await.ok().flatten()
    })
    .await
}

async fn events(stack: &Stack) -> i64 {
    let statement = "SELECT coalesce(sum(head), 0)::bigint FROM spaces";
    sqlx::query_scalar(statement).fetch_one(&pool(stack).await).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_loses_a_nats_node_its_primary_and_every_service_in_turn_and_no_event() {
    let mut stack = Stack::start(&["--cluster"]).await;
    let roles = stack.facts()["pids"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let pairs =
        ["compactor", "gateway", "ingest", "projector"].map(|name| [name.into(), format!("{name}-2")]);
    let servers = ["nats-1", "nats-2", "nats-3", "postgres", "postgres-2"].map(String::from);
    let mut expected = [pairs.concat(), servers.to_vec()].concat();
    expected.sort();
    assert_eq!(roles, expected);
    let names = |primary: &str, standby: &str| (primary.to_owned(), standby.to_owned());
    assert_eq!(primary_and_standby(&stack).await, names("postgres", "postgres-2"));

    let rolling = bench(&stack, &["rolling", "--rounds", "1"]).await;
    assert_eq!(rolling["failedPushes"], 0, "{rolling}");
    assert_eq!(rolling["restarts"].as_array().unwrap().len(), 8, "{rolling}");
    let pushed = rolling["verifiedEvents"].as_i64().unwrap();

    let failover = bench(&stack, &["failover"]).await;
    let killed = |number: usize| failover["kills"][number]["killed"].as_str().unwrap();
    assert!(killed(0).starts_with("nats-"), "{failover}");
    assert!(killed(1).starts_with("postgres,"), "{failover}");
    assert_eq!(primary_and_standby(&stack).await, names("postgres-2", "postgres"));
    let pushed = pushed + failover["verifiedEvents"].as_i64().unwrap();
    assert_eq!(events(&stack).await, pushed);

    let pids = ["postgres", "postgres-2", "nats-1", "gateway-2"].map(|role| stack.pid(role));
    assert_eq!(stack.signal(Signal::KILL).await, None);
    for pid in pids {
        eventually("it dies with the stack", async || test_kill_process(pid).is_err().then_some(())).await;
    }
    stack.start_again_with(&["--cluster"]).await;
    assert_eq!(primary_and_standby(&stack).await, names("postgres-2", "postgres"), "it was the primary last");
    assert_eq!(events(&stack).await, pushed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_and_another_stack_do_not_take_each_others_folders() {
    for (there, arguments, advice) in
        [("cluster", &[][..], "up --cluster"), ("postgres", &["--cluster"], "--fresh")]
    {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join(".tidelog").join(there)).unwrap();
        let refused = second_up(folder.path(), arguments);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(advice), "{said}");
        assert!(folder.path().join(".tidelog").join(there).exists());
    }
}
