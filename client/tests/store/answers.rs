//! Answers as a gateway would give them.

use std::collections::BTreeMap;

use serde_json::json;
use tidelog_client::transport::Refused;
use tidelog_events::admit::After;
use tidelog_events::code::{Fault, Refusal};
use tidelog_events::fold::{LineDigest, StateHash};
use tidelog_events::frame::{
    BatchHeader, SegmentBatch, SegmentHeader, SnapshotHeader, write_batch, write_line, write_snapshot,
};
use tidelog_events::id::{DeviceId, Epoch, EventId, Position, Sequence, UserId};
use tidelog_events::protocol::{DeviceState, Hello, HelloLine, QuarantinedEvent, UtcTime};
use uuid::Uuid;

use super::device::NOON;

/// A pull's answer in the making.
pub struct Pulled {
    hello: Hello,
    lines: Vec<u8>,
}

impl Pulled {
    /// The log's first incarnation, at noon, without events, and a device that has pushed nothing.
    pub fn at(server_ms: i64) -> Self {
        let hello = Hello {
            server_time: UtcTime(server_ms),
            epoch: Some(Epoch(Uuid::from_u128(1))),
            head: Position::ZERO,
            horizon: Position::ZERO,
            schema_version: 3,
            cursor: Position::ZERO,
            device: Some(DeviceState::default()),
        };
        Self { hello, lines: Vec::new() }
    }

    pub fn noon() -> Self {
        Self::at(NOON)
    }

    pub fn epoch(mut self, number: u128) -> Self {
        self.hello.epoch = Some(Epoch(Uuid::from_u128(number)));
        self
    }

    /// Nothing was ever in the log.
    pub fn no_epoch(mut self) -> Self {
        self.hello.epoch = None;
        self
    }

    pub fn behind(mut self, cursor: u64, head: u64) -> Self {
        (self.hello.cursor, self.hello.head) = (Position(cursor), Position(head));
        self
    }

    /// The server has the asking device's events through this one.
    pub fn mark(mut self, sequence: u64, event_id: EventId) -> Self {
        let device = self.hello.device.get_or_insert_default();
        (device.last_sequence, device.last_event_id) = (Sequence(sequence), Some(event_id));
        self
    }

    pub fn quarantined(mut self, sequence: u64, event_id: EventId) -> Self {
        self.hello.device.get_or_insert_default().quarantined.push(QuarantinedEvent {
            device_sequence: Sequence(sequence),
            event_id,
            code: Fault::UnknownType,
            detail: "schema version 3 has no event type `X`".to_owned(),
        });
        self
    }

    /// There are more quarantined events than those.
    pub fn more_quarantined(mut self) -> Self {
        self.hello.device.get_or_insert_default().more_quarantined = true;
        self
    }

    /// A segment: one batch of a device.
    pub fn segment(mut self, first: u64, device: &str, events: &[String]) -> Self {
        let device_id = DeviceId::new(device).unwrap();
        let last = first + events.len() as u64 - 1;
        let header = SegmentHeader {
            first: Position(first),
            last: Position(last),
            lines: events.len() as u64 + 1,
            batches: vec![SegmentBatch {
                first: Position(first),
                device_id: device_id.clone(),
                user_id: UserId::new("ann").unwrap(),
                received_at: UtcTime(NOON),
                released: false,
            }],
            positions: None,
        };
        let after = After { device_sequence: Sequence::ZERO, event_id: None };
        let batch = BatchHeader { device_id: Some(device_id), user_id: None, after: Some(after) };
        self.lines.extend(header.line());
        self.lines.extend(write_batch(&batch, events));
        self.hello.head = self.hello.head.max(Position(last));
        self
    }

    /// A segment that was merged of these batches.
    pub fn merged(mut self, first: u64, batches: &[(&str, &[String])]) -> Self {
        let mut last = first - 1;
        let mut lines = Vec::new();
        let mut batch = |&(device, events): &(&str, &[String])| {
            let batch = SegmentBatch {
                first: Position(last + 1),
                device_id: DeviceId::new(device).unwrap(),
                user_id: UserId::new("ann").unwrap(),
                received_at: UtcTime(NOON),
                released: false,
            };
            last += events.len() as u64;
            for event in events {
                lines.extend_from_slice(format!("{event}\n").as_bytes());
            }
            batch
        };
        let batches = batches.iter().map(&mut batch).collect();
        let (first, last) = (Position(first), Position(last));
        let header = SegmentHeader { first, last, lines: last.0 + 1 - first.0, batches, positions: None };
        self.lines.extend(header.line());
        self.lines.extend(lines);
        self.hello.head = self.hello.head.max(last);
        self
    }

    pub fn snapshot(mut self, through: u64, entities: &[String], devices: &[(&str, u64)]) -> Self {
        let mut state_hash = StateHash::default();
        for line in entities {
            state_hash.replace("workout", None, LineDigest::of(line.as_bytes()));
        }
        let devices: BTreeMap<_, _> =
            devices.iter().map(|(device, last)| (DeviceId::new(*device).unwrap(), Sequence(*last))).collect();
        let header = SnapshotHeader {
            through: Position(through),
            schema_version: 3,
            entities: entities.len() as u64,
            state_hash,
            devices,
        };
        self.lines.extend(write_snapshot(&header, entities));
        (self.hello.horizon, self.hello.head) = (Position(through), self.hello.head.max(Position(through)));
        self
    }

    pub fn lines(self) -> String {
        let mut lines = Vec::new();
        write_line(&mut lines, &HelloLine { hello: self.hello });
        lines.extend(self.lines);
        String::from_utf8(lines).unwrap()
    }
}

/// A refusal with nothing but its code.
pub fn refused(code: Refusal) -> Refused {
    Refused {
        status: code.status(),
        code: Some(code),
        detail: "as the test says".to_owned(),
        expected: None,
        server_time: None,
        retry_after: None,
    }
}

/// A lap of `w-1` by another device, stamped so long after noon.
pub fn lap(sequence: u64, after_noon_ms: i64) -> String {
    event("LAP_RECORDED", sequence, after_noon_ms, &json!({"laps": 1}))
}

/// An event about `w-1` by another device.
pub fn event(event_type: &str, sequence: u64, after_noon_ms: i64, payload: &serde_json::Value) -> String {
    json!({
        "eventId": Uuid::from_u128(0xb000 + u128::from(sequence)),
        "deviceSequence": sequence,
        "type": event_type,
        "entityId": "w-1",
        "timestamp": NOON + after_noon_ms,
        "lastSeenEventId": null,
        "payload": payload,
    })
    .to_string()
}
