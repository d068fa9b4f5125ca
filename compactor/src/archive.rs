//! Writes the segments of a stretch of a log to the archive: each object is read back before anything relies on it.

use sqlx::PgPool;
use tidelog_archive::{Archive, StoredObject};
use tidelog_events::frame::{ArchiveHeader, Decoder, Encoder, SegmentHeader, read_archive, write_archive};
use tidelog_events::id::Position;
use tidelog_runtime::failpoint::{Failpoint, reach};
use tidelog_store::archive::Archived;
use tidelog_store::segments::{self, Segment};
use tidelog_store::spaces::Space;
use tokio::task::block_in_place;

use crate::error::CompactError;
use crate::plan::BATCH_BYTES;

/// Segments and stored bytes that one statement reads.
const READ_SEGMENTS: i64 = 512;
const READ_BYTES: i64 = 1024 * 1024;

/// Archives what lies behind the space's horizon and at or before `through`, at which a segment ends.
pub(crate) async fn write(
    pool: &PgPool,
    archive: &Archive,
    space: &Space,
    through: Position,
    object_bytes: u64,
) -> Result<Vec<Archived>, CompactError> {
    let (mut encoder, mut decoder) = (Encoder::new()?, Decoder::new()?);
    let mut archived: Vec<Archived> = Vec::new();
    let mut after = space.horizon;
    while after < through {
        let segments = read(pool, space, after, through, object_bytes).await?;
        let header = header(space, after, &segments)?;
        let object = block_in_place(|| object(&header, &segments, &mut encoder, &mut decoder))?;
        let StoredObject { object, sha256, bytes } = archive.store(&header, object.into()).await?;
        reach(Failpoint::CompactorAfterArchive);
        let (first, last, epoch) = (header.first, header.last, header.epoch);
        archived.push(Archived { first, last, epoch, object, sha256: sha256.to_vec(), bytes });
        after = last;
    }
    Ok(archived)
}

/// The segments of the next object: as many as fill it, with the batches that their headers name.
async fn read(
    pool: &PgPool,
    space: &Space,
    mut after: Position,
    through: Position,
    object_bytes: u64,
) -> Result<Vec<Segment>, CompactError> {
    let mut connection = pool.acquire().await?;
    let (mut segments, mut bytes) = (Vec::new(), 0);
    while after < through && bytes < object_bytes {
        let cursor = [(&space.space, after)];
        let read = segments::behind_each(&mut connection, &cursor, READ_SEGMENTS, READ_BYTES).await?;
        let before = segments.len();
        for (_, segment) in read {
            if segment.header.last > through || bytes >= object_bytes {
                break;
            }
            bytes += segment.frame.len() as u64 + BATCH_BYTES * segment.header.batches.len() as u64;
            after = segment.header.last;
            segments.push(segment);
        }
        if segments.len() == before {
            break;
        }
    }
    Ok(segments)
}

/// The bytes of an object, which read as what they were made of: nothing else will remember it.
fn object(
    header: &ArchiveHeader,
    segments: &[Segment],
    encoder: &mut Encoder,
    decoder: &mut Decoder,
) -> Result<Vec<u8>, CompactError> {
    let parts = segments.iter().map(|segment| (&segment.header, segment.frame.as_slice()));
    let object = write_archive(header, parts, encoder)?;
    let unreadable = CompactError::Changed("an object of the archive does not read as it was written");
    let Ok((read_header, read)) = read_archive(&object, decoder) else { return Err(unreadable) };
    let is_same = |(segment, (header, frame)): (&Segment, &(SegmentHeader, &[u8]))| {
        segment.header == *header && segment.frame == *frame
    };
    if read_header == *header && read.len() == segments.len() && segments.iter().zip(&read).all(is_same) {
        Ok(object)
    } else {
        Err(unreadable)
    }
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
