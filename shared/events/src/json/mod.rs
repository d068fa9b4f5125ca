//! JSON as the log takes it: a strict scan that finds what some platform would read differently, and the
//! canonical form that all platforms write alike.

mod compact;
mod lexer;
mod plain;
mod scan;

pub use compact::single_line;
pub use lexer::{Finding, JsonError};
pub(crate) use plain::{plain_elements, plain_natural, plain_number, plain_text, plain_whole};
pub use scan::{Member, Scanned, scan_object};

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};

use crate::limits::MAX_SAFE_INTEGER;

/// The canonical form of RFC 8785 (JCS): keys in UTF-16 order, numbers as ECMAScript writes them, no
/// white space. No Unicode normalisation.
///
/// # Errors
/// When the value cannot be JSON: a map with keys that are no text, a number that is not finite.
pub fn canonical<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    serde_json_canonicalizer::to_vec(value)
}

/// The same of a value whose objects have their keys in canonical order already, at a tenth of the cost.
pub(crate) fn canonical_ordered<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = Vec::with_capacity(1024);
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut json, CanonicalNumbers))?;
    Ok(json)
}

/// serde_json's compact form with the numbers of ECMAScript, to which those beyond ±(2⁵³ − 1) are doubles, too.
/// The order of keys is the caller's.
struct CanonicalNumbers;

impl Formatter for CanonicalNumbers {
    fn write_i64<W: Write + ?Sized>(&mut self, writer: &mut W, value: i64) -> io::Result<()> {
        if value.unsigned_abs() <= MAX_SAFE_INTEGER {
            CompactFormatter.write_i64(writer, value)
        } else {
            self.write_f64(writer, value as f64)
        }
    }

    fn write_u64<W: Write + ?Sized>(&mut self, writer: &mut W, value: u64) -> io::Result<()> {
        if value <= MAX_SAFE_INTEGER {
            CompactFormatter.write_u64(writer, value)
        } else {
            self.write_f64(writer, value as f64)
        }
    }

    fn write_f64<W: Write + ?Sized>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(&canonical(&value)?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    proptest! {
        #[test]
        fn what_is_in_order_is_written_as_in_any_order(
            text: String, double: f64, whole: i64, small: i32, natural: u64,
            keys in prop::collection::btree_map("[a-zA-Z0-9_]{0,3}", any::<char>(), 0..8),
        ) {
            let keys: Value = keys.into_iter().map(|(key, text)| (key, text.to_string())).collect();
            let numbers = json!([double, 0.1, 1e-6, 1e-7, 1e20, 1e21, whole, small, natural]);
            let value = json!([text, numbers, true, null, [], keys]);
            prop_assert_eq!(canonical_ordered(&value).unwrap(), canonical(&value).unwrap());
        }
    }

    #[test]
    fn canonical_json_is_rfc_8785() {
        // From the examples of RFC 8785, sections 3.2.2 and 3.2.3.
        let check = |input: &str, expect: &str| {
            let value: serde_json::Value = serde_json::from_str(input).unwrap();
            assert_eq!(String::from_utf8(canonical(&value).unwrap()).unwrap(), expect);
        };
        check(
            r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001]}"#,
            r#"{"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27]}"#,
        );
        check(
            r#"{"\u20ac":"Euro","\r":"CR","1":"One","\ud83d\ude00":"Smiley","\u0080":"Control","\ufb33":"Dalet"}"#,
            "{\"\\r\":\"CR\",\"1\":\"One\",\"\u{80}\":\"Control\",\"\u{20ac}\":\"Euro\",\"\u{1f600}\":\"Smiley\",\"\u{fb33}\":\"Dalet\"}",
        );
        check(r#"{"b":[ -0, 1.0 ],"a":"\u000f\/"}"#, r#"{"a":"\u000f/","b":[0,1]}"#);
    }
}
