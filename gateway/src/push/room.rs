//! How much the pushes under way may hold: bytes of bodies, counted as they arrive, and bodies that are decoded
//! and judged at once. So neither an announced length nor a small frame that decodes to much fills the memory.

use std::sync::Arc;

use tidelog_events::code::Refusal;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::Problem;

/// What one permit for bytes stands for.
const UNIT_BYTES: usize = 16 * 1024;
/// Large bodies that are decoded and judged at once; it takes milliseconds, and the others wait.
const JUDGED_AT_ONCE: usize = 8;

/// The room of this process. Clones share it.
#[derive(Clone)]
pub(super) struct Room {
    bytes: Arc<Semaphore>,
    judging: Arc<Semaphore>,
}

/// What one body holds of the room; free again when this is dropped.
pub(super) struct Place {
    bytes: Arc<Semaphore>,
    held: Vec<OwnedSemaphorePermit>,
    held_bytes: usize,
}

impl Room {
    /// Room for that many bytes of bodies.
    pub(super) fn new(bytes: usize) -> Self {
        let units = (bytes / UNIT_BYTES).min(Semaphore::MAX_PERMITS);
        Self { bytes: Arc::new(Semaphore::new(units)), judging: Arc::new(Semaphore::new(JUDGED_AT_ONCE)) }
    }

    /// A place that holds nothing yet.
    pub(super) fn place(&self) -> Place {
        Place { bytes: self.bytes.clone(), held: Vec::new(), held_bytes: 0 }
    }

    /// Waits for the turn to decode and judge.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.judging.clone().acquire_owned().await.ok()
    }
}

impl Place {
    /// Makes the place large enough for `bytes`.
    pub(super) fn grow_to(&mut self, bytes: usize) -> Result<(), Problem> {
        if bytes <= self.held_bytes {
            return Ok(());
        }
        let units = (bytes - self.held_bytes).div_ceil(UNIT_BYTES);
        let permit = self.bytes.clone().try_acquire_many_owned(u32::try_from(units).unwrap_or(u32::MAX));
        self.held.push(permit.map_err(|_| {
            Problem::new(Refusal::Overloaded, "the bodies of pushes under way fill the gateway's memory")
        })?);
        self.held_bytes += units * UNIT_BYTES;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_grows_with_what_has_arrived_and_is_free_again_at_the_end() {
        let room = Room::new(3 * UNIT_BYTES);
        let mut place = room.place();
        place.grow_to(1).unwrap();
        place.grow_to(UNIT_BYTES).unwrap();
        assert_eq!(room.bytes.available_permits(), 2);
        let mut other = room.place();
        other.grow_to(2 * UNIT_BYTES).unwrap();
        assert_eq!(place.grow_to(UNIT_BYTES + 1).unwrap_err().code, Refusal::Overloaded);
        drop(other);
        place.grow_to(UNIT_BYTES + 1).unwrap();
        drop(place);
        assert_eq!(room.bytes.available_permits(), 3);
    }
}
