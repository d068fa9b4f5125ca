//! Makes one segment of several. Positions and bytes of events stay what they are, and readers find them where they
//! were, in the middle of their reading or not.

use std::collections::VecDeque;

use sqlx::{PgConnection, PgPool};
use tidelog_events::fold::DamagedLog;
use tidelog_events::frame::{Decoder, Encoder, FrameError, SegmentBody, SegmentHeader, TornSegment, inspect};
use tidelog_events::id::{Position, SpaceId};
use tidelog_events::protocol::UtcTime;
use tidelog_runtime::failpoint::{Failpoint, reach};
use tidelog_store::segment_devices;
use tidelog_store::segments::{self, Segment};
use tokio::task::block_in_place;

use crate::error::CompactError;
use crate::plan::Span;

/// A segment that decodes to more was not planned to be merged.
const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Merges the segments of a span, which begins and ends where segments do, while the caller holds the claim on the space.
/// A damaged segment among them stays as it is, and those before and behind it are merged. Returns how many segments
/// went.
pub(crate) async fn merge(pool: &PgPool, space: &SpaceId, span: Span) -> Result<u64, CompactError> {
    let mut gone = 0;
    let mut spans = VecDeque::from([span]);
    while let Some(span) = spans.pop_front() {
        match merge_whole(pool, space, span).await? {
            Merging::Done { segments } => gone += segments - 1,
            Merging::Damaged { damage, at } => {
                let error = &damage as &dyn std::error::Error;
                tracing::error!(%space, first = %at.first, error, "a segment is damaged, and is not merged");
                let before = Span { first: span.first, last: Position(at.first.0 - 1) };
                let behind = Span { first: at.last.next(), last: span.last };
                spans.extend([before, behind].into_iter().filter(|span| span.first <= span.last));
            }
        }
    }
    Ok(gone)
}

enum Merging {
    /// So many segments are one.
    Done { segments: u64 },
    /// One of them is not what was committed; nothing was done.
    Damaged { damage: DamagedLog, at: Span },
}

/// Merges all segments of a span, in one transaction, or none.
async fn merge_whole(pool: &PgPool, space: &SpaceId, span: Span) -> Result<Merging, CompactError> {
    let Span { first, last } = span;
    let mut transaction = pool.begin().await?;
    let segments = read(&mut transaction, space, span).await?;
    let (mut encoder, mut decoder) = (Encoder::dense()?, Decoder::new()?);
    let merged = match block_in_place(|| Merged::of(&segments, &mut decoder)) {
        Ok(merged) => merged,
        Err((damage, at)) => return Ok(Merging::Damaged { damage, at }),
    };
    if segments.len() == 1 {
        return Ok(Merging::Done { segments: 1 });
    }
    let frame = block_in_place(|| encoder.encode(&merged.content))?;
    let segment = Segment { header: merged.header, frame };
    segment_devices::merge(&mut transaction, space, first, last).await?;
    let replaced = segments::merge(&mut transaction, space, &segment, merged.received_at).await?;
    if replaced != segments.len() as u64 {
        return Err(CompactError::Changed("other segments are there than were merged"));
    }
    // What is read from now on is this, and nothing else remembers the events.
    let [stored] = <[Segment; 1]>::try_from(read(&mut transaction, space, span).await?)
        .map_err(|_| CompactError::Changed("a merged segment is not there"))?;
    let content = block_in_place(|| decode(&stored, &mut decoder))?;
    if stored.header != segment.header || content != merged.content {
        return Err(CompactError::Changed("a merged segment does not read as it was written"));
    }
    reach(Failpoint::CompactorBeforeMerge);
    transaction.commit().await?;
    Ok(Merging::Done { segments: replaced })
}

/// The segments of a span. The plan has seen to it that they are small.
async fn read(
    connection: &mut PgConnection,
    space: &SpaceId,
    Span { first, last }: Span,
) -> Result<Vec<Segment>, CompactError> {
    let segments = segments::within(connection, space, first, last).await?;
    let mut end = Position(first.0 - 1);
    for Segment { header, .. } in &segments {
        if header.first != end.next() {
            return Err(CompactError::Changed("its segments do not follow each other"));
        }
        end = header.last;
    }
    if end == last { Ok(segments) } else { Err(CompactError::Changed("no segment ends where one did")) }
}

/// What several segments are as one.
#[derive(Debug)]
struct Merged {
    header: SegmentHeader,
    /// The event lines, each ended.
    content: Vec<u8>,
    /// When the latest of the batches came.
    received_at: UtcTime,
}

impl Merged {
    /// Of consecutive segments, at least one; or the first damaged one of them.
    fn of(segments: &[Segment], decoder: &mut Decoder) -> Result<Self, (DamagedLog, Span)> {
        let mut content = Vec::new();
        let mut batches = Vec::new();
        for segment in segments {
            let SegmentHeader { first, last, .. } = segment.header;
            take_lines(segment, decoder, &mut content).map_err(|damage| (damage, Span { first, last }))?;
            batches.extend(segment.header.batches.iter().cloned());
        }
        let first = segments.first().map_or(Position::ZERO, |segment| segment.header.first);
        let last = segments.last().map_or(Position::ZERO, |segment| segment.header.last);
        let received_at = batches.iter().map(|batch| batch.received_at).max().unwrap_or(UtcTime(0));
        let lines = (last.0 + 1).saturating_sub(first.0);
        let header = SegmentHeader { first, last, lines, batches, positions: None };
        Ok(Self { header, content, received_at })
    }
}

/// Appends the event lines of a segment, byte for byte.
fn take_lines(segment: &Segment, decoder: &mut Decoder, content: &mut Vec<u8>) -> Result<(), DamagedLog> {
    let header = &segment.header;
    let first = header.first;
    let body = decode(segment, decoder).map_err(|source| DamagedLog::Frame { first, source })?;
    let split = SegmentBody::split(&body, first, header.last)
        .map_err(|source| DamagedLog::Lines { first, source })?;
    let (events, lines) =
        (header.events(), (split.events.len() + usize::from(split.batch_line.is_some())) as u64);
    if lines != header.lines {
        return Err(DamagedLog::Lines { first, source: TornSegment { events, lines } });
    }
    if header.batches.first().is_none_or(|batch| batch.first != first) {
        return Err(DamagedLog::Origin(first));
    }
    for line in split.events {
        content.extend_from_slice(line.as_bytes());
        content.push(b'\n');
    }
    Ok(())
}

fn decode(segment: &Segment, decoder: &mut Decoder) -> Result<Vec<u8>, FrameError> {
    let content_bytes = inspect(&segment.frame)?.content_bytes;
    decoder.decode_one(&segment.frame, content_bytes.min(SEGMENT_BYTES_MAX) as usize)
}

#[cfg(test)]
mod tests;
