//! What follows a hello on a live connection: taken in as a pull's segments are, and nothing that does not continue them.

use tidelog_client::store::{Filter, Followed, Following};
use tidelog_events::id::Position;

use super::answers::{Pulled, lap};
use super::device::{Device, NOON, ann};

const SECOND: i64 = 1000;

/// A device that has connected: the hello, and what comes behind it.
fn connected(device: &mut Device, hello: Pulled) -> Following {
    let (request, sent) = (device.pull_request(), device.now.clone());
    let lines = hello.lines();
    let following = Following::told(&request, &lines, &sent, &device.now).expect("a hello");
    device.take_pull(&lines);
    following
}

/// The segments alone, as they come in one message.
fn message(pulled: Pulled) -> String {
    let lines = pulled.lines();
    lines.split_once('\n').unwrap().1.to_owned()
}

fn follow(device: &mut Device, following: &Following, pulled: Pulled) -> Followed {
    device.later(SECOND);
    device.store.follow(following, &message(pulled), &device.now).unwrap()
}

fn cursor(device: &Device) -> u64 {
    device.store.space(&ann()).unwrap().cursor.0
}

fn laps(device: &Device) -> u64 {
    device.fields("workout", "w-1").unwrap()["laps"].as_u64().unwrap()
}

/// One that has a workout with a lap, at position 2, and follows the log from there.
fn following() -> (Device, Following) {
    let mut device = Device::new("phone-1");
    device.record_laps(2);
    let log: Vec<_> = device.events().into_iter().map(|event| event.line).collect();
    let id = device.events()[1].event_id;
    let following = connected(&mut device, Pulled::noon().mark(2, id).segment(1, "phone-1", &log));
    assert_eq!((cursor(&device), laps(&device)), (2, 1));
    (device, following)
}

#[test]
fn segments_are_folded_as_they_come_and_are_the_head() {
    let (mut device, following) = following();
    assert_eq!(following.head(), Position(2));
    assert_eq!(
        follow(&mut device, &following, Pulled::noon().segment(3, "watch", &[lap(1, 5)])),
        Followed::Stored
    );
    let two = Pulled::noon().segment(4, "watch", &[lap(2, 6)]).segment(5, "watch", &[lap(3, 7)]);
    assert_eq!(follow(&mut device, &following, two), Followed::Stored);
    let stands = device.store.space(&ann()).unwrap();
    assert_eq!((stands.cursor.0, stands.head.0, laps(&device)), (5, 5, 4));
    // The server's time goes on with the device's own since the hello.
    assert_eq!(stands.last_synced_at.unwrap().0, NOON + 2 * SECOND + 1);
    assert_eq!(device.store.shown_lines(&ann()).unwrap(), device.store.confirmed_lines(&ann()).unwrap());
}

#[test]
fn an_own_event_comes_back_and_leaves_the_overlay() {
    let (mut device, following) = following();
    device.record("LAP_RECORDED", "w-1", serde_json::json!({"laps": 1}));
    let line = device.events()[2].line.clone();
    assert_eq!(device.pending(), [3]);
    follow(&mut device, &following, Pulled::noon().segment(3, "phone-1", &[line]));
    assert!(device.pending().is_empty());
    assert_eq!((laps(&device), device.events()[2].position), (2, Some(Position(3))));
}

#[test]
fn what_is_here_already_is_skipped() {
    let (mut device, following) = following();
    let again = || Pulled::noon().segment(3, "watch", &[lap(1, 5)]);
    for _ in 0..3 {
        assert_eq!(follow(&mut device, &following, again()), Followed::Stored);
        assert_eq!((cursor(&device), laps(&device)), (3, 2));
    }
    // A pull that ran meanwhile may have brought some of a segment.
    let two = Pulled::noon().segment(3, "watch", &[lap(1, 5), lap(2, 6)]);
    assert_eq!(follow(&mut device, &following, two), Followed::Stored);
    assert_eq!((cursor(&device), laps(&device)), (4, 3));
}

#[test]
fn behind_a_gap_nothing_is_taken() {
    let (mut device, following) = following();
    let gap = Pulled::noon().segment(3, "watch", &[lap(1, 5)]).segment(5, "watch", &[lap(3, 7)]);
    assert_eq!(follow(&mut device, &following, gap), Followed::Broken);
    assert_eq!((cursor(&device), laps(&device)), (3, 2), "what was whole before it is");
    let later = Pulled::noon().segment(6, "watch", &[lap(4, 8)]);
    assert_eq!(follow(&mut device, &following, later), Followed::Broken);
    assert_eq!((cursor(&device), laps(&device)), (3, 2));
}

#[test]
fn what_is_cut_or_no_segment_is_not_taken() {
    let (mut device, following) = following();
    let whole = message(Pulled::noon().segment(3, "watch", &[lap(1, 5)]));
    let cut = &whole[..whole.len() - 3];
    let snapshot = message(Pulled::noon().snapshot(9, &[], &[]));
    for damaged in [cut, "{}\n", "no json\n", "\n", &snapshot] {
        let followed = device.store.follow(&following, damaged, &device.now).unwrap();
        assert_eq!((followed, cursor(&device)), (Followed::Broken, 2), "{damaged}");
    }
    assert_eq!(device.store.follow(&following, &whole, &device.now).unwrap(), Followed::Stored);
}

#[test]
fn segments_of_another_log_than_the_stored_one_are_not_taken() {
    let news = || Pulled::noon().segment(3, "watch", &[lap(1, 5)]);
    // A sync has heard that the server was restored.
    let (mut device, old) = following();
    device.take_pull(&Pulled::noon().epoch(2).behind(2, 2).lines());
    assert!(!old.fits(&device.store.space(&ann()).unwrap()));
    assert_eq!(follow(&mut device, &old, news()), Followed::Broken);
    // The app wants less of it.
    let (mut device, wider) = following();
    assert!(wider.fits(&device.store.space(&ann()).unwrap()));
    device.store.join(&ann(), &Filter { types: Some(["note".to_owned()].into()), recent: None }).unwrap();
    assert!(!wider.fits(&device.store.space(&ann()).unwrap()));
    assert_eq!(follow(&mut device, &wider, news()), Followed::Broken);
    // The device was booted: what time it is there is not known any more.
    let (mut device, before) = following();
    device.now.boot = tidelog_client::BootId("boot-2".into());
    assert_eq!(follow(&mut device, &before, news()), Followed::Broken);
    assert_eq!(cursor(&device), 2);
}

#[test]
fn the_first_segments_of_a_log_wait_for_its_epoch() {
    let mut device = Device::new("phone-1");
    let mut empty = Pulled::noon();
    empty = empty.no_epoch();
    let following = connected(&mut device, empty);
    let first = Pulled::noon().segment(1, "watch", &[lap(1, 5)]);
    assert_eq!(follow(&mut device, &following, first), Followed::Broken);
    assert_eq!(cursor(&device), 0);
}

#[test]
fn a_stamp_from_the_future_does_not_push_the_clock_ahead() {
    let (mut device, following) = following();
    let before = device.store.space(&ann()).unwrap().clock;
    let day = 86_400_000;
    follow(&mut device, &following, Pulled::noon().segment(3, "watch", &[lap(1, day)]));
    assert_eq!(device.store.space(&ann()).unwrap().clock, before);
    follow(&mut device, &following, Pulled::noon().segment(4, "watch", &[lap(2, 30 * SECOND)]));
    assert_eq!(device.store.space(&ann()).unwrap().clock.millis(), NOON + 30 * SECOND);
}
