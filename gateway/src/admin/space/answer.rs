//! A space as the answer shows it.

use serde::Serialize;
use serde_json::Value;
use tidelog_events::fold::StateHash;
use tidelog_events::id::{DeviceId, Epoch, Position, Sequence, SpaceId, UserId};
use tidelog_events::protocol::UtcTime;
use tidelog_store::devices::SeenDevice;
use tidelog_store::projections::Projection;
use tidelog_store::snapshots::Snapshot;
use tidelog_store::space_sizes::{COUNTED_MAX, SpaceSizes};
use tidelog_store::spaces::KnownSpace;
use utoipa::ToSchema;

use super::DEVICES_MAX;

/// What was read of a space, all of one moment.
pub(super) struct Read {
    pub(super) known: KnownSpace,
    pub(super) sizes: SpaceSizes,
    pub(super) snapshot: Option<Snapshot>,
    pub(super) projection: Option<Projection>,
    pub(super) rebuilding: bool,
    pub(super) merged_through: Position,
    pub(super) refusal: Option<(UtcTime, Value)>,
    pub(super) devices: Vec<SeenDevice>,
}

/// A space.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SpaceSummary {
    /// Its id.
    #[schema(value_type = String, example = "user-1")]
    space_id: SpaceId,
    /// Its last position.
    #[schema(value_type = u64, example = 150)]
    head: Position,
    /// The position through which its log has been pruned.
    #[schema(value_type = u64, example = 0)]
    horizon: Position,
    /// The log's incarnation.
    #[schema(value_type = String, format = "uuid")]
    epoch: Epoch,
    /// When something was first pushed to it.
    created_at: UtcTime,
    /// When the last event that its log has was received; null where the log has none.
    last_received_at: Option<UtcTime>,
    /// How much there is of it.
    sizes: Sizes,
    /// How far it is folded into its read model; null before anything was.
    projection: Option<ProjectionSummary>,
    /// What the compactor has done with it.
    compaction: CompactionSummary,
    /// The devices that were heard of last, the latest first, at most 100. Those of events without a number are left out.
    devices: Vec<DeviceLag>,
    /// Whether there are more of them.
    more_devices: bool,
}

/// How much there is of a space. A number of rows is 100,000 at most, which then stands for that many or more.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sizes {
    /// Segments of the log in PostgreSQL.
    #[schema(example = 12)]
    segments: u64,
    /// Their stored bytes; where there are more segments than are counted, those of the latest.
    #[schema(example = 48_213)]
    log_bytes: u64,
    /// Objects in the archive.
    archived_objects: u64,
    /// Their bytes.
    archived_bytes: u64,
    /// What stands for the log through the horizon; null where nothing was pruned.
    snapshot: Option<SnapshotSize>,
    /// Entities of the read model, invisible ones included.
    #[schema(example = 40)]
    entities: u64,
    /// Those of them that readers see.
    #[schema(example = 38)]
    visible_entities: u64,
    /// Events in quarantine.
    quarantined: u64,
    /// Whether a count has ended before all was counted.
    more: bool,
}

/// A snapshot.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SnapshotSize {
    /// The position through which the log is folded.
    #[schema(value_type = u64)]
    through: Position,
    /// Its entities, invisible ones included.
    entities: u64,
    /// Its stored bytes.
    bytes: u64,
}

/// How far a space is folded.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProjectionSummary {
    /// The position through which it is folded.
    #[schema(value_type = u64, example = 150)]
    applied: Position,
    /// Positions between that and the head.
    #[schema(example = 0)]
    behind: u64,
    /// The schema version that folded it, the newest one if there were several.
    #[schema(example = 1)]
    schema_version: u32,
    /// Whether another schema folded some of it, too: then its state hash can be compared with nobody's.
    mixed: bool,
    /// The state hash by entity type (docs/formats.md).
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    state_hash: StateHash,
    /// Which generation of its entities is read.
    #[schema(example = 1)]
    generation: i32,
    /// Whether the next generation is being filled beside it.
    rebuilding: bool,
}

/// What the compactor has done with a space.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CompactionSummary {
    /// The position through which its segments are merged as far as they will be.
    #[schema(value_type = u64)]
    merged_through: Position,
    /// Why it is not pruned; null where nothing stands against it.
    refusal: Option<RefusalSummary>,
}

/// A refusal to prune.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RefusalSummary {
    /// When it was last made.
    at: UtcTime,
    /// What differed, as the compactor has noted it.
    #[schema(value_type = Object)]
    found: Value,
}

/// A device, and how far it is behind.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeviceLag {
    /// Its id.
    #[schema(value_type = String, example = "phone-1")]
    device_id: DeviceId,
    /// The user who first pushed with it.
    #[schema(value_type = String, example = "user-1")]
    user_id: UserId,
    /// The last of its sequences that the server has dealt with.
    #[schema(value_type = u64, example = 51)]
    last_sequence: Sequence,
    /// The last position that it said it has.
    #[schema(value_type = u64, example = 140)]
    cursor: Position,
    /// Positions between that and the head.
    #[schema(example = 10)]
    behind: u64,
    /// When it was last heard of.
    last_seen_at: UtcTime,
}

impl SpaceSummary {
    pub(super) fn new(read: Read) -> Self {
        let sizes = Sizes::new(&read);
        let Read { known: KnownSpace { log, created_at, last_received_at }, mut devices, .. } = read;
        let more_devices = devices.len() > DEVICES_MAX;
        devices.truncate(DEVICES_MAX);
        Self {
            projection: read.projection.map(|found| ProjectionSummary::new(found, log.head, read.rebuilding)),
            compaction: CompactionSummary {
                merged_through: read.merged_through,
                refusal: read.refusal.map(|(at, found)| RefusalSummary { at, found }),
            },
            devices: devices.into_iter().map(|device| DeviceLag::new(device, log.head)).collect(),
            more_devices,
            space_id: log.space,
            head: log.head,
            horizon: log.horizon,
            epoch: log.epoch,
            created_at,
            last_received_at,
            sizes,
        }
    }
}

impl Sizes {
    fn new(read: &Read) -> Self {
        let sizes = read.sizes;
        let counts = [sizes.segments, sizes.objects, sizes.entities, sizes.quarantined];
        Self {
            segments: sizes.segments,
            log_bytes: sizes.log_bytes,
            archived_objects: sizes.objects,
            archived_bytes: sizes.archive_bytes,
            snapshot: read.snapshot.as_ref().map(|snapshot| SnapshotSize {
                through: snapshot.through,
                entities: snapshot.entities.values().sum(),
                bytes: snapshot.bytes,
            }),
            entities: sizes.entities,
            visible_entities: sizes.visible_entities,
            quarantined: sizes.quarantined,
            more: counts.iter().any(|count| *count >= COUNTED_MAX.cast_unsigned()),
        }
    }
}

impl ProjectionSummary {
    fn new(found: Projection, head: Position, rebuilding: bool) -> Self {
        Self {
            applied: found.applied,
            behind: head.0.saturating_sub(found.applied.0),
            schema_version: found.schema.version,
            mixed: found.mixed,
            state_hash: found.state_hash,
            generation: found.generation,
            rebuilding,
        }
    }
}

impl DeviceLag {
    fn new(seen: SeenDevice, head: Position) -> Self {
        let SeenDevice { device, user, last_sequence, cursor, last_seen_at } = seen;
        Self {
            device_id: device,
            user_id: user,
            last_sequence,
            cursor,
            behind: head.0.saturating_sub(cursor.0),
            last_seen_at,
        }
    }
}
