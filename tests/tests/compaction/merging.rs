//! Merged segments: fewer rows and fewer bytes, and the same log.

use serde_json::json;
use tidelog_events::frame::Encoder;
use tidelog_tests::{Batch, EventLine, event_id};

use super::busy::{
    LATER, batch_of, busy_world, device_events, log_in_frames, push_uncounted, size, uncounted,
    uncounted_device,
};

#[tokio::test(flavor = "multi_thread")]
async fn positions_and_bytes_of_events_stay_and_rows_and_bytes_of_segments_go() {
    let (world, _) = busy_world().await;
    let (log, (rows, bytes)) = (log_in_frames(&world, 0).await, size(&world).await);
    assert_eq!(log.iter().filter(|event| event.released).count(), 1);

    let swept = world.compact().await;
    let (rows_left, bytes_left) = size(&world).await;
    println!("{} events: {rows} rows, {bytes} bytes; merged {rows_left} rows, {bytes_left} bytes", log.len());
    assert_eq!((swept.merged as usize, swept.failed), (rows - rows_left, 0));
    assert!(rows_left <= rows / 5, "{rows_left} of {rows} rows are left");
    assert!(bytes_left <= bytes / 2, "{bytes_left} of {bytes} bytes are left");
    assert!(world.segments("ann").await.iter().all(|segment| segment.last - segment.first < 40));
    assert_eq!(log_in_frames(&world, 0).await, log);
    assert_eq!(world.compact().await.merged, 0, "once is enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_find_what_is_behind_their_cursor_wherever_it_is_and_in_every_form() {
    let (world, _) = busy_world().await;
    let (log, json) = (log_in_frames(&world, 0).await, world.whole_log("ann").await);
    let filtered = world.pull_lines("ann", "types=workout&limit=1000").await.events;
    assert!(world.compact().await.merged > 0);

    assert_eq!(world.whole_log("ann").await, json);
    assert_eq!(world.pull_lines("ann", "types=workout&limit=1000").await.events, filtered);
    let lines: Vec<_> = log.iter().map(|event| (event.position, event.line.clone())).collect();
    for after in 0..lines.len() {
        let found = log_in_frames(&world, after as u64).await;
        let from = after + 1 - usize::try_from(found[0].position).unwrap();
        assert_eq!(found[from..], log[after..], "frames behind {after}");
        let page = &lines[after..lines.len().min(after + 7)];
        let pulled = world.pull_lines("ann", &format!("after={after}&limit=7")).await;
        assert_eq!(pulled.events, page, "lines behind {after}");
        let answer = world.pull("ann", &format!("after={after}&limit=7")).await;
        assert_eq!(answer.json["events"], json!(json[after..after + page.len()]), "JSON behind {after}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_pages_while_segments_are_merged_misses_nothing() {
    let (world, _) = busy_world().await;
    let log = log_in_frames(&world, 0).await;
    let mut read = Vec::new();
    let compactor = world.start_compactor();
    while read.len() < log.len() {
        let page = world.pull_lines("ann", &format!("after={}&limit=3", read.len())).await;
        read.extend(page.events.into_iter().map(|(_, line)| line));
    }
    let lines: Vec<_> = log.iter().map(|event| event.line.clone()).collect();
    assert_eq!(read, lines);
    tidelog_tests::eventually("the log is merged", async || (size(&world).await.0 < 20).then_some(())).await;
    drop(compactor);
    assert_eq!(log_in_frames(&world, 0).await, log);
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_2_duplicates_and_forks_are_told_apart_as_before() {
    let (world, _) = busy_world().await;
    let head = world.head("ann").await;
    assert!(world.compact().await.merged > 0);
    for device in ["phone-1", "watch-1"] {
        for round in [1, 7, 29] {
            let batch = batch_of(device, round);
            let answer = world.push("ann", &batch).await;
            answer.expect_committed(None);
            assert!(answer.receipts().iter().all(|(_, status, _)| status == "duplicate"));
            let sequence = round * 3 + 2;
            let other = event_id("its double", sequence).to_string();
            let other = EventLine::new(device, sequence).with("eventId", other).0;
            let fork = world.push("ann", &batch.with_line(1, other)).await;
            fork.expect_refusal(409, "device-forked");
        }
    }
    // The other device has taken the same sequences, with other events.
    let mixed = batch_of("phone-1", 3).with_line(1, EventLine::new("watch-1", 11).0);
    world.push("ann", &mixed).await.expect_refusal(409, "device-forked");
    let uncounted = push_uncounted(&world, &uncounted()).await;
    uncounted.expect_committed(None);
    assert_eq!(world.head("ann").await, head);
    let overlap = Batch::new("watch-1", 80, 92);
    world.push("ann", &overlap).await.expect_committed(Some((head as u64 + 1, head as u64 + 2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_devices_own_events_are_found_as_before() {
    let (world, time) = busy_world().await;
    let devices = ["phone-1".to_owned(), "watch-1".to_owned()].into_iter();
    let devices: Vec<_> = devices.chain(uncounted().into_iter().map(uncounted_device)).collect();
    let mut before = Vec::new();
    for device in &devices {
        before.push(device_events(&world, device).await);
    }
    assert_eq!(before[0].as_array().unwrap().len(), 90);
    assert!(before[2..].iter().all(|items| items.as_array().unwrap().len() == 1));

    assert!(world.compact().await.merged > 0);
    // And what was merged is merged with more.
    for round in 0..20 {
        world.push("ann", &batch_of("tablet-1", round)).await.expect(200);
    }
    time.advance(LATER);
    assert!(world.compact().await.merged > 0);
    for (device, before) in devices.iter().zip(before) {
        assert_eq!(device_events(&world, device).await, before, "{device}");
    }
    let uncounted = "SELECT count(*) FROM segment_devices WHERE device_id LIKE 'event:%'";
    let uncounted: i64 = sqlx::query_scalar(uncounted).fetch_one(&world.pool).await.unwrap();
    assert_eq!(uncounted, 0, "a device of a single event is found without");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merged_log_folds_to_the_same_read_model() {
    let (world, _) = busy_world().await;
    let expected = world.folded_log("ann").await;
    assert!(world.compact().await.merged > 0);
    assert_eq!(world.folded_log("ann").await, expected);
    let _projector = world.start_projector();
    world.assert_read_model_is_right("ann").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_segment_stays_as_it_is_and_the_others_are_merged() {
    let (world, _) = busy_world().await;
    let before = world.segments("ann").await;
    let (torn, odd) = (&before[10], &before[20]);
    let write = async |last: i64, frame: &[u8]| {
        let statement = "UPDATE segments SET frame = $2 WHERE space_id = 'ann' AND last = $1";
        sqlx::query(statement).bind(last).bind(frame).execute(&world.pool).await.unwrap();
    };
    write(torn.last, &torn.frame[..torn.frame.len() - 1]).await;
    let fewer_lines = Encoder::new().unwrap().encode(b"{}\n").unwrap();
    write(odd.last, &fewer_lines).await;

    let swept = world.compact().await;
    assert!(swept.merged > 0);
    let after = world.segments("ann").await;
    assert!(after.len() <= before.len() / 4, "{} of {} rows are left", after.len(), before.len());
    for (damaged, frame) in [(torn, &torn.frame[..torn.frame.len() - 1]), (odd, &fewer_lines[..])] {
        let kept = after.iter().find(|segment| segment.last == damaged.last).unwrap();
        assert_eq!((kept.first, &kept.frame[..]), (damaged.first, frame));
    }
    assert_eq!(world.compact().await.merged, 0, "it is not tried again and again");
}
