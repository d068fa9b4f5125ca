//! A server in memory: it judges, admits, numbers and folds by the same pure code as the services, and answers what they
//! answer. Only storage, broker and HTTP are not there. One server, one thread.

mod batch;
mod desk;
mod device;
mod live;
mod pull;
mod space;

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell, RefMut};
use std::collections::BTreeMap;
use std::sync::Arc;

use tidelog_client::transport::{Answer, PullRequest, Request, Unreachable};
use tidelog_events::fold::StateHash;
use tidelog_events::id::{DeviceId, Epoch, Position, Sequence, SpaceId, UserId};
use tidelog_events::limits::MAX_PULL_EVENTS;
use tidelog_events::protocol::{QuarantinedEvent, UtcTime};
use tidelog_events::schema::Schema;
use uuid::Uuid;

use crate::server::{Cut, Disturbance, LogEvent, QuarantinedAt, ReadModel, Server};
use desk::Desk;
pub use live::MemoryLive;

/// Spaces in memory.
pub struct MemoryServer {
    schema: Arc<Schema>,
    desks: RefCell<BTreeMap<SpaceId, Desk>>,
    epochs: Cell<u128>,
}

/// The server was not where it was expected to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the space {space} is folded through {head}, not through {wanted}")]
pub struct OtherHead {
    space: SpaceId,
    head: Position,
    wanted: Position,
}

impl MemoryServer {
    /// A server of that app, without any space.
    pub fn new(schema: Arc<Schema>) -> Self {
        Self { schema, desks: RefCell::default(), epochs: Cell::new(0) }
    }

    fn desk(&self, space: &SpaceId) -> RefMut<'_, Desk> {
        RefMut::map(self.desks.borrow_mut(), |desks| desks.entry(space.clone()).or_default())
    }

    /// Epochs are counted: the same seed, the same epochs.
    fn next_epoch(&self) -> Epoch {
        self.epochs.set(self.epochs.get() + 1);
        Epoch(Uuid::from_u128(self.epochs.get()))
    }
}

impl Server for MemoryServer {
    type Error = OtherHead;
    type Live = MemoryLive;

    fn send(
        &self,
        user: &UserId,
        request: &Request,
        now_ms: i64,
        cut: Option<Cut>,
    ) -> Result<Answer, Unreachable> {
        // Half a request is refused unread, so it is as good as none.
        if let Some(Cut::Before | Cut::During) = cut {
            return Err(Unreachable::broken("cut off on the way there"));
        }
        let mut desk = self.desk(request.space());
        let late = std::mem::take(&mut desk.late);
        let answer = desk.answer(user, request, &self.schema, UtcTime(now_ms), || self.next_epoch());
        for batch in late {
            // Nobody waits for its receipt any more.
            let _ = desk.commit(&batch, &self.schema, || self.next_epoch());
        }
        match cut {
            None => Ok(answer.unwrap_or_else(Answer::Refused)),
            Some(_) => Err(Unreachable::broken("cut off on the way back")),
        }
    }

    fn connect(
        &self,
        user: &UserId,
        request: &PullRequest,
        now_ms: i64,
        cut: Option<Cut>,
    ) -> Result<(Answer, Option<MemoryLive>), Unreachable> {
        // A connection is not over when there is much to tell.
        let whole = PullRequest { limit: MAX_PULL_EVENTS, ..request.clone() };
        let answer = self.send(user, &Request::Pull(whole), now_ms, cut)?;
        let live = MemoryLive::begun(user, request, &answer);
        Ok((answer, live))
    }

    fn follow(&self, live: &mut MemoryLive, _wanted: Position, now_ms: i64) -> Result<String, Unreachable> {
        let answer = self.send(live.user(), &live.request(), now_ms, None)?;
        live.news(&answer)
    }

    fn log(&self, space: &SpaceId) -> Result<Vec<LogEvent>, OtherHead> {
        Ok(self.desk(space).space.as_ref().map(space::Space::log).unwrap_or_default())
    }

    fn quarantined(
        &self,
        space: &SpaceId,
        device: &DeviceId,
        through: Sequence,
    ) -> Result<Vec<QuarantinedAt>, OtherHead> {
        let desk = self.desk(space);
        let known = desk.space.as_ref().and_then(|space| space.device(device));
        let found = known.into_iter().flat_map(|known| known.quarantined_from(Sequence(1)));
        let found = found.take_while(|event| event.device_sequence <= through);
        let at = |event: &QuarantinedEvent| QuarantinedAt {
            device: device.clone(),
            sequence: event.device_sequence,
            event_id: event.event_id,
            code: event.code,
        };
        Ok(found.map(at).collect())
    }

    fn read_model(&self, space: &SpaceId, head: Position) -> Result<ReadModel, OtherHead> {
        let mut desk = self.desk(space);
        let (folded_through, model) = match &mut desk.space {
            Some(space) => (space.head(), space.read_model()),
            None => (Position::ZERO, ReadModel { lines: Vec::new(), hash: StateHash::default() }),
        };
        if folded_through == head {
            Ok(model)
        } else {
            Err(OtherHead { space: space.clone(), head: folded_through, wanted: head })
        }
    }

    fn disturb(&self, space: &SpaceId, disturbance: Disturbance) -> bool {
        self.desk(space).disturb(disturbance, &self.schema, || self.next_epoch())
    }
}
