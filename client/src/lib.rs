//! Tidelog's device SDK. Whatever the user does is recorded on the device first, in one transaction, network or not;
//! it is synced when the server can be reached, and folded with what other devices recorded into the same state
//! everywhere.
//!
//! An app uses [`Store`] and [`Syncer`]. Below them stands a core without threads and sockets, which the
//! simulation runs as it is: [`EventStore`], the SQLite file with every rule about what may enter and leave it, and
//! [`Cycle`], which says what to ask the server next.

pub mod defect;
pub mod identity;
pub mod inspect;
mod moment;
pub mod store;
pub mod sync;
pub mod transport;
pub mod types;

pub use identity::Identity;
pub use moment::{BootId, Clock, Moment, SystemClock};
pub use store::{EventStore, NewEvent, OpenError, RecordError, Store, StoreError};
pub use sync::{Cycle, Syncer};
pub use transport::{HttpTransport, Transport};
