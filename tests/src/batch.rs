//! Batches as devices would write them, and as they would not.

use serde_json::{Value, json};
use tidelog_events::frame::Encoder;
use uuid::Uuid;

/// The id of a device's event: the same for the same device and sequence.
pub fn event_id(device: &str, sequence: u64) -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{device}/{sequence}").as_bytes())
}

/// One event of the example schema.
#[derive(Debug, Clone)]
pub struct EventLine(pub Value);

impl EventLine {
    /// A valid event of the device, with that sequence.
    pub fn new(device: &str, sequence: u64) -> Self {
        Self(json!({
            "eventId": event_id(device, sequence),
            "deviceSequence": sequence,
            "type": "WORKOUT_DURATION_UPDATED",
            "entityId": format!("w-{device}"),
            "timestamp": format!("2025-08-06T10:30:00.000Z-{sequence:04X}"),
            "lastSeenEventId": null,
            "payload": {"duration": sequence},
        }))
    }

    /// The same with a member replaced or added.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.0[key] = value.into();
        self
    }

    /// The same without a member.
    ///
    /// # Panics
    /// Never: an event is an object.
    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.0.as_object_mut().expect("an object").remove(key);
        self
    }
}

/// A batch of one device.
#[derive(Debug, Clone)]
pub struct Batch {
    /// What stands behind `batch` in the first line.
    pub header: Value,
    /// The event lines.
    pub lines: Vec<String>,
}

impl Batch {
    /// The device's valid events `first..=last`, with `after` as an SDK would name it.
    pub fn new(device: &str, first: u64, last: u64) -> Self {
        let before = (first > 1).then(|| event_id(device, first - 1));
        let header = json!({
            "deviceId": device,
            "after": {"deviceSequence": first.saturating_sub(1), "eventId": before},
        });
        let lines = (first..=last).map(|sequence| EventLine::new(device, sequence).0.to_string()).collect();
        Self { header, lines }
    }

    /// The same without `after`.
    #[must_use]
    pub fn without_after(mut self) -> Self {
        self.header.as_object_mut().map(|header| header.remove("after"));
        self
    }

    /// The same with a member of the header replaced or added.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.header[key] = value.into();
        self
    }

    /// The same with the event at `index` replaced by that line.
    #[must_use]
    pub fn with_line(mut self, index: usize, line: impl ToString) -> Self {
        self.lines[index] = line.to_string();
        self
    }

    /// The NDJSON body.
    pub fn body(&self) -> Vec<u8> {
        let mut body = format!("{}\n", json!({"batch": self.header}));
        for line in &self.lines {
            body.push_str(line);
            body.push('\n');
        }
        body.into_bytes()
    }

    /// The same as one JSON object.
    ///
    /// # Panics
    /// When a line is no JSON.
    pub fn json(&self) -> Value {
        let mut batch = self.header.clone();
        let events = self.lines.iter().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        batch["events"] = events.collect();
        batch
    }

    /// The body as one frame.
    pub fn frame(&self) -> Vec<u8> {
        frame(&self.body())
    }
}

/// Any content as one frame.
///
/// # Panics
/// When there is no memory for a zstd context.
pub fn frame(content: &[u8]) -> Vec<u8> {
    Encoder::new().and_then(|mut encoder| encoder.encode(content)).expect("a frame")
}
