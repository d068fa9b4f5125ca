//! Recording: an event is validated, stamped, numbered, stored and shown, in one transaction and without a network.

use rusqlite::params;
use serde_json::Value;
use serde_json::value::to_raw_value;
use tidelog_events::clock::{ClockExhausted, HybridClock};
use tidelog_events::code::Fault;
use tidelog_events::event::{Event, judge};
use tidelog_events::fold::Change;
use tidelog_events::id::{DeviceId, EntityId, EventId, Sequence, SpaceId};
use tidelog_events::limits::MAX_LINE_BYTES;
use tidelog_events::schema::Schema;
use tidelog_events::stamp::Stamp;
use uuid::Builder;

use super::queues::Queue;
use super::spaces::Space;
use super::{Changed, EventStore, StoreError, begin, line, overlay, queues, spaces};
use crate::moment::Moment;

/// Milliseconds that a UUID of version 7 can hold: 48 bits.
const UUID_MS_MAX: i64 = (1 << 48) - 1;

/// What the user did.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// The event type, as the schema names it.
    pub event_type: String,
    /// What it is about.
    pub entity_id: EntityId,
    /// The payload, an object; `{}` where the type has none.
    pub payload: Value,
}

impl NewEvent {
    /// An event of that type.
    pub fn new(event_type: impl Into<String>, entity_id: EntityId, payload: Value) -> Self {
        Self { event_type: event_type.into(), entity_id, payload }
    }
}

/// What an event was recorded as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Its id.
    pub event_id: EventId,
    /// The device id it was recorded under.
    pub device_id: DeviceId,
    /// Its number.
    pub device_sequence: Sequence,
    /// Its stamp.
    pub timestamp: Stamp,
}

/// Why an event was not recorded. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The schema does not allow it, and the server would quarantine it.
    #[error("the event is not valid ({code}): {detail}")]
    Invalid {
        /// Why.
        code: Fault,
        /// Why, for people.
        detail: String,
    },
    /// Its line is over the limit that holds for every event.
    #[error("the event has {bytes} bytes; at most {MAX_LINE_BYTES} are allowed")]
    TooLarge {
        /// Bytes of its line.
        bytes: usize,
    },
    /// The device's clock says the end of the year 9999: set it, and sync.
    #[error(transparent)]
    NoTimeLeft(#[from] ClockExhausted),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for RecordError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl EventStore {
    /// Records an event that happened now. When this returns, it is on the disk and part of what is shown.
    pub fn record(
        &mut self,
        space: &SpaceId,
        event: NewEvent,
        now: &Moment,
    ) -> Result<Recorded, RecordError> {
        let transaction = begin(&mut self.connection)?;
        let mut space = spaces::load(&transaction, space)?;
        let mut queue = queues::load(&transaction, space.recording_queue)?;
        let mut clock = HybridClock::restarting_at(space.clock);
        let recorded = Recorded {
            event_id: event_id(now, &mut self.random),
            device_id: queue.device.as_ref().clone(),
            device_sequence: queue.next,
            timestamp: clock.tick(now.wall_ms)?,
        };
        space.recorded += 1;
        let line = compose(&recorded, &event, space.last_seen)?;
        let entity_type = valid(&line, &event, &self.schema)?;
        let shown = space.filter.takes(entity_type);
        insert(
            &transaction,
            &space,
            &queue,
            &recorded,
            &event,
            &Stored { entity_type, line: &line, shown, now },
        )?;
        if shown && let Ok(change) = Change::read(&line, &queue.device, &self.schema) {
            let key = change.entity.clone();
            overlay::add(&transaction, &self.schema, space.row, &key, change)?;
        }
        queue.next = queue.next.next();
        queues::save(&transaction, &queue)?;
        space.clock = clock.greatest();
        spaces::save(&transaction, &space)?;
        transaction.commit()?;
        let entity_type = entity_type.into();
        self.changed.push(Changed::Entity { space: space.id, entity_type, entity_id: event.entity_id });
        Ok(recorded)
    }
}

/// A UUID of version 7: it sorts by the time at which it was made.
fn event_id(now: &Moment, random: &mut fastrand::Rng) -> EventId {
    let mut bytes = [0; 10];
    random.fill(&mut bytes);
    let millis = now.wall_ms.clamp(0, UUID_MS_MAX) as u64;
    EventId(Builder::from_unix_timestamp_millis(millis, &bytes).into_uuid())
}

fn compose(recorded: &Recorded, event: &NewEvent, last_seen: Option<EventId>) -> Result<String, StoreError> {
    let payload = to_raw_value(&event.payload).map_err(|error| StoreError::Damaged(error.to_string()))?;
    line::write(&Event {
        event_id: recorded.event_id,
        device_sequence: Some(recorded.device_sequence),
        event_type: event.event_type.as_str().into(),
        entity_id: event.entity_id.clone(),
        timestamp: recorded.timestamp,
        last_seen_event_id: last_seen,
        payload: Some(&payload),
    })
}

/// Judges the line as the server will, and tells the type of its entity.
fn valid<'s>(line: &str, event: &NewEvent, schema: &'s Schema) -> Result<&'s str, RecordError> {
    if line.len() > MAX_LINE_BYTES {
        return Err(RecordError::TooLarge { bytes: line.len() });
    }
    let judged = judge(line, schema).map_err(|error| StoreError::Damaged(error.to_string()))?;
    let unknown = || RecordError::Invalid { code: Fault::UnknownType, detail: String::new() };
    match judged.finding {
        Some(finding) => Err(RecordError::Invalid { code: finding.fault, detail: finding.detail }),
        None => schema.entity_of(&event.event_type).ok_or_else(unknown),
    }
}

/// What is stored of an event besides its identity.
struct Stored<'a> {
    entity_type: &'a str,
    line: &'a str,
    shown: bool,
    now: &'a Moment,
}

fn insert(
    transaction: &rusqlite::Connection,
    space: &Space,
    queue: &Queue,
    recorded: &Recorded,
    event: &NewEvent,
    stored: &Stored<'_>,
) -> rusqlite::Result<()> {
    transaction
        .prepare_cached(
            "INSERT INTO events (queue, sequence, recorded, space, event_id, entity_type, entity_id, line, stamp, \
             wall_ms, monotonic_ms, boot_id, seen, overlay) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?
        .execute(params![
            queue.row,
            recorded.device_sequence.as_i64(),
            space.recorded,
            space.row,
            recorded.event_id.to_string(),
            stored.entity_type,
            event.entity_id.as_str(),
            stored.line,
            recorded.timestamp.to_string(),
            stored.now.wall_ms,
            stored.now.monotonic_ms,
            &*stored.now.boot.0,
            space.received.to_string(),
            stored.shown,
        ])?;
    Ok(())
}
