//! Every code that a user can meet. Each has a page in `docs/errors/`, which a test holds against this file.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Defines an enum of codes with their text, in one place. The text is a token tree, which other macros can read.
macro_rules! codes {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:tt,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// Every code, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Every code's text, in the same order.
            pub const TEXTS: &'static [&'static str] = &[$($text,)*];

            /// The code's text, as it stands in answers.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// The code of that text.
            pub fn from_text(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

pub(crate) use codes;

codes!(
    /// Why a request was refused: nothing of it was stored and nothing consumed.
    Refusal {
        /// 400: an unreadable frame, line or numbering.
        BatchMalformed = "batch-malformed",
        /// 400: a parameter or header of the request is not understood.
        RequestInvalid = "request-invalid",
        /// 401: no token, or one that is not valid.
        Unauthorized = "unauthorized",
        /// 403: the token does not allow this.
        Forbidden = "forbidden",
        /// 403: the device was revoked; it may push and pull no more.
        DeviceRevoked = "device-revoked",
        /// 404: no such thing.
        NotFound = "not-found",
        /// 405: the path exists, the method does not.
        MethodNotAllowed = "method-not-allowed",
        /// 406: none of the media types that the caller accepts can be produced.
        NotAcceptable = "not-acceptable",
        /// 408: the body did not arrive in time.
        RequestTimeout = "request-timeout",
        /// 409: the batch begins later than the device's next sequence.
        SequenceGap = "sequence-gap",
        /// 409: the sequences are taken by other events: a cloned or restored device.
        DeviceForked = "device-forked",
        /// 409: the schema in force does not accept the quarantined event, so it cannot be released.
        EventNotReleasable = "event-not-releasable",
        /// 410: the space was erased.
        SpaceErased = "space-erased",
        /// 413: the body, a line, the frame, or the number of events is over its limit.
        BodyTooLarge = "body-too-large",
        /// 415: a media type or content encoding that is not taken here.
        UnsupportedMediaType = "unsupported-media-type",
        /// 422: a stamp lies too far in the future.
        ClockAhead = "clock-ahead",
        /// 422: what was asked for is more than one answer may hold.
        ResultTooLarge = "result-too-large",
        /// 426: the installation no longer serves this version of the app.
        ClientTooOld = "client-too-old",
        /// 429: too many requests.
        RateLimited = "rate-limited",
        /// 500: a defect of the service; the cause is in its log.
        Internal = "internal",
        /// 503: the service has no room just now.
        Overloaded = "overloaded",
        /// 504: what was read is not yet folded through the position that the caller asked for.
        ProjectionBehind = "projection-behind",
    }
);

impl Refusal {
    /// The code as words.
    pub fn title(self) -> String {
        self.as_str().replace('-', " ")
    }

    /// The HTTP status that goes with the code.
    pub fn status(self) -> u16 {
        match self {
            Self::BatchMalformed | Self::RequestInvalid => 400,
            Self::Unauthorized => 401,
            Self::Forbidden | Self::DeviceRevoked => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::NotAcceptable => 406,
            Self::RequestTimeout => 408,
            Self::SequenceGap | Self::DeviceForked | Self::EventNotReleasable => 409,
            Self::SpaceErased => 410,
            Self::BodyTooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::ClockAhead | Self::ResultTooLarge => 422,
            Self::ClientTooOld => 426,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::Overloaded => 503,
            Self::ProjectionBehind => 504,
        }
    }
}

codes!(
    /// Why an event went to quarantine: it is kept, with its reason, and can be released.
    Fault {
        /// A top-level key, or a key of the payload, that is not declared.
        UnknownKey = "event-unknown-key",
        /// A type that the schema does not declare.
        UnknownType = "event-unknown-type",
        /// A payload that its type's fields do not allow.
        PayloadInvalid = "event-payload-invalid",
        /// `entityId`, `lastSeenEventId`, `type` or `payload` is missing or has the wrong form.
        FieldInvalid = "event-field-invalid",
        /// `timestamp` is missing or is no stamp.
        StampInvalid = "event-stamp-invalid",
        /// A key twice in one object.
        DuplicateKey = "event-duplicate-key",
        /// A number that not every platform keeps: beyond ±(2⁵³−1) as an integer, or not finite.
        NumberOutOfRange = "event-number-out-of-range",
        /// U+0000 or a lone surrogate in a text.
        TextInvalid = "event-text-invalid",
        /// Objects and arrays nested deeper than 32 levels.
        TooDeep = "event-too-deep",
        /// The device could not send the event and sent this notice in its place.
        Withheld = "event-withheld",
        /// The database refused the event's batch; the service's log has the cause.
        Poison = "event-poison",
    }
);

impl Fault {
    /// Whether a later schema version may accept the event as it is.
    pub fn depends_on_schema(self) -> bool {
        matches!(self, Self::UnknownKey | Self::UnknownType | Self::PayloadInvalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_and_its_text_name_each_other() {
        for &refusal in Refusal::ALL {
            assert_eq!(Refusal::from_text(refusal.as_str()), Some(refusal));
        }
        for &fault in Fault::ALL {
            assert_eq!(Fault::from_text(fault.as_str()), Some(fault));
            assert_eq!(serde_json::to_value(fault).unwrap(), fault.as_str());
        }
    }
}
