//! What subscribers are told.

use tidelog_events::code::Fault;
use tidelog_events::id::{DeviceId, EntityId, EventId, SpaceId};

/// Something that the store now says otherwise. A hint: whoever hears it asks the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// An entity.
    Entity {
        /// Its space.
        space: SpaceId,
        /// Its type.
        entity_type: Box<str>,
        /// Its id.
        entity_id: EntityId,
    },
    /// Anything of a space: its filter, or all of its entities.
    Space {
        /// The space.
        space: SpaceId,
    },
    /// The subscriber was too slow to be told everything: anything may have changed.
    Lagged,
    /// Something that the user may have to know.
    Notice(Notice),
}

/// Something that the user may have to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// An event lies in quarantine: it was not accepted, and is not part of the state. The device keeps it.
    Rejected {
        /// Its space.
        space: SpaceId,
        /// The event.
        event_id: EventId,
        /// Why.
        code: Option<Fault>,
        /// Why, for people.
        detail: String,
    },
    /// Another device has used the same device id: this one goes on under a new one.
    Forked {
        /// The space.
        space: SpaceId,
        /// The id that both had.
        from: DeviceId,
        /// The id that what is left of its events is sent under from now on.
        to: DeviceId,
        /// Events that have new numbers.
        renumbered: u64,
    },
    /// The space was erased on the server, and with it on this device.
    SpaceErased {
        /// The space.
        space: SpaceId,
    },
}
