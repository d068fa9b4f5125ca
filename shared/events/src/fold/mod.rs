//! The fold: from a set of events to entities. Pure, and a *join* (invariant 4): the state depends on the set of
//! events alone, so any order, any grouping and any split between snapshot and tail end in the same bytes.
//!
//! # The algebra
//!
//! A [`Change`] is what one event says. A field's state after one event is an element of a commutative monoid, the one
//! of its merge rule, and [`Entity::merge`] is that monoid's operation, field by field:
//!
//! | rule | elements | operation | idempotent |
//! |---|---|---|---|
//! | `latest` | writes by clock | greatest clock | yes |
//! | `first` | writes by clock | least clock | yes |
//! | `max`, `min` | values | greatest, least | yes |
//! | `flag` | `false < true` | or | yes |
//! | `set` | for each value its write (clock, then added over removed) | greatest write by value, then the `keep` greatest | yes |
//! | `list` | writes by clock | union, then the `keep` greatest | yes |
//! | `sum` | integers | addition | no |
//! | created, deleted | clocks | greatest | yes |
//!
//! Commutative and associative is all that order and grouping ask for. The `keep` greatest of a union are a monoid
//! of their own: what is let go of early is outweighed by `keep` others, which only later writes could displace, never
//! earlier ones; so letting go early and letting go late are the same. Event order is total ([`Clock`]), and so no two
//! writes tie.
//!
//! All but `sum` are semilattices: taking an event in twice would change nothing. `sum` counts, and is a join over
//! *disjoint* sets of events only. That is what [`Entity::merge`] asks for, and what positions guarantee: the log has
//! each event once (invariant 2), and whoever folds knows through which position it has done so. State over
//! a set of events, with disjoint union, is then the image of a homomorphism: `state(A ⊎ B) = state(A) merge state(B)`.
//!
//! So a projector folds what is new into entities of its own, and merges these into the stored ones, each once; a
//! snapshot merges with the log behind it; and a device merges its pending events over the confirmed state.

mod change;
mod clock;
mod double;
mod entity;
mod field;
mod form;
mod hash;
mod key;
mod line;
mod scalar;
mod state;

pub use change::{Change, Skipped};
pub use clock::Clock;
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
