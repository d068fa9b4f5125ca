//! Why a token is refused: the sentence that its holder reads, which names no key material, and the metric's label.

use tidelog_events::code::Refusal;

use crate::problem::Problem;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenFault {
    #[error("it has more than {0} bytes")]
    TooLong(usize),
    #[error("it is no signed JWT, three parts of base64url with dots between")]
    Malformed,
    #[error("its header names extensions in `crit`, and none is taken here")]
    Critical,
    #[error("its `alg` is none of HS256, RS256, ES256 and EdDSA")]
    Algorithm,
    #[error("no key is configured for its `alg`")]
    NoKey,
    #[error("its `kid` names no key that is known here")]
    UnknownKey,
    #[error("the key that its `kid` names is not for its `alg`")]
    OtherAlgorithm,
    #[error("its signature is not by a key that is known here")]
    Signature,
    #[error("{0}")]
    Claims(String),
    #[error("it has expired")]
    Expired,
    #[error("it is not valid yet")]
    Early,
    #[error("it has no `exp`, which is required here")]
    Endless,
    #[error("its `aud` does not name this service")]
    Audience,
    #[error("its `iss` is not the issuer that is trusted here")]
    Issuer,
    #[error("the key of the token cannot be looked up just now")]
    KeysAway,
}

impl TokenFault {
    /// The label of the metric.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::TooLong(_) => "too-long",
            Self::Malformed | Self::Critical => "malformed",
            Self::Algorithm | Self::OtherAlgorithm => "algorithm",
            Self::NoKey | Self::UnknownKey => "unknown-key",
            Self::Signature => "signature",
            Self::Claims(_) => "claims",
            Self::Expired | Self::Endless => "expired",
            Self::Early => "early",
            Self::Audience => "audience",
            Self::Issuer => "issuer",
            Self::KeysAway => "keys-away",
        }
    }
}

impl From<TokenFault> for Problem {
    fn from(fault: TokenFault) -> Self {
        match fault {
            // Whether the token is valid is not known: 401 would make a device ask its user to sign in again.
            TokenFault::KeysAway => Self::new(Refusal::Overloaded, fault.to_string()),
            _ => Self::new(Refusal::Unauthorized, format!("the token is not valid: {fault}")),
        }
    }
}
