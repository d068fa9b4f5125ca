//! The scan against serde_json, which it must agree with about what an object is and what stands in it, and which
//! here finds the ambiguities once more.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use tidelog_events::code::Fault;
use tidelog_events::json::{Scanned, canonical, scan_object, single_line};
use tidelog_events::limits::{MAX_NESTING, MAX_SAFE_INTEGER};

/// The scan and serde_json accept and refuse the same lines, apart from what the scan finds and serde_json refuses.
pub fn agrees_with_serde(line: &str) {
    let read: Option<Ambiguities> = serde_json::from_str(line).ok();
    let object = read.filter(|_| line.trim_start().starts_with('{'));
    match (scan_object(line), object) {
        (Err(_), Some(_)) => panic!("serde_json reads an object that the scan refuses"),
        (Err(_), None) => {}
        (Ok(scanned), None) => {
            assert!(scanned.finding.is_some(), "serde_json refuses what the scan finds good")
        }
        (Ok(scanned), Some(object)) => {
            match &scanned.finding {
                Some(finding) if finding.fault == Fault::NumberOutOfRange => assert!(object.far_number),
                Some(finding) => assert!(object.faults.contains(&finding.fault), "{}", finding.detail),
                None => assert_eq!(object.faults, BTreeSet::new(), "the scan finds every ambiguity"),
            }
            has_its_members(line, &scanned);
        }
    }
}

/// Every member stands where the scan says, and an object without ambiguity has one canonical form.
fn has_its_members(line: &str, scanned: &Scanned<'_>) {
    let object: Value = serde_json::from_str(line).expect("read before");
    for member in &scanned.members {
        let value: Value = serde_json::from_str(member.value).expect("a member's text is JSON");
        let alone = scanned.members.iter().filter(|other| other.key == member.key).count() == 1;
        assert!(!alone || object[member.key.as_ref()] == value, "{}", member.key);
    }
    let keys: BTreeSet<&str> = scanned.members.iter().map(|member| member.key.as_ref()).collect();
    assert!(keys.into_iter().eq(object.as_object().expect("an object").keys().map(String::as_str)));
    let form = canonical(&object).expect("JSON");
    let again: Value = serde_json::from_slice(&form).expect("the canonical form is JSON");
    assert_eq!(canonical(&again).expect("JSON"), form, "there is one canonical form");
}

/// A document of several lines says the same on one.
pub fn on_one_line(json: &str) {
    let Ok(value) = serde_json::from_str::<Value>(json) else { return };
    let line = single_line(json);
    assert!(!line.contains(['\n', '\r']));
    assert_eq!(serde_json::from_str::<Value>(&line).expect("the same JSON"), value);
}

/// What a JSON text has that two readers could understand differently.
#[derive(Default)]
struct Ambiguities {
    faults: BTreeSet<Fault>,
    /// Whether there is a number that may be a whole one beyond what every platform keeps. serde_json does not tell
    /// how those beyond 64 bits are written.
    far_number: bool,
    depth: usize,
}

impl Ambiguities {
    /// Those of an object or array with that in it.
    fn add(&mut self, inner: Self) {
        self.faults.extend(inner.faults);
        self.far_number |= inner.far_number;
        self.depth = self.depth.max(inner.depth);
    }

    fn enclosed(mut self) -> Self {
        self.depth += 1;
        if self.depth > MAX_NESTING {
            self.faults.insert(Fault::TooDeep);
        }
        self
    }

    fn of_text(text: &str) -> Self {
        let faults = text.contains('\0').then_some(Fault::TextInvalid).into_iter().collect();
        Self { faults, ..Self::default() }
    }

    fn of_whole(magnitude: u64) -> Self {
        let far_number = magnitude > MAX_SAFE_INTEGER;
        let faults = far_number.then_some(Fault::NumberOutOfRange).into_iter().collect();
        Self { faults, far_number, depth: 0 }
    }
}

impl<'de> Deserialize<'de> for Ambiguities {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Ambiguities;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Ambiguities, E> {
        Ok(Ambiguities::default())
    }

    fn visit_unit<E>(self) -> Result<Ambiguities, E> {
        Ok(Ambiguities::default())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Ambiguities, E> {
        Ok(Ambiguities::of_whole(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Ambiguities, E> {
        Ok(Ambiguities::of_whole(number.unsigned_abs()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Ambiguities, E> {
        Ok(Ambiguities { far_number: number.abs() > MAX_SAFE_INTEGER as f64, ..Ambiguities::default() })
    }

    fn visit_str<E>(self, text: &str) -> Result<Ambiguities, E> {
        Ok(Ambiguities::of_text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Ambiguities, A::Error> {
        let mut all = Ambiguities::default();
        while let Some(element) = elements.next_element()? {
            all.add(element);
        }
        Ok(all.enclosed())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Ambiguities, A::Error> {
        let (mut all, mut keys) = (Ambiguities::default(), BTreeSet::new());
        while let Some((key, value)) = members.next_entry::<String, Ambiguities>()? {
            all.add(Ambiguities::of_text(&key));
            all.add(value);
            if !keys.insert(key) {
                all.faults.insert(Fault::DuplicateKey);
            }
        }
        Ok(all.enclosed())
    }
}
