//! Which keys may have signed a token, and whether one did.

use super::fault::TokenFault;
use super::key::Key;
use super::unverified::Unverified;

/// What the known keys say of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// One of them signed it.
    Signed,
    /// The key that it names did not sign it; or it names none, and none of its algorithm did.
    Forged,
    /// It names a key of another algorithm.
    OtherAlgorithm,
    /// It names a key that is not there, and those without a name did not sign it.
    UnknownKey,
    /// There is no key of its algorithm.
    NoKey,
}

impl Verdict {
    pub(super) fn into_result(self) -> Result<(), TokenFault> {
        match self {
            Self::Signed => Ok(()),
            Self::Forged => Err(TokenFault::Signature),
            Self::OtherAlgorithm => Err(TokenFault::OtherAlgorithm),
            Self::UnknownKey => Err(TokenFault::UnknownKey),
            Self::NoKey => Err(TokenFault::NoKey),
        }
    }
}

/// A key verifies tokens of its own algorithm only. A token that names a key (`kid`) is tried with the keys of that name,
/// and with those that have none, as a secret; a token that names none with all.
pub(super) fn judge<'a>(token: &Unverified<'_>, keys: impl Iterator<Item = &'a Key>) -> Verdict {
    let (mut named, mut tried, mut tried_named) = (false, false, false);
    for key in keys {
        let same_name = token.kid.is_some() && key.kid == token.kid;
        named |= same_name;
        let may_have_signed = same_name || key.kid.is_none() || token.kid.is_none();
        if !may_have_signed || key.algorithm != token.algorithm {
            continue;
        }
        if key.signed(token) {
            return Verdict::Signed;
        }
        tried = true;
        tried_named |= same_name;
    }
    match (&token.kid, tried) {
        (None, true) => Verdict::Forged,
        (None, false) => Verdict::NoKey,
        (Some(_), _) if tried_named => Verdict::Forged,
        (Some(_), _) if named => Verdict::OtherAlgorithm,
        (Some(_), _) => Verdict::UnknownKey,
    }
}
