//! How much the answers of pulls may hold until they are sent.

use axum::body::Body;
use tidelog_events::code::Refusal;

use super::answer;
use super::read::LogRead;
use super::request::PullRequest;
use crate::budget::{Budget, Place};
use crate::problem::Problem;

/// What a snapshot that is read while it is sent has in memory: some parts, and one of them decoded.
const STREAMED_BYTES: usize = 2 * 1024 * 1024;

/// The room for answers. Clones share it.
#[derive(Clone)]
pub struct AnswerBudget(Budget);

/// An answer's place in it.
pub(super) struct AnswerPlace {
    place: Place,
    streamed_bytes: usize,
}

impl AnswerBudget {
    /// Room for that many bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Budget::new(bytes))
    }

    /// Room to make an answer of what was read.
    pub(super) fn place(&self, read: &LogRead, request: &PullRequest) -> Result<AnswerPlace, Problem> {
        let streamed_bytes = if read.snapshot.is_some() { STREAMED_BYTES } else { 0 };
        let mut place = self.0.place();
        let bytes = answer::work_bytes(read, request) as usize + streamed_bytes;
        place.grow_to(bytes).map_err(|_| {
            Problem::new(Refusal::Overloaded, "the answers under way fill the gateway's memory")
        })?;
        Ok(AnswerPlace { place, streamed_bytes })
    }
}

impl AnswerPlace {
    /// The body, which has the place until it is sent; `bytes` of it are made by now.
    pub(super) fn held_by(mut self, body: Body, bytes: usize) -> Body {
        self.place.shrink_to(bytes + self.streamed_bytes);
        self.place.held_by(body)
    }
}
