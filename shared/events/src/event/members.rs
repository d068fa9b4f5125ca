//! The members of an event line, each looked for once, and how their values are read. What nearly every line
//! has is read from its text at once; serde_json reads, and refuses, everything else.

use std::borrow::Cow;

use uuid::Uuid;

use crate::id::EventId;
use crate::json::{Member, Scanned, plain_natural, plain_text};
use crate::stamp::Stamp;

/// The keys of an event line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    EventId,
    DeviceSequence,
    Type,
    EntityId,
    Timestamp,
    LastSeenEventId,
    Payload,
    /// Stands for everything else where a device cannot send the event.
    Withheld,
}

const KEYS: usize = Key::Withheld as usize + 1;

impl Key {
    fn from_text(key: &str) -> Option<Self> {
        Some(match key {
            "eventId" => Self::EventId,
            "deviceSequence" => Self::DeviceSequence,
            "type" => Self::Type,
            "entityId" => Self::EntityId,
            "timestamp" => Self::Timestamp,
            "lastSeenEventId" => Self::LastSeenEventId,
            "payload" => Self::Payload,
            "withheld" => Self::Withheld,
            _ => return None,
        })
    }
}

/// The members of a scanned line by key.
pub(crate) struct EventMembers<'s, 'a> {
    scanned: &'s Scanned<'a>,
    first: [Option<&'s Member<'a>>; KEYS],
    /// Whether a later member of that key has another value.
    ambiguous: [bool; KEYS],
    unknown: Option<&'s str>,
}

impl<'s, 'a> EventMembers<'s, 'a> {
    pub(crate) fn of(scanned: &'s Scanned<'a>) -> Self {
        let mut members = Self { scanned, first: [None; KEYS], ambiguous: [false; KEYS], unknown: None };
        for member in &scanned.members {
            match Key::from_text(&member.key) {
                Some(key) => {
                    let first = *members.first[key as usize].get_or_insert(member);
                    members.ambiguous[key as usize] |= first.value != member.value;
                }
                None => members.unknown = members.unknown.or(Some(&member.key)),
            }
        }
        members
    }

    pub(crate) fn has(&self, key: Key) -> bool {
        self.first[key as usize].is_some()
    }

    /// The value of `key`, if all its occurrences agree.
    pub(crate) fn value(&self, key: Key) -> Option<&'a str> {
        self.first[key as usize].filter(|_| !self.ambiguous[key as usize]).map(|member| member.value)
    }

    /// The payload's members; none for an event without payload, `None` for one that is no object.
    pub(crate) fn payload(&self) -> Option<&'s [Member<'a>]> {
        self.first[Key::Payload as usize].map_or(Some(&[]), |member| self.scanned.inner(member))
    }

    /// The first key that an event does not have.
    pub(crate) fn unknown(&self) -> Option<&'s str> {
        self.unknown
    }
}

/// A UUID in one of its written forms.
pub(crate) fn read_event_id(value: &str) -> Option<EventId> {
    match plain_text(value).and_then(|text| Uuid::try_parse(text).ok()) {
        Some(id) => Some(EventId(id)),
        None => serde_json::from_str(value).ok(),
    }
}

/// A stamp, or milliseconds.
pub(crate) fn read_stamp(value: &str) -> Option<Stamp> {
    let plain = match plain_text(value) {
        Some(text) => Stamp::parse(text).ok(),
        None => plain_natural(value).and_then(|millis| Stamp::from_millis(millis as i64).ok()),
    };
    plain.or_else(|| serde_json::from_str(value).ok())
}

/// A text, unescaped.
pub(crate) fn read_text(value: &str) -> Option<Cow<'_, str>> {
    match plain_text(value) {
        Some(text) => Some(Cow::Borrowed(text)),
        None => serde_json::from_str::<String>(value).ok().map(Cow::Owned),
    }
}
