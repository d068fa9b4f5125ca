//! Bytes that may be in memory at once: of bodies that arrive, of answers on their way. Whoever holds some has a place that
//! grows with them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What one permit stands for.
pub(crate) const UNIT_BYTES: usize = 16 * 1024;

/// A number of bytes. Clones share it.
#[derive(Clone)]
pub(crate) struct Budget(Arc<Semaphore>);

/// What one holds of a budget; free again when this is dropped.
pub(crate) struct Place {
    bytes: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

/// The budget is spent just now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Spent;

impl Budget {
    /// That many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new((bytes / UNIT_BYTES).min(Semaphore::MAX_PERMITS))))
    }

    /// Whether nothing is left.
    pub(crate) fn is_spent(&self) -> bool {
        self.0.available_permits() == 0
    }

    /// A place that holds nothing yet.
    pub(crate) fn place(&self) -> Place {
        Place { bytes: self.0.clone(), held: None }
    }
}

impl Place {
    /// Makes the place large enough for `bytes`.
    pub(crate) fn grow_to(&mut self, bytes: usize) -> Result<(), Spent> {
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let Some(more) = bytes.div_ceil(UNIT_BYTES).checked_sub(held).filter(|more| *more > 0) else {
            return Ok(());
        };
        let more = u32::try_from(more).map_err(|_| Spent)?;
        let permit = self.bytes.clone().try_acquire_many_owned(more).map_err(|_| Spent)?;
        match &mut self.held {
            Some(held) => held.merge(permit),
            None => self.held = Some(permit),
        }
        Ok(())
    }

    /// Gives back what is held beyond `bytes`.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        if let Some(held) = &mut self.held {
            drop(held.split(held.num_permits().saturating_sub(bytes.div_ceil(UNIT_BYTES))));
        }
    }

    /// The body, which holds the place until it is sent.
    pub(crate) fn held_by(self, body: Body) -> Body {
        Body::new(HoldingBody { body, _place: self })
    }
}

/// A body with its place.
struct HoldingBody {
    body: Body,
    _place: Place,
}

impl HttpBody for HoldingBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_grows_with_what_is_held_and_is_free_again_at_the_end() {
        let budget = Budget::new(3 * UNIT_BYTES);
        let mut place = budget.place();
        place.grow_to(1).unwrap();
        place.grow_to(UNIT_BYTES).unwrap();
        assert_eq!(budget.0.available_permits(), 2);
        let mut other = budget.place();
        other.grow_to(2 * UNIT_BYTES).unwrap();
        assert!(budget.is_spent());
        assert_eq!(place.grow_to(UNIT_BYTES + 1), Err(Spent));
        drop(other);
        place.grow_to(3 * UNIT_BYTES).unwrap();
        place.shrink_to(UNIT_BYTES + 1);
        let body = place.held_by(Body::from("answer"));
        assert_eq!(budget.0.available_permits(), 1);
        drop(body);
        assert_eq!(budget.0.available_permits(), 3);
    }
}
