//! One event, or a snapshot, as a line for people.

use std::fmt::Write as _;
use std::io::Write as _;

use owo_colors::Style;
use tidelog_client::inspect::printable;
use tidelog_events::id::{Position, SpaceId};

use super::pull::{CommittedEvent, Pulled, Snapshot};
use crate::terminal::styled;

/// How lines look.
pub(super) struct Printer {
    pub(super) with_space: bool,
    pub(super) colours: bool,
}

impl Printer {
    /// Prints what a pull brought: a snapshot for the events that are gone, then the events in their order.
    pub(super) fn print(&self, space: &SpaceId, pulled: &Pulled) {
        let mut text = String::new();
        if let Some(snapshot) = &pulled.snapshot {
            let _ = writeln!(text, "{}", self.snapshot_line(space, snapshot));
        }
        for event in &pulled.events {
            let _ = writeln!(text, "{}", self.line(space, event));
        }
        // Nobody reads any more: the next signal ends us.
        let _ = std::io::stdout().write_all(text.as_bytes());
    }

    fn place(&self, space: &SpaceId, position: Position) -> String {
        if self.with_space { format!("{space} #{position}") } else { format!("#{position}") }
    }

    fn snapshot_line(&self, space: &SpaceId, snapshot: &Snapshot) -> String {
        let place = self.place(space, snapshot.through);
        let entities = snapshot.entities.len();
        let what = format!("snapshot of {entities} entities; the events through here are pruned");
        format!("{:23}  {place:<14}  {}", "", styled(&what, Style::new().dimmed(), self.colours))
    }

    fn line(&self, space: &SpaceId, event: &CommittedEvent) -> String {
        let time = event.timestamp.get(..23).unwrap_or(&event.timestamp).replace('T', " ");
        let place = self.place(space, event.position);
        let payload = event.payload.as_ref().map_or("", |payload| payload.get());
        format!(
            "{}  {place:<14}  {}  {}  {}  {}",
            styled(&printable(&time), Style::new().dimmed(), self.colours),
            styled(&printable(&event.device_id), device_style(&event.device_id), self.colours),
            styled(&printable(&event.event_type), Style::new().bold(), self.colours),
            printable(&event.entity_id),
            styled(&printable(payload), Style::new().dimmed(), self.colours),
        )
    }
}

/// Each device keeps its colour.
fn device_style(device: &str) -> Style {
    let sum = device.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
    let style = Style::new();
    [style.cyan(), style.green(), style.magenta(), style.yellow(), style.blue(), style.red()][sum % 6]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(payload: &str) -> CommittedEvent {
        serde_json::from_str(&format!(
            "{{\"position\":7,\"deviceId\":\"phone-1\",\"userId\":\"u\",\"receivedAt\":\"2026-01-01T00:00:00.000Z\",\
             \"eventId\":\"x\",\"type\":\"LAP_RECORDED\",\"entityId\":\"w-1\",\
             \"timestamp\":\"2025-08-06T10:30:00.000Z-0003\",\"payload\":{payload}}}"
        ))
        .unwrap()
    }

    #[test]
    fn a_line_tells_time_place_device_type_entity_and_payload() {
        let space = SpaceId::new("user-1").unwrap();
        let line = |with_space| Printer { with_space, colours: false }.line(&space, &event("{\"laps\":1}"));
        assert_eq!(
            line(true),
            "2025-08-06 10:30:00.000  user-1 #7       phone-1  LAP_RECORDED  w-1  {\"laps\":1}"
        );
        assert!(line(false).contains("  #7              phone-1"));
    }

    #[test]
    fn a_snapshot_is_one_line_that_tells_through_where_and_how_many_entities() {
        let space = SpaceId::new("user-1").unwrap();
        let snapshot = serde_json::from_str(r#"{"through":40,"entities":[{"type":"workout"},{}]}"#).unwrap();
        let line = Printer { with_space: true, colours: false }.snapshot_line(&space, &snapshot);
        assert_eq!(
            line.trim_start(),
            "user-1 #40      snapshot of 2 entities; the events through here are pruned"
        );
    }

    #[test]
    fn a_payload_cannot_steer_the_terminal() {
        let space = SpaceId::new("user-1").unwrap();
        let line =
            Printer { with_space: false, colours: false }.line(&space, &event("{\"name\":\"a\u{9b}2J\"}"));
        assert!(line.ends_with("{\"name\":\"a\\u{9b}2J\"}"), "{line}");
    }
}
