//! What stands around a space: requests come in and are answered, and what a simulation does to the server lies in
//! wait for them.

use std::mem;

use tidelog_client::transport::{Answer, OwnEventsRequest, PushRequest, Refused, Request};
use tidelog_events::code::Refusal;
use tidelog_events::id::{Epoch, UserId};
use tidelog_events::limits::MAX_PULL_EVENTS;
use tidelog_events::protocol::{Committed, PushAnswer, UtcTime};
use tidelog_events::schema::Schema;

use super::batch::{Batch, refused};
use super::pull;
use super::space::Space;
use crate::server::Disturbance;

/// A space, if anything was ever pushed to it, and what will befall its requests.
#[derive(Default)]
pub(super) struct Desk {
    pub(super) space: Option<Space>,
    copy: Option<Space>,
    refuse_next: Option<u16>,
    next_push: NextPush,
    /// Batches that were answered 202, to be committed behind the next request.
    pub(super) late: Vec<Batch>,
}

/// How the next push is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum NextPush {
    #[default]
    Committed,
    CommittedLate,
    Lost,
}

impl Desk {
    /// Answers a request of `user`.
    pub(super) fn answer(
        &mut self,
        user: &UserId,
        request: &Request,
        schema: &Schema,
        now: UtcTime,
        next_epoch: impl FnOnce() -> Epoch,
    ) -> Result<Answer, Refused> {
        match self.refuse_next.take() {
            Some(429) => return Err(refused(Refusal::RateLimited, "too many requests")),
            Some(_) => return Err(refused(Refusal::Overloaded, "there is no room just now")),
            None => {}
        }
        match request {
            Request::Push(push) => self.push(user, push, schema, now, next_epoch).map(Answer::Pushed),
            Request::Pull(request) => {
                pull::answer(self.space.as_ref(), request, schema, now).map(Answer::Pulled)
            }
            Request::OwnEvents(request) => self.own_events(request),
        }
    }

    fn push(
        &mut self,
        user: &UserId,
        push: &PushRequest,
        schema: &Schema,
        now: UtcTime,
        next_epoch: impl FnOnce() -> Epoch,
    ) -> Result<PushAnswer, Refused> {
        let batch = Batch::read(&push.body, user, schema, now)?;
        match mem::take(&mut self.next_push) {
            NextPush::Committed => {
                let done = self.commit(&batch, schema, next_epoch)?;
                Ok(PushAnswer {
                    committed: true,
                    head: Some(done.head),
                    first: done.first,
                    last: done.last,
                    device: done.device,
                    server_time: now,
                    receipts: done.receipts,
                })
            }
            fate => {
                self.late.extend((fate == NextPush::CommittedLate).then_some(batch));
                Ok(PushAnswer {
                    committed: false,
                    head: None,
                    first: None,
                    last: None,
                    device: None,
                    server_time: now,
                    receipts: Vec::new(),
                })
            }
        }
    }

    /// What ingest does with a batch.
    pub(super) fn commit(
        &mut self,
        batch: &Batch,
        schema: &Schema,
        next_epoch: impl FnOnce() -> Epoch,
    ) -> Result<Committed, Refused> {
        self.space.get_or_insert_with(|| Space::new(next_epoch())).take(batch, schema)
    }

    fn own_events(&self, request: &OwnEventsRequest) -> Result<Answer, Refused> {
        let range = request.from..=request.to;
        if range.is_empty() || range.start().0 == 0 || range.end().0 - range.start().0 >= MAX_PULL_EVENTS {
            let detail = format!("`from` to `to` must be 1 to {MAX_PULL_EVENTS} sequences");
            return Err(refused(Refusal::RequestInvalid, detail));
        }
        let device = self.space.as_ref().and_then(|space| space.device(&request.device));
        Ok(Answer::OwnEvents(device.map(|device| device.events(range)).unwrap_or_default()))
    }

    /// False where there is nothing to do it to.
    pub(super) fn disturb(
        &mut self,
        disturbance: Disturbance,
        schema: &Schema,
        next_epoch: impl FnOnce() -> Epoch,
    ) -> bool {
        match disturbance {
            Disturbance::Prune => self.space.as_mut().is_some_and(|space| space.prune(schema)),
            Disturbance::KeepCopy => {
                self.copy.clone_from(&self.space);
                self.copy.is_some()
            }
            Disturbance::Restore => match &self.copy {
                Some(copy) => {
                    self.space = Some(Space::restored(copy, next_epoch()));
                    true
                }
                None => false,
            },
            Disturbance::CommitLate => self.expect_push(NextPush::CommittedLate),
            Disturbance::LosePush => self.expect_push(NextPush::Lost),
            Disturbance::Refuse(status) => {
                self.refuse_next = Some(status);
                true
            }
        }
    }

    fn expect_push(&mut self, next: NextPush) -> bool {
        self.next_push = next;
        true
    }
}
