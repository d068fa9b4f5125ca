//! What a rebuild starts from where the log was pruned: the snapshot at the horizon. It is taken in part by part, as many
//! parts a transaction as its measure allows, and nothing is built on it before its state hash is right.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use tidelog_events::fold::{DamagedLine, Entity, EntityKey};
use tidelog_events::frame::{self, PartLines};
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::schema::Schema;
use tidelog_store::entities::KeyColumns;
use tidelog_store::rebuilds::Rebuild;
use tidelog_store::snapshot_parts::{self, Part};
use tidelog_store::snapshots::{self, Snapshot};
use tidelog_store::{entities, projections};
use tokio::task::block_in_place;

use crate::apply;
use crate::transaction::{Damage, FoldError, Folder, Target};

/// Why nothing can be rebuilt from a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum DamagedSnapshot {
    /// It is not there.
    #[error("there is no snapshot through position {0}, where the log begins")]
    Missing(Position),
    /// A part cannot be read.
    #[error("part {part} of the snapshot through position {through} is damaged")]
    Part {
        /// The position of the snapshot.
        through: Position,
        /// The number of the part, from 0.
        part: u32,
        /// What is wrong.
        source: DamagedPart,
    },
    /// Each part can be read, and together they are not the state that was written.
    #[error("the snapshot through position {0} is damaged: its entities do not have its state hash")]
    StateHash(Position),
}

/// What is wrong with a part of a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum DamagedPart {
    /// It is not there.
    #[error("it is missing")]
    Missing,
    /// Its frame, or the text in it.
    #[error(transparent)]
    Lines(#[from] frame::DamagedPart),
    /// Its order.
    #[error("its entities are out of order")]
    Order,
    /// A line.
    #[error("an entity line is damaged")]
    Line(#[from] DamagedLine),
}

type Entities = Vec<(EntityKey, Entity)>;

impl Folder {
    /// Takes the next parts of the snapshot in; with the last one, the rebuild has applied what the snapshot has.
    pub(crate) async fn take_in(
        &mut self,
        connection: &mut PgConnection,
        space: &SpaceId,
        rebuild: Rebuild,
        schema: &Schema,
    ) -> Result<Rebuild, FoldError> {
        let damaged = |damage: DamagedSnapshot| {
            let source = Damage::Snapshot(damage);
            FoldError::Damaged { space: space.clone(), source }
        };
        let through = rebuild.snapshot;
        let snapshot = snapshots::at(&mut *connection, space, through).await?;
        let snapshot = snapshot.ok_or_else(|| damaged(DamagedSnapshot::Missing(through)))?;
        if snapshot.schema.version > schema.version() {
            return Err(FoldError::NewerSchema { space: space.clone(), version: snapshot.schema.version });
        }
        let stored_bytes = i64::try_from(self.measure.stored_bytes).unwrap_or(i64::MAX);
        let next = rebuild.next_part;
        let parts = snapshot_parts::from(&mut *connection, space, through, next, stored_bytes).await?;
        let read = block_in_place(|| self.read_parts(&snapshot, next, &parts, schema));
        let (taken, entities) = read.map_err(damaged)?;
        let mut rebuild = insert(connection, space, rebuild, entities, schema).await?;
        rebuild.next_part += taken;
        if rebuild.next_part == snapshot.parts {
            if rebuild.state_hash != snapshot.state_hash {
                return Err(damaged(DamagedSnapshot::StateHash(through)));
            }
            rebuild.applied = through;
        }
        Ok(rebuild)
    }

    /// The entities of the parts from `next` on, as many parts as the measure allows and at least one; and how many that
    /// are.
    fn read_parts(
        &mut self,
        snapshot: &Snapshot,
        next: u32,
        parts: &[Part],
        schema: &Schema,
    ) -> Result<(u32, Entities), DamagedSnapshot> {
        let through = snapshot.through;
        let (mut entities, mut bytes, mut taken) = (Entities::new(), 0, 0);
        for number in next..snapshot.parts {
            let damaged = |source| DamagedSnapshot::Part { through, part: number, source };
            let Some(part) = parts.get(taken as usize) else {
                // It is behind those that were read, or nowhere.
                return if taken > 0 { Ok((taken, entities)) } else { Err(damaged(DamagedPart::Missing)) };
            };
            if taken > 0 && bytes >= self.measure.entity_bytes {
                break;
            }
            if part.part != number {
                return Err(damaged(DamagedPart::Missing));
            }
            bytes += self.read_part(part, schema, &mut entities).map_err(damaged)?;
            taken += 1;
        }
        Ok((taken, entities))
    }

    /// Adds a part's entities; returns its decoded bytes.
    fn read_part(
        &mut self,
        part: &Part,
        schema: &Schema,
        entities: &mut Entities,
    ) -> Result<u64, DamagedPart> {
        let lines = PartLines::read(&part.frame, part.entities, &mut self.decoder)?;
        for line in lines.iter() {
            let (key, entity) = Entity::from_line(line, schema)?;
            if entities.last().is_some_and(|(last, _)| *last >= key) {
                return Err(DamagedPart::Order);
            }
            entities.push((key, entity));
        }
        Ok(lines.bytes())
    }
}

/// Writes entities of the snapshot.
async fn insert(
    connection: &mut PgConnection,
    space: &SpaceId,
    rebuild: Rebuild,
    entities: Entities,
    schema: &Schema,
) -> Result<Rebuild, FoldError> {
    let through = rebuild.snapshot;
    // The snapshot does not say which event was the last of an entity; where the generation that is read does not know it
    // either, any may have been.
    let mut updated = BTreeMap::new();
    if let Some(live) = projections::find(&mut *connection, space).await? {
        let mut wanted = KeyColumns::default();
        for (key, _) in &entities {
            wanted.push(space, live.generation, key);
        }
        updated = entities::updated_positions(&mut *connection, &wanted).await?;
    }
    let entities = entities.into_iter().map(|(key, entity)| {
        let last = updated.get(&key).copied().unwrap_or(through).min(through);
        (key, entity, last)
    });
    let target = Target::new(space.clone(), rebuild.generation, through, rebuild.state_hash);
    let target = apply::insert(connection, target, entities.collect(), schema).await?;
    Ok(Rebuild { state_hash: target.state_hash, ..rebuild })
}
