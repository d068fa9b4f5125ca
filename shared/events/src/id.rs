//! The ids and numbers of the glossary as types: a value of one of them is valid by construction.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::limits::MAX_ID_BYTES;

/// What ids look like, as far as a pattern (ECMA 262) can tell: that they have at most [`MAX_ID_BYTES`] bytes it cannot.
pub const ID_PATTERN: &str =
    r"^[^\s\u0000-\u001f\u007f-\u009f]([^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f])?$";

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// The text is empty.
    #[error("an id must not be empty")]
    Empty,
    /// The text is longer than [`MAX_ID_BYTES`].
    #[error("an id has at most {MAX_ID_BYTES} bytes")]
    TooLong,
    /// The text has a control character, which no console and no log line could show.
    #[error("an id must not contain control characters")]
    ControlCharacter,
    /// The text begins or ends with white space, which message headers do not keep.
    #[error("an id must not begin or end with white space")]
    OuterSpace,
    /// The text begins with [`DeviceId::EVENT_PREFIX`], which is kept for events without a counter.
    #[error("device ids that begin with `event:` are reserved")]
    Reserved,
}

fn check(text: &str) -> Result<(), InvalidId> {
    let plain = (1..=MAX_ID_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if plain {
        Ok(())
    } else if text.is_empty() {
        Err(InvalidId::Empty)
    } else if text.len() > MAX_ID_BYTES {
        Err(InvalidId::TooLong)
    } else if text.chars().any(char::is_control) {
        Err(InvalidId::ControlCharacter)
    } else if text.trim() != text {
        Err(InvalidId::OuterSpace)
    } else {
        Ok(())
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = String, min_length = 1, max_length = 128)]
        pub struct $name(Box<str>);

        impl $name {
            /// Accepts 1 to 128 bytes of text without control characters and outer white space.
            pub fn new(text: impl Into<Box<str>>) -> Result<Self, InvalidId> {
                let text = text.into();
                check(&text)?;
                Ok(Self(text))
            }

            /// Whether [`Self::new`] accepts the text.
            pub fn is_valid(text: &str) -> bool {
                check(text).is_ok()
            }

            /// The id's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::new(text).map_err(serde::de::Error::custom)
            }
        }
    };
}

text_id!(
    /// What a log belongs to; a user's personal space has the user's id as its id.
    SpaceId
);
text_id!(
    /// One installation of an app; it numbers its own events.
    DeviceId
);
text_id!(
    /// A person who records events: the author.
    UserId
);
text_id!(
    /// What an event is about, within its entity type.
    EntityId
);

impl SpaceId {
    /// The subject token that carries this space's messages: XXH64 of the id, seed 0, modulo 1024.
    pub fn slot(&self) -> u16 {
        slot_of(self.as_str())
    }
}

/// The same of any text, for what names no valid space.
pub(crate) fn slot_of(text: &str) -> u16 {
    (xxhash_rust::xxh64::xxh64(text.as_bytes(), 0) % 1024) as u16
}

impl UserId {
    /// The user's own space.
    pub fn personal_space(&self) -> SpaceId {
        SpaceId(self.0.clone())
    }
}

impl DeviceId {
    /// Begins the device id of an event that was pushed without a counter.
    pub const EVENT_PREFIX: &str = "event:";

    /// The device of an event without a counter: each such event is its own device, with sequence 1.
    pub fn of_event(event: EventId) -> Self {
        Self(format!("{}{event}", Self::EVENT_PREFIX).into())
    }

    /// Refuses the ids that only [`Self::of_event`] makes.
    pub fn refuse_reserved(self) -> Result<Self, InvalidId> {
        if self.as_str().starts_with(Self::EVENT_PREFIX) { Err(InvalidId::Reserved) } else { Ok(self) }
    }
}

/// An event's label, compared within one device. UUID version 7 is advised, any is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Uuid)]
pub struct EventId(pub Uuid);

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An id of the log's incarnation; it changes when a database is restored to an older state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = Uuid)]
pub struct Epoch(pub Uuid);

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
        )]
        #[serde(transparent)]
        #[schema(value_type = u64)]
        pub struct $name(pub u64);

        impl $name {
            /// The number before the first one: nothing there yet.
            pub const ZERO: Self = Self(0);

            /// The next number.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }

            /// As PostgreSQL's `bigint`. Numbers count events, so they never come near its end.
            pub fn as_i64(self) -> i64 {
                self.0 as i64
            }

            /// From PostgreSQL's `bigint`; the tables forbid negative numbers.
            pub fn from_i64(number: i64) -> Self {
                Self(number as u64)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// The server's number for an event in a space's log: 1, 2, 3 … without gaps. As a cursor, 0 is the
    /// beginning.
    Position
);
number!(
    /// A device's own number for an event in one space: 1, 2, 3 … without gaps.
    Sequence
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_text_of_1_to_128_bytes_without_control_characters() {
        assert_eq!(SpaceId::new(""), Err(InvalidId::Empty));
        assert_eq!(SpaceId::new("x".repeat(129)), Err(InvalidId::TooLong));
        assert_eq!(SpaceId::new("a\u{0}b"), Err(InvalidId::ControlCharacter));
        assert_eq!(SpaceId::new(" ann"), Err(InvalidId::OuterSpace));
        assert_eq!(SpaceId::new("ann\u{2028}"), Err(InvalidId::OuterSpace));
        assert!(SpaceId::new("x".repeat(128)).is_ok());
        assert!(SpaceId::new("équipe 9/blå").is_ok());
    }

    #[test]
    fn a_slot_is_the_published_hash_of_the_space() {
        let slot = |space: &str| SpaceId::new(space).unwrap().slot();
        // Computed with python-xxhash: xxhash.xxh64(b"user-1", seed=0).intdigest() % 1024.
        assert_eq!(slot("user-1"), 1000);
    }

    #[test]
    fn device_ids_of_events_are_reserved() {
        let own = DeviceId::of_event(EventId(Uuid::nil()));
        assert_eq!(own.as_str(), "event:00000000-0000-0000-0000-000000000000");
        assert_eq!(own.refuse_reserved(), Err(InvalidId::Reserved));
    }
}
