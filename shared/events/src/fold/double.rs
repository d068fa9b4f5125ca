//! A finite double with one zero: totally ordered, and equal only to itself.

use std::cmp::Ordering;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::limits::MAX_SAFE_INTEGER;

/// An IEEE 754 double that is finite and never `-0`.
#[derive(Debug, Clone, Copy)]
pub struct Double(f64);

impl Double {
    /// `None` for an infinity or NaN; `-0` becomes `0`.
    pub fn new(number: f64) -> Option<Self> {
        // Adding zero takes the sign off a zero and leaves every other number.
        number.is_finite().then_some(Self(number + 0.0))
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }

    /// The number as a whole one, if it is one within ±(2⁵³ − 1).
    pub fn whole(self) -> Option<i64> {
        (self.0.fract() == 0.0 && self.0.abs() <= MAX_SAFE_INTEGER as f64).then_some(self.0 as i64)
    }

    /// The number in JSON; a whole one without a fraction.
    pub fn to_json(self) -> Value {
        self.whole().map_or_else(|| Value::from(self.0), Value::from)
    }
}

impl Ord for Double {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Double {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Double {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Double {}

impl Serialize for Double {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.whole() {
            Some(whole) => serializer.serialize_i64(whole),
            None => serializer.serialize_f64(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(deserializer)?;
        Self::new(number).ok_or_else(|| serde::de::Error::custom("a number must be finite"))
    }
}
