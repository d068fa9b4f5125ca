//! Recorded workouts go in, and come out as they were recorded, whatever happens to the processes meanwhile.

use super::harness::{Stack, trace};

async fn replay(stack: &Stack, arguments: &[&str]) -> String {
    let trace = trace();
    let mut all = vec!["replay", trace.to_str().unwrap()];
    all.extend(arguments);
    let output = stack.tidelog(&all).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_workouts_go_in_once_and_come_out_byte_for_byte() {
    let stack = Stack::start(&[]).await;
    let first = replay(&stack, &[]).await;
    assert!(first.contains("in 4 spaces") && first.contains(" 0 duplicates, 0 quarantined)"), "{first}");
    stack.verify_from_outside().await;
    let second = replay(&stack, &[]).await;
    assert!(second.contains("(0 appended now, "), "{second}");
    stack.verify_from_outside().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shuffled_replay_survives_the_death_of_every_process() {
    let stack = Stack::start(&["--ingests", "2"]).await;
    let killing = async {
        for role in ["ingest", "postgres", "gateway", "nats", "ingest-2", "postgres"] {
            stack.kill(role).await;
        }
    };
    let ((), text) = tokio::join!(killing, replay(&stack, &["--shuffle", "11", "--batch", "10"]));
    assert!(text.contains("in 4 spaces"), "{text}");
    stack.verify_from_outside().await;
}
