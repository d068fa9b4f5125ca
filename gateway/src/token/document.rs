//! A document of keys: a JWK Set (RFC 7517, section 5).

use serde::Deserialize;
use serde_json::Value;

use super::key::{Jwk, Key, LeftOut, Origin};

/// Keys of one document. A token that names no key is tried with each of its algorithm.
pub(super) const KEYS_MAX: usize = 64;

/// Why a document is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DocumentError {
    #[error("it is no JWK Set: JSON with a list `keys`")]
    NoSet,
    #[error("it has {0} keys, more than {KEYS_MAX}")]
    TooMany(usize),
    #[error("none of its keys can be used; the first: {0}")]
    NoneUsable(LeftOut),
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Value>,
}

/// What a document holds.
pub(super) struct Document {
    /// The keys that can be used.
    pub(super) keys: Vec<Key>,
    /// For each other one its `kid`, and why it is left out.
    left_out: Vec<(Option<String>, LeftOut)>,
}

/// A set that is empty on purpose is a document, too: nobody's token is valid then.
pub(super) fn parse(text: &[u8], origin: Origin) -> Result<Document, DocumentError> {
    let set: JwkSet = serde_json::from_slice(text).map_err(|_| DocumentError::NoSet)?;
    if set.keys.len() > KEYS_MAX {
        return Err(DocumentError::TooMany(set.keys.len()));
    }
    let (mut keys, mut left_out) = (Vec::new(), Vec::new());
    for value in set.keys {
        let Ok(jwk) = serde_json::from_value::<Jwk>(value) else {
            left_out.push((None, LeftOut::NoKey));
            continue;
        };
        match Key::from_jwk(&jwk, origin) {
            Ok(key) => keys.push(key),
            Err(why) => left_out.push((jwk.kid, why)),
        }
    }
    match left_out.first() {
        Some((_, why)) if keys.is_empty() => Err(DocumentError::NoneUsable(*why)),
        _ => Ok(Document { keys, left_out }),
    }
}

/// The keys of a document that can be used; the others are named in the log.
pub(super) fn read(text: &[u8], origin: Origin, place: &str) -> Result<Vec<Key>, DocumentError> {
    let Document { keys, left_out } = parse(text, origin)?;
    for (kid, why) in left_out {
        tracing::warn!(place, kid, %why, "a key for tokens is left out");
    }
    tracing::info!(place, keys = keys.len(), "keys for tokens in use");
    Ok(keys)
}
