//! The last things that happened to a user, for whoever must find out why something is wrong.

use std::collections::VecDeque;

/// How many are kept.
const KEPT: usize = 400;

/// What happened, the latest last.
#[derive(Debug, Default)]
pub(super) struct Journal(VecDeque<Entry>);

#[derive(Debug)]
struct Entry {
    at_ms: i64,
    phone: usize,
    what: String,
}

impl Journal {
    pub(super) fn note(&mut self, at_ms: i64, phone: usize, what: String) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(Entry { at_ms, phone, what });
    }

    pub(super) fn told(&self) -> Vec<String> {
        let told = |Entry { at_ms, phone, what }: &Entry| format!("{at_ms} ms, phone {phone}: {what}");
        self.0.iter().map(told).collect()
    }
}
