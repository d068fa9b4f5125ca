//! An entry of quarantine by its id, which is opaque to callers: the table's key.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize, Serializer};
use tidelog_events::code::Refusal;
use tidelog_events::id::{DeviceId, Sequence, SpaceId};

use crate::auth::path_param;
use crate::problem::Problem;

/// What an entry is known by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Key {
    Event(SpaceId, DeviceId, Sequence),
    Message(String, String),
}

/// An entry of quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EntryId {
    /// An event.
    Event { space: SpaceId, device_id: DeviceId, device_sequence: Sequence },
    /// A message that is kept whole, by the space that it named and its digest.
    Message { space: String, digest: String },
}

impl EntryId {
    /// Reads an id; `None` where it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let json = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        Some(match serde_json::from_slice(&json).ok()? {
            Key::Event(space, device_id, device_sequence) => {
                Self::Event { space, device_id, device_sequence }
            }
            Key::Message(space, digest) => {
                let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
                (is_digest && !space.contains('\0')).then_some(Self::Message { space, digest })?
            }
        })
    }

    /// The space that it names. A message may have named anything.
    pub(crate) fn into_space(self) -> String {
        match self {
            Self::Event { space, .. } => space.to_string(),
            Self::Message { space, .. } => space,
        }
    }
}

impl Serialize for EntryId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let key = match self.clone() {
            Self::Event { space, device_id, device_sequence } => {
                Key::Event(space, device_id, device_sequence)
            }
            Self::Message { space, digest } => Key::Message(space, digest),
        };
        let json = serde_json::to_vec(&key).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&BASE64URL_NOPAD.encode(&json))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for EntryId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let text = path_param(parts, state, "id").await?;
        Self::parse(&text)
            .filter(|id| !matches!(id, Self::Event { device_sequence, .. } if device_sequence.0 > i64::MAX as u64))
            .ok_or_else(|| Problem::new(Refusal::NotFound, "quarantine has no such entry"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_back_and_nothing_else_is_one() {
        let event = EntryId::Event {
            space: SpaceId::new("équipe 9/blå").unwrap(),
            device_id: DeviceId::new("phone-1").unwrap(),
            device_sequence: Sequence(51),
        };
        let message = EntryId::Message { space: String::new(), digest: "0a".repeat(32) };
        for id in [event, message] {
            let text = serde_json::to_value(&id).unwrap();
            assert_eq!(EntryId::parse(text.as_str().unwrap()), Some(id), "{text}");
        }
        let short = BASE64URL_NOPAD.encode(br#"{"message":["","0a"]}"#);
        for garbage in ["", "!", "e30", "bnVsbA", &short] {
            assert_eq!(EntryId::parse(garbage), None, "{garbage}");
        }
    }
}
