//! An answer's body, made from what was read of the log: stored frames as they are, or decoded lines, or JSON. Behind
//! the hello stands the snapshot, where there is one, then the segments.

use serde::Deserialize;
use std::borrow::Cow;
use tidelog_events::frame::{Encoder, FrameError, SnapshotHeader, line_frame, write_line};
use tidelog_events::id::Position;
use tidelog_events::protocol::{Hello, HelloLine};
use tidelog_events::schema::Schema;
use tidelog_store::segments::Segment;
use tidelog_store::snapshot_parts::Part;

use super::decoded::{DamagedSegment, DecodedSegment, decode, filter, inspect_frame, inspect_stored};
use super::json;
use super::negotiate::Format;
use super::read::{LogRead, SnapshotRead};
use super::request::PullRequest;
use super::snapshot::{self, DamagedSnapshot, EntityWriter};
use crate::codecs::Codec;

/// An answer decodes to at most this many times the stored bytes that it may have, or to one segment.
pub(crate) const DECODED_PER_STORED: u64 = 8;

/// More than the header frame of a segment of one batch mostly takes.
const HEADER_BYTES: usize = 256;

/// Why there is no answer: the log, or this process, is damaged.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerError {
    #[error(transparent)]
    Damaged(#[from] DamagedSegment),
    #[error(transparent)]
    DamagedSnapshot(#[from] DamagedSnapshot),
    #[error("a frame cannot be written")]
    Encode(#[from] FrameError),
    #[error("an event line of the log is no JSON object")]
    Json(#[from] serde_json::Error),
}

/// A body, and how many events it holds.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Vec<u8>,
    /// Where in the body the entities of the snapshot are still to be put: they are too large to be held in memory.
    pub(super) entities_at: Option<usize>,
    pub(super) events: u64,
    /// The position through which it goes.
    pub(super) through: Position,
}

/// A body that lacks the entities of its snapshot, and where they belong.
struct Draft {
    body: Vec<u8>,
    entities_at: usize,
    events: u64,
    through: Position,
}

/// Answers a pull; without a hello, what goes on behind an answer that was begun before.
pub(super) fn answer(
    read: &LogRead,
    hello: Option<Hello>,
    request: &PullRequest,
    schema: &Schema,
    pull_bytes: u64,
    codec: &mut Codec,
) -> Result<Answer, AnswerError> {
    let decoded_bytes = pull_bytes.saturating_mul(DECODED_PER_STORED);
    let Draft { body, entities_at, events, through } = if is_passed_on(request) {
        frames_as_stored(read, hello, request, &mut codec.encoder)?
    } else {
        decoded(read, hello, request, schema, decoded_bytes, codec)?
    };
    match &read.snapshot {
        None => Ok(Answer { body, entities_at: None, events, through }),
        Some(snapshot) if may_be_held(snapshot, request, decoded_bytes) => {
            let body = with_entities(&body, entities_at, snapshot, request, codec)?;
            Ok(Answer { body, entities_at: None, events, through })
        }
        Some(_) => Ok(Answer { body, entities_at: Some(entities_at), events, through }),
    }
}

/// Whether all of the snapshot is read, and decodes to so many bytes where it must be decoded.
fn may_be_held(snapshot: &SnapshotRead, request: &PullRequest, decoded_bytes: u64) -> bool {
    // A damaged part is met where it is written.
    let content_bytes = |part: &Part| inspect_frame(&part.frame).unwrap_or(0);
    let fits = || snapshot.parts.iter().map(content_bytes).sum::<u64>() <= decoded_bytes;
    snapshot.is_whole() && (is_passed_on(request) || fits())
}

fn with_entities(
    draft: &[u8],
    at: usize,
    SnapshotRead { snapshot, parts }: &SnapshotRead,
    request: &PullRequest,
    codec: &mut Codec,
) -> Result<Vec<u8>, DamagedSnapshot> {
    let mut body = Vec::with_capacity(draft.len() + snapshot.bytes as usize);
    body.extend_from_slice(&draft[..at]);
    let mut entities = EntityWriter::new(snapshot, request);
    for part in parts {
        entities.write(part, codec, &mut body)?;
    }
    entities.end()?;
    body.extend_from_slice(&draft[at..]);
    Ok(body)
}

/// About how many bytes answering has to do with: those that are stored, and where they are decoded, those too.
pub(super) fn work_bytes(read: &LogRead, request: &PullRequest) -> u64 {
    let parts = read.snapshot.iter().flat_map(|read| &read.parts).map(|part| &part.frame);
    let segments = wanted(read, request).iter().map(|segment| &segment.frame);
    let stored = parts.chain(segments).map(|frame| frame.len() as u64).sum();
    if is_passed_on(request) { stored } else { DECODED_PER_STORED * stored }
}

/// Whether the answer is what is stored, as it is.
pub(super) fn is_passed_on(request: &PullRequest) -> bool {
    request.format == Format::Frames && request.types.is_none()
}

/// The position through which the answer may go. What the snapshot stands for does not count.
fn through(read: &LogRead, request: &PullRequest) -> Position {
    Position(read.segments_after().0 + request.limit)
}

/// Of what was read, perhaps for several readers, the segments that this one asked for.
fn wanted<'r>(read: &'r LogRead, request: &PullRequest) -> &'r [Segment] {
    let through = through(read, request);
    let end = read.segments.partition_point(|segment| segment.header.first <= through);
    &read.segments[..end]
}

/// The entity type that the event is about, as the schema in force says.
fn entity_type<'s>(line: &str, schema: &'s Schema) -> Option<&'s str> {
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(rename = "type", borrow)]
        event_type: Cow<'a, str>,
    }
    let typed: Typed<'_> = serde_json::from_str(line).ok()?;
    schema.entity_of(&typed.event_type)
}

fn snapshot_header(read: &LogRead, request: &PullRequest) -> Option<SnapshotHeader> {
    read.snapshot.as_ref().map(|read| snapshot::header(&read.snapshot, request.types.as_ref()))
}

fn frames_as_stored(
    read: &LogRead,
    hello: Option<Hello>,
    request: &PullRequest,
    encoder: &mut Encoder,
) -> Result<Draft, AnswerError> {
    let wanted = wanted(read, request);
    let mut body = begin_frames(hello, snapshot_header(read, request).as_ref(), encoder)?;
    let entities_at = body.len();
    // Grown step by step, it would take twice as much in the end.
    body.reserve_exact(wanted.iter().map(|segment| segment.frame.len() + HEADER_BYTES).sum());
    for segment in wanted {
        inspect_stored(segment)?;
        body.extend_from_slice(&segment.header.frame(encoder)?);
        body.extend_from_slice(&segment.frame);
    }
    let events = wanted.iter().map(|segment| segment.header.events()).sum();
    let through = wanted.last().map_or(read.segments_after(), |segment| segment.header.last);
    Ok(Draft { body, entities_at, events, through })
}

fn decoded(
    read: &LogRead,
    hello: Option<Hello>,
    request: &PullRequest,
    schema: &Schema,
    decoded_bytes: u64,
    codec: &mut Codec,
) -> Result<Draft, AnswerError> {
    let (after, through) = (read.segments_after(), through(read, request));
    let wanted = wanted(read, request);
    let bodies = decode(wanted, decoded_bytes, &mut codec.decoder)?;
    let mut segments = Vec::with_capacity(bodies.len());
    for (segment, body) in wanted.iter().zip(&bodies) {
        segments.extend(DecodedSegment::split(&segment.header, body)?.cut(after, through));
    }
    if let Some(types) = &request.types {
        segments =
            filter(segments, |line| entity_type(line, schema).is_some_and(|name| types.contains(name)));
    }
    let events = segments.iter().map(|segment| segment.header.events()).sum();
    let snapshot = snapshot_header(read, request);
    let (body, entities_at) = match request.format {
        Format::Frames => frames(hello, snapshot.as_ref(), &segments, &mut codec.encoder)?,
        Format::Lines => lines(hello, snapshot.as_ref(), &segments),
        // What goes on is never asked for as one object.
        Format::Json => hello.map_or(Ok((Vec::new(), 0)), |hello| json::body(hello, snapshot, &segments))?,
    };
    let through = segments.last().map_or(after, |segment| segment.header.last);
    Ok(Draft { body, entities_at, events, through })
}

fn hello_line(hello: Hello) -> Vec<u8> {
    let mut line = Vec::with_capacity(HEADER_BYTES);
    write_line(&mut line, &HelloLine { hello });
    line
}

/// What stands before the entities of the snapshot, or before the segments.
fn begin_frames(
    hello: Option<Hello>,
    snapshot: Option<&SnapshotHeader>,
    encoder: &mut Encoder,
) -> Result<Vec<u8>, FrameError> {
    let mut frames = match hello {
        Some(hello) => line_frame(&hello_line(hello), encoder)?,
        None => Vec::new(),
    };
    if let Some(header) = snapshot {
        frames.extend(line_frame(&header.line(), encoder)?);
    }
    Ok(frames)
}

fn frames(
    hello: Option<Hello>,
    snapshot: Option<&SnapshotHeader>,
    segments: &[DecodedSegment<'_>],
    encoder: &mut Encoder,
) -> Result<(Vec<u8>, usize), FrameError> {
    let mut body = begin_frames(hello, snapshot, encoder)?;
    let entities_at = body.len();
    let mut content = Vec::new();
    for segment in segments {
        body.extend_from_slice(&segment.header.frame(encoder)?);
        content.clear();
        segment.write_body(&mut content);
        if !content.is_empty() {
            body.extend_from_slice(&encoder.encode(&content)?);
        }
    }
    Ok((body, entities_at))
}

fn lines(
    hello: Option<Hello>,
    snapshot: Option<&SnapshotHeader>,
    segments: &[DecodedSegment<'_>],
) -> (Vec<u8>, usize) {
    let mut body = hello.map(hello_line).unwrap_or_default();
    body.extend(snapshot.into_iter().flat_map(SnapshotHeader::line));
    let entities_at = body.len();
    body.reserve_exact(segments.iter().map(|segment| HEADER_BYTES + segment.body_bytes()).sum());
    for segment in segments {
        body.extend_from_slice(&segment.header.line());
        segment.write_body(&mut body);
    }
    (body, entities_at)
}

#[cfg(test)]
mod tests;
