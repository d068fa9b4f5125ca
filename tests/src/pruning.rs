//! What the compactor does to a space, done by hand and where a test says: segments merged, the beginning of the log
//! pruned. The snapshot is folded from every event there ever was, so it is right whatever was pruned before.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;
use tidelog_archive::{Archive, History};
use tidelog_events::fold::{Change, Entity, EntityKey, State};
use tidelog_events::frame::{ArchiveHeader, Decoder, Encoder, SegmentBody, SegmentHeader, write_archive};
use tidelog_events::id::{DeviceId, Position, Sequence, SpaceId};
use tidelog_events::limits::MAX_BODY_BYTES;
use tidelog_events::protocol::UtcTime;
use tidelog_events::schema::Schema;
use tidelog_store::archive::Archived;
use tidelog_store::segments::Segment;
use tidelog_store::snapshot_parts::{self, Part};
use tidelog_store::snapshots::{self, Snapshot};
use tidelog_store::spaces::Space;
use tidelog_store::{archive, archive_devices, segment_devices, segments, space_logs, spaces};

use crate::world::{World, section};

const WHOLE_LOG: u64 = 1 << 40;

/// An event of a space, pruned or not.
#[derive(Debug, Clone)]
pub struct SpaceEvent {
    /// Its position.
    pub position: Position,
    /// Who recorded it.
    pub device: DeviceId,
    /// Its line.
    pub line: String,
}

fn events_of(segment: &Segment) -> Vec<SpaceEvent> {
    let Segment { header, frame } = segment;
    let body = Decoder::new().and_then(|mut decoder| decoder.decode_one(frame, 2 * MAX_BODY_BYTES));
    let body = body.expect("a frame");
    let lines = SegmentBody::split(&body, header.first, header.last).expect("the segment's lines").events;
    let event = |(position, line): (Position, &str)| {
        let device = header.batch_at(position).expect("a batch").device_id.clone();
        SpaceEvent { position, device, line: line.to_owned() }
    };
    (header.first.0..).map(Position).zip(lines).map(event).collect()
}

impl World {
    /// Every event that the space ever had, by position, from archive and log.
    ///
    /// # Panics
    /// When one is missing.
    pub async fn every_event(&self, space: &str) -> Vec<SpaceEvent> {
        let space = SpaceId::new(space).expect("a space");
        let mut reader = History::new(self.pool.clone(), self.archive()).behind(&space, Position::ZERO);
        let mut events = Vec::new();
        while let Some(chunk) = reader.next_chunk().await.expect("a whole history") {
            events.extend(chunk.segments.iter().flat_map(events_of));
        }
        events
    }

    /// Makes one segment of those that hold the positions `first..=last`, at which segments begin and end.
    ///
    /// # Panics
    /// When none do.
    pub async fn merge_segments(&self, space: &str, first: u64, last: u64) {
        let space = SpaceId::new(space).expect("a space");
        let mut transaction = self.pool.begin().await.expect("a transaction");
        let whole =
            space_logs::behind(&mut transaction, &space, Position(first - 1), WHOLE_LOG, WHOLE_LOG).await;
        let mut run = whole.expect("the log").segments;
        run.retain(|segment| segment.header.last.0 <= last);
        let merged = merged(&run);
        assert_eq!(
            (merged.header.first.0, merged.header.last.0),
            (first, last),
            "segments begin and end there"
        );
        let (first, last) = (merged.header.first, merged.header.last);
        segment_devices::merge(&mut transaction, &space, first, last).await.expect("devices");
        segments::merge(&mut transaction, &space, &merged, latest(&merged.header)).await.expect("a merge");
        transaction.commit().await.expect("a commit");
    }

    /// Prunes the space through a position, at which a segment ends, with so many entities to a part of its snapshot.
    ///
    /// # Panics
    /// When no segment ends there.
    pub async fn prune(&self, space: &str, through: u64, part_entities: usize) {
        let (id, through) = (SpaceId::new(space).expect("a space"), Position(through));
        let events = self.every_event(space).await;
        let (snapshot, parts) = self.snapshot(&events, through, part_entities);
        let mut transaction = self.pool.begin().await.expect("a transaction");
        let now = self.clock.now();
        snapshot_parts::insert(&mut transaction, &id, through, &parts).await.expect("parts");
        snapshots::insert(&mut transaction, &id, &snapshot, now).await.expect("a snapshot");
        let seen = spaces::find(&mut transaction, &id).await.expect("spaces").expect("the space");
        let log = space_logs::behind(&mut transaction, &id, seen.horizon, WHOLE_LOG, WHOLE_LOG).await;
        let mut gone = log.expect("the log").segments;
        gone.retain(|segment| segment.header.last <= through);
        assert_eq!(gone.last().map(|segment| segment.header.last), Some(through), "a segment ends there");
        let archived = [self.archived(&seen, &gone).await];
        archive::insert(&mut transaction, &id, &archived, now).await.expect("the archive's list");
        archive_devices::insert(&mut transaction, &id, &archived).await.expect("its devices");
        segment_devices::delete_through(&mut transaction, &id, through).await.expect("devices");
        segments::delete_through(&mut transaction, &id, through).await.expect("segments");
        snapshots::supersede(&mut transaction, &id, through, now).await.expect("snapshots");
        assert!(spaces::move_horizon(&mut transaction, &seen, through).await.expect("the horizon"));
        transaction.commit().await.expect("a commit");
    }

    /// The position through which the space is pruned.
    ///
    /// # Panics
    /// When there is no such space.
    pub async fn horizon(&self, space: &str) -> u64 {
        let space = SpaceId::new(space).expect("a space");
        let mut connection = self.pool.acquire().await.expect("a connection");
        spaces::find(&mut connection, &space).await.expect("spaces").expect("the space").horizon.0
    }

    /// Where its archive lies, unless a test has put it elsewhere.
    pub fn archive_folder(&self) -> PathBuf {
        self.schema_file.with_file_name("archive")
    }

    fn archive(&self) -> Archive {
        Archive::open(&section(&self.config, "archive")).expect("an archive")
    }

    async fn archived(&self, space: &Space, gone: &[Segment]) -> Archived {
        let (first, last) = (space.horizon.next(), gone.last().expect("segments").header.last);
        let (epoch, segments) = (space.epoch, gone.len() as u64);
        let header = ArchiveHeader { space: space.space.clone(), epoch, first, last, segments };
        let segments = gone.iter().map(|segment| (&segment.header, segment.frame.as_slice()));
        let object = Encoder::new().and_then(|mut encoder| write_archive(&header, segments, &mut encoder));
        let stored = self.archive().store(&header, object.expect("an object").into()).await;
        let stored = stored.expect("a stored object");
        let sha256 = stored.sha256.to_vec();
        Archived { first, last, epoch, object: stored.object, sha256, bytes: stored.bytes }
    }

    fn snapshot(
        &self,
        events: &[SpaceEvent],
        through: Position,
        part_entities: usize,
    ) -> (Snapshot, Vec<Part>) {
        let schema = self.schema();
        let (mut state, mut devices) = (State::default(), BTreeMap::new());
        for event in events.iter().filter(|event| event.position <= through) {
            if let Some(sequence) = sequence_of(event) {
                let last: &mut Sequence = devices.entry(event.device.clone()).or_default();
                *last = (*last).max(sequence);
            }
            let device = Arc::new(event.device.clone());
            if let Ok(change) = Change::read(&event.line, &device, &schema) {
                state.apply(change);
            }
        }
        let mut entities: BTreeMap<Box<str>, u64> = BTreeMap::new();
        for key in state.entities().keys() {
            *entities.entry(key.entity_type.clone()).or_default() += 1;
        }
        let parts = parts(&state, part_entities);
        let snapshot = Snapshot {
            through,
            schema: schema.id(),
            entities,
            state_hash: state.hash().clone(),
            devices,
            parts: parts.len() as u32,
            bytes: parts.iter().map(|part| part.frame.len() as u64).sum(),
        };
        (snapshot, parts)
    }

    /// The schema of its file.
    pub(crate) fn schema(&self) -> Schema {
        let schema = std::fs::read_to_string(&self.schema_file).expect("a schema file");
        Schema::parse(&schema).expect("a schema")
    }
}

/// The number that a device gave the event; none where it has no counter.
fn sequence_of(event: &SpaceEvent) -> Option<Sequence> {
    let line: Value = serde_json::from_str(&event.line).expect("JSON");
    line["deviceSequence"].as_u64().map(Sequence)
}

fn parts(state: &State, part_entities: usize) -> Vec<Part> {
    let entities: Vec<_> = state.entities().iter().collect();
    let part = |(number, chunk): (u32, &[(&EntityKey, &Entity)])| {
        let lines: String = chunk.iter().map(|(key, entity)| entity.line(key) + "\n").collect();
        Part {
            part: number,
            first_type: chunk[0].0.entity_type.clone(),
            last_type: chunk[chunk.len() - 1].0.entity_type.clone(),
            entities: chunk.len() as u32,
            frame: crate::frame(lines.as_bytes()),
        }
    };
    (0..).zip(entities.chunks(part_entities)).map(part).collect()
}

/// One segment of several, without their batch lines.
fn merged(run: &[Segment]) -> Segment {
    let lines: String = run.iter().flat_map(events_of).map(|event| event.line + "\n").collect();
    let (first, last) = (run[0].header.first, run[run.len() - 1].header.last);
    let header = SegmentHeader {
        first,
        last,
        lines: last.0 + 1 - first.0,
        batches: run.iter().flat_map(|segment| segment.header.batches.clone()).collect(),
        positions: None,
    };
    Segment { header, frame: crate::frame(lines.as_bytes()) }
}

fn latest(header: &SegmentHeader) -> UtcTime {
    header.batches.iter().map(|batch| batch.received_at).max().expect("a batch")
}
