//! Recorded workouts as batches of 50 events, each device's in its order.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;
use tidelog_events::frame::{BatchHeader, Encoder, write_batch};
use tidelog_events::id::DeviceId;
use tidelog_events::schema::Schema;

const BATCH_EVENTS: usize = 50;

/// What is measured with.
pub struct Recorded {
    pub schema: Schema,
    pub batches: Vec<Batch>,
}

/// A batch as a device pushes it and as the log stores it.
pub struct Batch {
    pub device: Arc<DeviceId>,
    pub body: Vec<u8>,
    pub frame: Vec<u8>,
    pub events: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    device_id: DeviceId,
    event: Box<RawValue>,
}

impl Recorded {
    pub fn read() -> Self {
        let schema = Schema::parse(include_str!("../../../../config/fitness.yaml")).unwrap();
        let mut text = String::new();
        let sample = include_bytes!("../../../../tests/data/workouts-sample.ndjson.gz");
        GzDecoder::new(sample.as_slice()).read_to_string(&mut text).unwrap();
        let mut devices = BTreeMap::<DeviceId, Vec<Box<RawValue>>>::new();
        for line in text.lines() {
            let line: Line = serde_json::from_str(line).unwrap();
            devices.entry(line.device_id).or_default().push(line.event);
        }
        let mut encoder = Encoder::new().unwrap();
        let mut batches = Vec::new();
        for (device, events) in devices {
            let header = BatchHeader { device_id: Some(device.clone()), user_id: None, after: None };
            let device = Arc::new(device);
            for events in events.chunks(BATCH_EVENTS) {
                let body = write_batch(&header, events.iter().map(|event| event.get()));
                let frame = encoder.encode(&body).unwrap();
                batches.push(Batch { device: device.clone(), body, frame, events: events.len() });
            }
        }
        Self { schema, batches }
    }

    pub fn events(&self) -> u64 {
        self.batches.iter().map(|batch| batch.events as u64).sum()
    }
}
