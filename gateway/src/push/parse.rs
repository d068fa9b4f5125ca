//! From a body to a batch that ingest can take without looking inside: every line read and judged once, the
//! numbering checked, the author known.

use axum::body::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tidelog_events::admit::After;
use tidelog_events::code::Refusal;
use tidelog_events::event::{JudgedEvent, judge};
use tidelog_events::frame::{
    BatchHeader, BatchLines, PushHeader, QuarantineReason, write_batch, write_quarantined,
};
use tidelog_events::id::{DeviceId, EntityId, EventId, Sequence, UserId};
use tidelog_events::json::single_line;
use tidelog_events::protocol::UtcTime;
use tidelog_events::schema::Schema;
use tidelog_runtime::config::LimitsConfig;
use utoipa::ToSchema;

use super::body::{Decoded, Format, Media, decode, too_large};
use super::publish::PushMessage;
use super::receipts::ExpectedReceipt;
use crate::auth::{Caller, SpaceWriter};
use crate::codecs::{Codec, Codecs};
use crate::problem::Problem;

/// What batches are judged by.
pub(super) struct Rules<'a> {
    pub(super) limits: &'a LimitsConfig,
    pub(super) schema: &'a Schema,
    pub(super) now: UtcTime,
}

/// A batch as one JSON object.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct JsonBatch<'a> {
    /// The device that recorded the events; may be left out where none of them has a `deviceSequence`.
    device_id: Option<DeviceId>,
    /// The author; required with a token that may write to every space, else the token's `sub`.
    user_id: Option<UserId>,
    /// The event before the first.
    after: Option<After>,
    /// The events, in order of `deviceSequence`; at most 1000, unless the installation allows fewer.
    #[serde(borrow)]
    #[schema(value_type = Vec<PushedEvent>, min_items = 1)]
    events: Vec<&'a RawValue>,
}

/// An event as it is pushed. Whatever is wrong with it but its `eventId` and `deviceSequence` quarantines this event alone.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it describes what is kept as text")]
struct PushedEvent {
    /// Its id. Version 7 is advised.
    event_id: EventId,
    /// The device's number for it: 1, 2, 3 … without gaps. A token for every space may leave it out of all events of a batch.
    #[schema(required = false, value_type = u64, minimum = 1, maximum = 9_007_199_254_740_991_u64)]
    device_sequence: Sequence,
    /// What happened: an event type of the schema.
    #[schema(required = false, example = "WORKOUT_CREATED")]
    r#type: String,
    /// What it happened to.
    #[schema(required = false)]
    entity_id: EntityId,
    /// Its time: a stamp, RFC 3339 with `Z`, or milliseconds since 1970.
    #[schema(required = false, value_type = Value, example = "2026-01-01T07:00:00.000Z-0000")]
    timestamp: Value,
    /// The last event that the user had seen, for people.
    last_seen_event_id: Option<EventId>,
    /// What its type declares.
    #[schema(required = false, value_type = Object)]
    payload: Value,
    /// In the place of an event that cannot be sent: why.
    #[schema(required = false)]
    withheld: String,
}

/// A batch, judged.
pub(super) struct ParsedBatch {
    header: PushHeader,
    payload: Bytes,
}

impl ParsedBatch {
    /// Events that were accepted, and that are quarantined.
    pub(super) fn verdicts(&self) -> (u64, u64) {
        (self.header.accepted(), self.header.quarantined)
    }

    /// Its author, and the device where there is one.
    pub(super) fn sender(&self) -> (&UserId, Option<&DeviceId>) {
        (&self.header.user_id, self.header.device_id.as_ref())
    }

    /// The broker message, with the address for the receipt.
    pub(super) fn into_message(mut self, receipt: &ExpectedReceipt) -> PushMessage {
        receipt.address(&mut self.header);
        PushMessage { header: self.header, payload: self.payload }
    }
}

/// Reads and judges a body.
pub(super) fn parse(
    body: &Bytes,
    format: Format,
    writer: &SpaceWriter,
    rules: &Rules<'_>,
    codecs: &Codecs,
) -> Result<ParsedBatch, Problem> {
    let parsed = codecs.with(|codec| {
        let decoded = decode(body, format.encoding, rules.limits, &mut codec.decoder)?;
        let is_frame = decoded.is_safe_frame && format.media == Media::Lines;
        parse_decoded(&decoded, is_frame.then_some(body), format.media, writer, rules, codec)
    });
    parsed.map_err(|error| Problem::internal(&error))?
}

fn parse_decoded(
    decoded: &Decoded<'_>,
    frame: Option<&Bytes>,
    media: Media,
    writer: &SpaceWriter,
    rules: &Rules<'_>,
    codec: &mut Codec,
) -> Result<ParsedBatch, Problem> {
    match media {
        Media::Lines => {
            let batch = BatchLines::split(&decoded.content).map_err(|error| malformed(&error))?;
            judge_batch(&batch.header, &batch.events, frame, writer, rules, codec)
                .map_err(|problem| problem.of_device(batch.header.device_id.as_ref()))
        }
        Media::Json => {
            let batch: JsonBatch<'_> =
                serde_json::from_slice(&decoded.content).map_err(|error| malformed(&error))?;
            let lines: Vec<_> = batch.events.iter().map(|event| single_line(event.get())).collect();
            let lines: Vec<&str> = lines.iter().map(AsRef::as_ref).collect();
            let header =
                BatchHeader { device_id: batch.device_id, user_id: batch.user_id, after: batch.after };
            judge_batch(&header, &lines, None, writer, rules, codec)
                .map_err(|problem| problem.of_device(header.device_id.as_ref()))
        }
    }
}

fn judge_batch(
    batch: &BatchHeader,
    lines: &[&str],
    frame: Option<&Bytes>,
    writer: &SpaceWriter,
    rules: &Rules<'_>,
    codec: &mut Codec,
) -> Result<ParsedBatch, Problem> {
    if lines.is_empty() {
        return Err(malformed(&"the batch has no events"));
    }
    let over_line = |line: &&str| line.len() as u64 > rules.limits.line_bytes;
    if lines.len() as u64 > rules.limits.batch_events || lines.iter().any(over_line) {
        return Err(too_large(rules.limits));
    }
    let user_id = author(batch, &writer.caller)?;
    let events = judge_lines(lines, rules.schema)?;
    let numbering = numbering(batch, &events, &writer.caller)?;
    refuse_clock_ahead(&events, rules)?;
    let payload = write_payload(batch, lines, &events, numbering.first, frame, codec)?;
    let header = PushHeader {
        space: writer.space.clone(),
        user_id,
        device_id: numbering.device_id,
        first: numbering.first,
        last: Sequence(numbering.first.0 + events.len() as u64 - 1),
        last_event_id: numbering.last_event_id,
        after: batch.after,
        received_at: rules.now,
        schema_version: rules.schema.version(),
        accepted_bytes: payload.accepted_bytes,
        quarantined: payload.quarantined,
        reply_to: String::new(),
        push_id: 0,
    };
    Ok(ParsedBatch { header, payload: payload.bytes })
}

fn judge_lines(lines: &[&str], schema: &Schema) -> Result<Vec<JudgedEvent>, Problem> {
    let mut events = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        let event = judge(line, schema);
        events.push(event.map_err(|unreadable| malformed(&format!("event {} {unreadable}", index + 1)))?);
    }
    Ok(events)
}

/// Who recorded the batch. A trusted backend must say; everyone else is their token's `sub`.
fn author(batch: &BatchHeader, caller: &Caller) -> Result<UserId, Problem> {
    match &batch.user_id {
        Some(user) if caller.is_trusted() || *user == caller.user => Ok(user.clone()),
        Some(user) => {
            Err(Problem::new(Refusal::Forbidden, format!("the token does not speak for the user {user}")))
        }
        None if caller.is_trusted() => {
            Err(malformed(&"with a token for every space the batch must name its author, `userId`"))
        }
        None => Ok(caller.user.clone()),
    }
}

/// What the sequences of a batch say.
struct Numbering {
    /// `None` where no event has a sequence.
    device_id: Option<DeviceId>,
    first: Sequence,
    last_event_id: EventId,
}

fn numbering(batch: &BatchHeader, events: &[JudgedEvent], caller: &Caller) -> Result<Numbering, Problem> {
    let (Some(first), Some(last)) = (events.first(), events.last()) else {
        return Err(malformed(&"the batch has no events"));
    };
    let last_event_id = last.event_id;
    let Some(begin) = first.device_sequence else {
        if events.iter().any(|event| event.device_sequence.is_some()) {
            return Err(malformed(&"either all events have a `deviceSequence` or none"));
        }
        if !caller.is_trusted() {
            return Err(malformed(&"every event needs its `deviceSequence`"));
        }
        return Ok(Numbering { device_id: None, first: Sequence(1), last_event_id });
    };
    let numbers = (begin.0..).map(|number| Some(Sequence(number)));
    if !events.iter().map(|event| event.device_sequence).eq(numbers.take(events.len())) {
        return Err(malformed(&"`deviceSequence` must rise by one from event to event"));
    }
    if let Some(after) = batch.after {
        let fits = after.device_sequence.next() == begin;
        if !fits || (after.device_sequence > Sequence::ZERO) != after.event_id.is_some() {
            return Err(malformed(&"`after` must name the event before the first one"));
        }
    }
    let device = batch.device_id.clone().ok_or_else(|| malformed(&"the batch must name its `deviceId`"))?;
    let device_id = Some(device.refuse_reserved().map_err(|error| malformed(&error))?);
    Ok(Numbering { device_id, first: begin, last_event_id })
}

fn refuse_clock_ahead(events: &[JudgedEvent], rules: &Rules<'_>) -> Result<(), Problem> {
    let latest_allowed = rules.now.0.saturating_add_unsigned(rules.limits.max_clock_ahead_ms);
    let ahead =
        events.iter().find(|event| event.timestamp.is_some_and(|stamp| stamp.millis() > latest_allowed));
    match ahead.and_then(|event| Some((event.event_id, event.timestamp?))) {
        Some((event, stamp)) => {
            let detail = format!("event {event} is stamped {stamp}, and the server's time is {}", rules.now);
            Err(Problem::new(Refusal::ClockAhead, detail).at(rules.now))
        }
        None => Ok(()),
    }
}

struct Payload {
    bytes: Bytes,
    accepted_bytes: usize,
    quarantined: u64,
}

/// The frame of the accepted events, which is the body itself where nothing is left out, then the quarantined.
fn write_payload(
    batch: &BatchHeader,
    lines: &[&str],
    events: &[JudgedEvent],
    first: Sequence,
    frame: Option<&Bytes>,
    codec: &mut Codec,
) -> Result<Payload, Problem> {
    let mut accepted = Vec::with_capacity(lines.len());
    let mut quarantined = Vec::new();
    for ((line, event), number) in lines.iter().zip(events).zip(first.0..) {
        match &event.finding {
            None => accepted.push(*line),
            Some(finding) => {
                let reason = QuarantineReason {
                    device_sequence: Sequence(number),
                    event_id: event.event_id,
                    code: finding.fault,
                    detail: finding.detail.clone(),
                };
                write_quarantined(&mut quarantined, &reason, line.as_bytes());
            }
        }
    }
    let left_out = (lines.len() - accepted.len()) as u64;
    if let (0, Some(frame)) = (left_out, frame) {
        return Ok(Payload { bytes: frame.clone(), accepted_bytes: frame.len(), quarantined: 0 });
    }
    let mut encode =
        |content: &[u8]| codec.encoder.encode(content).map_err(|error| Problem::internal(&error));
    let mut bytes = if accepted.is_empty() { Vec::new() } else { encode(&write_batch(batch, accepted))? };
    let accepted_bytes = bytes.len();
    if left_out > 0 {
        bytes.extend(encode(&quarantined)?);
    }
    Ok(Payload { bytes: bytes.into(), accepted_bytes, quarantined: left_out })
}

fn malformed(why: &dyn std::fmt::Display) -> Problem {
    Problem::new(Refusal::BatchMalformed, why.to_string())
}
