//! Event lines: the scan takes what serde_json takes and finds every ambiguity; a line that is judged good is read by
//! the log's reader and by the fold, which skips none of them; another way of writing the same line changes no verdict
//! and no reading; and what good lines fold to is the same in every order and grouping, and comes back from its
//! entity lines.
#![no_main]

#[path = "event/folding.rs"]
mod folding;
#[path = "planted.rs"]
mod planted;
#[path = "event/rewriting.rs"]
mod rewriting;
#[path = "event/scanning.rs"]
mod scanning;

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use tidelog_events::event::{Event, JudgedEvent, UnreadableLine, judge};
use tidelog_events::fold::Change;
use tidelog_events::id::DeviceId;
use tidelog_events::json::scan_object;
use tidelog_events::limits::MAX_SAFE_INTEGER;
use tidelog_events::schema::Schema;

/// The example app's, and one with every merge rule and type.
static SCHEMAS: LazyLock<[Schema; 2]> = LazyLock::new(|| {
    let files = [include_str!("../../config/fitness.yaml"), include_str!("event/every-rule.yaml")];
    files.map(|text| Schema::parse(text).expect("a schema"))
});

/// Bytes of a sentence about a line, which repeats little of it.
const MAX_DETAIL_BYTES: usize = 1024;

fuzz_target!(|text: &str| {
    for line in text.split('\n') {
        scanning::agrees_with_serde(line);
        rewriting::says_the_same(line, &*SCHEMAS);
    }
    scanning::on_one_line(text);
    for schema in &*SCHEMAS {
        let accepted = text.split('\n').enumerate().filter_map(|(index, line)| accepted(index, line, schema));
        folding::any_order_and_grouping(accepted.collect(), schema);
    }
});

/// What a line says, if it is judged good.
fn accepted<'s>(index: usize, line: &str, schema: &'s Schema) -> Option<Change<'s>> {
    let judged = judge(line, schema);
    assert_eq!(judged == Err(UnreadableLine::NotAnObject), scan_object(line).is_err());
    let judged = judged.ok()?;
    assert!(judged.device_sequence.is_none_or(|sequence| (1..=MAX_SAFE_INTEGER).contains(&sequence.0)));
    if let Some(finding) = judged.finding {
        assert!((1..=MAX_DETAIL_BYTES).contains(&finding.detail.len()), "{}", finding.detail);
        return None;
    }
    is_read_alike(line, &judged);
    // A device of its own, since no two events of a log have the same clock.
    let device = Arc::new(DeviceId::new(format!("phone-{index}")).expect("an id"));
    let change = Change::read(line, &device, schema).expect("the fold reads what was judged good");
    assert_eq!(Some(change.at.stamp), judged.timestamp);
    planted::behind(change.entity.entity_id.as_str().matches(char::is_uppercase).count());
    Some(change)
}

/// The door and the lenient reader of the log read the same from a good line.
fn is_read_alike(line: &str, judged: &JudgedEvent) {
    let event: Event<'_> = serde_json::from_str(line).expect("the log's reader reads what was judged good");
    assert_eq!(event.event_id, judged.event_id);
    assert_eq!(event.device_sequence, judged.device_sequence);
    assert_eq!(Some(event.timestamp), judged.timestamp);
    let scanned = scan_object(line).expect("scanned before");
    let payload = scanned.members.iter().find(|member| member.key == "payload").map(|member| member.value);
    assert_eq!(event.payload.map(|payload| payload.get()), payload, "not a byte of it changes");
}
