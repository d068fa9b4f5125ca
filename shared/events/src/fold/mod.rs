//! The fold: from a set of events to entities. Pure, and a *join* (invariant 4): the state depends on the set of
//! events alone, so any order, any grouping and any split between snapshot and tail end in the same bytes.
//!
//! A [`Change`] is what one event says. Folded by itself it gives an [`Entity`]; entities merge field by field, and
//! [`FieldState`] explains why that is a join. So a projector folds what is new into entities of its own, and merges
//! these into the stored ones, each once; a snapshot merges with the log behind it; and a device merges its pending
//! events over the confirmed state.

mod change;
mod clock;
mod delta;
mod double;
mod entity;
pub mod explain;
mod field;
mod form;
mod hash;
mod key;
mod line;
mod scalar;
mod state;

pub use change::{Change, Skipped};
pub use clock::Clock;
pub use delta::{DamagedLog, Delta, Span, Touched};
pub use double::Double;
pub use entity::{Entity, EntityKey};
pub use field::{FieldState, Membership};
pub use hash::{LineDigest, StateHash};
pub use key::{MAX_KEY_BYTES, key_of, key_of_sum};
pub use line::DamagedLine;
pub use scalar::Scalar;
pub use state::State;

#[cfg(test)]
mod tests;
