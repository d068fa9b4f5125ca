//! Every bench runs against a stack and prints what it measured; how fast this machine is, no test says.

use rustix::process::Signal;
use serde_json::Value;
use tidelog_tests::eventually;

use super::harness::Stack;

/// A load that a busy machine carries, too.
const SMALL: [&str; 7] = ["--devices", "6", "--batch", "20", "--seconds", "1", "--json"];

async fn bench(stack: &Stack, arguments: &[&str]) -> Value {
    report(stack, &[arguments, &SMALL].concat()).await
}

async fn report(stack: &Stack, arguments: &[&str]) -> Value {
    let all = [&["bench"], arguments].concat();
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
    assert_nothing_is_left(&stack).await;
}

/// What a bench has made for itself is gone, and the running stack's own log is as it was: empty.
async fn assert_nothing_is_left(stack: &Stack) {
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
    assert_eq!(spaces, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_device_is_measured_on_a_space_that_was_pruned_whole_or_but_for_the_end_of_its_log() {
    let stack = Stack::start(&[]).await;
    let small = ["bootstrap", "--entities", "7", "--updates", "420", "--runs", "3", "--json"];
    let whole = report(&stack, &small).await;
    assert_measured(&whole, &["/bootstrapMs/p50", "/bootstrapMs/p99", "/answeredMs/p50", "/bytesDown"]);
    assert_eq!((&whole["entities"], &whole["updates"]), (&7.into(), &420.into()));
    assert_eq!((&whole["head"], &whole["horizon"]), (&420.into(), &420.into()));
    let kept = report(&stack, &[&small[..], &["--keep-events", "100"]].concat()).await;
    let horizon = kept["horizon"].as_u64().unwrap();
    assert!((1..=320).contains(&horizon), "{kept}");
    assert_nothing_is_left(&stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn small_pulls_are_measured_before_little_and_much_that_was_pushed_merged_and_pruned() {
    let stack = Stack::start(&[]).await;
    let history = report(&stack, &["history", "--events", "120,2600", "--runs", "5", "--json"]).await;
    let space = |past: usize, space: usize| &history["pasts"][past]["spaces"][space];
    for (past, name) in ["pushed", "merged", "pruned"].into_iter().enumerate() {
        assert_eq!(history["pasts"][past]["past"], name);
        assert_measured(&history["pasts"][past], &["/p50Ratio", "/p99Ratio"]);
        for (number, events) in [120_u64, 2600].into_iter().enumerate() {
            assert_measured(space(past, number), &["/pullMs/p50", "/pullMs/p99", "/bytesDown", "/segments"]);
            assert_eq!(space(past, number)["eventsBehind"], events + 50 * past as u64);
        }
    }
    let segments = |past: usize| space(past, 1)["segments"].as_u64().unwrap();
    assert!(segments(1) < segments(0), "some were merged: {history}");
    assert_eq!(space(1, 1)["horizon"], 0);
    assert!(space(2, 1)["horizon"].as_u64().unwrap() > 1000, "{history}");
    assert_nothing_is_left(&stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn weeks_of_pushing_reading_and_compacting_end_in_what_was_pushed() {
    let stack = Stack::start(&[]).await;
    let small = ["--spaces", "2", "--events", "2400", "--days", "10", "--retention-days", "5"];
    let compact =
        report(&stack, &[&["compact"], &small[..], &["--day-seconds", "1", "--json"]].concat()).await;
    assert_eq!((&compact["events"], &compact["phones"]), (&2400.into(), &4.into()));
    assert_measured(&compact, &["/entities", "/pushedEventsPerSecond", "/readers/events", "/readers/states"]);
    assert_measured(&compact, &["/readers/fresh", "/readers/snapshots", "/log/prunedShare"]);
    assert_measured(&compact, &["/log/archiveBytes", "/log/snapshotBytes", "/log/pastRetentionShare"]);
    assert_measured(&compact, &["/log/bytesFellShare", "/compactor/mergedSegments"]);
    for compactor in ["compactor", "quietCompactor"] {
        let figure = |name: &str| format!("/{compactor}/{name}");
        assert_measured(&compact, &[&figure("foldedEventsPerSecond"), &figure("peakMemoryBytes")]);
        assert_eq!(compact[compactor]["refusals"], 0);
        assert_eq!(compact[compactor]["failures"], 0);
    }
    let pruned = compact["log"]["prunedShare"].as_f64().unwrap() * 2400.0;
    let rest = compact["quietCompactor"]["prunedEvents"].as_f64().unwrap();
    assert!((pruned + rest - 2400.0).abs() < 0.5, "the rest was pruned in the end: {compact}");
    assert_nothing_is_left(&stack).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bench_without_a_stack_says_how_to_start_one() {
    let mut stack = Stack::start(&[]).await;
    assert_eq!(stack.signal(Signal::TERM).await, Some(0));
    let output = stack.tidelog(&["bench", "push"]).await;
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("make up"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_stack_takes_is_offered_and_what_it_acknowledges_is_in_the_log() {
    let stack = Stack::start(&[]).await;
    let small = ["overload", "--devices", "4", "--batch", "10", "--seconds", "2", "--json"];
    let told = report(&stack, &[&small[..], &["--rate", "400"]].concat()).await;
    assert_eq!((&told["capacityMeasured"], &told["capacityEventsPerSecond"]), (&false.into(), &400.0.into()));
    for (phase, factor) in [1, 2, 5].into_iter().enumerate() {
        let phase = &told["phases"][phase];
        assert_eq!(phase["factor"], factor);
        assert_eq!(phase["offeredEventsPerSecond"], 400.0 * f64::from(factor));
        assert_measured(phase, &["/goodputEventsPerSecond", "/goodputRatio", "/commitMs/p50"]);
    }
    assert_measured(&told, &["/gatewayPeakMemoryBytes", "/verifiedEvents"]);
    assert!(told["phases"][2]["refusals"].is_number(), "{told}");
    let measured = report(&stack, &small).await;
    assert_measured(&measured, &["/capacityEventsPerSecond", "/phases/0/goodputEventsPerSecond"]);
}
