//! What follows a pull on a live connection: segments that continue what is stored, taken in as a pull's are. Which log
//! they are of, and what time it is there, was told by the hello that the connection began with.

use std::collections::BTreeSet;

use tidelog_events::frame::{PullItem, PullReader};
use tidelog_events::id::{Epoch, Position, SpaceId};
use tidelog_events::protocol::UtcTime;

use super::Pull;
use crate::moment::Moment;
use crate::store::{EventStore, SpaceStatus, StoreError, begin, spaces};
use crate::sync::ServerTime;
use crate::transport::PullRequest;

/// The log that a live connection brings.
#[derive(Debug, Clone)]
pub struct Following {
    space: SpaceId,
    epoch: Option<Epoch>,
    types: Option<BTreeSet<String>>,
    server: ServerTime,
    head: Position,
}

impl Following {
    /// As the connection's hello tells it, in the first of the answer's lines; `sent` is the moment just before the
    /// request left, `now` the one when the hello was there. `None`: that is no hello.
    pub fn told(request: &PullRequest, lines: &str, sent: &Moment, now: &Moment) -> Option<Self> {
        let mut reader = PullReader::new(lines, request.after);
        let Ok(Some(PullItem::Hello(hello))) = reader.next_item() else { return None };
        Some(Self {
            space: request.space.clone(),
            epoch: hello.epoch,
            types: request.types.clone(),
            server: ServerTime::told(hello.server_time.0, sent, now)?,
            head: hello.head,
        })
    }

    /// The head of the log when the connection began: what is not behind it is caught up.
    pub fn head(&self) -> Position {
        self.head
    }

    /// Whether the device still wants this log, all of it and no more.
    pub fn fits(&self, stands: &SpaceStatus) -> bool {
        self.epoch == stands.epoch && !stands.refetching && stands.filter.types == self.types
    }
}

/// What became of what a live connection brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// All of it is stored, by itself or before.
    Stored,
    /// It does not continue what is stored, or is damaged, or is of another log: what was whole and fitted is stored.
    /// What is missing has to be pulled, before another live connection is taken.
    Broken,
}

impl EventStore {
    /// Takes in what came on a live connection behind its hello, in one transaction.
    pub fn follow(
        &mut self,
        following: &Following,
        lines: &str,
        now: &Moment,
    ) -> Result<Followed, StoreError> {
        let transaction = begin(&mut self.connection)?;
        let space = spaces::load(&transaction, &following.space)?;
        // A log that nothing was in yet has no epoch: the one that it has now is to be heard first.
        let same_log = following.epoch.is_some() && space.epoch == following.epoch && !space.refetch;
        let server_time = following.server.later(now).map(UtcTime);
        let (true, Some(server_time)) = (same_log && space.filter.types == following.types, server_time)
        else {
            return Ok(Followed::Broken);
        };
        let reader = PullReader::going_on(lines, space.cursor);
        let mut pull = Pull::of(&transaction, &self.schema, &self.user, space, server_time)?;
        let whole = pull.parts(reader)?;
        pull.space.head = pull.space.head.max(pull.space.cursor);
        pull.fold()?;
        let (space, changed) = pull.finish()?;
        spaces::save(&transaction, &space)?;
        transaction.commit()?;
        self.changed.extend(changed);
        Ok(if whole { Followed::Stored } else { Followed::Broken })
    }
}
