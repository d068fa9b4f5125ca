//! What segments of one space amount to, by themselves: entities folded from nothing but these events, to be merged
//! into the stored ones, each once.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Change, Entity, EntityKey, Skipped};
use crate::frame::{Decoder, FrameError, SegmentBody, SegmentHeader, TornSegment};
use crate::id::{DeviceId, Position};
use crate::schema::Schema;

/// A body that decodes to more is not one that Tidelog wrote.
const SEGMENT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Why a segment cannot be folded: the log is not what was committed to it.
#[derive(Debug, thiserror::Error)]
pub enum DamagedLog {
    /// The frame.
    #[error("the segment from position {first} on is damaged")]
    Frame {
        /// Its first position.
        first: Position,
        /// What is wrong.
        source: FrameError,
    },
    /// The lines.
    #[error("the segment from position {first} on is damaged")]
    Lines {
        /// Its first position.
        first: Position,
        /// What is wrong.
        source: TornSegment,
    },
    /// Nothing says who recorded an event.
    #[error("nothing says which device recorded the event at position {0}")]
    Origin(Position),
    /// Positions are missing: the log was pruned through `first` − 1, or damaged.
    #[error("the log goes on at position {first}, and everything before {expected} is folded")]
    Gap {
        /// Where the log goes on.
        first: Position,
        /// What must come next.
        expected: Position,
    },
    /// There is nothing behind what is folded, although there must be.
    #[error("the log ends at position {applied}, and its head is {head}")]
    End {
        /// Everything through here is folded.
        applied: Position,
        /// The space's head.
        head: Position,
    },
}

/// Events of one space, folded by themselves.
#[derive(Debug, Default)]
pub struct Delta {
    /// The entities that they are about.
    pub entities: BTreeMap<EntityKey, Touched>,
    /// Those that the fold skips.
    pub skipped: Vec<(Position, Skipped)>,
    /// The first one of which the schema does not know all.
    pub first_partial: Option<Position>,
    /// How many there were.
    pub events: u64,
}

/// An entity that a delta touches.
#[derive(Debug)]
pub struct Touched {
    /// What the events here amount to.
    pub entity: Entity,
    /// The position of the first of them.
    pub first: Position,
    /// And of the last.
    pub last: Position,
}

/// Which positions of a space are taken in.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Those behind this one.
    pub applied: Position,
    /// And through this one.
    pub through: Position,
}

impl Delta {
    /// Takes a segment in, as far as it lies in the span; returns the position that is applied then, and the decoded
    /// bytes.
    pub fn take(
        &mut self,
        header: &SegmentHeader,
        frame: &[u8],
        Span { applied, through }: Span,
        decoder: &mut Decoder,
        schema: &Schema,
    ) -> Result<(Position, u64), DamagedLog> {
        let first = header.first;
        if first > applied.next() {
            return Err(DamagedLog::Gap { first, expected: applied.next() });
        }
        let body = decoder
            .decode_one(frame, SEGMENT_BYTES_MAX)
            .map_err(|source| DamagedLog::Frame { first, source })?;
        let lines = SegmentBody::split(&body, first, header.last)
            .map_err(|source| DamagedLog::Lines { first, source })?;
        let mut devices = Devices::default();
        for (position, line) in (first.0..).map(Position).zip(lines.events) {
            if position > applied && position <= through {
                let device = devices.at(header, position).ok_or(DamagedLog::Origin(position))?;
                self.take_event(line, position, device, schema);
            }
        }
        Ok((header.last.min(through).max(applied), body.len() as u64))
    }

    fn take_event(&mut self, line: &str, position: Position, device: &Arc<DeviceId>, schema: &Schema) {
        self.events += 1;
        match Change::read(line, device, schema) {
            Ok(change) => {
                if change.is_partial {
                    self.first_partial.get_or_insert(position);
                }
                // Most events are about an entity that is there: only the first one pays for a key.
                if let Some(touched) = self.entities.get_mut(&change.entity) {
                    touched.entity.apply(change);
                    touched.last = position;
                } else {
                    let key = change.entity.clone();
                    let mut entity = Entity::default();
                    entity.apply(change);
                    self.entities.insert(key, Touched { entity, first: position, last: position });
                }
            }
            Err(skipped) => self.skipped.push((position, skipped)),
        }
    }
}

/// The devices of a segment's positions, asked for in ascending order; each is made once.
#[derive(Default)]
struct Devices {
    current: Option<Arc<DeviceId>>,
}

impl Devices {
    fn at(&mut self, header: &SegmentHeader, position: Position) -> Option<&Arc<DeviceId>> {
        let device = &header.batch_at(position)?.device_id;
        if self.current.as_deref() != Some(device) {
            self.current = Some(Arc::new(device.clone()));
        }
        self.current.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use crate::frame::{BatchHeader, Encoder, SegmentBatch, write_batch};
    use crate::id::UserId;
    use crate::protocol::UtcTime;

    use super::*;

    const SCHEMA: &str = "{name: app, version: 1, entities: {note: {fields: {n: {type: integer, merge: sum}}}}, \
                          events: {ADDED: {entity: note, creates: true, payload: {n: required}}}}";

    fn segment(first: u64, types: &[&str]) -> (SegmentHeader, Vec<u8>) {
        let line = |(index, event_type): (u64, &&str)| {
            format!(
                r#"{{"eventId":"018f4f7e-0000-7000-8000-000000000001","deviceSequence":{},"type":"{event_type}","entityId":"e","timestamp":{index},"payload":{{"n":1}}}}"#,
                first + index
            )
        };
        let header = BatchHeader { device_id: None, user_id: None, after: None };
        let body = write_batch(&header, (0..).zip(types).map(line));
        let batch = SegmentBatch {
            first: Position(first),
            device_id: DeviceId::new("phone-1").unwrap(),
            user_id: UserId::new("ann").unwrap(),
            received_at: UtcTime(0),
            released: false,
        };
        let events = types.len() as u64;
        let header = SegmentHeader {
            first: Position(first),
            last: Position(first + events - 1),
            lines: events + 1,
            batches: vec![batch],
            positions: None,
        };
        (header, Encoder::new().unwrap().encode(&body).unwrap())
    }

    fn take(delta: &mut Delta, segment: &(SegmentHeader, Vec<u8>), applied: u64) -> Result<u64, DamagedLog> {
        let schema = Schema::parse(SCHEMA).unwrap();
        let (header, frame) = segment;
        let mut decoder = Decoder::new().unwrap();
        let span = Span { applied: Position(applied), through: Position(4) };
        let taken = delta.take(header, frame, span, &mut decoder, &schema);
        taken.map(|(applied, _)| applied.0)
    }

    #[test]
    fn positions_that_are_applied_are_not_taken_again_and_the_next_one_must_follow() {
        let mut delta = Delta::default();
        assert_eq!(take(&mut delta, &segment(1, &["ADDED"; 3]), 2).unwrap(), 3);
        assert_eq!((delta.events, delta.skipped.len()), (1, 0));
        assert_eq!(take(&mut delta, &segment(1, &["ADDED"; 3]), 3).unwrap(), 3);
        assert_eq!(delta.events, 1);
        let gap = take(&mut delta, &segment(5, &["ADDED"]), 3).unwrap_err();
        assert!(matches!(gap, DamagedLog::Gap { first: Position(5), expected: Position(4) }), "{gap}");
        let touched = delta.entities.values().next().unwrap();
        assert_eq!((touched.first, touched.last), (Position(3), Position(3)));
        assert_eq!(
            take(&mut delta, &segment(4, &["ADDED"; 3]), 3).unwrap(),
            4,
            "and no further than through"
        );
        assert_eq!(delta.events, 2);
    }

    #[test]
    fn an_event_of_an_unknown_type_is_skipped_and_the_ones_behind_it_are_not() {
        let mut delta = Delta::default();
        assert_eq!(take(&mut delta, &segment(1, &["ADDED", "NEWER", "ADDED"]), 0).unwrap(), 3);
        assert_eq!(delta.skipped, [(Position(2), Skipped::UnknownType)]);
        assert_eq!(delta.events, 3);
    }

    #[test]
    fn a_damaged_segment_is_an_error_and_no_panic() {
        let (header, mut frame) = segment(1, &["ADDED"; 3]);
        let short = SegmentHeader { last: Position(2), ..header.clone() };
        frame.truncate(frame.len() - 1);
        let damaged = take(&mut Delta::default(), &(header, frame), 0).unwrap_err();
        assert!(matches!(damaged, DamagedLog::Frame { .. }), "{damaged}");
        let (_, whole) = segment(1, &["ADDED"; 4]);
        let torn = take(&mut Delta::default(), &(short, whole), 0).unwrap_err();
        assert!(matches!(torn, DamagedLog::Lines { .. }), "{torn}");
    }
}
