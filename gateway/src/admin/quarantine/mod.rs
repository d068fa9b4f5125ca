//! Quarantine, as support sees it: what the log could not take, why, and whether it could now; and what to do about it.

pub(crate) mod act;
mod entry;
pub(crate) mod list;

pub(crate) use entry::EntryId;
