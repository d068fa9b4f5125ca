//! The stamps of the log: later with each sequence of a device, and not ahead of time.

use std::collections::{BTreeMap, BTreeSet};

use tidelog_events::id::{DeviceId, Sequence};
use tidelog_events::stamp::Stamp;

use crate::finding::{Finding, Wrong};
use crate::server::LogEvent;

/// How far ahead of the server a stamp may be: the gateway's `max_clock_ahead`.
const MAX_AHEAD_MS: i64 = 60_000;

/// Everything that is wrong with the stamps of a log. `single` are the devices of one life: two lives of a device that
/// correct what they share, each by its own clock, cannot know of each other.
pub(crate) fn check_stamps(log: &[LogEvent], single: &BTreeSet<DeviceId>, now_ms: i64) -> Vec<Finding> {
    let mut by_device: BTreeMap<&DeviceId, BTreeMap<Sequence, (Stamp, &LogEvent)>> = BTreeMap::new();
    let mut findings = Vec::new();
    for event in log {
        let Some(read) = event.read() else { continue };
        let sequence = read.device_sequence.unwrap_or_default();
        if read.timestamp.millis() > now_ms + MAX_AHEAD_MS {
            let what = "a stamp of the log is ahead of time";
            findings.push(Finding::of_event(Wrong::Disordered, what, event.culprit()));
        }
        let of_device = by_device.entry(&event.device).or_default();
        if of_device.insert(sequence, (read.timestamp, event)).is_some() {
            let what = format!("the log has sequence {sequence} of a device twice");
            findings.push(Finding::of_event(Wrong::Twice, what, event.culprit()));
        }
    }
    for (_, of_device) in by_device.iter().filter(|(device, _)| single.contains(**device)) {
        let events: Vec<_> = of_device.values().collect();
        let falling = events.windows(2).filter(|pair| pair[0].0 >= pair[1].0);
        findings.extend(falling.map(|pair| {
            let what = "a stamp is not later than that of the device's event before";
            Finding::of_event(Wrong::Disordered, what, pair[1].1.culprit())
        }));
    }
    findings
}
