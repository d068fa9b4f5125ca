//! The example of a LOG consumer, run as it stands: every event once, in order, whatever becomes of the messages.

use std::path::Path;

use async_nats::jetstream::{self, AckKind};
use futures_util::StreamExt;
use tidelog_cli::token::{Access, Claims};
use tidelog_tests::{Batch, EventLine, SECRET, World};
use tokio::time::timeout;

#[path = "../../../cli/examples/log_consumer/checkpoints.rs"]
mod checkpoints;
#[path = "../../../cli/examples/log_consumer/follower.rs"]
mod follower;
#[path = "../../../cli/examples/log_consumer/notification.rs"]
mod notification;

use checkpoints::Checkpoints;
use follower::{Follower, LoggedEvent, Start, consumer};
use notification::notification;

/// Longer than any message takes.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

fn follower(world: &World, folder: &Path, start: Start) -> Follower {
    let token = Claims::new("notifications", 1).with_space("*", Access::R).sign(SECRET).unwrap();
    let checkpoints = Checkpoints::open(folder.join("checkpoints.json")).unwrap();
    Follower::new(&format!("http://{}", world.address), &token, checkpoints, start).unwrap()
}

fn streams(world: &World) -> (jetstream::Context, String) {
    (jetstream::new(world.broker.client().clone()), world.broker.config().log_stream())
}

/// The next message of LOG.
async fn next(messages: &mut jetstream::consumer::pull::Stream) -> jetstream::Message {
    timeout(PATIENCE, messages.next()).await.unwrap().unwrap().unwrap()
}

/// What the follower hands on of a message.
async fn taken(follower: &mut Follower, message: &jetstream::Message) -> Vec<LoggedEvent> {
    let mut events = Vec::new();
    let dealt = follower.take(&message.message, async |event| {
        events.push(event);
        Ok(())
    });
    dealt.await.unwrap();
    events
}

fn positions(events: &[LoggedEvent]) -> Vec<u64> {
    events.iter().map(|event| event.position.0).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_handed_on_once_though_its_message_comes_twice_or_never() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let (jetstream, stream) = streams(&world);
    let mut messages =
        consumer(&jetstream, &stream, "notifications").await.unwrap().messages().await.unwrap();
    let mut follower = follower(&world, folder.path(), Start::WithTheFirstMessage);

    world.push("ann", &Batch::new("phone-1", 1, 2)).await.expect_committed(Some((1, 2)));
    let first = next(&mut messages).await;
    let events = taken(&mut follower, &first).await;
    assert_eq!(positions(&events), [1, 2]);
    assert_eq!((events[0].author.as_str(), events[0].device.as_str()), ("ann", "phone-1"));
    assert_eq!(events[1].event["eventId"], EventLine::new("phone-1", 2).0["eventId"]);

    // Not acknowledged: it comes again.
    first.ack_with(AckKind::Nak(None)).await.unwrap();
    let again = next(&mut messages).await;
    assert_eq!(positions(&taken(&mut follower, &again).await), [0; 0], "twice is once");
    again.ack().await.unwrap();

    // A message that gets lost is found missing by the one behind it.
    world.push("ann", &Batch::new("phone-1", 3, 3)).await.expect_committed(Some((3, 3)));
    next(&mut messages).await.ack().await.unwrap();
    world.push("ann", &Batch::new("phone-1", 4, 5)).await.expect_committed(Some((4, 5)));
    let behind = next(&mut messages).await;
    assert_eq!(positions(&taken(&mut follower, &behind).await), [3, 4, 5]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_dealt_with_is_known_after_a_start_and_the_rest_comes_again() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let (jetstream, stream) = streams(&world);
    let made = consumer(&jetstream, &stream, "notifications").await.unwrap();
    world.push("ann", &Batch::new("phone-1", 1, 3)).await.expect_committed(Some((1, 3)));
    {
        let mut messages = made.messages().await.unwrap();
        let mut follower = follower(&world, folder.path(), Start::AtTheBeginning);
        let message = next(&mut messages).await;
        // It ends before anything is done with the second event.
        let mut dealt = 0;
        let ended = follower.take(&message.message, async |_| {
            dealt += 1;
            anyhow::ensure!(dealt < 2, "the push service is away");
            Ok(())
        });
        ended.await.unwrap_err();
        message.ack_with(AckKind::Nak(None)).await.unwrap();
    }
    let mut messages =
        consumer(&jetstream, &stream, "notifications").await.unwrap().messages().await.unwrap();
    let mut started = follower(&world, folder.path(), Start::AtTheBeginning);
    let message = next(&mut messages).await;
    assert_eq!(positions(&taken(&mut started, &message).await), [1, 2, 3], "what was not finished");
    let mut started = follower(&world, folder.path(), Start::AtTheBeginning);
    assert_eq!(positions(&taken(&mut started, &message).await), [0; 0], "and no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_may_begin_with_the_first_message_or_at_the_beginning() {
    let world = World::new().await;
    let (jetstream, stream) = streams(&world);
    world.push("ann", &Batch::new("phone-1", 1, 3)).await.expect_committed(Some((1, 3)));
    let before = consumer(&jetstream, &stream, "from-now-on").await.unwrap();
    world.push("ann", &Batch::new("phone-1", 4, 4)).await.expect_committed(Some((4, 4)));
    let mut messages = before.messages().await.unwrap();
    let mut message = next(&mut messages).await;
    while message.headers.as_ref().unwrap().get("Tidelog-Last").unwrap().as_str() != "4" {
        message.ack().await.unwrap();
        message = next(&mut messages).await;
    }
    for (start, expect) in [(Start::WithTheFirstMessage, vec![4]), (Start::AtTheBeginning, vec![1, 2, 3, 4])]
    {
        let folder = tempfile::tempdir().unwrap();
        let mut follower = follower(&world, folder.path(), start);
        assert_eq!(positions(&taken(&mut follower, &message).await), expect, "{start:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_names_its_event_and_spares_its_author() {
    let world = World::new().await;
    let folder = tempfile::tempdir().unwrap();
    let (jetstream, stream) = streams(&world);
    let mut messages =
        consumer(&jetstream, &stream, "notifications").await.unwrap().messages().await.unwrap();
    let mut follower = follower(&world, folder.path(), Start::WithTheFirstMessage);
    let completed = EventLine::new("phone-1", 2).with("type", "WORKOUT_COMPLETED").without("payload");
    let batch = Batch::new("phone-1", 1, 2).with_line(1, completed.0);
    world.push("ann", &batch).await.expect_committed(Some((1, 2)));
    let events = taken(&mut follower, &next(&mut messages).await).await;
    let notifications: Vec<_> = events.iter().filter_map(notification).collect();
    let shown: Vec<_> = notifications.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["ann/2: to all of ann but ann: ann completed a workout"]);
}
