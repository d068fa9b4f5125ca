//! From a push body to a judged batch, by the rules and in the order of the gateway.

use std::rc::Rc;
use std::time::Duration;

use tidelog_client::transport::Refused;
use tidelog_events::admit::{After, Offer};
use tidelog_events::code::Refusal;
use tidelog_events::event::{JudgedEvent, judge};
use tidelog_events::frame::{BatchHeader, BatchLines, write_batch};
use tidelog_events::id::{DeviceId, Sequence, UserId};
use tidelog_events::limits::{MAX_BATCH_EVENTS, MAX_BODY_BYTES, MAX_LINE_BYTES};
use tidelog_events::protocol::UtcTime;
use tidelog_events::schema::Schema;

/// How far ahead of the server a stamp may be, as in `config/default.toml`.
const MAX_CLOCK_AHEAD_MS: i64 = 60_000;
/// What the gateway says in `Retry-After`.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A refusal with that code.
pub(super) fn refused(code: Refusal, detail: impl Into<String>) -> Refused {
    let may_come_again = matches!(code, Refusal::RateLimited | Refusal::Overloaded);
    Refused {
        status: code.status(),
        code: Some(code),
        detail: detail.into(),
        expected: None,
        server_time: None,
        retry_after: may_come_again.then_some(RETRY_AFTER),
    }
}

fn malformed(why: impl std::fmt::Display) -> Refused {
    refused(Refusal::BatchMalformed, why.to_string())
}

/// A batch that can be offered to the log.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) author: UserId,
    pub(super) device: DeviceId,
    pub(super) received_at: UtcTime,
    /// By sequence, from `first` on, each with its line.
    pub(super) events: Vec<(JudgedEvent, Rc<str>)>,
    first: Sequence,
    header: BatchHeader,
    body: Rc<str>,
}

impl Batch {
    /// Reads and judges a body that `user` pushed.
    pub(super) fn read(body: &[u8], user: &UserId, schema: &Schema, now: UtcTime) -> Result<Self, Refused> {
        if body.len() > MAX_BODY_BYTES {
            return Err(too_large());
        }
        let batch = BatchLines::split(body).map_err(malformed)?;
        let over_line = |line: &&str| line.len() > MAX_LINE_BYTES;
        if batch.events.len() > MAX_BATCH_EVENTS || batch.events.iter().any(over_line) {
            return Err(too_large());
        }
        if let Some(author) = batch.header.user_id.as_ref().filter(|author| *author != user) {
            let detail = format!("the token does not speak for the user {author}");
            return Err(refused(Refusal::Forbidden, detail));
        }
        let events = judge_lines(&batch.events, schema)?;
        let (device, first) = numbering(&batch.header, &events)?;
        refuse_clock_ahead(&events, now)?;
        Ok(Self {
            author: user.clone(),
            device,
            received_at: now,
            events,
            first,
            header: batch.header,
            body: String::from_utf8_lossy(body).into(),
        })
    }

    /// What the watermark decides about.
    pub(super) fn offer(&self) -> Offer {
        Offer {
            author: self.author.clone(),
            first: self.first,
            last: Sequence(self.first.0 + self.events.len() as u64 - 1),
            after: self.header.after,
            ids: self.events.iter().map(|(event, _)| event.event_id).collect(),
        }
    }

    /// The events with their sequences.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (Sequence, &JudgedEvent, &Rc<str>)> {
        (self.first.0..)
            .map(Sequence)
            .zip(&self.events)
            .map(|(sequence, (event, line))| (sequence, event, line))
    }

    /// The lines that the log stores of what begins with `new_from`: those that came, if it stores them all.
    pub(super) fn stored_body(&self, new_from: Sequence) -> Rc<str> {
        let is_good = |event: &JudgedEvent| event.finding.is_none();
        if new_from == self.first && self.events.iter().all(|(event, _)| is_good(event)) {
            return self.body.clone();
        }
        let header = if new_from == self.first {
            self.header.clone()
        } else {
            BatchHeader { device_id: Some(self.device.clone()), user_id: None, after: None }
        };
        let kept = self.numbered().filter(|(sequence, event, _)| *sequence >= new_from && is_good(event));
        let body = write_batch(&header, kept.map(|(_, _, line)| line.as_bytes()));
        String::from_utf8_lossy(&body).into()
    }
}

fn too_large() -> Refused {
    let detail = format!(
        "a batch has at most {MAX_BATCH_EVENTS} events, {MAX_BODY_BYTES} bytes in all and {MAX_LINE_BYTES} bytes a line"
    );
    refused(Refusal::BodyTooLarge, detail)
}

fn judge_lines(lines: &[&str], schema: &Schema) -> Result<Vec<(JudgedEvent, Rc<str>)>, Refused> {
    let judged = (1..).zip(lines).map(|(number, line)| {
        let event =
            judge(line, schema).map_err(|unreadable| malformed(format!("event {number} {unreadable}")))?;
        Ok((event, Rc::from(*line)))
    });
    judged.collect()
}

/// The device and the first sequence.
fn numbering(
    batch: &BatchHeader,
    events: &[(JudgedEvent, Rc<str>)],
) -> Result<(DeviceId, Sequence), Refused> {
    let Some(begin) = events.first().and_then(|(event, _)| event.device_sequence) else {
        return Err(malformed("every event needs its `deviceSequence`"));
    };
    let numbers = (begin.0..).map(|number| Some(Sequence(number)));
    if !events.iter().map(|(event, _)| event.device_sequence).eq(numbers.take(events.len())) {
        return Err(malformed("`deviceSequence` must rise by one from event to event"));
    }
    if let Some(After { device_sequence, event_id }) = batch.after {
        let fits = device_sequence.next() == begin;
        if !fits || (device_sequence > Sequence::ZERO) != event_id.is_some() {
            return Err(malformed("`after` must name the event before the first one"));
        }
    }
    let device = batch.device_id.clone().ok_or_else(|| malformed("the batch must name its `deviceId`"))?;
    Ok((device.refuse_reserved().map_err(malformed)?, begin))
}

fn refuse_clock_ahead(events: &[(JudgedEvent, Rc<str>)], now: UtcTime) -> Result<(), Refused> {
    let stamps = events.iter().filter_map(|(event, _)| Some((event.event_id, event.timestamp?)));
    let mut ahead = stamps.filter(|(_, stamp)| stamp.millis() > now.0 + MAX_CLOCK_AHEAD_MS);
    match ahead.next() {
        Some((event, stamp)) => {
            let detail = format!("event {event} is stamped {stamp}, and the server's time is {now}");
            Err(Refused { server_time: Some(now), ..refused(Refusal::ClockAhead, detail) })
        }
        None => Ok(()),
    }
}
