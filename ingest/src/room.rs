//! How many bytes of batches a replica holds: what a small frame decodes to counts, not the frame. A message
//! that finds no room stays with the broker.

use std::sync::Arc;

use tidelog_events::frame::inspect;
use tidelog_runtime::broker::Delivery;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What one permit of the semaphore stands for, in bytes.
const UNIT_BYTES: usize = 1024;

/// The room of a replica. Clones share it.
#[derive(Clone)]
pub(crate) struct Room {
    units: usize,
    free: Arc<Semaphore>,
}

/// A message with its place in the room, which is free again when this and its clones are gone.
pub(crate) struct Held {
    pub(crate) message: Arc<Delivery>,
    pub(crate) place: Arc<Place>,
}

/// A place in the room.
pub(crate) struct Place {
    /// Bytes of the message and of what its frames decode to.
    pub(crate) bytes: usize,
    _permit: OwnedSemaphorePermit,
}

impl Room {
    /// A room for that many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        let units = (bytes / UNIT_BYTES).clamp(1, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        Self { units, free: Arc::new(Semaphore::new(units)) }
    }

    /// Waits until there is room for the message. One that is larger than the room takes all of it.
    pub(crate) async fn hold(&self, message: Delivery) -> Option<Held> {
        let bytes = decoded_bytes(&message.payload);
        let units = bytes.div_ceil(UNIT_BYTES).min(self.units);
        let permit = self.free.clone().acquire_many_owned(units as u32).await.ok()?;
        Some(Held { message: Arc::new(message), place: Arc::new(Place { bytes, _permit: permit }) })
    }
}

/// Bytes of a payload and of what its frames say that they decode to.
fn decoded_bytes(payload: &[u8]) -> usize {
    let mut bytes = payload.len();
    let mut rest = payload;
    while let Ok(frame) = inspect(rest) {
        bytes = bytes.saturating_add(frame.content_bytes as usize);
        rest = &rest[frame.frame_bytes..];
    }
    bytes
}

#[cfg(test)]
mod tests {
    use tidelog_events::frame::Encoder;

    use super::*;

    #[test]
    fn what_a_frame_decodes_to_counts() {
        let mut encoder = Encoder::new().unwrap();
        let first = encoder.encode(&vec![0; 100_000]).unwrap();
        let second = encoder.encode(&vec![0; 5000]).unwrap();
        let both = [first, second].concat();
        assert_eq!(decoded_bytes(&both), both.len() + 105_000);
        assert_eq!(decoded_bytes(b"garbage"), 7);
        assert_eq!(decoded_bytes(b""), 0);
    }
}
