//! A single value of a field: what is compared, kept and written. Integers and stamps need no kind of their own: whole
//! numbers within ±(2⁵³ − 1) are doubles, and stamps order as their text does.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::double::Double;
use crate::json::{plain_number, plain_text, plain_whole};
use crate::limits::MAX_SAFE_INTEGER;
use crate::schema::FieldType;
use crate::stamp::Stamp;

/// A value of a field, or an element of a set or list. The values of one field are all of one kind; they order as
/// `docs/formats.md` says, texts by their bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(untagged)]
pub enum Scalar {
    /// `boolean`; false first.
    Boolean(bool),
    /// `integer` or `number`.
    Number(Double),
    /// `string`, or `stamp` in its own form of 29 bytes.
    Text(Box<str>),
}

impl Scalar {
    /// The value that `json` is for a field of that type; `None` if it is none.
    pub fn read(field_type: FieldType, json: &Value) -> Option<Self> {
        match field_type {
            FieldType::String => json.as_str().map(|text| Self::Text(text.into())),
            FieldType::Integer => whole(json).map(Self::Number),
            FieldType::Number => json.as_f64().and_then(Double::new).map(Self::Number),
            FieldType::Boolean => json.as_bool().map(Self::Boolean),
            FieldType::Stamp => Stamp::parse(json.as_str()?).ok().map(Self::from),
        }
    }

    /// The same from the text of a JSON value. serde_json reads what is not plain.
    pub(super) fn read_text(field_type: FieldType, value: &str) -> Option<Self> {
        let plain = match field_type {
            FieldType::String => plain_text(value).map(|text| Self::Text(text.into())),
            FieldType::Integer => plain_whole(value).and_then(|n| Double::new(n as f64)).map(Self::Number),
            FieldType::Number => plain_number(value).and_then(Double::new).map(Self::Number),
            FieldType::Boolean => None,
            FieldType::Stamp => plain_text(value).and_then(|text| Stamp::parse(text).ok()).map(Self::from),
        };
        plain.or_else(|| Self::read(field_type, &serde_json::from_str(value).ok()?))
    }

    /// The value in JSON.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Boolean(value) => Value::from(*value),
            Self::Number(number) => number.to_json(),
            Self::Text(text) => Value::from(text.as_ref()),
        }
    }
}

impl From<Stamp> for Scalar {
    fn from(stamp: Stamp) -> Self {
        Self::Text(stamp.to_string().into())
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a boolean, a number or a text")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Scalar, E> {
        Ok(Scalar::Boolean(value))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Scalar, E> {
        self.visit_f64(number as f64)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar, E> {
        self.visit_f64(number as f64)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Scalar, E> {
        Double::new(number).map(Scalar::Number).ok_or_else(|| E::custom("a number must be finite"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(text.into()))
    }
}

/// A whole number within ±(2⁵³ − 1), however it is written: `1`, `1.0` and `1e0` are the same.
fn whole(json: &Value) -> Option<Double> {
    let number = json.as_f64()?;
    // Integers beyond 2⁵³ round to doubles that are beyond it, too.
    let is_whole = number.fract() == 0.0 && number.abs() <= MAX_SAFE_INTEGER as f64;
    Double::new(number).filter(|_| is_whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_by_its_type_and_written_in_one_form() {
        let check = |field_type: FieldType, json: &str, expect: Option<&str>| {
            let json: Value = serde_json::from_str(json).unwrap();
            let written = Scalar::read(field_type, &json).map(|scalar| {
                assert_eq!(
                    serde_json::from_value::<Scalar>(scalar.to_json()).unwrap(),
                    scalar,
                    "{json} is read back"
                );
                String::from_utf8(crate::json::canonical(&scalar.to_json()).unwrap()).unwrap()
            });
            assert_eq!(written.as_deref(), expect, "{field_type} {json}");
        };
        check(FieldType::Integer, "1", Some("1"));
        check(FieldType::Integer, "1.0", Some("1"));
        check(FieldType::Integer, "1e3", Some("1000"));
        check(FieldType::Integer, "-0", Some("0"));
        check(FieldType::Integer, "-0.0", Some("0"));
        check(FieldType::Integer, "1.5", None);
        check(FieldType::Integer, "9007199254740991", Some("9007199254740991"));
        check(FieldType::Integer, "-9007199254740991", Some("-9007199254740991"));
        check(FieldType::Integer, "9007199254740992", None);
        check(FieldType::Integer, "9007199254740993", None);
        check(FieldType::Integer, "18446744073709551616", None);
        check(FieldType::Integer, "\"1\"", None);
        check(FieldType::Number, "1.0", Some("1"));
        check(FieldType::Number, "-0.0", Some("0"));
        check(FieldType::Number, "333333333.33333329", Some("333333333.3333333"));
        check(FieldType::Number, "9007199254740993", Some("9007199254740992"));
        check(FieldType::Number, "1e21", Some("1e+21"));
        check(FieldType::Number, "5e-324", Some("5e-324"));
        // A reader that is not exact takes the double beside it.
        check(FieldType::Number, "2.2250738585072011e-308", Some("2.225073858507201e-308"));
        check(FieldType::Number, "null", None);
        check(FieldType::Boolean, "true", Some("true"));
        check(FieldType::Boolean, "1", None);
        check(FieldType::String, "\"é\"", Some("\"é\""));
        check(FieldType::Stamp, "\"2025-08-06T10:30:00Z\"", Some("\"2025-08-06T10:30:00.000Z-0000\""));
        check(FieldType::Stamp, "\"2025-08-06\"", None);
        check(FieldType::Stamp, "1754476200000", None);
    }

    #[test]
    fn values_order_by_number_by_bytes_and_false_first() {
        let number = |value: f64| Scalar::Number(Double::new(value).unwrap());
        let text = |value: &str| Scalar::Text(value.into());
        assert!(number(-1.5) < number(-1.0) && number(-1.0) < number(0.0) && number(9.0) < number(10.0));
        assert_eq!(number(-0.0), number(0.0));
        // U+FF5E comes before U+1F600 as bytes and code points, but behind it as UTF-16.
        assert!(text("a") < text("aa") && text("Z") < text("a") && text("\u{ff5e}") < text("\u{1f600}"));
        assert!(Scalar::Boolean(false) < Scalar::Boolean(true));
    }
}
