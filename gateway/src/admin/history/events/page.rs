//! A page as it fills.

use super::request::Cursor;

/// Items, so many and no more bytes; at least one.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) items: Vec<String>,
    /// Where the next page begins; `None` where there is none.
    pub(super) next: Option<Cursor>,
    limit: usize,
    bytes_left: u64,
    /// Events that may yet be looked at for further items.
    events_left: u64,
}

impl Page {
    pub(super) fn new(limit: usize, bytes: u64, events: u64) -> Self {
        Self { items: Vec::new(), next: None, limit, bytes_left: bytes, events_left: events }
    }

    pub(super) fn push(&mut self, item: String) {
        self.bytes_left = self.bytes_left.saturating_sub(item.len() as u64);
        self.items.push(item);
    }

    /// Notes that an event was looked at.
    pub(super) fn look(&mut self) {
        self.events_left = self.events_left.saturating_sub(1);
    }

    /// Whether it must end here.
    pub(super) fn is_full(&self) -> bool {
        self.items.len() >= self.limit || self.bytes_left == 0 || self.events_left == 0
    }
}
