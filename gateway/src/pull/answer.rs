//! An answer's body, made from what was read of the log: stored frames as they are, or decoded lines, or JSON.

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::response::Response;
use serde::Deserialize;
use std::borrow::Cow;
use tidelog_events::frame::{Encoder, FrameError, line_frame, write_line};
use tidelog_events::protocol::{Hello, HelloLine};
use tidelog_events::schema::Schema;
use tidelog_store::segments::Segment;

use super::decoded::{DamagedSegment, DecodedSegment, decode, filter, inspect_stored};
use super::json;
use super::negotiate::Format;
use super::read::LogRead;
use super::request::PullRequest;
use crate::codecs::Codec;

/// An answer decodes to at most this many times the stored bytes that it may have, or to one segment.
const DECODED_PER_STORED: u64 = 8;

/// More than the header frame of a segment of one batch mostly takes.
const HEADER_BYTES: usize = 256;

/// Why there is no answer: the log, or this process, is damaged.
#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerError {
    #[error(transparent)]
    Damaged(#[from] DamagedSegment),
    #[error("a frame cannot be written")]
    Encode(#[from] FrameError),
    #[error("an event line of the log is no JSON object")]
    Json(#[from] serde_json::Error),
}

/// A body, and how many events it holds.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Vec<u8>,
    pub(super) events: u64,
}

/// Answers a pull.
pub(super) fn answer(
    read: &LogRead,
    hello: Hello,
    request: &PullRequest,
    schema: &Schema,
    pull_bytes: u64,
    codec: &mut Codec,
) -> Result<Answer, AnswerError> {
    if is_passed_on(request) {
        return frames_as_stored(read, hello, request, &mut codec.encoder);
    }
    let wanted = wanted(read, request);
    let bodies = decode(wanted, pull_bytes.saturating_mul(DECODED_PER_STORED), &mut codec.decoder)?;
    let mut segments = Vec::with_capacity(bodies.len());
    for (segment, body) in wanted.iter().zip(&bodies) {
        segments.extend(DecodedSegment::split(&segment.header, body)?.cut(read.cursor, request.through()));
    }
    if let Some(types) = &request.types {
        segments =
            filter(segments, |line| entity_type(line, schema).is_some_and(|name| types.contains(name)));
    }
    let events = segments.iter().map(|segment| segment.header.events()).sum();
    let body = match request.format {
        Format::Frames => frames(hello, &segments, &mut codec.encoder)?,
        Format::Lines => lines(hello, &segments),
        Format::Json => json::body(hello, &segments)?,
    };
    Ok(Answer { body, events })
}

/// About how many bytes answering has to do with: those that are stored, and where they are decoded, those too.
pub(super) fn work_bytes(read: &LogRead, request: &PullRequest) -> u64 {
    let stored = wanted(read, request).iter().map(|segment| segment.frame.len() as u64).sum();
    if is_passed_on(request) { stored } else { DECODED_PER_STORED * stored }
}

/// Whether the answer is what is stored, as it is.
fn is_passed_on(request: &PullRequest) -> bool {
    request.format == Format::Frames && request.types.is_none()
}

/// Of what was read, perhaps for several readers, the segments that this one asked for.
fn wanted<'r>(read: &'r LogRead, request: &PullRequest) -> &'r [Segment] {
    let end = read.segments.partition_point(|segment| segment.header.first <= request.through());
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

fn frames_as_stored(
    read: &LogRead,
    hello: Hello,
    request: &PullRequest,
    encoder: &mut Encoder,
) -> Result<Answer, AnswerError> {
    let wanted = wanted(read, request);
    let mut body = hello_frame(hello, encoder)?;
    // Grown step by step, it would take twice as much in the end.
    body.reserve_exact(wanted.iter().map(|segment| segment.frame.len() + HEADER_BYTES).sum());
    for segment in wanted {
        inspect_stored(segment)?;
        body.extend_from_slice(&segment.header.frame(encoder)?);
        body.extend_from_slice(&segment.frame);
    }
    Ok(Answer { body, events: wanted.iter().map(|segment| segment.header.events()).sum() })
}

fn hello_frame(hello: Hello, encoder: &mut Encoder) -> Result<Vec<u8>, FrameError> {
    line_frame(&lines(hello, &[]), encoder)
}

fn frames(
    hello: Hello,
    segments: &[DecodedSegment<'_>],
    encoder: &mut Encoder,
) -> Result<Vec<u8>, FrameError> {
    let mut body = hello_frame(hello, encoder)?;
    let mut content = Vec::new();
    for segment in segments {
        body.extend_from_slice(&segment.header.frame(encoder)?);
        content.clear();
        segment.write_body(&mut content);
        if !content.is_empty() {
            body.extend_from_slice(&encoder.encode(&content)?);
        }
    }
    Ok(body)
}

fn lines(hello: Hello, segments: &[DecodedSegment<'_>]) -> Vec<u8> {
    let bytes: usize = segments.iter().map(|segment| HEADER_BYTES + segment.body_bytes()).sum();
    let mut body = Vec::with_capacity(2 * HEADER_BYTES + bytes);
    write_line(&mut body, &HelloLine { hello });
    for segment in segments {
        body.extend_from_slice(&segment.header.line());
        segment.write_body(&mut body);
    }
    body
}

/// The answer with its headers.
pub(super) fn response(format: Format, body: Vec<u8>) -> Response {
    let media_type = match format {
        Format::Frames | Format::Lines => "application/x-ndjson",
        Format::Json => "application/json",
    };
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
    if format == Format::Frames {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("zstd"));
    }
    response
}

#[cfg(test)]
mod tests;
