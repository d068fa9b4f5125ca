//! What log and quarantine have of a device's sequences, at one moment.

use std::collections::BTreeMap;

use serde::Deserialize;
use sqlx::{PgConnection, PgPool};
use tidelog_events::frame::FrameError;
use tidelog_events::id::{DeviceId, EventId, Position, Sequence};
use tidelog_events::protocol::{DeviceEvent, QuarantinedEvent};
use tidelog_runtime::database::within;
use tidelog_store::segments::{DeviceRange, Segment, SequenceRange};
use tidelog_store::{devices, erasures, quarantine, segments};

use crate::codecs::{Codec, Codecs};
use crate::problem::Problem;
use crate::pull::{DamagedSegment, DecodedSegment, READ_TIMEOUT, decode, erased, one_moment};

/// Sequences that one statement looks up: it bounds the frames in memory. At worst each lies in a merged segment of its
/// own, some 20 KiB.
const SEQUENCES_PER_READ: u64 = 250;

/// What PostgreSQL has of a device.
pub(super) struct Stored {
    /// Its last sequence that the server has dealt with.
    pub(super) watermark: Sequence,
    /// Those of its events that are wanted, and neither pruned nor unknown.
    pub(super) events: BTreeMap<Sequence, DeviceEvent>,
}

impl Stored {
    /// The sequences from the first to the last that the server has dealt with and has no longer here.
    pub(super) fn pruned(&self, wanted: SequenceRange) -> Option<SequenceRange> {
        let dealt_with = wanted.first.0..=wanted.last.min(self.watermark).0;
        let mut missing = dealt_with.map(Sequence).filter(|sequence| !self.events.contains_key(sequence));
        let first = missing.next()?;
        Some(SequenceRange { first, last: missing.next_back().unwrap_or(first) })
    }
}

/// Reads what is wanted.
pub(super) async fn read(pool: &PgPool, wanted: &DeviceRange, codecs: &Codecs) -> Result<Stored, Problem> {
    let DeviceRange { space, device, range } = wanted;
    let mut moment = within(READ_TIMEOUT, one_moment(pool)).await?;
    if within(READ_TIMEOUT, erasures::contains(&mut moment, space)).await? {
        return Err(erased(space));
    }
    let marks = within(READ_TIMEOUT, devices::marks(&mut moment, space, &[device.as_str()])).await?;
    let watermark = marks.first().map_or(Sequence::ZERO, |(_, mark)| mark.sequence);
    let mut events = BTreeMap::new();
    for range in chunks(*range) {
        let wanted = DeviceRange { range, ..wanted.clone() };
        let found = within(READ_TIMEOUT, read_range(&mut moment, &wanted)).await?;
        let quarantined = found.quarantined.iter().map(quarantined_event);
        let logged = decoded(&found.segments, &wanted, codecs)?;
        events.extend(quarantined.chain(logged).map(|event| (event.device_sequence, event)));
    }
    Ok(Stored { watermark, events })
}

fn chunks(range: SequenceRange) -> impl Iterator<Item = SequenceRange> {
    (range.first.0..=range.last.0).step_by(SEQUENCES_PER_READ as usize).map(move |first| SequenceRange {
        first: Sequence(first),
        last: range.last.min(Sequence(first + SEQUENCES_PER_READ - 1)),
    })
}

struct Found {
    segments: Vec<Segment>,
    quarantined: Vec<QuarantinedEvent>,
}

async fn read_range(connection: &mut PgConnection, wanted: &DeviceRange) -> sqlx::Result<Found> {
    let one = std::slice::from_ref(wanted);
    let quarantined = quarantine::of_devices(&mut *connection, one).await?;
    let segments = segments::of_devices(&mut *connection, one).await?;
    let mut segments: Vec<_> = segments.into_iter().map(|(_, _, segment)| segment).collect();
    let is_own_device = wanted.device.as_str().starts_with(DeviceId::EVENT_PREFIX);
    if is_own_device && wanted.range.first == Sequence(1) {
        segments.extend(segments::of_single_event_device(connection, &wanted.space, &wanted.device).await?);
    }
    Ok(Found { segments, quarantined: quarantined.into_iter().map(|(_, _, event)| event).collect() })
}

fn quarantined_event(event: &QuarantinedEvent) -> DeviceEvent {
    DeviceEvent {
        device_sequence: event.device_sequence,
        event_id: event.event_id,
        position: None,
        quarantined: Some(event.code),
    }
}

/// Why segments do not tell what they hold: they are damaged.
#[derive(Debug, thiserror::Error)]
pub(super) enum UnreadableLog {
    #[error(transparent)]
    Damaged(#[from] DamagedSegment),
    #[error("an event line of the log has no identity")]
    Line(#[from] serde_json::Error),
    #[error("zstd failed")]
    Codec(#[from] FrameError),
}

impl From<UnreadableLog> for Problem {
    fn from(cause: UnreadableLog) -> Self {
        Self::internal(&cause)
    }
}

/// The wanted events in segments.
pub(super) fn decoded(
    segments: &[Segment],
    wanted: &DeviceRange,
    codecs: &Codecs,
) -> Result<Vec<DeviceEvent>, UnreadableLog> {
    // Decoding takes milliseconds; the other requests of this thread go on elsewhere.
    tokio::task::block_in_place(|| codecs.with(|codec| events(segments, wanted, codec)))?
}

/// The same, in order of position.
fn events(
    segments: &[Segment],
    wanted: &DeviceRange,
    codec: &mut Codec,
) -> Result<Vec<DeviceEvent>, UnreadableLog> {
    let mut events = Vec::new();
    for segment in segments {
        for body in decode(std::slice::from_ref(segment), 0, &mut codec.decoder)? {
            let segment = DecodedSegment::split(&segment.header, &body)?;
            for (position, line) in segment.events() {
                if segment.batch_at(position).device_id == wanted.device {
                    events.push(device_event(position, line)?);
                }
            }
        }
    }
    let range = wanted.range.first..=wanted.range.last;
    events.retain(|event| range.contains(&event.device_sequence));
    Ok(events)
}

fn device_event(position: Position, line: &str) -> Result<DeviceEvent, serde_json::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Identity {
        event_id: EventId,
        device_sequence: Option<Sequence>,
    }
    let identity: Identity = serde_json::from_str(line)?;
    Ok(DeviceEvent {
        // An event without a counter is a device of its own, and this is its first event.
        device_sequence: identity.device_sequence.unwrap_or(Sequence(1)),
        event_id: identity.event_id,
        position: Some(position),
        quarantined: None,
    })
}

#[cfg(test)]
mod tests;
