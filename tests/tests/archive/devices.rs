//! What the archive has of one device is found by the device's own numbers.

use std::collections::BTreeSet;

use tidelog_archive::HistoryError;
use tidelog_events::id::{DeviceId, EventId, Sequence};
use tidelog_store::segments::SequenceRange;
use tidelog_tests::event_id;

use super::pruning::{LONE, Log, PHONE_EVENTS, events};

impl Log {
    /// The sequences of a phone in its archived segments, and how many objects were read for them.
    async fn archived(
        &self,
        device: &str,
        first: u64,
        last: u64,
    ) -> Result<(BTreeSet<u64>, usize), HistoryError> {
        let device = DeviceId::new(device).unwrap();
        let range = SequenceRange { first: Sequence(first), last: Sequence(last) };
        let mut reader = self.history.of_device(&self.space, &device, range);
        let (mut sequences, mut objects) = (BTreeSet::new(), 0);
        while let Some(segments) = reader.next_segments().await? {
            objects += 1;
            assert!(segments.iter().all(|s| s.header.batches.iter().any(|batch| batch.device_id == device)));
            for (_, of, line) in events(&segments) {
                let event: serde_json::Value = serde_json::from_str(&line).unwrap();
                let sequence = event["deviceSequence"].as_u64().unwrap_or(1);
                if of == device && (first..=last).contains(&sequence) {
                    assert!(sequences.insert(sequence), "{sequence} comes twice");
                }
            }
        }
        Ok((sequences, objects))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_devices_sequences_are_found_in_the_objects_that_have_them_and_nowhere_else() {
    let log = Log::new().await;
    assert_eq!(log.archived("phone-1", 1, PHONE_EVENTS).await.unwrap(), (BTreeSet::new(), 0));
    let ends = log.ends().await;
    let objects = log.prune(ends[ends.len() - 3], 3).await;
    let (all, read) = log.archived("phone-1", 1, PHONE_EVENTS).await.unwrap();
    assert_eq!(read, objects.len());
    let through = all.len() as u64;
    assert!(through > PHONE_EVENTS / 2, "{through}");
    assert_eq!(all, (1..=through).collect());
    for (first, last) in [(1, 1), (2, 6), (7, 7), (20, 41), (through, through), (through, PHONE_EVENTS)] {
        let (found, read) = log.archived("phone-1", first, last).await.unwrap();
        assert_eq!(found, (first..=last.min(through)).collect(), "{first} to {last}");
        assert!(last - first > 10 || read <= 3, "{first} to {last}: {read} objects");
    }
    assert_eq!(log.archived("phone-1", through + 1, through + 9).await.unwrap().0, BTreeSet::new());
    assert_eq!(log.archived("phone-3", 1, PHONE_EVENTS).await.unwrap(), (BTreeSet::new(), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_without_a_counter_is_found_without_being_listed() {
    let log = Log::new().await;
    let device = DeviceId::of_event(EventId(event_id("backend", 1)));
    let stranger = DeviceId::of_event(EventId(event_id("backend", 2)));
    assert_eq!(log.archived(device.as_str(), 1, 1).await.unwrap(), (BTreeSet::new(), 0));
    let ends = log.ends().await;
    assert!(ends.contains(&LONE));
    log.prune(ends[ends.len() - 1], 2).await;
    for range in [(1, 1), (1, 1000)] {
        let found = log.archived(device.as_str(), range.0, range.1).await.unwrap();
        assert_eq!(found, (BTreeSet::from([1]), 1), "{range:?}");
    }
    assert_eq!(log.archived(device.as_str(), 2, 9).await.unwrap(), (BTreeSet::new(), 0));
    assert_eq!(log.archived(stranger.as_str(), 1, 1).await.unwrap(), (BTreeSet::new(), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_object_is_an_error_and_no_shorter_answer() {
    let log = Log::new().await;
    let objects = log.prune(log.ends().await[9], 2).await;
    let lose = "UPDATE archive SET object = 'lost' WHERE space_id = $1 AND last = $2";
    log.alter(lose, objects[1].last).await;
    assert!(log.archived("phone-1", 1, PHONE_EVENTS).await.is_err());
    assert!(log.archived("phone-1", 1, 1).await.is_ok());
}
