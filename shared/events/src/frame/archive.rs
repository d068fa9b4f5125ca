//! An archive object: a header frame that counts, then pruned segments as readers get them. It is read only when all
//! of it is there: each segment begins where the one before it ends, and nothing stands behind the last.

use serde::{Deserialize, Serialize};

use super::{Decoder, Encoder, FrameError, SegmentHeader, inspect, line_frame, write_line};
use crate::id::{Epoch, Position, SpaceId};
use crate::limits::{MAX_BODY_BYTES, MAX_SAFE_INTEGER};

/// Says which positions of which log an object holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveHeader {
    /// The space.
    pub space: SpaceId,
    /// The log's incarnation when the object was written.
    pub epoch: Epoch,
    /// Position of the first event.
    pub first: Position,
    /// Position of the last event.
    pub last: Position,
    /// Segments that follow.
    pub segments: u64,
}

#[derive(Serialize, Deserialize)]
struct ArchiveLine<H> {
    archive: H,
}

impl ArchiveHeader {
    /// The header's line, ended.
    pub fn line(&self) -> Vec<u8> {
        let mut line = Vec::with_capacity(256);
        write_line(&mut line, &ArchiveLine { archive: self });
        line
    }

    /// Reads a header line; `None` where the line is something else, or counts that cannot be.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let line: ArchiveLine<Self> = serde_json::from_slice(line).ok()?;
        let header = line.archive;
        let possible = Position::ZERO < header.first
            && header.first <= header.last
            && header.last.0 <= MAX_SAFE_INTEGER
            && (1..=header.last.0 - header.first.0 + 1).contains(&header.segments);
        possible.then_some(header)
    }
}

/// Why an object's bytes are not what was archived.
#[derive(Debug, thiserror::Error)]
pub enum DamagedArchive {
    /// A frame is torn, or is none.
    #[error("a frame is damaged: {0}")]
    Frame(#[from] FrameError),
    /// The first frame is no header.
    #[error("the header is missing or damaged")]
    NoHeader,
    /// Where a segment must begin, something else stands.
    #[error("no segment begins at {expected}")]
    NoSegment {
        /// The position behind the segment before.
        expected: Position,
    },
    /// Another number of segments than the header counts, or other positions.
    #[error("{segments} segments through {last} are not what the header says")]
    Miscounted {
        /// Segments that are there.
        segments: u64,
        /// The last position that is there.
        last: Position,
    },
}

/// The bytes of an object. The segments are given in order, each with its body frame, and are as many as the header
/// says.
pub fn write_archive<'a>(
    header: &ArchiveHeader,
    segments: impl IntoIterator<Item = (&'a SegmentHeader, &'a [u8])>,
    encoder: &mut Encoder,
) -> Result<Vec<u8>, FrameError> {
    let mut object = line_frame(&header.line(), encoder)?;
    for (segment, body) in segments {
        object.extend_from_slice(&segment.frame(encoder)?);
        object.extend_from_slice(body);
    }
    Ok(object)
}

/// The segments of an object, each with its body frame, which is not decoded.
#[expect(clippy::type_complexity, reason = "a header, and segments as the log stores them")]
pub fn read_archive<'o>(
    object: &'o [u8],
    decoder: &mut Decoder,
) -> Result<(ArchiveHeader, Vec<(SegmentHeader, &'o [u8])>), DamagedArchive> {
    let (line, mut rest) = decoder.decode_first(object, MAX_BODY_BYTES)?;
    let header = ArchiveHeader::parse(&line).ok_or(DamagedArchive::NoHeader)?;
    let mut segments = Vec::new();
    let mut expected = header.first;
    while !rest.is_empty() {
        let (line, behind) = decoder.decode_first(rest, MAX_BODY_BYTES)?;
        let segment = SegmentHeader::parse(&line)
            .filter(|segment| segment.first == expected && segment.positions.is_none())
            .ok_or(DamagedArchive::NoSegment { expected })?;
        let (body, behind) = behind.split_at(inspect(behind).map_err(FrameError::Unsafe)?.frame_bytes);
        expected = segment.last.next();
        segments.push((segment, body));
        rest = behind;
    }
    let (count, last) = (segments.len() as u64, Position(expected.0 - 1));
    if count == header.segments && last == header.last {
        Ok((header, segments))
    } else {
        Err(DamagedArchive::Miscounted { segments: count, last })
    }
}
