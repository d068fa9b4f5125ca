//! Proves a snapshot: as read back, with the log behind it, it must fold to exactly what the projector has, entity by
//! entity and by the hash. Both are read at one moment, in order of entities, a chunk at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use tidelog_events::fold::{Change, DamagedLine, Entity, EntityKey, LineDigest, Span, StateHash};
use tidelog_events::frame::{Decoder, SegmentBody};
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::schema::Schema;
use tidelog_store::entities::{self, WholeEntity};
use tidelog_store::projections::{self, Projection};
use tidelog_store::snapshots::Snapshot;
use tidelog_store::{compactions, segments, spaces};

use crate::difference::{self, Difference};
use crate::error::CompactError;
use crate::folded::{Folded, who_is_next};
use crate::work::Work;
use crate::{log, snapshot};

/// Differences that are told; the others are only counted.
const DIFFERENCES_MAX: usize = 10;
/// Bytes of entity lines that one statement reads.
const READ_BYTES: i64 = 1024 * 1024;
/// A segment that decodes to more is not one that Tidelog wrote.
const SEGMENT_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What came of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "verdict")]
pub enum Verdict {
    /// Snapshot and log fold to the read model.
    #[serde(rename_all = "camelCase")]
    Equal {
        /// The position through which they were compared.
        applied: Position,
        /// Entities, invisible ones included.
        entities: u64,
    },
    /// They cannot be compared, or not yet.
    #[serde(rename_all = "camelCase")]
    NotComparable {
        /// Why, for people.
        reason: String,
    },
    /// They differ.
    #[serde(rename_all = "camelCase")]
    Different {
        /// The position through which they were compared.
        applied: Position,
        /// Entities that differ.
        entities: u64,
        /// The first differences; none where only the read model's own hash is not that of its lines.
        differences: Vec<Difference>,
    },
}

/// With what a read model is compared, and the log behind it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Against<'a> {
    /// A snapshot that was written.
    Snapshot(&'a Snapshot),
    /// The one that readers get; an empty state where nothing was pruned.
    AtHorizon,
}

/// Compares the read model with what the base and the log behind it fold to.
pub(crate) async fn verify(
    pool: &PgPool,
    space: &SpaceId,
    base: Against<'_>,
    schema: &Schema,
    work: &Work,
) -> Result<Verdict, CompactError> {
    let mut moment: Transaction<'_, Postgres> =
        pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    compactions::may_idle(&mut moment).await?;
    let Some(found) = spaces::find(&mut moment, space).await? else {
        return Ok(Verdict::NotComparable { reason: "there is no such space".to_owned() });
    };
    let base = match base {
        Against::Snapshot(snapshot) => Some(snapshot.clone()),
        Against::AtHorizon => snapshot::of_horizon(&mut moment, &found).await?,
    };
    let through = base.as_ref().map_or(Position::ZERO, |base| base.through);
    let projection = projections::find(&mut moment, space).await?;
    let projection = match comparable(projection, through, base.as_ref(), schema) {
        Ok(projection) => projection,
        Err(reason) => return Ok(Verdict::NotComparable { reason }),
    };
    let applied = projection.applied;
    let span = Span { applied: through, through: applied };
    let log = log::fold(&mut moment, space, span, schema, work).await?;
    let folded = Folded::new(space, base, log.runs, schema)?;
    let mut comparison = Comparison::default();
    compare(&mut moment, folded, &projection, schema, &mut comparison).await?;
    if comparison.differ == 0 && comparison.hash == projection.state_hash {
        return Ok(Verdict::Equal { applied, entities: comparison.entities });
    }
    // What is to be pruned next still stands in the log.
    let span = Span { applied: found.horizon, through: applied };
    find_events(&mut moment, space, span, schema, &mut comparison.differences).await?;
    Ok(Verdict::Different { applied, entities: comparison.differ, differences: comparison.differences })
}

/// The projection, if it can be compared with a snapshot through `through`; else why not.
fn comparable(
    projection: Option<Projection>,
    through: Position,
    base: Option<&Snapshot>,
    schema: &Schema,
) -> Result<Projection, String> {
    let Some(projection) = projection else { return Err("nothing of the space is folded yet".to_owned()) };
    let folded_by = projection.schema.version;
    if let Some(newer) = base.filter(|base| base.schema.version > schema.version()) {
        let version = newer.schema.version;
        return Err(format!("the snapshot was folded with schema version {version}, which is newer"));
    }
    if projection.mixed {
        return Err(format!("several schemas have folded the read model, the newest of version {folded_by}"));
    }
    if projection.schema != schema.id() {
        return Err(format!(
            "the read model is folded with another schema than ours: its version is {folded_by}, ours {}",
            schema.version()
        ));
    }
    if projection.applied < through {
        return Err(format!("the read model is folded through {} only", projection.applied));
    }
    Ok(projection)
}

/// What was compared so far.
#[derive(Default)]
struct Comparison {
    entities: u64,
    differ: u64,
    differences: Vec<Difference>,
    /// Of what snapshot and log fold to.
    hash: StateHash,
}

impl Comparison {
    /// Takes in an entity, of which one side may be missing.
    fn note(
        &mut self,
        folded: Option<(EntityKey, String)>,
        stored: Option<WholeEntity>,
        schema: &Schema,
    ) -> Result<(), DamagedLine> {
        if let Some((key, line)) = &folded {
            self.entities += 1;
            self.hash.replace(&key.entity_type, None, LineDigest::of(line.as_bytes()));
        }
        let found = match (folded, stored) {
            (Some((key, line)), Some(stored)) if line == stored.line => {
                let entity = Entity::from_line(&line, schema)?.1;
                difference::in_view(&key, &entity, stored.visible, &stored.view)
            }
            (folded, stored) => {
                let (is, was) = (folded.as_ref(), stored.as_ref());
                let Some(key) = is.map(|(key, _)| key).or(was.map(|entity| &entity.key)) else {
                    return Ok(());
                };
                let (is, was) = (is.map(|(_, line)| line.as_str()), was.map(|entity| entity.line.as_str()));
                difference::between(key, is, was, schema)
            }
        };
        self.differ += u64::from(!found.is_empty());
        let room = DIFFERENCES_MAX - self.differences.len();
        self.differences.extend(found.into_iter().take(room));
        Ok(())
    }
}

/// Walks both sides in order of entities.
async fn compare(
    connection: &mut PgConnection,
    mut folded: Folded<'_>,
    projection: &Projection,
    schema: &Schema,
    comparison: &mut Comparison,
) -> Result<(), CompactError> {
    let mut expected = VecDeque::new();
    let mut stored = Stored::new(projection);
    loop {
        if expected.is_empty() {
            expected.extend(folded.next_lines(&mut *connection).await?);
        }
        stored.fill(&mut *connection).await?;
        let (is_next, was_next) = who_is_next(
            expected.front().map(|(key, _)| key),
            stored.entities.front().map(|entity| &entity.key),
        );
        if !is_next && !was_next {
            return Ok(());
        }
        let is = if is_next { expected.pop_front() } else { None };
        let was = if was_next { stored.entities.pop_front() } else { None };
        comparison.note(is, was, schema)?;
    }
}

/// The read model's entities.
struct Stored {
    space: SpaceId,
    generation: i32,
    last: Option<EntityKey>,
    at_end: bool,
    entities: VecDeque<WholeEntity>,
}

impl Stored {
    fn new(projection: &Projection) -> Self {
        Self {
            space: projection.space.clone(),
            generation: projection.generation,
            last: None,
            at_end: false,
            entities: VecDeque::new(),
        }
    }

    async fn fill(&mut self, connection: &mut PgConnection) -> sqlx::Result<()> {
        if !self.entities.is_empty() || self.at_end {
            return Ok(());
        }
        let (space, after) = (&self.space, self.last.as_ref());
        let read = entities::behind(connection, space, self.generation, after, READ_BYTES).await?;
        self.at_end = read.is_empty();
        self.last = read.last().map(|entity| entity.key.clone()).or(self.last.take());
        self.entities.extend(read);
        Ok(())
    }
}

/// Finds the events that decide the differing fields, as far as the log still has them.
async fn find_events(
    connection: &mut PgConnection,
    space: &SpaceId,
    Span { mut applied, through }: Span,
    schema: &Schema,
    differences: &mut [Difference],
) -> Result<(), CompactError> {
    let mut decoder = Decoder::new()?;
    while applied < through && !differences.is_empty() {
        let read = segments::behind_each(&mut *connection, &[(space, applied)], 1024, READ_BYTES).await?;
        let Some((_, last)) = read.last() else { return Ok(()) };
        applied = last.header.last;
        for (_, segment) in &read {
            let header = &segment.header;
            let body = decoder.decode_one(&segment.frame, SEGMENT_BYTES_MAX)?;
            let Ok(lines) = SegmentBody::split(&body, header.first, header.last) else { continue };
            for (position, line) in (header.first.0..).map(Position).zip(lines.events) {
                let Some(batch) = header.batch_at(position).filter(|_| position <= through) else { continue };
                let device = Arc::new(batch.device_id.clone());
                if let Ok(change) = Change::read(line, &device, schema) {
                    difference::note_event(differences, &change, position);
                }
            }
        }
    }
    Ok(())
}
