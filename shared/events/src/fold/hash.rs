//! The state hash: for each entity type a sum over its entity lines, so that folders compare their states and keep
//! the hash up entity by entity. Wrapping addition is commutative and has an inverse; nothing is ever read twice.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Hexadecimal digits of 128 bits.
const DIGITS: usize = 32;

/// For each entity type that has entities, the sum modulo 2¹²⁸ of the digests of their lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateHash(BTreeMap<Box<str>, u128>);

/// The first 16 bytes, big-endian, of the SHA-256 of an entity line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineDigest(u128);

impl LineDigest {
    /// The digest of an entity line, given without `\n`.
    pub fn of(line: &[u8]) -> Self {
        let digest = hmac_sha256::Hash::hash(line);
        Self(u128::from_be_bytes(std::array::from_fn(|index| digest[index])))
    }
}

impl StateHash {
    /// An entity's line is now `new` and was `old`; `None` for an entity that is new itself.
    pub fn replace(&mut self, entity_type: &str, old: Option<LineDigest>, new: LineDigest) {
        let change = new.0.wrapping_sub(old.map_or(0, |old| old.0));
        match self.0.get_mut(entity_type) {
            Some(sum) => *sum = sum.wrapping_add(change),
            None => {
                self.0.insert(entity_type.into(), change);
            }
        }
    }
}

impl Serialize for StateHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(entity_type, sum)| (entity_type, format!("{sum:032x}"))))
    }
}

impl<'de> Deserialize<'de> for StateHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = BTreeMap::<Box<str>, Box<str>>::deserialize(deserializer)?;
        let sum = |(entity_type, digits): (Box<str>, Box<str>)| {
            let sum = u128::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == DIGITS);
            sum.map(|sum| (entity_type, sum)).ok_or_else(|| D::Error::custom("a state hash has 32 digits"))
        };
        texts.into_iter().map(sum).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_digest_is_the_head_of_sha_256_and_a_hash_their_sum() {
        // FIPS 180-4: SHA-256 of "abc" begins with ba7816bf 8f01cfea 414140de 5dae2223.
        let (abc, empty) = (LineDigest::of(b"abc"), LineDigest::of(b""));
        let mut hash = StateHash::default();
        hash.replace("workout", None, abc);
        assert_eq!(json!(hash), json!({"workout": "ba7816bf8f01cfea414140de5dae2223"}));
        hash.replace("workout", Some(abc), empty);
        hash.replace("note", None, abc);
        // ... of nothing: e3b0c442 98fc1c14 9afbf4c8 996fb924.
        let expected = json!({"note": "ba7816bf8f01cfea414140de5dae2223", "workout": "e3b0c44298fc1c149afbf4c8996fb924"});
        assert_eq!(json!(hash), expected);
        assert_eq!(serde_json::from_value::<StateHash>(expected).unwrap(), hash);
        for damaged in ["", "0", "zz7816bf8f01cfea414140de5dae2223", "0ba7816bf8f01cfea414140de5dae2223"] {
            assert!(serde_json::from_value::<StateHash>(json!({"note": damaged})).is_err());
        }
    }
}
