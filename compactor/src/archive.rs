//! Writes the segments of a stretch of a log to the archive: each object is read back before anything relies on it.

use sqlx::PgPool;
use tidelog_archive::{Archive, StoredObject};
use tidelog_events::frame::{ArchiveHeader, Encoder, write_archive};
use tidelog_events::id::Position;
use tidelog_runtime::failpoint::{Failpoint, reach};
use tidelog_store::archive::Archived;
use tidelog_store::segments::{self, Segment};
use tidelog_store::spaces::Space;
use tokio::task::block_in_place;

use crate::error::CompactError;

/// Segments of one object, at most.
const SEGMENTS_MAX: i64 = 4096;

/// Archives what lies behind the space's horizon and at or before `through`, at which a segment ends.
pub(crate) async fn write(
    pool: &PgPool,
    archive: &Archive,
    space: &Space,
    through: Position,
    object_bytes: u64,
) -> Result<Vec<Archived>, CompactError> {
    let mut encoder = Encoder::new()?;
    let mut archived: Vec<Archived> = Vec::new();
    let mut after = space.horizon;
    while after < through {
        let mut connection = pool.acquire().await?;
        let bytes = i64::try_from(object_bytes).unwrap_or(i64::MAX);
        let read =
            segments::behind_each(&mut connection, &[(&space.space, after)], SEGMENTS_MAX, bytes).await?;
        drop(connection);
        let segments: Vec<Segment> = read
            .into_iter()
            .map(|(_, segment)| segment)
            .take_while(|segment| segment.header.last <= through)
            .collect();
        let header = header(space, after, &segments)?;
        let object = block_in_place(|| {
            let segments = segments.iter().map(|segment| (&segment.header, segment.frame.as_slice()));
            write_archive(&header, segments, &mut encoder)
        })?;
        let StoredObject { object, sha256, bytes } = archive.store(&header, object.into()).await?;
        reach(Failpoint::CompactorAfterArchive);
        let (first, last, epoch) = (header.first, header.last, header.epoch);
        archived.push(Archived { first, last, epoch, object, sha256: sha256.to_vec(), bytes });
        after = last;
    }
    Ok(archived)
}

/// What the object of these segments is, which must follow the position without a gap.
fn header(space: &Space, after: Position, segments: &[Segment]) -> Result<ArchiveHeader, CompactError> {
    let mut last = after;
    for segment in segments {
        if segment.header.first != last.next() {
            return Err(CompactError::Changed("its segments do not follow each other"));
        }
        last = segment.header.last;
    }
    if last == after {
        return Err(CompactError::Changed("no segment ends where it is to be pruned"));
    }
    Ok(ArchiveHeader {
        space: space.space.clone(),
        epoch: space.epoch,
        first: after.next(),
        last,
        segments: segments.len() as u64,
    })
}
