//! Recorded workouts go in, and come out as they were recorded, whatever happens to the processes meanwhile.

use super::harness::Stack;

#[tokio::test(flavor = "multi_thread")]
async fn recorded_workouts_go_in_once_and_come_out_byte_for_byte() {
    let stack = Stack::start(&[]).await;
    let first = stack.replay(&[]).await;
    assert!(first.contains("in 4 spaces") && first.contains(" 0 duplicates, 0 quarantined)"), "{first}");
    stack.verify_from_outside().await;
    stack.verify_entities_from_outside().await;
    let second = stack.replay(&[]).await;
    assert!(second.contains("(0 appended now, "), "{second}");
    stack.verify_from_outside().await;
    stack.verify_entities_from_outside().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shuffled_replay_survives_the_death_of_every_process() {
    let stack = Stack::start(&["--ingests", "2", "--projectors", "2"]).await;
    let killing = async {
        for role in
            ["ingest", "postgres", "projector", "gateway", "nats", "ingest-2", "projector-2", "postgres"]
        {
            stack.kill(role).await;
        }
    };
    let ((), text) = tokio::join!(killing, stack.replay(&["--shuffle", "11", "--batch", "10"]));
    assert!(text.contains("in 4 spaces"), "{text}");
    stack.verify_from_outside().await;
    stack.verify_entities_from_outside().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entities_rebuilt_by_command_are_the_same_byte_for_byte() {
    let stack = Stack::start(&[]).await;
    stack.replay(&["--shuffle", "7"]).await;
    stack.verify_entities_from_outside().await;
    let before = stack.folded_rows().await.unwrap();
    for arguments in [&["projector", "rebuild", "user-1"][..], &["projector", "rebuild"]] {
        let output = stack.tidelog(arguments).await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("user-1: ") && text.contains(" events folded with schema version 3"), "{text}");
        assert_eq!(stack.folded_rows().await.unwrap(), before);
    }
    let unknown = stack.tidelog(&["projector", "rebuild", "nobody"]).await;
    assert!(!unknown.status.success());
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there is no space nobody"));
}
