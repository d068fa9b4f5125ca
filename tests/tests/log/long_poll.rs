//! Long polls: who waits learns of a commit when it happens; a lost hint delays that, and breaks nothing.

use std::sync::Arc;

use tidelog_tests::{Answer, Batch, EventLine, World, WorldOptions, event_id, eventually, metric};
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;

/// The gauge of waiting pulls is the whole process's, so one test at a time waits.
static TURN: Mutex<()> = Mutex::const_new(());

pub async fn turn() -> MutexGuard<'static, ()> {
    let turn = TURN.lock().await;
    eventually("nobody waits", async || (waiting() == 0).then_some(())).await;
    turn
}

fn waiting() -> i64 {
    metric("tidelog_gateway_waiting_pulls") as i64
}

pub async fn until_waiting(pulls: i64) {
    eventually("the gateway counts the waiting pulls", async || (waiting() == pulls).then_some(())).await;
}

pub fn poll(world: &Arc<World>, user: &str, query: &str) -> JoinHandle<Answer> {
    let (world, user, query) = (world.clone(), user.to_owned(), query.to_owned());
    tokio::spawn(async move { world.pull(&user, &query).await })
}

/// The answer, which must come long before the wait of 60 s is over.
pub async fn answer(mut poll: JoinHandle<Answer>) -> Answer {
    eventually("the poll is answered", async || poll.is_finished().then_some(())).await;
    let answer = (&mut poll).await.unwrap();
    answer.expect(200);
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_wakes_everybody_who_waits_for_it() {
    let _turn = turn().await;
    let world = Arc::new(World::new().await);
    world.push("ann", &Batch::new("phone-1", 1, 3)).await.expect_committed(Some((1, 3)));
    let polls: Vec<_> = (0..50)
        .map(|number| {
            poll(&world, "ann", &format!("after=3&wait=60&limit={}&deviceId=reader-{number}", number + 1))
        })
        .collect();
    until_waiting(50).await;
    world.push("ann", &Batch::new("phone-1", 4, 5)).await.expect_committed(Some((4, 5)));
    for (number, poll) in polls.into_iter().enumerate() {
        let json = answer(poll).await.json;
        let events = json["events"].as_array().unwrap();
        assert_eq!(events.len(), 2.min(number + 1));
        assert_eq!((&events[0]["position"], &json["head"]), (&4.into(), &5.into()));
        assert_eq!(json["device"]["lastSequence"], 0);
    }
    until_waiting(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_wakes_those_of_its_space_and_nobody_else() {
    let _turn = turn().await;
    let world = Arc::new(World::new().await);
    let (ann, bob) = (poll(&world, "ann", "wait=60"), poll(&world, "bob", "wait=60"));
    until_waiting(2).await;
    world.push("ann", &Batch::new("phone-1", 1, 1)).await.expect_committed(Some((1, 1)));
    assert_eq!(answer(ann).await.json["cursor"], 1);
    until_waiting(1).await;
    assert!(!bob.is_finished());
    world.push("bob", &Batch::new("phone-1", 1, 2)).await.expect_committed(Some((1, 2)));
    assert_eq!(answer(bob).await.json["cursor"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_in_frames_is_woken_with_the_stored_frame() {
    let _turn = turn().await;
    let world = Arc::new(World::new().await);
    let reader = world.clone();
    let poll = tokio::spawn(async move { reader.pull_frames("ann", "wait=60&deviceId=phone-1").await });
    until_waiting(1).await;
    let batch = Batch::new("phone-1", 1, 7);
    world.push("ann", &batch).await.expect_committed(Some((1, 7)));
    eventually("the poll is answered", async || poll.is_finished().then_some(())).await;
    let pulled = poll.await.unwrap();
    assert_eq!(pulled.lines(), batch.lines);
    assert!(pulled.answer.body.ends_with(&batch.frame()));
    let device = pulled.hello.device.unwrap();
    assert_eq!((device.last_sequence.0, device.last_event_id.unwrap().0), (7, event_id("phone-1", 7)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_appends_nothing_wakes_nobody() {
    let _turn = turn().await;
    let world = Arc::new(World::new().await);
    world.push("ann", &Batch::new("phone-1", 1, 3)).await.expect_committed(Some((1, 3)));
    let poll = poll(&world, "ann", "after=3&wait=60");
    until_waiting(1).await;
    world.push("ann", &Batch::new("phone-1", 1, 3)).await.expect_committed(None);
    let bad = EventLine::new("phone-1", 4).with("type", "UNKNOWN").0;
    world.push("ann", &Batch::new("phone-1", 4, 4).with_line(0, bad)).await.expect_committed(None);
    assert!(!poll.is_finished());
    world.push("ann", &Batch::new("phone-1", 5, 5)).await.expect_committed(Some((4, 4)));
    assert_eq!(answer(poll).await.json["events"][0]["deviceSequence"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_from_quarantine_wakes_those_who_wait() {
    let _turn = turn().await;
    let schema = |version: u32, events: &str| {
        let head = "entities: { workout: { fields: { duration: { type: integer } } } }";
        format!("name: app\nversion: {version}\n{head}\nevents:\n  OTHER: {{ entity: workout }}\n{events}")
    };
    let world = Arc::new(WorldOptions::default().schema(&schema(1, "")).start().await);
    world.push("ann", &Batch::new("phone-1", 1, 2)).await.expect_committed(None);
    let poll = poll(&world, "ann", "wait=60");
    until_waiting(1).await;
    let known = "  WORKOUT_DURATION_UPDATED: { entity: workout, payload: { duration: required } }\n";
    world.write_schema(&schema(2, known));
    let json = answer(poll).await.json;
    assert_eq!(
        (&json["events"][0]["deviceSequence"], &json["events"][0]["released"]),
        (&1.into(), &true.into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_without_news_ends_with_an_empty_answer() {
    let _turn = turn().await;
    let world = World::new().await;
    world.push("ann", &Batch::new("phone-1", 1, 3)).await.expect_committed(Some((1, 3)));
    let json = world.pull("ann", "after=3&wait=1").await.json;
    assert_eq!((&json["events"], &json["cursor"]), (&serde_json::json!([]), &3.into()));
    let frames = world.pull_frames("ann", "after=3&wait=1").await;
    assert_eq!((frames.headers.len(), frames.cursor), (0, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_9_a_commit_without_a_hint_is_found_when_the_wait_is_over() {
    let _turn = turn().await;
    let world = Arc::new(World::new().await);
    world.push("bob", &Batch::new("phone-1", 1, 3)).await.expect_committed(Some((1, 3)));
    let poll = poll(&world, "ann", "wait=3");
    until_waiting(1).await;
    // Nobody says anything of this.
    sqlx::raw_sql(
        "INSERT INTO spaces (space_id, head) SELECT 'ann', head FROM spaces WHERE space_id = 'bob';
         INSERT INTO segments (space_id, first, last, device_id, user_id, first_sequence, last_sequence,
                               received_at, frame)
         SELECT 'ann', first, last, device_id, user_id, first_sequence, last_sequence, received_at, frame
         FROM segments WHERE space_id = 'bob'",
    )
    .execute(&world.pool)
    .await
    .unwrap();
    let json = answer(poll).await.json;
    assert_eq!((json["events"].as_array().unwrap().len(), &json["cursor"]), (3, &3.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_is_clamped_to_the_servers_limit() {
    let _turn = turn().await;
    let world = Arc::new(WorldOptions::default().set("limits.wait_seconds", 1).start().await);
    let json = answer(poll(&world, "ann", "wait=100000")).await.json;
    assert_eq!(json["events"], serde_json::json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_goes_away_waits_no_longer() {
    let _turn = turn().await;
    let world = Arc::new(World::new().await);
    let (gone, stays) = (poll(&world, "ann", "wait=60"), poll(&world, "ann", "wait=60"));
    until_waiting(2).await;
    gone.abort();
    until_waiting(1).await;
    world.push("ann", &Batch::new("phone-1", 1, 1)).await.expect_committed(Some((1, 1)));
    assert_eq!(answer(stays).await.json["cursor"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_pulls_than_may_wait_are_answered_at_once() {
    let _turn = turn().await;
    let world = Arc::new(WorldOptions::default().set("gateway.waiting_pulls", 2).start().await);
    let polls = [poll(&world, "ann", "wait=60"), poll(&world, "ann", "wait=60")];
    until_waiting(2).await;
    assert_eq!(answer(poll(&world, "ann", "wait=60")).await.json["head"], 0);
    world.push("ann", &Batch::new("phone-1", 1, 1)).await.expect_committed(Some((1, 1)));
    for poll in polls {
        assert_eq!(answer(poll).await.json["cursor"], 1);
    }
}
