//! A device, as lines for people: how far it has come, why the gateway finds that it does not sync, and what else is known.

use std::fmt::Write as _;

use owo_colors::Style;
use tidelog_client::inspect::printable;

use super::lines::{Shown, age, counted};
use super::seen::KnownDevice;
use crate::terminal::styled;

impl Shown {
    /// The device, and under it what is the matter.
    pub(super) fn device(self, text: &mut String, device: &KnownDevice, head: u64) {
        let name = styled(&printable(&device.device_id), Style::new().bold(), self.colours);
        let _ = write!(text, "  {name}");
        if let Some(name) = &device.name {
            let _ = write!(text, " ({})", printable(name));
        }
        let _ = write!(text, " of {}: ", printable(&device.user_id));
        let reads = match device.behind {
            0 => format!("has all {head}"),
            behind => self.warned(&format!("has {} of {head}, {behind} behind", device.cursor)),
        };
        let _ = write!(text, "{reads}, sent {}", device.last_sequence);
        if let Some(seen) = device.last_seen_at {
            let _ = write!(text, ", seen {} ago", age(self.now.0 - seen.0));
        }
        if let Some(version) = &device.app_version {
            let _ = write!(text, ", app {}", printable(version));
        }
        text.push('\n');
        if let Some(why) = &device.why {
            let _ = writeln!(text, "    {}", self.warned(&printable(why)));
        }
        for fact in facts(device) {
            let _ = writeln!(text, "    {}", printable(&fact));
        }
    }
}

/// What is known beside the gateway's sentence, which names only the gravest reason.
fn facts(device: &KnownDevice) -> Vec<String> {
    let said = device.why.as_deref().unwrap_or_default();
    let mut facts: Vec<String> = [counts(device), clock(device)].into_iter().flatten().collect();
    if let Some(error) = device.last_error.as_ref().filter(|error| !said.contains(&error.detail)) {
        let code = error.code.as_ref().map(|code| format!("{code}: ")).unwrap_or_default();
        facts.push(format!("last error at {}: {code}{}", error.at, error.detail));
    }
    if let Some(diverged) = &device.diverged {
        let (since, position) = (diverged.since.to_string(), diverged.position);
        if !said.contains(&since) {
            facts.push(format!(
                "its state differs from the server's since {since}, last at position {position}"
            ));
        }
    }
    facts
}

fn counts(device: &KnownDevice) -> Option<String> {
    let kinds = [
        (device.pending.unwrap_or_default(), "event", " not synced"),
        (device.gaps, "gap", ""),
        (device.forks, "fork", ""),
        (device.quarantined, "event", " in quarantine"),
    ];
    let counts = kinds
        .into_iter()
        .filter(|(number, ..)| *number > 0)
        .map(|(number, thing, behind)| counted(number, thing) + behind);
    let counts: Vec<String> = counts.collect();
    (!counts.is_empty()).then(|| counts.join(", "))
}

/// By how much its clock is off, if that is a second or more.
fn clock(device: &KnownDevice) -> Option<String> {
    let offset_ms = device.clock_offset_ms.filter(|offset_ms| offset_ms.unsigned_abs() >= 1000)?;
    let way = if offset_ms > 0 { "ahead" } else { "behind" };
    let clock = format!("its clock is {} {way}", age(offset_ms.unsigned_abs().cast_signed()));
    (device.why.as_ref() != Some(&clock)).then_some(clock)
}
