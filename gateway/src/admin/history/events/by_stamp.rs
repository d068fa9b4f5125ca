//! Pages in event order. Nothing is stored in it, so each page looks at all that is asked for, and keeps the first ones
//! beyond its cursor.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use tidelog_events::fold::Clock;
use tidelog_events::id::{Position, Sequence};

use super::super::reads::next_chunk;
use super::super::scan::{Direction, LineFacts, scan};
use super::super::space::too_large;
use super::filter::stamp_of;
use super::page::Page;
use super::request::{Cursor, clock};
use super::{Listing, item};
use crate::problem::Problem;

/// The first items beyond a place, so many and no more bytes; at least one.
struct First {
    direction: Direction,
    beyond: Option<Clock>,
    items: BTreeMap<Clock, String>,
    bytes: u64,
    limit: usize,
    limit_bytes: u64,
    /// Whether any had to go: then another page has them.
    is_cut: bool,
}

impl First {
    /// Whether an item at that place would be taken.
    fn has_room(&self, at: &Clock) -> bool {
        let comes_before = |one: &Clock, other: &Clock| match self.direction {
            Direction::Forwards => one < other,
            Direction::Backwards => one > other,
        };
        self.beyond.as_ref().is_none_or(|beyond| comes_before(beyond, at))
            && (!self.is_cut || self.last().is_none_or(|last| comes_before(at, last)))
    }

    fn last(&self) -> Option<&Clock> {
        match self.direction {
            Direction::Forwards => self.items.last_key_value(),
            Direction::Backwards => self.items.first_key_value(),
        }
        .map(|(at, _)| at)
    }

    fn insert(&mut self, at: Clock, item: String) {
        self.bytes += item.len() as u64;
        if let Some(same) = self.items.insert(at, item) {
            self.bytes -= same.len() as u64;
        }
        while self.items.len() > self.limit || (self.bytes > self.limit_bytes && self.items.len() > 1) {
            let gone = match self.direction {
                Direction::Forwards => self.items.pop_last(),
                Direction::Backwards => self.items.pop_first(),
            };
            self.bytes -= gone.map_or(0, |(_, item)| item.len() as u64);
            self.is_cut = true;
        }
    }

    fn page(self, through: Position, page: &mut Page) {
        let next = self.last().filter(|_| self.is_cut).cloned();
        page.next = next.map(|beyond| Cursor::Stamp { beyond, through });
        let items = self.items.into_values();
        match self.direction {
            Direction::Forwards => page.items.extend(items),
            Direction::Backwards => page.items.extend(items.rev()),
        }
    }
}

impl Listing {
    /// A page in event order.
    pub(super) async fn by_stamp(mut self, direction: Direction) -> Result<Page, Problem> {
        let (beyond, through) = match self.request.cursor.take() {
            Some(Cursor::Stamp { beyond, through }) => (Some(beyond), through),
            _ => (None, self.space.head),
        };
        let mut first = First {
            direction,
            beyond,
            items: BTreeMap::new(),
            bytes: 0,
            limit: self.request.limit,
            limit_bytes: self.config.page_bytes,
            is_cut: false,
        };
        let mut room = self.config.history_events;
        let _place = self.reads.enter().await?;
        // Quarantine before the log: what is released meanwhile is then found twice, never not at all.
        if self.request.with_quarantine {
            self.look_at_quarantine(&mut first, &mut room).await?;
        }
        if self.request.with_log {
            self.look_at_log(&mut first, through, room).await?;
        }
        let mut page = Page::new(0, 0, 0);
        first.page(through, &mut page);
        Ok(page)
    }

    async fn look_at_quarantine(&self, first: &mut First, room: &mut u64) -> Result<(), Problem> {
        let mut seen = None;
        loop {
            let read = self.quarantined(seen.as_ref(), Direction::Forwards).await?;
            let Some(last) = read.last() else { return Ok(()) };
            seen = Some(last.arrival());
            *room = room.checked_sub(read.len() as u64).ok_or_else(|| self.too_many())?;
            for event in &read {
                let facts = LineFacts::read(&event.line);
                let stamp = stamp_of(&facts, event.received_at);
                let at = clock(stamp, &event.device, event.event.device_sequence);
                if self.request.filter.takes_quarantined(event, &facts) && first.has_room(&at) {
                    first.insert(at, item::quarantined(event, &facts)?);
                }
            }
        }
    }

    /// Looks at the log through the head of then, and behind it at what was released: that was in quarantine then.
    async fn look_at_log(&self, first: &mut First, through: Position, room: u64) -> Result<(), Problem> {
        let filter = &self.request.filter;
        let (from, last) = (*filter.positions.start(), (*filter.positions.end()).min(self.space.head));
        if (last.0 + 1).saturating_sub(from.0) > room {
            return Err(self.too_many());
        }
        let mut reader = self.reads.history().behind(&self.space.space, Position(from.0 - 1));
        while reader.cursor() < last
            && let Some(chunk) = next_chunk(&mut reader).await?
        {
            for segment in &chunk.segments {
                let _ = scan(segment, &(from..=last), Direction::Forwards, &self.codecs, |event| {
                    let batch = event.batch;
                    let was_there = event.position <= through || batch.released;
                    if was_there && filter.takes_origin(&batch.device_id, &batch.user_id) {
                        let facts = LineFacts::read(event.line.as_bytes());
                        let sequence = facts.sequence.unwrap_or(Sequence(1));
                        let at = clock(stamp_of(&facts, batch.received_at), &batch.device_id, sequence);
                        if first.has_room(&at) && filter.takes_line(&facts, batch.received_at) {
                            first.insert(at, item::logged(event, chunk.source)?);
                        }
                    }
                    Ok(ControlFlow::Continue(()))
                })?;
            }
        }
        Ok(())
    }

    fn too_many(&self) -> Problem {
        let most = self.config.history_events;
        too_large(format!(
            "to be put in order of their stamps these are more than {most} events, the limit `admin.history_events`; ask for \
             positions `from` and `to`, or in order of position"
        ))
    }
}
