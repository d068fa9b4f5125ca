//! Writes the snapshot of a space through a position: the one at its horizon, and the log behind it.

use std::collections::BTreeMap;

use sqlx::{PgConnection, PgPool};
use tidelog_events::fold::{EntityKey, LineDigest, Span, StateHash};
use tidelog_events::frame::Encoder;
use tidelog_events::id::{DeviceId, Position, Sequence, SpaceId};
use tidelog_events::protocol::UtcTime;
use tidelog_events::schema::Schema;
use tidelog_runtime::failpoint::{Failpoint, reach};
use tidelog_store::segment_devices;
use tidelog_store::snapshot_parts::{self, Part};
use tidelog_store::snapshots::{self, Snapshot};
use tidelog_store::spaces::Space;
use tokio::task::block_in_place;

use crate::error::CompactError;
use crate::folded::{Folded, Lines};
use crate::log;
use crate::work::Work;

/// A snapshot that was written, or why it was not.
pub(crate) enum Written {
    /// It is there, and not proven.
    Snapshot(Snapshot),
    /// It would have more decoded bytes than it may.
    TooLarge,
    /// The fold skips an event of it, or a part of one: a later schema may not, and could not fold it from a snapshot.
    Skips(Position),
}

/// Writes the snapshot through `through`. Nobody reads it before the horizon moves there.
pub(crate) async fn write(
    pool: &PgPool,
    space: &Space,
    through: Position,
    schema: &Schema,
    work: &Work,
    now: UtcTime,
) -> Result<Written, CompactError> {
    let mut connection = pool.acquire().await?;
    let base = of_horizon(&mut connection, space).await?;
    let devices = devices(&mut connection, space, base.as_ref(), through).await?;
    let span = Span { applied: space.horizon, through };
    let log = log::fold(&mut connection, &space.space, span, schema, work).await?;
    if let Some(position) = log.skipped {
        return Ok(Written::Skips(position));
    }
    let mut folded = Folded::new(&space.space, base, log.runs, schema)?;
    let mut parts = Parts::new(&space.space, through)?;
    loop {
        let lines = folded.next_lines(&mut connection).await?;
        if lines.is_empty() {
            break;
        }
        let part = block_in_place(|| parts.next(&lines))?;
        if parts.content_bytes > work.snapshot_bytes {
            return Ok(Written::TooLarge);
        }
        snapshot_parts::insert(&mut connection, &space.space, through, &[part]).await?;
        reach(Failpoint::CompactorAfterPart);
    }
    let snapshot = parts.snapshot(schema, devices);
    snapshots::insert(&mut connection, &space.space, &snapshot, now).await?;
    // Readers get what is stored: its lines are compared later, this is not.
    if snapshots::at(&mut connection, &space.space, through).await?.as_ref() != Some(&snapshot) {
        return Err(CompactError::Changed("a snapshot does not read as it was written"));
    }
    reach(Failpoint::CompactorAfterSnapshot);
    Ok(Written::Snapshot(snapshot))
}

/// The snapshot at the space's horizon; none where nothing was pruned yet.
pub(crate) async fn of_horizon(
    connection: &mut PgConnection,
    space: &Space,
) -> Result<Option<Snapshot>, CompactError> {
    if space.horizon == Position::ZERO {
        return Ok(None);
    }
    let missing = CompactError::Changed("there is no snapshot at its horizon");
    snapshots::at(connection, &space.space, space.horizon).await?.ok_or(missing).map(Some)
}

/// The last sequence of each numbered device at or below `through`.
async fn devices(
    connection: &mut PgConnection,
    space: &Space,
    base: Option<&Snapshot>,
    through: Position,
) -> Result<BTreeMap<DeviceId, Sequence>, CompactError> {
    let mut devices = base.map(|base| base.devices.clone()).unwrap_or_default();
    for (device, last) in
        segment_devices::last_sequences(connection, &space.space, space.horizon, through).await?
    {
        let sequence = devices.entry(device).or_default();
        // An event that was released from quarantine lies below its device's others.
        *sequence = last.max(*sequence);
    }
    Ok(devices)
}

/// The parts of a snapshot, and what they add up to.
struct Parts {
    space: SpaceId,
    through: Position,
    encoder: Encoder,
    entities: BTreeMap<Box<str>, u64>,
    state_hash: StateHash,
    count: u32,
    bytes: u64,
    content_bytes: u64,
}

impl Parts {
    fn new(space: &SpaceId, through: Position) -> Result<Self, CompactError> {
        Ok(Self {
            space: space.clone(),
            through,
            encoder: Encoder::dense()?,
            entities: BTreeMap::new(),
            state_hash: StateHash::default(),
            count: 0,
            bytes: 0,
            content_bytes: 0,
        })
    }

    fn next(&mut self, lines: &Lines) -> Result<Part, CompactError> {
        let mut content = String::new();
        for (key, line) in lines {
            content.push_str(line);
            content.push('\n');
            self.state_hash.replace(&key.entity_type, None, LineDigest::of(line.as_bytes()));
            match self.entities.get_mut(&key.entity_type) {
                Some(count) => *count += 1,
                None => {
                    self.entities.insert(key.entity_type.clone(), 1);
                }
            }
        }
        let type_of = |line: Option<&(EntityKey, String)>| {
            line.map(|(key, _)| key.entity_type.clone()).unwrap_or_default()
        };
        let part = Part {
            part: self.count,
            first_type: type_of(lines.first()),
            last_type: type_of(lines.last()),
            entities: lines.len() as u32,
            frame: self.encoder.encode(content.as_bytes())?,
        };
        self.count += 1;
        self.bytes += part.frame.len() as u64;
        self.content_bytes += content.len() as u64;
        Ok(part)
    }

    fn snapshot(self, schema: &Schema, devices: BTreeMap<DeviceId, Sequence>) -> Snapshot {
        tracing::debug!(space = %self.space, through = %self.through, bytes = self.bytes, "wrote a snapshot");
        Snapshot {
            through: self.through,
            schema: schema.id(),
            entities: self.entities,
            state_hash: self.state_hash,
            devices,
            parts: self.count,
            bytes: self.bytes,
        }
    }
}
