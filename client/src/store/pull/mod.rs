//! Taking in a pull: the hello, then a snapshot, then segments. The cursor and what it stands for are stored in one
//! transaction, and the confirmed state is folded from the log's bytes alone.

mod follow;
mod segment;
mod snapshot;

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use tidelog_events::fold::{Entity, EntityKey};
use tidelog_events::frame::{PullItem, PullReader};
use tidelog_events::id::{Position, UserId};
use tidelog_events::protocol::{Hello, UtcTime};
use tidelog_events::schema::Schema;
use tidelog_events::stamp::Stamp;

use super::answers::Taken;
use super::queues::Queue;
use super::settle::{self, Touched};
use super::spaces::Space;
use super::{
    Changed, EventStore, Notice, StoreError, begin, entities, hello, overlay, queues, refetch, restamp,
    spaces,
};
use crate::defect::{Defect, is_planted};
use crate::moment::Moment;
use crate::sync::{Believable, ServerTime};
use crate::transport::PullRequest;
pub use follow::{Followed, Following};

impl EventStore {
    pub(super) fn take_pulled(
        &mut self,
        request: &PullRequest,
        lines: &str,
        sent: &Moment,
        now: &Moment,
        late: bool,
    ) -> Result<Taken, StoreError> {
        let mut reader = PullReader::new(lines, request.after);
        let Ok(Some(PullItem::Hello(hello))) = reader.next_item() else { return Ok(Taken::Torn) };
        if is_planted(Defect::CursorBeforeContents) {
            self.move_cursor_first(request, lines)?;
        }
        let transaction = begin(&mut self.connection)?;
        let space = spaces::load(&transaction, &request.space)?;
        let mut pull = Pull::of(&transaction, &self.schema, &self.user, space, hello.server_time)?;
        let notices = if late { Vec::new() } else { pull.hear(request, &hello)? };
        let whole = pull.contents(request, &hello, reader)?;
        let server = ServerTime::told(hello.server_time.0, sent, now).filter(|_| !late);
        if let Some(server) = &server {
            pull.restamp(request, server)?;
        }
        pull.fold()?;
        let (space, changed) = pull.finish()?;
        spaces::save(&transaction, &space)?;
        transaction.commit()?;
        self.clock_offset_ms = server.map(|server| server.ahead_ms()).or(self.clock_offset_ms);
        self.changed.extend(changed);
        self.changed.extend(notices.into_iter().map(Changed::Notice));
        Ok(if whole { Taken::Pulled { server_time: hello.server_time } } else { Taken::Torn })
    }

    /// See [`Defect::CursorBeforeContents`].
    fn move_cursor_first(&mut self, request: &PullRequest, lines: &str) -> Result<(), StoreError> {
        let mut reader = PullReader::new(lines, request.after);
        while let Ok(Some(_)) = reader.next_item() {}
        let transaction = begin(&mut self.connection)?;
        transaction.execute(
            "UPDATE spaces SET cursor = max(cursor, ?2) WHERE space_id = ?1",
            params![request.space.as_str(), reader.cursor().as_i64()],
        )?;
        transaction.commit()?;
        Ok(())
    }
}

/// A pull that is being taken in.
struct Pull<'a> {
    connection: &'a Connection,
    schema: &'a Schema,
    user: &'a UserId,
    /// The server's time when it sent this.
    server_time: UtcTime,
    /// Whether anything was in the overlay when this began.
    has_overlay: bool,
    believable: Believable,
    space: Space,
    queues: Vec<Queue>,
    /// Entities whose overlay must be folded anew.
    touched: Touched,
    /// What the new events amount to.
    folded: BTreeMap<EntityKey, Entity>,
    /// Whether anything of the confirmed state was replaced as a whole.
    replaced: bool,
}

impl<'a> Pull<'a> {
    fn of(
        connection: &'a Connection,
        schema: &'a Schema,
        user: &'a UserId,
        space: Space,
        server_time: UtcTime,
    ) -> Result<Self, StoreError> {
        Ok(Self {
            queues: queues::of_space(connection, space.row)?,
            has_overlay: settle::has_overlay(connection, space.row)?,
            connection,
            schema,
            user,
            server_time,
            believable: Believable::at(server_time),
            space,
            touched: Touched::new(),
            folded: BTreeMap::new(),
            replaced: false,
        })
    }

    /// The hello: which log this is, and what it has of the device that asked.
    fn hear(&mut self, request: &PullRequest, hello: &Hello) -> Result<Vec<Notice>, StoreError> {
        if self.space.epoch != hello.epoch {
            // The first epoch that a device hears of makes nothing old; any other does.
            self.space.refetch |= self.space.epoch.is_some();
            self.space.epoch = hello.epoch;
        }
        if request.after > hello.cursor {
            self.space.refetch = true;
        }
        self.space.head = hello.head;
        let asked = self.queues.iter_mut().find(|queue| *queue.device == request.device);
        let (Some(queue), Some(state)) = (asked, &hello.device) else { return Ok(Vec::new()) };
        let notices = hello::take(self.connection, &self.space, queue, hello, state, &mut self.touched)?;
        queues::save(self.connection, queue)?;
        Ok(notices)
    }

    /// Everything behind the hello, as far as it continues what is stored. Tells whether all of it was whole.
    fn contents(
        &mut self,
        request: &PullRequest,
        hello: &Hello,
        reader: PullReader<'_>,
    ) -> Result<bool, StoreError> {
        let begins = hello.cursor;
        let same_filter = request.types == self.space.filter.types;
        let continues =
            if self.space.refetch { begins == Position::ZERO } else { begins <= self.space.cursor };
        if self.space.epoch != hello.epoch || !same_filter || !continues {
            return Ok(true);
        }
        let whole = self.parts(reader)?;
        if whole && hello.head == Position::ZERO {
            self.reset_if_stale()?;
        }
        Ok(whole)
    }

    /// Snapshot and segments, one by one. Tells whether all of it was whole.
    fn parts(&mut self, mut reader: PullReader<'_>) -> Result<bool, StoreError> {
        loop {
            match reader.next_item() {
                Ok(None) => return Ok(true),
                Ok(Some(PullItem::Hello(_))) | Err(_) => return Ok(false),
                Ok(Some(PullItem::Snapshot(header, lines))) => {
                    let Some(entities) = self.undamaged(&header, &lines) else { return Ok(false) };
                    if !self.is_told_apart(&header)? {
                        return Ok(true);
                    }
                    self.reset_if_stale()?;
                    self.snapshot(&header, entities)?;
                }
                Ok(Some(PullItem::Segment(header, events))) => {
                    self.reset_if_stale()?;
                    self.segment(&header, &events)?;
                }
            }
        }
    }

    /// What is fetched anew replaces the old state when its first part is there, not before.
    fn reset_if_stale(&mut self) -> Result<(), StoreError> {
        if !self.space.refetch {
            return Ok(());
        }
        refetch::reset(self.connection, &mut self.space, &mut self.touched)?;
        self.has_overlay = settle::has_overlay(self.connection, self.space.row)?;
        self.queues = queues::of_space(self.connection, self.space.row)?;
        self.replaced = true;
        Ok(())
    }

    fn received(&mut self, stamp: Stamp) {
        self.space.received = self.believable.greater(self.space.received, stamp);
    }

    /// Merges what was folded into the confirmed state, each entity once, and folds the overlays anew.
    fn fold(&mut self) -> Result<(), StoreError> {
        for (key, folded) in &self.folded {
            let mut entity = entities::confirmed(self.connection, self.schema, self.space.row, key)?;
            entity.merge(folded.clone(), self.schema.entity(&key.entity_type));
            entities::write_confirmed(self.connection, self.space.row, key, &entity.line(key))?;
        }
        overlay::refold(self.connection, self.schema, self.space.row, &self.touched)
    }

    /// Corrects the stamps of what is still pending, and lets the hybrid clock go on from what is known.
    fn restamp(&mut self, request: &PullRequest, server: &ServerTime) -> Result<(), StoreError> {
        let asked = self.queues.iter().find(|queue| *queue.device == request.device);
        let Some(queue) = asked else { return Ok(()) };
        let corrected = restamp::correct(self.connection, queue, server)?;
        if !corrected.is_empty() || !self.believable.is(self.space.clock) {
            self.space.clock = restamp::greatest(self.connection, &self.space)?;
        }
        self.touched.extend(corrected);
        Ok(())
    }

    fn finish(mut self) -> Result<(Space, Vec<Changed>), StoreError> {
        // Whoever has seen an event writes later than it.
        self.space.clock = self.space.clock.max(self.space.received);
        let pending: u64 = self
            .queues
            .iter()
            .map(|queue| queues::pending(self.connection, queue.row))
            .sum::<rusqlite::Result<u64>>()?;
        let complete = self.space.cursor >= self.space.head && !self.space.refetch;
        if complete && pending == 0 {
            self.space.last_synced_at = Some(self.server_time);
        }
        let space = self.space.id.clone();
        if self.replaced {
            return Ok((self.space, vec![Changed::Space { space }]));
        }
        let keys: Touched = self.folded.into_keys().chain(self.touched).collect();
        let changed = keys.into_iter().map(|key| Changed::Entity {
            space: space.clone(),
            entity_type: key.entity_type,
            entity_id: key.entity_id,
        });
        Ok((self.space, changed.collect()))
    }
}
