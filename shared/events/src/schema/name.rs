//! The names that a schema gives: valid by construction, looked up by plain text.

use std::borrow::Borrow;
use std::fmt;

/// Bytes of a name in a schema.
pub const MAX_NAME_BYTES: usize = 64;

/// What is wrong with a name, as the end of a sentence. Names appear in URLs, in JSON and as identifiers
/// of generated code, so they are ASCII letters, digits and `_`, a letter first.
pub(super) fn fault(name: &str) -> Option<&'static str> {
    if name.len() > MAX_NAME_BYTES {
        Some("a name has at most 64 characters")
    } else if !name.starts_with(|first: char| first.is_ascii_alphabetic())
        || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    {
        Some("a name has ASCII letters, digits and `_` only, and begins with a letter")
    } else {
        None
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// For the checker alone, which has looked at [`fault`] and lets no schema out that has one.
            pub(super) fn checked(name: &str) -> Self {
                Self(name.into())
            }

            /// The name's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        // Text and names order and hash alike, so maps by name can be asked by text.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The name of an entity type, such as `workout`.
    EntityTypeName
);
name!(
    /// The name of a field within its entity type, such as `bestPace`.
    FieldName
);
name!(
    /// The name of an event type, such as `WORKOUT_CREATED`.
    EventTypeName
);
