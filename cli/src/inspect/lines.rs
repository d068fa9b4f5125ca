//! What was found, as lines for people. What devices wrote never steers the terminal.

use std::fmt::Write as _;

use anyhow::Result;
use owo_colors::Style;
use serde_json::Value;
use tidelog_client::inspect::printable;
use tidelog_events::protocol::UtcTime;

use super::seen::{Inspected, KnownDevice, Page, Quarantined, ShownEvent, Sizes, Summary, read};
use crate::terminal::styled;

/// How lines look.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub(super) colours: bool,
    /// What ages are counted from.
    pub(super) now: UtcTime,
}

impl Shown {
    /// All of it.
    pub(super) fn inspected(self, inspected: &Inspected) -> Result<String> {
        let Inspected { space, devices, quarantine, events } = inspected;
        let summary: Summary = read(space)?;
        let mut text = String::new();
        self.summary(&mut text, &summary);
        self.devices(&mut text, &read(devices)?, summary.head);
        self.quarantine(&mut text, &read(quarantine)?);
        self.events(&mut text, read(events)?);
        Ok(text)
    }

    fn heading(self, text: &mut String, heading: &str) {
        let _ = writeln!(text, "{}", styled(heading, Style::new().cyan().bold(), self.colours));
    }

    pub(super) fn dimmed(self, text: &str) -> String {
        styled(text, Style::new().dimmed(), self.colours)
    }

    pub(super) fn warned(self, text: &str) -> String {
        styled(text, Style::new().yellow(), self.colours)
    }

    fn summary(self, text: &mut String, summary: &Summary) {
        let Summary { head, horizon, epoch, .. } = summary;
        self.heading(text, &format!("Space {}", printable(&summary.space_id)));
        let _ = writeln!(text, "  log         {}", log(*head, *horizon));
        let _ = writeln!(text, "  stored      {}", stored(&summary.sizes));
        let _ = write!(text, "  read model  ");
        match &summary.projection {
            None => text.push_str("nothing is folded yet\n"),
            Some(found) => {
                let visible = counted_in(summary.sizes.visible_entities, "entity", "entities");
                let _ = write!(text, "{visible}, folded through position {}", found.applied);
                if found.behind > 0 {
                    let behind = format!(", {} behind", counted(found.behind, "position"));
                    let _ = write!(text, "{}", self.warned(&behind));
                }
                let _ = write!(text, ", schema version {}", found.schema_version);
                text.push_str(if found.rebuilding { ", being rebuilt\n" } else { "\n" });
            }
        }
        if let Some(refusal) = &summary.compaction.refusal {
            let why = format!(
                "not pruned since its read model differs from its log, found on {}: tidelog compactor doctor",
                refusal.at
            );
            let _ = writeln!(text, "  compaction  {}", self.warned(&why));
        }
        let time = |time: Option<UtcTime>| time.map_or("never".to_owned(), |time| time.to_string());
        let times =
            format!("created {}, last event {}", time(summary.created_at), time(summary.last_received_at));
        let _ = writeln!(text, "  {}", self.dimmed(&format!("{times}, epoch {}", printable(epoch))));
    }

    fn devices(self, text: &mut String, page: &Page<KnownDevice>, head: u64) {
        self.heading(text, "Devices");
        if page.items.is_empty() {
            text.push_str("  none\n");
        }
        for device in &page.items {
            self.device(text, device, head);
        }
        self.more(text, page.next.is_some());
    }

    fn quarantine(self, text: &mut String, page: &Page<Quarantined>) {
        self.heading(text, "Quarantine");
        if page.items.is_empty() {
            text.push_str("  empty\n");
        }
        for entry in &page.items {
            self.quarantined(text, entry);
        }
        self.more(text, page.next.is_some());
    }

    fn quarantined(self, text: &mut String, entry: &Quarantined) {
        let at = entry.received_at.map(|at| format!("{at}  ")).unwrap_or_default();
        let what = match (&entry.device_id, entry.device_sequence) {
            (Some(device), Some(sequence)) => format!("{} #{sequence}", printable(device)),
            _ => printable(&entry.kind),
        };
        let _ = write!(text, "  ⚠  {at}{what}");
        if let Some(code) = &entry.code {
            let _ = write!(text, "  {}", self.warned(&printable(code)));
        }
        let _ = write!(text, "  {}", printable(&entry.detail));
        if entry.releasable {
            text.push_str("  can be released");
        }
        if let Some(dismissed) = &entry.dismissed {
            let by = format!("dismissed by {} at {}", printable(&dismissed.by), dismissed.at);
            let _ = write!(text, "  {}", self.dimmed(&by));
        }
        text.push('\n');
    }

    fn more(self, text: &mut String, more: bool) {
        if more {
            let _ = writeln!(text, "{}", self.dimmed("  … and more"));
        }
    }

    fn events(self, text: &mut String, page: Page<ShownEvent>) {
        self.heading(text, "Last events");
        if page.items.is_empty() {
            text.push_str("  none\n");
        }
        text.push_str(&self.in_order(page));
    }

    /// The events of a page, the latest at the bottom.
    pub(super) fn in_order(self, page: Page<ShownEvent>) -> String {
        let mut events = page.items;
        events.sort_by_key(|event| event.position);
        events.iter().map(|event| self.event(event)).collect()
    }

    fn event(self, event: &ShownEvent) -> String {
        let stamp = match &event.timestamp {
            Value::String(stamp) => printable(stamp),
            other => other.to_string(),
        };
        let mut text = format!(
            "  #{:<7}  {}  {} #{}  {}  {}",
            event.position,
            self.dimmed(&stamp),
            printable(&event.device_id),
            event.device_sequence,
            styled(&printable(&event.event_type), Style::new().bold(), self.colours),
            printable(&event.entity_id),
        );
        let mut aside = |words: String| {
            let _ = write!(text, "  {}", self.dimmed(&words));
        };
        if !event.payload.is_null() {
            aside(printable(&event.payload.to_string()));
        }
        if let Some(at) = event.received_at {
            aside(format!("received {at}"));
        }
        if event.source == "archive" {
            aside("in the archive".to_owned());
        }
        if event.released {
            aside("released from quarantine".to_owned());
        }
        text + "\n"
    }
}

fn log(head: u64, horizon: u64) -> String {
    let pruned = if horizon > 0 { format!(", pruned through position {horizon}") } else { String::new() };
    format!("{}{pruned}", counted(head, "event"))
}

fn stored(sizes: &Sizes) -> String {
    let mut stored = format!("{} with {}", counted(sizes.segments, "segment"), bytes(sizes.log_bytes));
    if let Some(snapshot) = &sizes.snapshot {
        let entities = counted_in(snapshot.entities, "entity", "entities");
        let _ = write!(
            stored,
            "; a snapshot through position {} of {entities} with {}",
            snapshot.through,
            bytes(snapshot.bytes)
        );
    }
    if sizes.archived_objects > 0 {
        let objects = counted(sizes.archived_objects, "object");
        let _ = write!(stored, "; {objects} in the archive with {}", bytes(sizes.archived_bytes));
    }
    if sizes.quarantined > 0 {
        let _ = write!(stored, "; {} in quarantine", counted(sizes.quarantined, "event"));
    }
    stored
}

/// So many of a thing.
pub(super) fn counted(number: u64, thing: &str) -> String {
    counted_in(number, thing, &format!("{thing}s"))
}

fn counted_in(number: u64, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

fn bytes(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// A time that has passed, in its largest unit.
pub(super) fn age(milliseconds: i64) -> String {
    let seconds = (milliseconds / 1000).max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}
