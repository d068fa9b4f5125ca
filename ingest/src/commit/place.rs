//! Places batches in the log, one after the other: decides about each, numbers what is new in it, quarantines
//! what is at fault, and notes what its sender is told.

use bytes::Bytes;
use tidelog_events::admit::{Admission, Mark};
use tidelog_events::code::Refusal;
use tidelog_events::frame::{Encoder, FrameError, SegmentBatch, SegmentHeader};
use tidelog_events::id::{DeviceId, Position, Sequence};
use tidelog_events::protocol::{DeviceMark, QuarantinedEvent};
use tidelog_store::quarantine::Quarantined;
use tidelog_store::segments::SequenceRange;

use super::facts::Facts;
use super::plan::{Appended, Disposition, Plan};
use super::receipts;
use crate::batch::{ContentEvent, Contents};
use crate::decide::{DeviceKey, admit_single_events};

impl Plan<'_> {
    /// Places every open batch.
    pub(super) fn place(&mut self, facts: &mut Facts, encoder: &mut Encoder) -> Result<(), FrameError> {
        for (key, indexes) in std::mem::take(&mut self.by_device) {
            for index in indexes {
                self.place_numbered(&key, index, facts, encoder)?;
            }
        }
        for index in std::mem::take(&mut self.without_device) {
            self.place_single_events(index, facts, encoder)?;
        }
        Ok(())
    }

    fn place_numbered(
        &mut self,
        key: &DeviceKey,
        index: usize,
        facts: &mut Facts,
        encoder: &mut Encoder,
    ) -> Result<(), FrameError> {
        let header = &self.batches[index].header;
        let contents = facts.contents.get(&index);
        let admission = facts.ledgers.entry(key.clone()).or_default().admit(header, contents);
        let new_from = match admission {
            Admission::Append => header.first,
            Admission::Overlap { duplicates } => Sequence(header.first.0 + duplicates),
            Admission::Duplicate => header.last.next(),
            Admission::Gap { expected } => {
                self.dispositions[index] = Disposition::Gap { expected };
                return Ok(());
            }
            Admission::Fork { at } => {
                let detail = format!("sequence {at} of device {} is taken by another event or user", key.1);
                self.settle(index, receipts::refused(Refusal::DeviceForked, detail, None), None);
                return Ok(());
            }
        };
        self.take_numbered(key, index, new_from, facts, encoder)
    }

    /// Takes what begins with `new_from` in a batch; what comes before are duplicates.
    fn take_numbered(
        &mut self,
        key: &DeviceKey,
        index: usize,
        new_from: Sequence,
        facts: &mut Facts,
        encoder: &mut Encoder,
    ) -> Result<(), FrameError> {
        let contents = facts.contents.get(&index);
        let known_quarantined = facts.quarantined.entry(key.clone()).or_default();
        let mut receipts = receipts::duplicates(contents, new_from, known_quarantined);
        let found = self.quarantine(index, &key.1, |sequence| (sequence >= new_from).then_some(sequence));
        receipts.extend(found.iter().map(|event| receipts::quarantined(event, true)));
        known_quarantined.extend(found.into_iter().map(|event| (event.device_sequence, event)));
        let appended = self.append_numbered(index, &key.1, new_from, contents, encoder)?;
        let mark = facts.ledgers.get(key).and_then(|ledger| ledger.mark.as_ref());
        let device =
            mark.map(|mark| DeviceMark { last_sequence: mark.sequence, last_event_id: mark.event_id });
        let outcome = receipts::committed(self.heads[&key.0], header_of(appended.as_ref()), device, receipts);
        self.settle(index, outcome, appended);
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

    fn place_single_events(
        &mut self,
        index: usize,
        facts: &mut Facts,
        encoder: &mut Encoder,
    ) -> Result<(), FrameError> {
        let header = &self.batches[index].header;
        let Some(contents) = facts.contents.get(&index) else { return Ok(()) };
        let taken = facts.single_events.entry(header.space.clone()).or_default();
        let new = admit_single_events(contents, taken);
        let is_new = |event: &ContentEvent| new.contains(&event.sequence);
        for event in contents.events.iter().filter(|event| is_new(event)) {
            let mark =
                Mark { owner: header.user_id.clone(), sequence: Sequence(1), event_id: event.event_id };
            facts.new_single_events.push(((header.space.clone(), DeviceId::of_event(event.event_id)), mark));
        }
        let mut receipts = Vec::new();
        for event in contents.events.iter().filter(|event| is_new(event) && event.line.is_none()) {
            let device = DeviceId::of_event(event.event_id);
            let place = event.sequence;
            let found = self.quarantine(index, &device, |at| (at == place).then_some(Sequence(1)));
            receipts.extend(found.iter().map(|event| receipts::quarantined(event, false)));
            let theirs = facts.quarantined.entry((header.space.clone(), device)).or_default();
            theirs.extend(found.into_iter().map(|event| (event.device_sequence, event)));
        }
        receipts.extend(receipts::single_duplicates(&header.space, contents, &new, &facts.quarantined));
        let appended = contents.encode_kept(header, encoder, is_new)?.map(|(frame, count)| {
            let devices = contents.events.iter().filter(|event| is_new(event) && event.line.is_some());
            let devices: Vec<_> = devices.map(|event| DeviceId::of_event(event.event_id)).collect();
            let one = SequenceRange { first: Sequence(1), last: Sequence(1) };
            let sequences = (count == 1).then_some(one);
            self.append(index, devices, count, sequences, frame.into())
        });
        let head = self.heads[&header.space];
        self.settle(index, receipts::committed(head, header_of(appended.as_ref()), None, receipts), appended);
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
}

fn header_of(appended: Option<&Appended>) -> Option<&SegmentHeader> {
    appended.map(|appended| &appended.header)
}
