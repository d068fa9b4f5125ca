//! JSON as the log takes it: a strict scan that finds what some platform would read differently, and the
//! canonical form that all platforms write alike.

mod compact;
mod scan;

pub use compact::single_line;
pub use scan::{Finding, JsonError, Member, Scanned, scan_object};

use serde::Serialize;

/// The canonical form of RFC 8785 (JCS): keys in UTF-16 order, numbers as ECMAScript writes them, no
/// white space. No Unicode normalisation.
///
/// # Errors
/// When the value cannot be JSON: a map with keys that are no text, a number that is not finite.
pub fn canonical<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    serde_json_canonicalizer::to_vec(value)
}

#[cfg(test)]
mod tests {
    use super::*;

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
