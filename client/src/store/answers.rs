//! Taking an answer in: what the server said about a request becomes part of the store, in one transaction. An answer
//! that comes late, twice, or in another order does no harm.

use tidelog_events::code::Refusal;
use tidelog_events::id::{DeviceId, SpaceId};
use tidelog_events::protocol::UtcTime;

use super::{EventStore, StoreError, begin, queues, spaces};
use crate::moment::Moment;
use crate::sync::ServerTime;
use crate::transport::{Answer, Refused, Request};

/// What an answer was worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// A pull: the hello was heard, and the contents stored.
    Pulled {
        /// The server's time, as the hello told it.
        server_time: UtcTime,
    },
    /// A pull that broke off, or does not continue what is stored: what was whole before that is stored.
    Torn,
    /// A push.
    Pushed {
        /// Whether it is in the log; else only the broker has it, and the events stay pending.
        committed: bool,
    },
    /// What the server has of the device's own events. The store knows no more of them than before: see
    /// [`EventStore::settle`].
    OwnEvents,
    /// The batch begins later than what the server has: what is missing is pending again.
    Rewound,
    /// The device's numbers are taken by other events.
    Forked,
    /// Pending events have other stamps now.
    Restamped,
    /// The space was erased, here too.
    Erased,
    /// A refusal that changes nothing here.
    Refused,
    /// The answer is older than one that was taken in, and said nothing that still matters.
    Late,
}

impl EventStore {
    /// Takes in what was answered to `request`, which left at `sent`; the answer was whole at `now`.
    pub fn take(
        &mut self,
        request: &Request,
        answer: &Answer,
        sent: &Moment,
        now: &Moment,
    ) -> Result<Taken, StoreError> {
        let late = self.is_late(request.space(), sent);
        let taken = match (request, answer) {
            (Request::Pull(request), Answer::Pulled(lines)) => {
                self.take_pulled(request, lines, sent, now, late)
            }
            // What a later answer has said of the watermark holds.
            (Request::Push(_), Answer::Pushed(_)) if late => Ok(Taken::Late),
            (Request::Push(request), Answer::Pushed(answer)) => self.take_pushed(request, answer),
            (Request::OwnEvents(_), Answer::OwnEvents(_)) => Ok(Taken::OwnEvents),
            (request, Answer::Refused(refused)) if !late => self.take_refused(request, refused, sent, now),
            (_, Answer::Refused(_)) => Ok(Taken::Late),
            _ => Ok(Taken::Torn),
        }?;
        if !late {
            self.latest_sent.insert(request.space().clone(), sent.clone());
        }
        Ok(taken)
    }

    /// Whether a request that left later was answered already.
    fn is_late(&self, space: &SpaceId, sent: &Moment) -> bool {
        let latest = self.latest_sent.get(space);
        latest.is_some_and(|latest| sent.since(latest).is_none_or(|since_ms| since_ms < 0))
    }

    fn take_refused(
        &mut self,
        request: &Request,
        refused: &Refused,
        sent: &Moment,
        now: &Moment,
    ) -> Result<Taken, StoreError> {
        match (refused.code, request) {
            (Some(Refusal::SpaceErased), _) => self.erase(request.space()),
            (Some(Refusal::SequenceGap), Request::Push(push)) => match refused.expected {
                Some(expected) => self.rewind(&push.space, &push.device, expected),
                None => Ok(Taken::Refused),
            },
            (Some(Refusal::DeviceForked), Request::Push(push)) => self.mark_forked(&push.space, &push.device),
            (Some(Refusal::ClockAhead), Request::Push(push)) => {
                let server = refused.server_time.and_then(|time| ServerTime::told(time.0, sent, now));
                match server {
                    Some(server) => self.restamp(&push.space, &push.device, &server),
                    None => Ok(Taken::Refused),
                }
            }
            _ => Ok(Taken::Refused),
        }
    }

    fn mark_forked(&mut self, space: &SpaceId, device: &DeviceId) -> Result<Taken, StoreError> {
        let transaction = begin(&mut self.connection)?;
        let space = spaces::load(&transaction, space)?;
        if let Some(mut queue) = queues::of_device(&transaction, space.row, device)? {
            queue.forked = Some(queue.forked.unwrap_or(queue.confirmed));
            queues::save(&transaction, &queue)?;
        }
        transaction.commit()?;
        Ok(Taken::Forked)
    }
}
