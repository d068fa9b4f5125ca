//! From decisions to rows: positions, segments, quarantine, and what each batch's sender is told. Pure but for
//! the compression of batches that are cut.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tidelog_events::admit::{Admission, Mark};
use tidelog_events::code::Refusal;
use tidelog_events::frame::{Encoder, FrameError, SegmentBatch, SegmentHeader};
use tidelog_events::id::{DeviceId, Position, Sequence, SpaceId};
use tidelog_events::protocol::{DeviceMark, Outcome, QuarantinedEvent};
use tidelog_store::quarantine::Quarantined;
use tidelog_store::segments::{SegmentColumns, SequenceRange};

use super::facts::{DeviceKey, Facts};
use super::receipts;
use crate::batch::{Batch, Contents};
use crate::decide::admit_single_events;

/// What became of a batch in this transaction.
#[derive(Debug)]
pub(crate) enum Disposition {
    /// Another replica has the space's lock: try again in the next transaction.
    Locked,
    /// Its predecessor has not come: wait for it, or refuse.
    Gap { expected: Sequence },
    /// Settled: tell the sender, announce the segment, acknowledge.
    Settled { outcome: Outcome, appended: Option<Box<Appended>> },
}

/// A segment that the transaction appended.
#[derive(Debug, Clone)]
pub(crate) struct Appended {
    pub(crate) space: SpaceId,
    pub(crate) header: SegmentHeader,
    pub(crate) frame: Bytes,
    sequences: Option<SequenceRange>,
}

/// The batches of a transaction on their way to rows.
pub(super) struct Plan<'a> {
    batches: &'a [&'a Batch],
    heads: BTreeMap<SpaceId, Position>,
    moved: BTreeSet<SpaceId>,
    by_device: BTreeMap<DeviceKey, Vec<usize>>,
    without_device: Vec<usize>,
    quarantined: Vec<Quarantined>,
    dispositions: Vec<Disposition>,
}

impl<'a> Plan<'a> {
    /// All batches of the free spaces are open; the others are [`Disposition::Locked`].
    pub(super) fn new(batches: &'a [&'a Batch], free: BTreeMap<SpaceId, Position>) -> Self {
        let mut plan = Self {
            batches,
            heads: free,
            moved: BTreeSet::new(),
            by_device: BTreeMap::new(),
            without_device: Vec::new(),
            quarantined: Vec::new(),
            dispositions: batches.iter().map(|_| Disposition::Locked).collect(),
        };
        for (index, batch) in batches.iter().enumerate() {
            if !plan.heads.contains_key(&batch.header.space) {
                continue;
            }
            match &batch.header.device_id {
                Some(device) => {
                    let key = (batch.header.space.clone(), device.clone());
                    plan.by_device.entry(key).or_default().push(index);
                }
                None => plan.without_device.push(index),
            }
        }
        // In order of sequence, so that batches that overtook each other on the way need not wait.
        for indexes in plan.by_device.values_mut() {
            indexes.sort_by_key(|&index| batches[index].header.first);
        }
        plan
    }

    /// Refuses what was pushed to erased spaces.
    pub(super) fn leave_out_erased(&mut self, erased: &BTreeSet<SpaceId>) {
        if erased.is_empty() {
            return;
        }
        for (index, batch) in self.batches.iter().enumerate() {
            if erased.contains(&batch.header.space) && self.heads.contains_key(&batch.header.space) {
                let detail = format!("the space {} was erased", batch.header.space);
                self.settle(index, receipts::refused(Refusal::SpaceErased, detail, None), None);
            }
        }
        self.by_device.retain(|(space, _), _| !erased.contains(space));
        self.without_device.retain(|&index| !erased.contains(&self.batches[index].header.space));
    }

    /// The batches to decide about.
    pub(super) fn open(&self) -> impl Iterator<Item = (usize, &'a Batch)> {
        let with_device = self.by_device.values().flatten();
        with_device.chain(&self.without_device).map(|&index| (index, self.batches[index]))
    }

    /// Open batches by device, in order of sequence.
    pub(super) fn by_device(&self) -> impl Iterator<Item = (&DeviceKey, &[usize])> {
        self.by_device.iter().map(|(key, indexes)| (key, indexes.as_slice()))
    }

    pub(super) fn batch(&self, index: usize) -> &'a Batch {
        self.batches[index]
    }

    /// Decides about every open batch.
    pub(super) fn decide(&mut self, facts: &mut Facts, encoder: &mut Encoder) -> Result<(), FrameError> {
        for (key, indexes) in std::mem::take(&mut self.by_device) {
            for index in indexes {
                self.decide_numbered(&key, index, facts, encoder)?;
            }
        }
        for index in std::mem::take(&mut self.without_device) {
            self.decide_single_events(index, facts, encoder)?;
        }
        Ok(())
    }

    fn decide_numbered(
        &mut self,
        key: &DeviceKey,
        index: usize,
        facts: &mut Facts,
        encoder: &mut Encoder,
    ) -> Result<(), FrameError> {
        let batch = self.batches[index];
        let contents = facts.contents.get(&index);
        let ledger = facts.ledgers.entry(key.clone()).or_default();
        let admission = ledger.admit(&batch.header, contents);
        let mark = ledger.mark.as_ref();
        let known_quarantined = facts.quarantined.entry(key.clone()).or_default();
        match admission {
            Admission::Gap { expected } => self.dispositions[index] = Disposition::Gap { expected },
            Admission::Fork { at } => {
                let detail = format!("device {} has another event with sequence {at} in the log", key.1);
                self.settle(index, receipts::refused(Refusal::DeviceForked, detail, None), None);
            }
            Admission::Append | Admission::Overlap { .. } | Admission::Duplicate => {
                let new_from = match admission {
                    Admission::Append => batch.header.first,
                    Admission::Overlap { duplicates } => Sequence(batch.header.first.0 + duplicates),
                    _ => batch.header.last.next(),
                };
                let device = mark
                    .map(|mark| DeviceMark { last_sequence: mark.sequence, last_event_id: mark.event_id });
                let mut receipts = receipts::duplicates(contents, new_from, known_quarantined);
                let found =
                    self.quarantine(index, &key.1, |sequence| (sequence >= new_from).then_some(sequence));
                receipts.extend(found.iter().map(|event| receipts::quarantined(event, true)));
                known_quarantined.extend(found.into_iter().map(|event| (event.device_sequence, event)));
                let appended = self.append_numbered(index, &key.1, new_from, contents, encoder)?;
                let head = self.heads[&key.0];
                let outcome = receipts::committed(head, appended.as_ref(), device, receipts);
                self.settle(index, outcome, appended);
            }
        }
        Ok(())
    }

    /// The segment of what is new in a batch; the frame passes as it is unless a prefix is cut off.
    fn append_numbered(
        &mut self,
        index: usize,
        device: &DeviceId,
        new_from: Sequence,
        contents: Option<&Contents>,
        encoder: &mut Encoder,
    ) -> Result<Option<Appended>, FrameError> {
        let batch = self.batches[index];
        let kept = if new_from == batch.header.first {
            (batch.header.accepted() > 0).then(|| (batch.frame.clone(), batch.header.accepted()))
        } else {
            let cut = match contents {
                Some(contents) => {
                    contents.encode_kept(&batch.header, encoder, |event| event.sequence >= new_from)?
                }
                None => None,
            };
            cut.map(|(frame, count)| (Bytes::from(frame), count))
        };
        let Some((frame, count)) = kept else { return Ok(None) };
        let sequences = SequenceRange { first: new_from, last: batch.header.last };
        Ok(Some(self.append(index, vec![device.clone()], count, Some(sequences), frame)))
    }

    fn decide_single_events(
        &mut self,
        index: usize,
        facts: &mut Facts,
        encoder: &mut Encoder,
    ) -> Result<(), FrameError> {
        let header = &self.batches[index].header;
        let Some(contents) = facts.contents.get(&index) else { return Ok(()) };
        let taken = facts.single_events.entry(header.space.clone()).or_default();
        let new = admit_single_events(contents, taken);
        let is_new = |event: &crate::batch::ContentEvent| new.contains(&event.event_id);
        for event in contents.events.iter().filter(|event| is_new(event)) {
            let mark =
                Mark { owner: header.user_id.clone(), sequence: Sequence(1), event_id: event.event_id };
            facts.new_single_events.push(((header.space.clone(), DeviceId::of_event(event.event_id)), mark));
        }
        let mut receipts = receipts::single_duplicates(&header.space, contents, &new, &facts.quarantined);
        for event in contents.events.iter().filter(|event| is_new(event) && event.line.is_none()) {
            let device = DeviceId::of_event(event.event_id);
            let place = event.sequence;
            let found = self.quarantine(index, &device, |at| (at == place).then_some(Sequence(1)));
            receipts.extend(found.iter().map(|event| receipts::quarantined(event, false)));
        }
        let appended = contents.encode_kept(header, encoder, is_new)?.map(|(frame, count)| {
            let devices = contents.events.iter().filter(|event| is_new(event) && event.line.is_some());
            let devices: Vec<_> = devices.map(|event| DeviceId::of_event(event.event_id)).collect();
            let one = SequenceRange { first: Sequence(1), last: Sequence(1) };
            let sequences = (count == 1).then_some(one);
            self.append(index, devices, count, sequences, frame.into())
        });
        let head = self.heads[&header.space];
        self.settle(index, receipts::committed(head, appended.as_ref(), None, receipts), appended);
        Ok(())
    }

    /// Numbers `count` events behind the space's head. With one device they are one batch, else each event is
    /// a batch of its own.
    fn append(
        &mut self,
        index: usize,
        devices: Vec<DeviceId>,
        count: u64,
        sequences: Option<SequenceRange>,
        frame: Bytes,
    ) -> Appended {
        let header = &self.batches[index].header;
        let head = self.heads.entry(header.space.clone()).or_default();
        let first = head.next();
        *head = Position(head.0 + count);
        let last = *head;
        self.moved.insert(header.space.clone());
        let batch_of = |(place, device_id): (u64, DeviceId)| SegmentBatch {
            first: Position(first.0 + place),
            device_id,
            user_id: header.user_id.clone(),
            received_at: header.received_at,
            released: false,
        };
        let batches = (0..).zip(devices).map(batch_of).collect();
        let lines = count + u64::from(sequences.is_some());
        let segment = SegmentHeader { first, last, lines, batches, positions: None };
        Appended { space: header.space.clone(), header: segment, frame, sequences }
    }

    /// Puts those quarantined lines of a batch into quarantine that `number` gives a sequence.
    fn quarantine(
        &mut self,
        index: usize,
        device: &DeviceId,
        number: impl Fn(Sequence) -> Option<Sequence>,
    ) -> Vec<QuarantinedEvent> {
        let batch = self.batches[index];
        let mut found = Vec::new();
        for (reason, line) in &batch.quarantined {
            let Some(device_sequence) = number(reason.device_sequence) else { continue };
            let event = QuarantinedEvent {
                device_sequence,
                event_id: reason.event_id,
                code: reason.code,
                detail: reason.detail.clone(),
            };
            self.quarantined.push(Quarantined {
                space: batch.header.space.clone(),
                device: device.clone(),
                user: batch.header.user_id.clone(),
                event: event.clone(),
                received_at: batch.header.received_at,
                schema_version: batch.header.schema_version,
                line: line.clone(),
            });
            found.push(event);
        }
        found
    }

    fn settle(&mut self, index: usize, outcome: Outcome, appended: Option<Appended>) {
        let appended = appended.map(Box::new);
        self.dispositions[index] = Disposition::Settled { outcome, appended };
    }

    /// The rows of `segments`.
    pub(super) fn segment_columns(&self) -> SegmentColumns<'_> {
        let mut columns = SegmentColumns::default();
        for disposition in &self.dispositions {
            if let Disposition::Settled { appended: Some(appended), .. } = disposition {
                columns.push(&appended.space, &appended.header, appended.sequences, &appended.frame);
            }
        }
        columns
    }

    /// The spaces whose heads moved, and where to.
    pub(super) fn moved_heads(&self) -> (Vec<&str>, Vec<i64>) {
        self.moved.iter().map(|space| (space.as_str(), self.heads[space].as_i64())).unzip()
    }

    /// The rows of `quarantine`.
    pub(super) fn quarantined(&self) -> &[Quarantined] {
        &self.quarantined
    }

    pub(super) fn into_dispositions(self) -> Vec<Disposition> {
        self.dispositions
    }
}
