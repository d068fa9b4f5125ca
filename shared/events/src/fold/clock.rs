//! The place of an event in event order: (stamp, device, sequence), total, and the same everywhere.

use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{DeviceId, Sequence};
use crate::stamp::Stamp;

/// When, and by which event, something was written. No two events of a space have the same clock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Clock {
    // The derived order compares the fields as they stand here.
    /// The event's stamp.
    pub stamp: Stamp,
    /// The device that recorded it; ids order as bytes. Shared, since every field of an entity holds one.
    pub device: Arc<DeviceId>,
    /// The device's number for it.
    pub sequence: Sequence,
}

impl Serialize for Clock {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.stamp, self.device.as_ref(), self.sequence).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Clock {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (stamp, device, sequence) = <(Stamp, DeviceId, Sequence)>::deserialize(deserializer)?;
        Ok(Self { stamp, device: Arc::new(device), sequence })
    }
}
