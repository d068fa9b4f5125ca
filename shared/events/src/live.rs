//! What is said on a live connection besides the log itself: text messages of one JSON object each. The log comes as a
//! pull's answer does, cut into messages: the hello, perhaps a snapshot, then segments, and more of them for ever.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::code::Refusal;
use crate::id::{DeviceId, Position, UserId};
use crate::protocol::PushAnswer;
use crate::report::DeviceReport;

/// The subprotocol of a live connection.
pub const LIVE_PROTOCOL: &str = "tidelog.v1";

/// Bytes of the state of a presence, as JSON.
pub const MAX_PRESENCE_BYTES: usize = 4096;

/// What the gateway says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum LiveNotice {
    /// What became of a push over this connection.
    Receipt(LiveReceipt),
    /// Somebody is here, or is here no more.
    Presence(Presence),
    /// The connection is about to be closed, and why. The close frame that follows has the same code.
    Closing(LiveClosing),
}

/// What a device says, besides its batches.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum LiveCall {
    /// It has stored everything through a position.
    Cursor(CursorCall),
    /// It is here. Others with a live connection to the space are told; nothing of it is logged.
    Presence(PresenceCall),
}

/// See [`LiveCall::Cursor`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CursorCall {
    /// The position.
    pub position: Position,
    /// How the device stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<DeviceReport>,
}

/// See [`LiveCall::Presence`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PresenceCall {
    /// Whatever the app wants to show, at most 4096 bytes of JSON; null: no more here.
    pub state: Value,
}

/// What became of a push over a live connection: what `POST …/events` would have answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LiveReceipt {
    /// Which push: the pushes of a connection count 1, 2, 3 … in the order in which they were sent.
    pub push: u64,
    /// The HTTP status: 200 committed, 202 durable in the broker only, or that of the refusal.
    pub status: u16,
    /// With 200 and 202.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<PushAnswer>,
    /// With a refusal: the problem document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub problem: Option<Value>,
}

/// Who is here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Presence {
    /// Which live connection: one device may have several, one after the other.
    pub connection: String,
    /// Whose.
    pub user_id: UserId,
    /// From which device, where it says so.
    pub device_id: Option<DeviceId>,
    /// What the app shows; null: no more here.
    pub state: Value,
}

/// Why a live connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub enum CloseReason {
    /// 1001: the gateway stops. Connect again, to another one.
    #[serde(rename = "going-away")]
    GoingAway,
    /// 1009: a message has more bytes than the gateway takes.
    #[serde(rename = "message-too-large")]
    TooLarge,
    /// 4408: messages were taken too slowly, or the other end was silent for too long. Connect again behind the cursor.
    #[serde(rename = "slow-reader")]
    SlowReader,
    /// 4409: the log was replaced, as after a restore of the database. Connect again: the hello tells the new epoch.
    #[serde(rename = "log-replaced")]
    LogReplaced,
    /// 4000 + the status of the refusal: `unauthorized` (4401) when the token has expired, and the like.
    #[serde(untagged)]
    Refused(Refusal),
}

impl CloseReason {
    /// The close frame's code.
    pub fn close_code(self) -> u16 {
        match self {
            Self::GoingAway => 1001,
            Self::TooLarge => 1009,
            Self::SlowReader => 4408,
            Self::LogReplaced => 4409,
            Self::Refused(refusal) => 4000 + refusal.status(),
        }
    }

    /// The reason as it stands in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GoingAway => "going-away",
            Self::TooLarge => "message-too-large",
            Self::SlowReader => "slow-reader",
            Self::LogReplaced => "log-replaced",
            Self::Refused(refusal) => refusal.as_str(),
        }
    }
}

/// See [`LiveNotice::Closing`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LiveClosing {
    /// Why.
    pub code: CloseReason,
    /// The last position that was sent: where to go on.
    pub cursor: Position,
    /// Why, for people.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_said_is_as_documented_and_read_back() {
        let closing = LiveClosing {
            code: CloseReason::Refused(Refusal::Unauthorized),
            cursor: Position(7),
            detail: "the token has expired".to_owned(),
        };
        let cases = [
            (
                LiveNotice::Closing(closing),
                json!({"closing": {"code": "unauthorized", "cursor": 7, "detail": "the token has expired"}}),
            ),
            (
                LiveNotice::Closing(LiveClosing {
                    code: CloseReason::SlowReader,
                    cursor: Position(7),
                    detail: String::new(),
                }),
                json!({"closing": {"code": "slow-reader", "cursor": 7, "detail": ""}}),
            ),
            (
                LiveNotice::Receipt(LiveReceipt {
                    push: 2,
                    status: 409,
                    answer: None,
                    problem: Some(json!({"code": "sequence-gap"})),
                }),
                json!({"receipt": {"push": 2, "status": 409, "problem": {"code": "sequence-gap"}}}),
            ),
        ];
        for (notice, text) in cases {
            assert_eq!(serde_json::to_value(&notice).unwrap(), text);
            assert_eq!(serde_json::from_value::<LiveNotice>(text).unwrap(), notice);
        }
        let call: LiveCall = serde_json::from_value(json!({"cursor": {"position": 9}})).unwrap();
        assert_eq!(call, LiveCall::Cursor(CursorCall { position: Position(9), report: None }));
        assert!(serde_json::from_value::<LiveCall>(json!({"cursor": {"position": 9, "x": 1}})).is_err());
    }

    #[test]
    fn close_codes_are_as_documented() {
        assert_eq!(CloseReason::GoingAway.close_code(), 1001);
        assert_eq!(CloseReason::Refused(Refusal::Unauthorized).close_code(), 4401);
        assert_eq!(CloseReason::Refused(Refusal::SpaceErased).close_code(), 4410);
    }
}
