//! The line of an own event: how it is written, and written again under another stamp or number.

use tidelog_events::event::Event;
use tidelog_events::id::Sequence;
use tidelog_events::stamp::Stamp;

use super::StoreError;

/// Writes an event's line, without `\n`.
pub(super) fn write(event: &Event<'_>) -> Result<String, StoreError> {
    serde_json::to_string(event).map_err(|error| StoreError::Damaged(error.to_string()))
}

/// Reads a line that this store or the log holds.
pub(super) fn read(line: &str) -> Result<Event<'_>, StoreError> {
    serde_json::from_str(line).map_err(|error| StoreError::Damaged(format!("an event's line: {error}")))
}

/// The same event under another stamp.
pub(super) fn stamped(line: &str, timestamp: Stamp) -> Result<String, StoreError> {
    write(&Event { timestamp, ..read(line)? })
}

/// The same event under another number.
pub(super) fn numbered(line: &str, sequence: Sequence) -> Result<String, StoreError> {
    write(&Event { device_sequence: Some(sequence), ..read(line)? })
}
