//! What people have the log's keepers do besides pushing: a command travels through PUSH to ingest as a batch does, in
//! the header `Tidelog-Command` of a message without payload. Commands may come twice, late, and again when a database
//! was restored: each is idempotent, and an older one never undoes a newer one.

use serde::{Deserialize, Serialize};

use crate::id::{DeviceId, Sequence, SpaceId, UserId, slot_of};
use crate::protocol::UtcTime;

/// Characters of a device's name.
pub const MAX_NAME_CHARS: usize = 100;

/// A command between gateway and ingest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CommandMessage {
    /// What to do.
    pub command: Command,
    /// Where the receipt goes.
    pub reply_to: String,
    /// The gateway's number for the command.
    pub push_id: u64,
}

impl CommandMessage {
    /// The name of the message header that carries this.
    pub const NAME: &str = "Tidelog-Command";
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Command {
    /// Append a quarantined event to the log, if the schema in force accepts it.
    ReleaseQuarantined(ReleaseQuarantined),
    /// Hide a quarantined event from those who look for what is still to be dealt with, or show it again.
    DismissQuarantined(DismissQuarantined),
    /// The same for a message that is kept whole.
    DismissMessage(DismissMessage),
    /// Name a device, revoke it, or restore it.
    SetDeviceProfile(SetDeviceProfile),
}

impl Command {
    /// The slot that carries the command.
    pub fn slot(&self) -> u16 {
        match self {
            Self::ReleaseQuarantined(command) => command.space.slot(),
            Self::DismissQuarantined(command) => command.space.slot(),
            Self::DismissMessage(command) => slot_of(&command.space),
            Self::SetDeviceProfile(command) => command.space.slot(),
        }
    }
}

/// See [`Command::ReleaseQuarantined`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseQuarantined {
    /// The event's space.
    pub space: SpaceId,
    /// Its device.
    pub device_id: DeviceId,
    /// Its sequence.
    pub device_sequence: Sequence,
    /// Who wants it.
    pub by: UserId,
}

/// See [`Command::DismissQuarantined`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DismissQuarantined {
    /// The event's space.
    pub space: SpaceId,
    /// Its device.
    pub device_id: DeviceId,
    /// Its sequence.
    pub device_sequence: Sequence,
    /// False: show it again.
    pub dismissed: bool,
    /// Who wants it.
    pub by: UserId,
    /// When they did.
    pub at: UtcTime,
}

/// See [`Command::DismissMessage`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DismissMessage {
    /// The space that the message named; it may be empty, or no valid id.
    pub space: String,
    /// The message's SHA-256, as hexadecimal digits.
    pub digest: String,
    /// False: show it again.
    pub dismissed: bool,
    /// Who wants it.
    pub by: UserId,
    /// When they did.
    pub at: UtcTime,
}

/// See [`Command::SetDeviceProfile`]. Name and revocation each follow their latest command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetDeviceProfile {
    /// The personal space of the device's user.
    pub space: SpaceId,
    /// The device.
    pub device_id: DeviceId,
    /// Its new name, of at most [`MAX_NAME_CHARS`] characters; absent: as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it is revoked; absent: as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<bool>,
    /// Who wants it.
    pub by: UserId,
    /// When they did.
    pub at: UtcTime,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_command_is_as_documented_and_read_back() {
        let command = Command::SetDeviceProfile(SetDeviceProfile {
            space: SpaceId::new("user-1").unwrap(),
            device_id: DeviceId::new("phone-1").unwrap(),
            name: Some("Annas Handy".to_owned()),
            revoked: None,
            by: UserId::new("user-1").unwrap(),
            at: UtcTime(0),
        });
        let message = CommandMessage { command, reply_to: "tidelog.receipts.g".to_owned(), push_id: 7 };
        let text = json!({
            "command": {
                "kind": "setDeviceProfile", "space": "user-1", "deviceId": "phone-1", "name": "Annas Handy",
                "by": "user-1", "at": "1970-01-01T00:00:00.000Z",
            },
            "replyTo": "tidelog.receipts.g",
            "pushId": 7,
        });
        assert_eq!(serde_json::to_value(&message).unwrap(), text);
        assert_eq!(serde_json::from_value::<CommandMessage>(text).unwrap(), message);
        assert_eq!(message.command.slot(), 1000);
    }

    #[test]
    fn a_message_that_named_no_space_has_a_slot() {
        let command = DismissMessage {
            space: String::new(),
            digest: "00".to_owned(),
            dismissed: true,
            by: UserId::new("support").unwrap(),
            at: UtcTime(0),
        };
        assert!(Command::DismissMessage(command).slot() < 1024);
    }
}
