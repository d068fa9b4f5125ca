//! Index keys: byte strings that order as the values of one field do, short enough for a database index.

use super::field::FieldState;
use super::scalar::Scalar;

/// Bytes of a key; longer texts are cut. Whoever finds something by a key looks at the value itself, too.
pub const MAX_KEY_BYTES: usize = 256;

const SIGN_64: u64 = 1 << 63;
const SIGN_128: u128 = 1 << 127;

/// The key of a value. Of two values of a field the lesser one has the lesser key, or the same where both are long
/// texts that begin alike.
pub fn key_of(value: &Scalar) -> Vec<u8> {
    match value {
        Scalar::Boolean(value) => vec![u8::from(*value)],
        Scalar::Number(number) => {
            // IEEE 754 doubles order as their bits do, once negative ones are turned round.
            let bits = number.get().to_bits();
            let ordered = if bits & SIGN_64 == 0 { bits | SIGN_64 } else { !bits };
            ordered.to_be_bytes().to_vec()
        }
        Scalar::Text(text) => text.as_bytes().iter().copied().take(MAX_KEY_BYTES).collect(),
    }
}

/// The key of a sum.
pub fn key_of_sum(sum: i128) -> Vec<u8> {
    ((sum as u128) ^ SIGN_128).to_be_bytes().to_vec()
}

impl FieldState {
    /// The keys under which an entity with this field is found: one, or those of a set's or list's elements.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        if let Self::Sum(sum) = self {
            return vec![key_of_sum(*sum)];
        }
        let mut keys: Vec<_> = self.values().map(key_of).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fold::Double;

    proptest! {
        #[test]
        fn keys_order_as_numbers_do(a: f64, b: f64) {
            if let (Some(a), Some(b)) = (Double::new(a), Double::new(b)) {
                prop_assert_eq!(key_of(&Scalar::Number(a)).cmp(&key_of(&Scalar::Number(b))), a.cmp(&b));
            }
        }

        #[test]
        fn keys_order_as_sums_do(a: i128, b: i128) {
            prop_assert_eq!(key_of_sum(a).cmp(&key_of_sum(b)), a.cmp(&b));
        }

        #[test]
        fn keys_order_as_texts_do(a: String, b: String) {
            prop_assert_eq!(key_of(&Scalar::Text(a.as_str().into())).cmp(&key_of(&Scalar::Text(b.as_str().into()))), a.cmp(&b));
        }
    }

    #[test]
    fn a_long_text_has_a_short_key_that_is_not_out_of_order() {
        let key = |text: &str| key_of(&Scalar::Text(text.into()));
        let (long, longer) = ("é".repeat(1000), "é".repeat(1001));
        assert_eq!(key(&long).len(), MAX_KEY_BYTES);
        assert!(key(&long) <= key(&longer) && key("e") < key(&long));
    }
}
