//! Pages of the admin API: where the next one begins is written as an opaque text, which says nothing that its reader
//! does not know already.

use data_encoding::BASE64URL_NOPAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tidelog_events::code::Refusal;
use tidelog_events::limits::MAX_SAFE_INTEGER;

use crate::problem::Problem;

/// Where the next page begins: what `T` says, as an opaque text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageCursor<T>(pub(crate) T);

impl<T: Serialize> Serialize for PageCursor<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json = serde_json::to_vec(&self.0).map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&BASE64URL_NOPAD.encode(&json))
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for PageCursor<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let invalid = || serde::de::Error::custom("`cursor` must be the `next` of the page before");
        let text = String::deserialize(deserializer)?;
        let json = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| invalid())?;
        serde_json::from_slice(&json).map(Self).map_err(|_| invalid())
    }
}

/// How many items a page has, at most: as many as the caller asks for, if that is not more than `most`.
pub(crate) fn page_limit(asked: Option<u64>, default: usize, most: usize) -> Result<usize, Problem> {
    match asked {
        None => Ok(default),
        Some(limit) if !(1..=MAX_SAFE_INTEGER).contains(&limit) => {
            let detail = format!("`limit` must be from 1 to {MAX_SAFE_INTEGER}");
            Err(Problem::new(Refusal::RequestInvalid, detail))
        }
        Some(limit) => Ok(usize::try_from(limit).unwrap_or(most).min(most)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is_one() {
        let cursor = PageCursor((7_u64, "ann".to_owned()));
        let text = serde_json::to_string(&cursor).unwrap();
        assert_eq!(serde_json::from_str::<PageCursor<(u64, String)>>(&text).unwrap(), cursor);
        for garbage in [r#""""#, r#""!""#, r#""e30""#, "7"] {
            assert!(serde_json::from_str::<PageCursor<(u64, String)>>(garbage).is_err(), "{garbage}");
        }
    }
}
