//! How sums, sets and lists stand in JSON.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::clock::Clock;
use super::field::Membership;
use super::scalar::Scalar;
use crate::limits::MAX_SAFE_INTEGER;

/// A number, or a text of digits where not every platform's JSON could keep it.
pub(super) fn sum_to_json(sum: i128) -> Value {
    match i64::try_from(sum) {
        Ok(small) if small.unsigned_abs() <= MAX_SAFE_INTEGER => Value::from(small),
        _ => Value::from(sum.to_string()),
    }
}

fn sum_from_json(json: &Value) -> Option<i128> {
    let sum = match json {
        Value::String(text) => text.parse().ok()?,
        other => other.as_i64()?.into(),
    };
    // One form only, since lines are hashed.
    (sum_to_json(sum) == *json).then_some(sum)
}

pub(super) fn write_sum<S: Serializer>(sum: &i128, serializer: S) -> Result<S::Ok, S::Error> {
    sum_to_json(*sum).serialize(serializer)
}

pub(super) fn read_sum<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i128, D::Error> {
    let json = Value::deserialize(deserializer)?;
    sum_from_json(&json).ok_or_else(|| D::Error::custom("not the form of a sum"))
}

/// The members of a set: `[[value, clock, present], …]`, ascending by value.
pub(super) fn write_members<S: Serializer>(
    members: &BTreeMap<Scalar, Membership>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(members.iter().map(|(value, member)| (value, &member.at, member.present)))
}

pub(super) fn read_members<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<Scalar, Membership>, D::Error> {
    let members = Vec::<(Scalar, Clock, bool)>::deserialize(deserializer)?;
    Ok(members.into_iter().map(|(value, at, present)| (value, Membership { at, present })).collect())
}

/// The elements of a list: `[[value, clock], …]`, ascending by clock.
pub(super) fn write_elements<S: Serializer>(
    elements: &BTreeMap<Clock, Scalar>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(elements.iter().map(|(at, value)| (value, at)))
}

pub(super) fn read_elements<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<Clock, Scalar>, D::Error> {
    let elements = Vec::<(Scalar, Clock)>::deserialize(deserializer)?;
    Ok(elements.into_iter().map(|(value, at)| (at, value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_has_one_form() {
        let check = |text: &str, expect: Option<i128>| {
            let json: Value = serde_json::from_str(text).unwrap();
            assert_eq!(sum_from_json(&json), expect, "{text}");
            if let Some(sum) = expect {
                assert_eq!(sum_to_json(sum).to_string(), text);
            }
        };
        check("0", Some(0));
        check("-3", Some(-3));
        check("9007199254740991", Some(9_007_199_254_740_991));
        check("\"9007199254740992\"", Some(9_007_199_254_740_992));
        check("\"-170141183460469231731687303715884105728\"", Some(i128::MIN));
        check("9007199254740992", None);
        check("\"3\"", None);
        check("\"+9007199254740992\"", None);
        check("1.5", None);
    }
}
