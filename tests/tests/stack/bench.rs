//! Every bench runs against a stack and prints what it measured; how fast this machine is, no test says.

use rustix::process::Signal;
use serde_json::Value;
use tidelog_tests::eventually;

use super::harness::Stack;

/// A load that a busy machine carries, too.
const SMALL: [&str; 7] = ["--devices", "6", "--batch", "20", "--seconds", "1", "--json"];

async fn bench(stack: &Stack, arguments: &[&str]) -> Value {
    let all: Vec<&str> = ["bench"].iter().chain(arguments).chain(&SMALL).copied().collect();
    let output = stack.tidelog(&all).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{all:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.lines().count(), 1, "one JSON object: {text}");
    serde_json::from_str(&text).unwrap()
}

/// Every figure that stands at one of these paths.
fn assert_measured(report: &Value, pointers: &[&str]) {
    for pointer in pointers {
        let figure = report.pointer(pointer).and_then(Value::as_f64);
        assert!(figure.is_some_and(|figure| figure > 0.0 && figure.is_finite()), "{pointer} in {report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bench_measures_what_it_is_for() {
    let stack = Stack::start(&[]).await;
    let push = bench(&stack, &["push", "--spaces", "3"]).await;
    assert_measured(&push, &["/committedEventsPerSecond", "/commitMs/p50", "/commitMs/p99", "/commitMs/max"]);
    assert_measured(&push, &["/visibleMs/p50", "/pulledEventsPerSecond", "/bytesPerEvent/broker"]);
    assert_measured(&push, &["/event/jsonBytes", "/event/compressedBytes", "/generatorCpuSecondsPerMillion"]);
    for role in ["gateway", "ingest", "projector", "nats", "postgres"] {
        assert!(push["cpuSecondsPerMillion"][role].is_number(), "{role} in {push}");
        assert_measured(&push, &[&format!("/peakMemoryBytes/{role}")]);
    }
    let pull = bench(&stack, &["pull", "--history", "400"]).await;
    assert_measured(&pull, &["/pulledEventsPerSecond", "/decodedEventsPerSecond", "/linesEventsPerSecond"]);
    assert_measured(&pull, &["/pullMs/p50"]);
    let mixed = bench(&stack, &["mixed", "--rate", "400"]).await;
    assert_measured(
        &mixed,
        &["/committedEventsPerSecond", "/foldedEventsPerSecond", "/pulledEventsPerSecond"],
    );
    assert!(mixed["foldLagMs"]["p50"].is_number(), "{mixed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bench_lets_the_projector_sleep_and_wakes_it_however_it_ends() {
    let stack = Stack::start(&[]).await;
    let project = bench(&stack, &["project"]).await;
    assert_measured(&project, &["/foldedEventsPerSecond", "/cpuSecondsPerMillion/projector"]);
    let paused = bench(&stack, &["push", "--pause-projector"]).await;
    assert_measured(&paused, &["/committedEventsPerSecond"]);
    assert_eq!(paused["foldedEventsPerSecond"], 0.0);

    let mut interrupted = stack.spawn(&["bench", "push", "--pause-projector", "--seconds", "600"]);
    eventually("the projector sleeps", async || stack.is_stopped("projector").then_some(())).await;
    rustix::process::kill_process(rustix::process::Pid::from_child(&interrupted), Signal::INT).unwrap();
    let ended = eventually("the bench ends", async || interrupted.try_wait().unwrap()).await;
    assert!(!ended.success());
    eventually("the projector wakes", async || (!stack.is_stopped("projector")).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bench_over_tcp_brings_services_of_its_own_and_leaves_nothing_behind() {
    let stack = Stack::start(&[]).await;
    let report = bench(&stack, &["push", "--tcp"]).await;
    assert_eq!(report["tcp"], true);
    assert_measured(&report, &["/committedEventsPerSecond", "/commitMs/p50", "/bytesPerEvent/broker"]);
    let facts = stack.facts();
    let client = async_nats::connect(facts["natsUrl"].as_str().unwrap()).await.unwrap();
    let answer = client.request("$JS.API.STREAM.NAMES", "".into()).await.unwrap();
    let names: Value = serde_json::from_slice(&answer.payload).unwrap();
    assert_eq!(names["streams"], serde_json::json!(["LOG", "PUSH"]));
    let pool = sqlx::PgPool::connect(facts["databaseUrl"].as_str().unwrap()).await.unwrap();
    let databases: Vec<String> =
        sqlx::query_scalar("SELECT datname::text FROM pg_database WHERE datname LIKE 'tidelog%'")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(databases, ["tidelog"]);
    let spaces: i64 = sqlx::query_scalar("SELECT count(*) FROM spaces").fetch_one(&pool).await.unwrap();
    assert_eq!(spaces, 0, "the running stack's own log is as it was");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bench_without_a_stack_says_how_to_start_one() {
    let mut stack = Stack::start(&[]).await;
    assert_eq!(stack.signal(Signal::TERM).await, Some(0));
    let output = stack.tidelog(&["bench", "push"]).await;
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("make up"), "{output:?}");
}
