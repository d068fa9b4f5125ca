//! What the database knows that the decision needs: watermarks, and where batches overlap them, the ids and
//! quarantined events of the device.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use sqlx::PgConnection;
use tidelog_events::admit::Mark;
use tidelog_events::frame::{Decoder, SegmentBody};
use tidelog_events::id::{DeviceId, EventId, Position, Sequence, SpaceId};
use tidelog_events::limits::MAX_BODY_BYTES;
use tidelog_events::protocol::QuarantinedEvent;
use tidelog_store::devices::MarkColumns;
use tidelog_store::segments::{DeviceRange, Segment, SequenceRange};
use tidelog_store::{devices, quarantine, segments};

use super::CommitError;
use super::plan::Plan;
use crate::batch::Contents;
use crate::decide::{DeviceKey, DeviceLedger};

/// What is known of the devices of a transaction.
#[derive(Default)]
pub(super) struct Facts {
    /// Of each device that numbers its events.
    pub(super) ledgers: BTreeMap<DeviceKey, DeviceLedger>,
    /// Quarantined events among the overlapped sequences.
    pub(super) quarantined: BTreeMap<DeviceKey, BTreeMap<Sequence, QuarantinedEvent>>,
    /// Devices of single events that the log has, by space; and the marks of those that it gains.
    pub(super) single_events: BTreeMap<SpaceId, BTreeSet<DeviceId>>,
    pub(super) new_single_events: Vec<(DeviceKey, Mark)>,
    /// Decoded batches, by index: those that overlap something, and those without sequences.
    pub(super) contents: BTreeMap<usize, Contents>,
}

/// Reads the watermarks of all devices of the plan's open batches.
pub(super) async fn marks(
    connection: &mut PgConnection,
    plan: &Plan<'_>,
    decoder: &mut Decoder,
) -> Result<Facts, CommitError> {
    let mut facts = Facts::default();
    let mut wanted: BTreeSet<DeviceKey> = BTreeSet::new();
    for (index, batch) in plan.open() {
        let space = &batch.header.space;
        if let Some(device) = &batch.header.device_id {
            let key = (space.clone(), device.clone());
            facts.ledgers.entry(key.clone()).or_default();
            wanted.insert(key);
        } else {
            let contents =
                batch.contents(decoder).map_err(|source| CommitError::Unreadable { index, source })?;
            for event in &contents.events {
                wanted.insert((space.clone(), DeviceId::of_event(event.event_id)));
            }
            facts.single_events.entry(space.clone()).or_default();
            facts.contents.insert(index, contents);
        }
    }
    let spaces: Vec<&str> = wanted.iter().map(|(space, _)| space.as_str()).collect();
    let names: Vec<&str> = wanted.iter().map(|(_, device)| device.as_str()).collect();
    for ((space, device), mark) in devices::held_marks(connection, &spaces, &names).await? {
        if device.as_str().starts_with(DeviceId::EVENT_PREFIX) {
            facts.single_events.entry(space).or_default().insert(device);
        } else if let Some(ledger) = facts.ledgers.get_mut(&(space, device)) {
            ledger.mark = Some(mark);
        }
    }
    Ok(facts)
}

impl Facts {
    /// Where a batch begins at or below its device's watermark, or at or below the end of another batch of
    /// this transaction, decodes the device's batches and reads what is stored of the sequences in question.
    pub(super) async fn look_up_overlaps(
        &mut self,
        connection: &mut PgConnection,
        plan: &Plan<'_>,
        decoder: &mut Decoder,
    ) -> Result<(), CommitError> {
        let mut wanted = Vec::new();
        for (key, indexes) in plan.by_device() {
            let mark = self.ledgers.get(key).and_then(|ledger| ledger.mark.as_ref());
            let mark = mark.map_or(Sequence::ZERO, |mark| mark.sequence);
            let headers = indexes.iter().map(|&index| (index, plan.batches[index]));
            if !overlaps(mark, headers.clone().map(|(_, batch)| (batch.header.first, batch.header.last))) {
                continue;
            }
            for (index, batch) in headers.clone() {
                let contents =
                    batch.contents(decoder).map_err(|source| CommitError::Unreadable { index, source })?;
                self.contents.insert(index, contents);
            }
            let old = headers.map(|(_, batch)| &batch.header).filter(|header| header.first <= mark);
            let first = old.clone().map(|header| header.first).min();
            let last = old.map(|header| header.last).max().map(|last| last.min(mark));
            if let (Some(first), Some(last)) = (first, last) {
                let range = SequenceRange { first: Sequence(first.0.saturating_sub(1).max(1)), last };
                wanted.push(DeviceRange { space: key.0.clone(), device: key.1.clone(), range });
            }
        }
        for (index, batch) in plan.open().filter(|(_, batch)| batch.header.device_id.is_none()) {
            let taken = self.single_events.get(&batch.header.space);
            let contents = self.contents.get(&index).map(|contents| contents.events.as_slice());
            for event in contents.unwrap_or_default() {
                let device = DeviceId::of_event(event.event_id);
                if taken.is_some_and(|taken| taken.contains(&device)) {
                    let range = SequenceRange { first: Sequence(1), last: Sequence(1) };
                    wanted.push(DeviceRange { space: batch.header.space.clone(), device, range });
                }
            }
        }
        if wanted.is_empty() { Ok(()) } else { self.read_known(connection, &wanted, decoder).await }
    }

    async fn read_known(
        &mut self,
        connection: &mut PgConnection,
        wanted: &[DeviceRange],
        decoder: &mut Decoder,
    ) -> Result<(), CommitError> {
        for (space, device, segment) in segments::of_devices(connection, wanted).await? {
            let key = (space, device);
            let Some(ledger) = self.ledgers.get_mut(&key) else { continue };
            let Some(body) = stored_body(decoder, &segment) else { continue };
            let Segment { header, .. } = &segment;
            let lines = SegmentBody::split(&body, header.first, header.last);
            let lines = lines.map(|body| body.events).unwrap_or_default();
            // Merged segments hold other devices' events, too, with the same sequences.
            let is_own = |position| header.batch_at(position).is_some_and(|batch| batch.device_id == key.1);
            let positioned = (header.first.0..).map(Position).zip(lines);
            for (_, line) in positioned.filter(|(position, _)| is_own(*position)) {
                if let Ok(Numbered { event_id, device_sequence: Some(sequence) }) = serde_json::from_str(line)
                {
                    ledger.known.insert(sequence, event_id);
                }
            }
        }
        for (space, device, event) in quarantine::of_devices(connection, wanted).await? {
            let key = (space, device);
            if let Some(ledger) = self.ledgers.get_mut(&key) {
                ledger.known.insert(event.device_sequence, event.event_id);
            }
            self.quarantined.entry(key).or_default().insert(event.device_sequence, event);
        }
        Ok(())
    }

    /// The watermarks that moved, in order of their keys.
    pub(super) fn moved_marks(&self) -> MarkColumns<'_> {
        let numbered = self
            .ledgers
            .iter()
            .filter(|(_, ledger)| ledger.moved)
            .filter_map(|(key, ledger)| Some((key, ledger.mark.as_ref()?)));
        let single = self.new_single_events.iter().map(|(key, mark)| (key, mark));
        let mut moved: Vec<_> = numbered.chain(single).collect();
        moved.sort_unstable_by_key(|(key, _)| *key);
        let mut columns = MarkColumns::default();
        for ((space, device), mark) in moved {
            columns.push(space, device, mark);
        }
        columns
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Numbered {
    event_id: EventId,
    device_sequence: Option<Sequence>,
}

/// Damage in the log is no fault of the batch that meets it: its events then count as pruned, duplicates by
/// number.
fn stored_body(decoder: &mut Decoder, segment: &Segment) -> Option<Vec<u8>> {
    let body = decoder.decode_one(&segment.frame, 2 * MAX_BODY_BYTES);
    body.inspect_err(|error| tracing::error!(%error, first = %segment.header.first, "a segment is damaged"))
        .ok()
}

/// Whether any of the ranges, which come in order of their begin, begins at or below what came before it.
fn overlaps(mark: Sequence, ranges: impl Iterator<Item = (Sequence, Sequence)>) -> bool {
    let mut through = mark;
    for (first, last) in ranges {
        if first <= through {
            return true;
        }
        through = through.max(last);
    }
    false
}
