//! Gathers the events about one entity from its space's whole history.

use std::ops::ControlFlow;
use std::sync::Arc;

use tidelog_events::event::Event;
use tidelog_events::fold::explain::{Explanation, Witness};
use tidelog_events::fold::{Change, EntityKey};
use tidelog_events::id::{DeviceId, EntityId, Position};
use tidelog_events::schema::Schema;
use tidelog_store::spaces::Space;

use super::super::HistoryReads;
use super::super::reads::next_chunk;
use super::super::scan::{Direction, LineFacts, LoggedEvent, scan};
use super::super::space::too_large;
use crate::codecs::Codecs;
use crate::config::AdminConfig;
use crate::problem::Problem;

/// What an explanation is gathered from and by.
pub(super) struct Gathering<'a> {
    pub(super) reads: &'a HistoryReads,
    pub(super) codecs: Codecs,
    pub(super) config: &'a AdminConfig,
    pub(super) schema: &'a Schema,
}

/// What was found.
pub(super) struct Gathered {
    pub(super) explanation: Explanation,
    /// Events about the entity.
    pub(super) events: u64,
    /// Events that name the entity's id and are skipped by the fold.
    pub(super) skipped: u64,
}

impl Gathering<'_> {
    /// Everything about the entity through a position.
    pub(super) async fn gather(
        &self,
        space: &Space,
        key: &EntityKey,
        at: Position,
    ) -> Result<Gathered, Problem> {
        let most = self.config.history_events;
        if at.0 > most {
            return Err(too_large(format!(
                "the entity's events are looked for among {at}, more than the limit `admin.history_events`: {most}; ask \
                 with an earlier `at`"
            )));
        }
        let explanation = Explanation::new(self.config.explain_events);
        let mut gathered = Gathered { explanation, events: 0, skipped: 0 };
        let mut reader = self.reads.history().behind(&space.space, Position::ZERO);
        let wanted = Position(1)..=at;
        while reader.cursor() < at
            && let Some(chunk) = next_chunk(&mut reader).await?
        {
            for segment in &chunk.segments {
                let _ = scan(segment, &wanted, Direction::Forwards, &self.codecs, |event| {
                    self.take(event, key, &mut gathered);
                    Ok(ControlFlow::Continue(()))
                })?;
                if gathered.explanation.bytes() > self.config.state_bytes {
                    return Err(self.too_many_bytes());
                }
            }
        }
        Ok(gathered)
    }

    fn take(&self, event: &LoggedEvent<'_>, key: &EntityKey, gathered: &mut Gathered) {
        if !may_name(event.line, &key.entity_id) {
            return;
        }
        let device: Arc<DeviceId> = Arc::new(event.batch.device_id.clone());
        match Change::read(event.line, &device, self.schema) {
            Ok(change) if change.entity == *key => {
                let Some(witness) = witness(event) else { return };
                gathered.events += 1;
                gathered.explanation.take(change, witness);
            }
            Ok(_) => {}
            Err(_) => {
                let named = LineFacts::read(event.line.as_bytes()).entity_id;
                gathered.skipped += u64::from(named.as_deref() == Some(key.entity_id.as_str()));
            }
        }
    }

    fn too_many_bytes(&self) -> Problem {
        too_large(format!(
            "the explanation takes more than {} bytes, the limit `admin.state_bytes`",
            self.config.state_bytes
        ))
    }
}

/// Whether the line can name that entity. Most lines cannot, and need not be read: an id stands in a line as it is, unless
/// something in the line is escaped.
fn may_name(line: &str, id: &EntityId) -> bool {
    line.contains(id.as_str()) || line.contains('\\')
}

fn witness(event: &LoggedEvent<'_>) -> Option<Witness> {
    let read: Event<'_> = serde_json::from_str(event.line).ok()?;
    Some(Witness {
        position: event.position,
        event_id: read.event_id,
        event_type: read.event_type.into(),
        user: event.batch.user_id.clone(),
        received_at: event.batch.received_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_may_name_the_entity_is_read() {
        let id = EntityId::new("w-1").unwrap();
        assert!(may_name(r#"{"entityId":"w-1"}"#, &id));
        assert!(may_name(r#"{"entityId":"w\u002d1"}"#, &id));
        assert!(!may_name(r#"{"entityId":"w-2"}"#, &id));
        let quoted = EntityId::new("a\"b").unwrap();
        assert!(may_name(r#"{"entityId":"a\"b"}"#, &quoted));
    }
}
