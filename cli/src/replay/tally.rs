//! What a replay achieved, device by device, and its summary.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use tidelog_events::id::{Position, Sequence, SpaceId};
use tidelog_events::protocol::{EventStatus, PushAnswer};

use super::trace::DeviceTrace;

/// What the answers said about one device.
#[derive(Debug, Default)]
pub(super) struct DeviceTally {
    /// The server's watermark.
    pub(super) watermark: Sequence,
    appended: u64,
    duplicates: u64,
    quarantined: BTreeSet<Sequence>,
    head: Position,
    /// Why the device could not go on.
    pub(super) trouble: Option<String>,
}

impl DeviceTally {
    /// Takes an answer in.
    pub(super) fn note(&mut self, answer: &PushAnswer) {
        if let Some(mark) = answer.device {
            self.watermark = self.watermark.max(mark.last_sequence);
        }
        if let (Some(first), Some(last)) = (answer.first, answer.last) {
            self.appended += last.0 + 1 - first.0;
        }
        for receipt in &answer.receipts {
            match receipt.status {
                EventStatus::Duplicate => self.duplicates += 1,
                EventStatus::Quarantined => self.quarantined.extend(receipt.device_sequence),
            }
        }
        self.head = self.head.max(answer.head.unwrap_or(Position::ZERO));
    }
}

#[derive(Debug, Default)]
struct SpaceTally {
    events: u64,
    missing: u64,
    appended: u64,
    duplicates: u64,
    quarantined: u64,
    head: Position,
}

/// All devices, by space.
#[derive(Debug, Default)]
pub(super) struct Summary {
    spaces: BTreeMap<SpaceId, SpaceTally>,
    troubles: Vec<String>,
}

impl Summary {
    /// Adds a device.
    pub(super) fn add(&mut self, trace: &DeviceTrace, tally: &DeviceTally) {
        let space = self.spaces.entry(trace.space.clone()).or_default();
        space.events += trace.events.len() as u64;
        space.missing += (trace.events.len() - trace.index(tally.watermark.next())) as u64;
        space.appended += tally.appended;
        space.duplicates += tally.duplicates;
        space.quarantined += tally.quarantined.len() as u64;
        space.head = space.head.max(tally.head);
        if let Some(trouble) = &tally.trouble {
            self.troubles.push(format!("device {} of space {}: {trouble}", trace.device, trace.space));
        }
    }

    /// Events that are neither in the log nor in quarantine.
    pub(super) fn missing(&self) -> u64 {
        self.total(|space| space.missing)
    }

    /// The summary as people read it.
    pub(super) fn text(&self, took: Duration) -> String {
        let mut text = String::new();
        for (id, space) in &self.spaces {
            let committed = space.events - space.missing - space.quarantined;
            let _ = writeln!(
                text,
                "  {id}: {committed} of {} events committed, {} duplicates, {} quarantined, head {}",
                space.events, space.duplicates, space.quarantined, space.head
            );
        }
        let events = self.total(|space| space.events);
        let quarantined = self.total(|space| space.quarantined);
        let committed = events - self.missing() - quarantined;
        let seconds = took.as_secs_f64().max(0.001);
        let _ = writeln!(
            text,
            "{committed} of {events} events committed in {} spaces ({} appended now, {} duplicates, {quarantined} \
             quarantined), {seconds:.1} s, {:.0} events/s",
            self.spaces.len(),
            self.total(|space| space.appended),
            self.total(|space| space.duplicates),
            events as f64 / seconds
        );
        for trouble in &self.troubles {
            let _ = writeln!(text, "failed: {trouble}");
        }
        text
    }

    fn total(&self, count: impl Fn(&SpaceTally) -> u64) -> u64 {
        self.spaces.values().map(count).sum()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;
    use tidelog_events::id::{DeviceId, EventId};
    use uuid::Uuid;

    use super::super::trace::TracedEvent;
    use super::*;

    fn trace(events: u128) -> DeviceTrace {
        let event = |number| TracedEvent {
            id: EventId(Uuid::from_u128(number)),
            line: RawValue::from_string("{}".to_owned()).unwrap(),
        };
        DeviceTrace {
            space: SpaceId::new("user-1").unwrap(),
            device: DeviceId::new("phone").unwrap(),
            first: Sequence(1),
            events: (1..=events).map(event).collect(),
        }
    }

    fn answer(json: &str) -> PushAnswer {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn what_the_watermark_does_not_cover_is_missing() {
        let mut tally = DeviceTally::default();
        tally.note(&answer(
            r#"{"committed":true,"head":8,"first":6,"last":8,"serverTime":"2026-01-01T00:00:00.000Z",
                "device":{"lastSequence":4,"lastEventId":"00000000-0000-0000-0000-000000000004"},
                "receipts":[{"deviceSequence":2,"eventId":"00000000-0000-0000-0000-000000000002",
                "status":"quarantined","code":"event-unknown-type","detail":""}]}"#,
        ));
        let mut summary = Summary::default();
        summary.add(&trace(6), &tally);
        assert_eq!(summary.missing(), 2);
        let text = summary.text(Duration::from_secs(2));
        assert!(
            text.contains("user-1: 3 of 6 events committed, 0 duplicates, 1 quarantined, head 8"),
            "{text}"
        );
        assert!(text.contains("3 of 6 events committed in 1 spaces (3 appended now, "), "{text}");
    }

    #[test]
    fn a_device_without_an_answer_misses_everything() {
        let mut summary = Summary::default();
        let trouble = Some("refused".to_owned());
        summary.add(&trace(3), &DeviceTally { trouble, ..DeviceTally::default() });
        assert_eq!(summary.missing(), 3);
        assert!(
            summary.text(Duration::from_secs(1)).contains("failed: device phone of space user-1: refused")
        );
    }
}
