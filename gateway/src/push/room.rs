//! How much the pushes under way may hold: how many they are, bytes of bodies, counted as they arrive, and bodies that are decoded
//! and judged at once. So neither many pushes, nor an announced length, nor a small frame that decodes to much fills the memory,
//! and whoever finds no room learns it before sending on.

use std::sync::Arc;

use tidelog_events::code::Refusal;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::budget::{Budget, Place, Spent};
use crate::problem::Problem;

/// Large bodies that are decoded and judged at once; it takes milliseconds, and the others wait.
const JUDGED_AT_ONCE: usize = 8;

/// The room of this process. Clones share it.
#[derive(Clone)]
pub(super) struct Room {
    pushes: Arc<Semaphore>,
    bytes: Budget,
    judging: Arc<Semaphore>,
}

impl Room {
    /// Room for so many pushes, with that many bytes of bodies.
    pub(super) fn new(pushes: usize, bytes: usize) -> Self {
        Self {
            pushes: Arc::new(Semaphore::new(pushes.min(Semaphore::MAX_PERMITS))),
            bytes: Budget::new(bytes),
            judging: Arc::new(Semaphore::new(JUDGED_AT_ONCE)),
        }
    }

    /// Lets a push in, until it is answered.
    pub(super) fn enter(&self) -> Result<OwnedSemaphorePermit, Problem> {
        if self.bytes.is_spent() {
            return Err(no_bytes(Spent));
        }
        self.pushes.clone().try_acquire_owned().map_err(|_| {
            Problem::new(Refusal::Overloaded, "as many pushes are under way as this gateway takes")
        })
    }

    /// A place for a body that holds nothing yet.
    pub(super) fn place(&self) -> Place {
        self.bytes.place()
    }

    /// Waits for the turn to decode and judge.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.judging.clone().acquire_owned().await.ok()
    }
}

/// The budget for bodies is spent.
pub(super) fn no_bytes(_: Spent) -> Problem {
    Problem::new(Refusal::Overloaded, "the bodies of pushes under way fill the gateway's memory")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::UNIT_BYTES;

    #[test]
    fn a_push_finds_room_or_learns_at_once_that_there_is_none() {
        let room = Room::new(2, UNIT_BYTES);
        let refused = |room: &Room| room.enter().unwrap_err().code;
        let (first, second) = (room.enter().unwrap(), room.enter().unwrap());
        assert_eq!(refused(&room), Refusal::Overloaded);
        drop((first, second));
        let mut place = room.place();
        place.grow_to(1).unwrap();
        assert_eq!(refused(&room), Refusal::Overloaded);
        drop(place);
        drop(room.enter().unwrap());
    }
}
