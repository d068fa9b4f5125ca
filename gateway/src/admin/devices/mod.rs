//! The devices of a space, as support sees them.

pub(crate) mod list;
pub(crate) mod revoke;
mod why;
