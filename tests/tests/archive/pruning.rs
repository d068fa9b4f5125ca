//! A log that is pruned by hand, wherever and whenever a test wants: to read its history nothing else is needed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use reqwest::Method;
use serde_json::json;
use tidelog_archive::{Archive, ArchiveConfig, History, HistoryChunk, HistoryError, HistoryReader, Source};
use tidelog_events::frame::{ArchiveHeader, Decoder, Encoder, SegmentBody, write_archive};
use tidelog_events::id::{DeviceId, Position, SpaceId};
use tidelog_events::limits::MAX_BODY_BYTES;
use tidelog_store::archive::Archived;
use tidelog_store::segments::Segment;
use tidelog_store::{archive, archive_devices, segment_devices, segments, spaces};
use tidelog_tests::{Answer, Batch, EventLine, World};

/// Events of each of the two phones.
pub const PHONE_EVENTS: u64 = 60;
/// The events' end: the phones', and one of a backend in the middle.
pub const HEAD: u64 = 2 * PHONE_EVENTS + 1;
/// The position of the backend's event, which has no counter, at the end of a segment.
pub const LONE: u64 = 61;

/// An event as it is read: position, device, line.
pub type Read = (u64, DeviceId, String);

/// Ann's space in a world of its own.
pub struct Log {
    pub world: World,
    pub space: SpaceId,
    pub archive: Archive,
    pub history: History,
}

impl Log {
    /// Events of two phones in turn, in batches of one to five events.
    pub async fn new() -> Self {
        let world = World::new().await;
        let archive = Archive::open(&world.config.section("archive").unwrap()).unwrap();
        let history = History::new(world.pool.clone(), archive.clone());
        let log = Self { world, space: SpaceId::new("ann").unwrap(), archive, history };
        log.push_phones(1, PHONE_EVENTS / 2).await;
        log.push_lone().await;
        log.push_phones(PHONE_EVENTS / 2 + 1, PHONE_EVENTS).await;
        assert_eq!(log.world.head("ann").await, HEAD as i64);
        log
    }

    async fn push_phones(&self, first: u64, last: u64) {
        let mut from = first;
        for events in [1, 5, 2, 4, 3].into_iter().cycle() {
            let to = last.min(from + events - 1);
            for device in ["phone-1", "phone-2"] {
                self.world.push("ann", &Batch::new(device, from, to)).await.expect(200);
            }
            from = to + 1;
            if from > last {
                return;
            }
        }
    }

    async fn push_lone(&self) {
        let event = EventLine::new("backend", 1).without("deviceSequence").0.to_string();
        let batch = Batch { header: json!({"userId": "ann"}), lines: vec![event] };
        let request = self.world.backend_request(Method::POST, "/v1/spaces/ann/events");
        let request = request.header("Content-Type", "application/x-ndjson").body(batch.body());
        Answer::of(request).await.expect_committed(Some((LONE, LONE)));
    }

    /// The stored segments behind a position.
    async fn segments(&self, after: u64) -> Vec<Segment> {
        let mut connection = self.world.pool.acquire().await.unwrap();
        let cursors = [(&self.space, Position(after))];
        let found = segments::behind_each(&mut connection, &cursors, 1000, i64::MAX).await.unwrap();
        found.into_iter().map(|(_, segment)| segment).collect()
    }

    /// Where segments end, but for the last one.
    pub async fn ends(&self) -> Vec<u64> {
        let mut ends: Vec<_> = self.segments(0).await.iter().map(|segment| segment.header.last.0).collect();
        ends.pop();
        ends
    }

    /// Archives what the log has through a position at which a segment ends, so many segments an object, and prunes it.
    pub async fn prune(&self, through: u64, segments_per_object: usize) -> Vec<Archived> {
        let mut segments = self.segments(0).await;
        segments.retain(|segment| segment.header.last.0 <= through);
        let mut objects = Vec::new();
        for segments in segments.chunks(segments_per_object) {
            objects.push(self.store(segments).await);
        }
        let mut transaction = self.world.pool.begin().await.unwrap();
        let space = spaces::find(&mut transaction, &self.space).await.unwrap().unwrap();
        let (now, through) = (self.world.clock.now(), Position(through));
        archive::insert(&mut transaction, &self.space, &objects, now).await.unwrap();
        archive_devices::insert(&mut transaction, &self.space, &objects).await.unwrap();
        segment_devices::delete_through(&mut transaction, &self.space, through).await.unwrap();
        segments::delete_through(&mut transaction, &self.space, through).await.unwrap();
        assert!(spaces::move_horizon(&mut transaction, &space, through).await.unwrap());
        transaction.commit().await.unwrap();
        objects
    }

    async fn store(&self, segments: &[Segment]) -> Archived {
        let space = spaces::find(&mut self.world.pool.acquire().await.unwrap(), &self.space).await;
        let header = ArchiveHeader {
            space: self.space.clone(),
            epoch: space.unwrap().unwrap().epoch,
            first: segments[0].header.first,
            last: segments[segments.len() - 1].header.last,
            segments: segments.len() as u64,
        };
        let written = segments.iter().map(|segment| (&segment.header, segment.frame.as_slice()));
        let object = write_archive(&header, written, &mut Encoder::new().unwrap()).unwrap();
        let stored = self.archive.store(&header, object.into()).await.unwrap();
        let ArchiveHeader { epoch, first, last, .. } = header;
        let sha256 = stored.sha256.to_vec();
        Archived { first, last, epoch, object: stored.object, sha256, bytes: stored.bytes }
    }

    /// A row of `archive` is changed behind everybody's back.
    pub async fn alter(&self, statement: &'static str, last: Position) {
        let altered = sqlx::query(statement).bind("ann").bind(last.as_i64()).execute(&self.world.pool).await;
        assert_eq!(altered.unwrap().rows_affected(), 1);
    }

    /// Every event as the log shows it that was never pruned.
    pub async fn pulled(&self) -> Vec<Read> {
        assert!(!self.segments(0).await.is_empty(), "it was pruned");
        events(&self.segments(0).await)
    }

    pub async fn horizon(&self) -> u64 {
        let mut connection = self.world.pool.acquire().await.unwrap();
        spaces::find(&mut connection, &self.space).await.unwrap().unwrap().horizon.0
    }

    /// Where the world's archive lies.
    pub fn archive_folder(&self) -> PathBuf {
        self.world.config.section::<ArchiveConfig>("archive").unwrap().url.into()
    }

    pub fn reader(&self, after: u64) -> HistoryReader {
        self.history.behind(&self.space, Position(after))
    }

    /// The events behind a position, and how many chunks came from where.
    pub async fn read(&self, after: u64) -> Result<(Vec<Read>, BTreeMap<&'static str, usize>), HistoryError> {
        let mut reader = self.reader(after);
        let (mut found, mut chunks) = (Vec::new(), BTreeMap::new());
        while let Some(HistoryChunk { source, segments }) = reader.next_chunk().await? {
            let source = if source == Source::Archive { "archive" } else { "log" };
            *chunks.entry(source).or_default() += 1;
            found.extend(events(&segments).into_iter().filter(|(position, ..)| *position > after));
        }
        Ok((found, chunks))
    }
}

/// The events of segments, in order.
pub fn events(segments: &[Segment]) -> Vec<Read> {
    let mut decoder = Decoder::new().unwrap();
    let mut events = Vec::new();
    for Segment { header, frame } in segments {
        let body = decoder.decode_one(frame, MAX_BODY_BYTES).unwrap();
        let lines = SegmentBody::split(&body, header.first, header.last).unwrap().events;
        for (position, line) in (header.first.0..).zip(lines) {
            let batch = header.batch_at(Position(position)).unwrap();
            events.push((position, batch.device_id.clone(), line.to_owned()));
        }
    }
    events
}
