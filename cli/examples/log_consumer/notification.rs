//! Which events are worth a notification, and to whom: the part that is yours.

use std::fmt;

use tidelog_events::protocol::UtcTime;

use super::follower::LoggedEvent;

/// What a phone would show.
#[derive(Debug, PartialEq, Eq)]
pub struct Notification {
    /// The same for the same event: given to the push service (`apns-collapse-id`, FCM's `collapse_key`), a notification
    /// that is sent twice shows once.
    pub id: String,
    /// Whose log it is; everybody with a token for it but the author is to be told.
    pub space: String,
    /// Who is not to be told.
    pub author: String,
    /// Where it was recorded: the author's other devices may be told.
    pub device: String,
    /// When the server took the event: a sender leaves out what is long past.
    pub received_at: UtcTime,
    /// The words.
    pub text: String,
}

/// The notification of an event; `None` for one that nobody needs to hear of.
pub fn notification(event: &LoggedEvent) -> Option<Notification> {
    let what = event.event["type"].as_str()?;
    let text = match what {
        "WORKOUT_COMPLETED" => format!("{} completed a workout", event.author),
        _ => return None,
    };
    Some(Notification {
        id: format!("{}/{}", event.space, event.position),
        space: event.space.to_string(),
        author: event.author.to_string(),
        device: event.device.to_string(),
        received_at: event.received_at,
        text,
    })
}

impl fmt::Display for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: to all of {} but {}: {}", self.id, self.space, self.author, self.text)
    }
}
