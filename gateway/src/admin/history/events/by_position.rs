//! Pages in the order of the log, forwards and backwards. Quarantined events have no position: they stand behind the log,
//! and since one of them may be released meanwhile, the log is looked at again behind them.

use std::ops::{ControlFlow, RangeInclusive};

use tidelog_archive::Source;
use tidelog_events::id::Position;
use tidelog_runtime::database::within;
use tidelog_store::quarantine::Quarantined;
use tidelog_store::quarantine::arrived::{self, Arrival};
use tidelog_store::segments::Segment;

use super::super::reads::{chunk_before, next_chunk};
use super::super::scan::{Direction, LineFacts, scan};
use super::super::space::find_space;
use super::page::Page;
use super::request::Cursor;
use super::{Listing, item};
use crate::problem::Problem;
use crate::pull::READ_TIMEOUT;

/// Quarantined events that are read at once: each has a line of up to 64 KiB.
const QUARANTINED_AT_ONCE: i64 = 100;

impl Listing {
    /// A page in the order of the log.
    pub(super) async fn by_position(mut self, direction: Direction) -> Result<Page, Problem> {
        let (bytes, events) = (self.config.page_bytes, self.config.page_events);
        let mut page = Page::new(self.request.limit, bytes, events);
        let mut cursor = Some(self.request.cursor.take().unwrap_or_else(|| self.first(direction)));
        while let Some(at) = cursor.take() {
            if page.is_full() {
                page.next = Some(at);
                break;
            }
            cursor = match at {
                Cursor::Log { after, listed } => self.log_behind(after, listed, &mut page).await?,
                Cursor::Quarantine { after, log } => self.quarantine_behind(after, log, &mut page).await?,
                Cursor::LogBefore { before } => self.log_before(before, &mut page).await?,
                Cursor::QuarantineBefore { before } => self.quarantine_before(before, &mut page).await?,
                Cursor::Stamp { .. } => None,
            };
        }
        Ok(page)
    }

    fn first(&self, direction: Direction) -> Cursor {
        match direction {
            Direction::Forwards if self.request.with_log => {
                Cursor::Log { after: Position::ZERO, listed: false }
            }
            Direction::Forwards => Cursor::Quarantine { after: None, log: Position::ZERO },
            Direction::Backwards if self.request.with_quarantine => Cursor::QuarantineBefore { before: None },
            Direction::Backwards => Cursor::LogBefore { before: self.space.head.next() },
        }
    }

    /// The positions to look at, as far as the log goes.
    fn positions(&self) -> RangeInclusive<Position> {
        let (first, last) = (*self.request.filter.positions.start(), *self.request.filter.positions.end());
        first..=last.min(self.space.head)
    }

    async fn log_behind(
        &self,
        after: Position,
        listed: bool,
        page: &mut Page,
    ) -> Result<Option<Cursor>, Problem> {
        let positions = self.positions();
        let (first, last) = (after.next().max(*positions.start()), *positions.end());
        let mut seen = Position(first.0 - 1);
        let _place = if seen < self.space.horizon { Some(self.reads.enter().await?) } else { None };
        let mut reader = self.reads.history().behind(&self.space.space, seen);
        while seen < last
            && !page.is_full()
            && let Some(chunk) = next_chunk(&mut reader).await?
        {
            for segment in &chunk.segments {
                let wanted = seen.next()..=last;
                let flow = self.take(segment, chunk.source, &wanted, Direction::Forwards, page, &mut seen)?;
                if flow.is_break() {
                    break;
                }
            }
        }
        Ok(if seen < last {
            Some(Cursor::Log { after: seen, listed })
        } else if listed || !self.request.with_quarantine {
            None
        } else {
            Some(Cursor::Quarantine { after: None, log: after.max(seen) })
        })
    }

    async fn log_before(&self, before: Position, page: &mut Page) -> Result<Option<Cursor>, Problem> {
        let positions = self.positions();
        let (first, last) = (*positions.start(), *positions.end());
        let mut seen = before.min(last.next());
        let mut reader = self.reads.history().before(&self.space.space, seen);
        let mut place = None;
        while seen > first && !page.is_full() {
            if place.is_none() && seen.0 <= self.space.horizon.0 + 1 {
                place = Some(self.reads.enter().await?);
            }
            let Some(chunk) = chunk_before(&mut reader).await? else { break };
            for segment in chunk.segments.iter().rev() {
                let wanted = first..=Position(seen.0 - 1);
                let flow =
                    self.take(segment, chunk.source, &wanted, Direction::Backwards, page, &mut seen)?;
                if flow.is_break() || seen <= first {
                    break;
                }
            }
        }
        Ok((seen > first).then_some(Cursor::LogBefore { before: seen }))
    }

    /// Takes those events of a segment that are asked for, until the page is full.
    fn take(
        &self,
        segment: &Segment,
        source: Source,
        wanted: &RangeInclusive<Position>,
        direction: Direction,
        page: &mut Page,
        seen: &mut Position,
    ) -> Result<ControlFlow<()>, Problem> {
        scan(segment, wanted, direction, &self.codecs, |event| {
            if page.is_full() {
                return Ok(ControlFlow::Break(()));
            }
            page.look();
            if self.request.filter.takes(event) {
                page.push(item::logged(event, source)?);
            }
            *seen = event.position;
            Ok(ControlFlow::Continue(()))
        })
    }

    async fn quarantine_behind(
        &mut self,
        after: Option<Arrival>,
        log: Position,
        page: &mut Page,
    ) -> Result<Option<Cursor>, Problem> {
        let mut seen = after;
        loop {
            let read = self.quarantined(seen.as_ref(), Direction::Forwards).await?;
            if read.is_empty() {
                break;
            }
            if self.take_quarantined(&read, page, &mut seen)?.is_break() {
                return Ok(Some(Cursor::Quarantine { after: seen, log }));
            }
        }
        self.space = find_space(&self.pool, &self.space.space).await?;
        let goes_on = self.request.with_log && log < self.space.head;
        Ok(goes_on.then_some(Cursor::Log { after: log, listed: true }))
    }

    async fn quarantine_before(
        &mut self,
        before: Option<Arrival>,
        page: &mut Page,
    ) -> Result<Option<Cursor>, Problem> {
        let mut seen = before;
        loop {
            let read = self.quarantined(seen.as_ref(), Direction::Backwards).await?;
            if read.is_empty() {
                break;
            }
            if self.take_quarantined(&read, page, &mut seen)?.is_break() {
                return Ok(Some(Cursor::QuarantineBefore { before: seen }));
            }
        }
        // What was released before it could be listed stands in the log now.
        self.space = find_space(&self.pool, &self.space.space).await?;
        Ok(self.request.with_log.then_some(Cursor::LogBefore { before: self.space.head.next() }))
    }

    pub(super) async fn quarantined(
        &self,
        seen: Option<&Arrival>,
        direction: Direction,
    ) -> Result<Vec<Quarantined>, Problem> {
        let space = &self.space.space;
        let read = within(READ_TIMEOUT, async {
            let mut connection = self.pool.acquire().await?;
            match direction {
                Direction::Forwards => {
                    arrived::behind(&mut connection, space, seen, QUARANTINED_AT_ONCE).await
                }
                Direction::Backwards => {
                    arrived::before(&mut connection, space, seen, QUARANTINED_AT_ONCE).await
                }
            }
        });
        Ok(read.await?)
    }

    fn take_quarantined(
        &self,
        read: &[Quarantined],
        page: &mut Page,
        seen: &mut Option<Arrival>,
    ) -> Result<ControlFlow<()>, Problem> {
        for event in read {
            if page.is_full() {
                return Ok(ControlFlow::Break(()));
            }
            page.look();
            let facts = LineFacts::read(&event.line);
            if self.request.filter.takes_quarantined(event, &facts) {
                page.push(item::quarantined(event, &facts)?);
            }
            *seen = Some(event.arrival());
        }
        Ok(ControlFlow::Continue(()))
    }
}
