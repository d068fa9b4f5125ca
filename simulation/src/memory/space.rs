//! A space in memory: its log, devices, snapshot and fold.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use tidelog_client::transport::Refused;
use tidelog_events::admit::{Admission, Mark, Offer, admit, overlap};
use tidelog_events::code::Refusal;
use tidelog_events::event::JudgedEvent;
use tidelog_events::fold::{Change, State};
use tidelog_events::frame::{SegmentBatch, SegmentHeader};
use tidelog_events::id::{DeviceId, Epoch, Position, Sequence};
use tidelog_events::protocol::{Committed, QuarantinedEvent};
use tidelog_events::schema::Schema;

use super::batch::{Batch, refused};
use super::device::{Device, Place, receipt_of_quarantined};
use super::pull::Snapshot;
use crate::server::{LogEvent, ReadModel};

/// The log of a space and what is made from it. A clone is a backup.
#[derive(Clone)]
pub(super) struct Space {
    pub(super) epoch: Epoch,
    /// From position 1 on: those at or before the horizon are the archive, which no pull reads.
    segments: Vec<Rc<Segment>>,
    snapshot: Option<Rc<Snapshot>>,
    devices: BTreeMap<DeviceId, Device>,
    state: State,
}

/// A segment as the log stores it.
pub(super) struct Segment {
    pub(super) header: SegmentHeader,
    pub(super) body: Rc<str>,
}

impl Segment {
    /// The event lines with their positions.
    pub(super) fn events(&self) -> impl Iterator<Item = (Position, &str)> {
        let lines = self.body.split_terminator('\n').skip(usize::from(self.header.has_batch_line()));
        (self.header.first.0..).map(Position).zip(lines)
    }
}

impl Space {
    /// A space without events.
    pub(super) fn new(epoch: Epoch) -> Self {
        let (devices, state) = (BTreeMap::new(), State::default());
        Self { epoch, segments: Vec::new(), snapshot: None, devices, state }
    }

    /// What it was when that copy was kept, as another incarnation.
    pub(super) fn restored(copy: &Self, epoch: Epoch) -> Self {
        Self { epoch, ..copy.clone() }
    }

    /// The last position.
    pub(super) fn head(&self) -> Position {
        self.segments.last().map_or(Position::ZERO, |segment| segment.header.last)
    }

    /// The position through which the log is pruned.
    pub(super) fn horizon(&self) -> Position {
        self.snapshot.as_ref().map_or(Position::ZERO, |snapshot| snapshot.through)
    }

    /// What pulls read instead of what was pruned.
    pub(super) fn snapshot(&self) -> Option<&Snapshot> {
        self.snapshot.as_deref()
    }

    /// What pulls read of the log behind a position at or behind the horizon.
    pub(super) fn segments_behind(&self, after: Position) -> &[Rc<Segment>] {
        &self.segments[self.segments.partition_point(|segment| segment.header.last <= after)..]
    }

    /// What is known of a device, if it has pushed.
    pub(super) fn device(&self, device: &DeviceId) -> Option<&Device> {
        self.devices.get(device)
    }

    /// Takes a batch, as ingest does.
    pub(super) fn take(&mut self, batch: &Batch, schema: &Schema) -> Result<Committed, Refused> {
        let offer = batch.offer();
        let new_from = self.admit(batch, &offer)?;
        let before = self.head();
        if new_from <= offer.last {
            self.append(batch, &offer, new_from, schema);
        }
        let device = self.device(&batch.device);
        let old = batch.numbered().take_while(|(sequence, ..)| *sequence < new_from);
        let mut receipts: Vec<_> = old
            .filter_map(|(sequence, event, _)| Some(device?.receipt_of_duplicate(sequence, event.event_id)))
            .collect();
        // What is new ends at the watermark.
        let newly_quarantined = device.into_iter().flat_map(|device| device.quarantined_from(new_from));
        receipts.extend(newly_quarantined.filter(|_| new_from <= offer.last).map(receipt_of_quarantined));
        let head = self.head();
        let has_grown = head > before;
        Ok(Committed {
            head,
            first: has_grown.then(|| before.next()),
            last: has_grown.then_some(head),
            device: device.map(Device::told_mark),
            receipts,
        })
    }

    /// The first sequence of the batch that is new.
    fn admit(&self, batch: &Batch, offer: &Offer) -> Result<Sequence, Refused> {
        let device = self.device(&batch.device);
        let mark = device.map(|device| &device.mark);
        let overlapping = overlap(offer, mark).zip(device);
        let known = overlapping.map(|(range, device)| device.known(range, self.horizon()));
        match admit(offer, mark, &known.unwrap_or_default()) {
            Admission::Append => Ok(offer.first),
            Admission::Overlap { duplicates } => Ok(Sequence(offer.first.0 + duplicates)),
            Admission::Duplicate => Ok(offer.last.next()),
            Admission::Gap { expected } => {
                let detail = format!("sequence {expected} of device {} must come next", batch.device);
                Err(Refused { expected: Some(expected), ..refused(Refusal::SequenceGap, detail) })
            }
            Admission::Fork { at } => {
                let detail =
                    format!("sequence {at} of device {} is taken by another event or user", batch.device);
                Err(refused(Refusal::DeviceForked, detail))
            }
        }
    }

    /// Numbers, folds and stores the good events from `new_from` on, and quarantines the others.
    fn append(&mut self, batch: &Batch, offer: &Offer, new_from: Sequence, schema: &Schema) {
        let Some(event_id) = offer.ids.last().copied() else { return };
        let before = self.head();
        let mark = Mark { owner: batch.author.clone(), sequence: offer.last, event_id };
        let device = self.devices.entry(batch.device.clone());
        let device = device.or_insert_with(|| Device { mark: mark.clone(), events: BTreeMap::new() });
        device.mark = mark;
        let recorded_by = Arc::new(batch.device.clone());
        let mut last = before;
        for (sequence, event, line) in batch.numbered().filter(|(sequence, ..)| *sequence >= new_from) {
            let place = if let Some(event) = quarantined(sequence, event) {
                Place::Quarantine(event)
            } else {
                last = last.next();
                if let Ok(change) = Change::read(line, &recorded_by, schema) {
                    self.state.apply(change);
                }
                Place::Log(event.event_id, last)
            };
            device.events.insert(sequence, place);
        }
        if last > before {
            self.segments.push(Rc::new(segment(batch, new_from, before.next(), last)));
        }
    }

    /// Prunes the log through its head, behind a snapshot. False where there is nothing to prune.
    pub(super) fn prune(&mut self, schema: &Schema) -> bool {
        let through = self.head();
        if self.horizon() == through {
            return false;
        }
        let last = |(id, device): (&DeviceId, &Device)| Some((id.clone(), device.last_in_log()?));
        let devices = self.devices.iter().filter_map(last).collect();
        self.snapshot = Some(Rc::new(Snapshot::of(&self.state, through, schema, devices)));
        true
    }

    /// The whole log.
    pub(super) fn log(&self) -> Vec<LogEvent> {
        let of_segment = |segment: &Rc<Segment>| {
            let events = segment.events().filter_map(|(position, line)| {
                let device = segment.header.batch_at(position)?.device_id.clone();
                Some(LogEvent { position, device, line: line.to_owned() })
            });
            events.collect::<Vec<_>>()
        };
        self.segments.iter().flat_map(of_segment).collect()
    }

    /// What the log folds into.
    pub(super) fn read_model(&mut self) -> ReadModel {
        ReadModel { lines: self.state.lines().collect(), hash: self.state.hash().clone() }
    }
}

/// The event as quarantine keeps it; `None` for a good one.
fn quarantined(sequence: Sequence, event: &JudgedEvent) -> Option<QuarantinedEvent> {
    let finding = event.finding.as_ref()?;
    Some(QuarantinedEvent {
        device_sequence: sequence,
        event_id: event.event_id,
        code: finding.fault,
        detail: finding.detail.clone(),
    })
}

fn segment(batch: &Batch, new_from: Sequence, first: Position, last: Position) -> Segment {
    let origin = SegmentBatch {
        first,
        device_id: batch.device.clone(),
        user_id: batch.author.clone(),
        received_at: batch.received_at,
        released: false,
    };
    // One more than events: the batch line.
    let lines = last.0 - first.0 + 2;
    let header = SegmentHeader { first, last, lines, batches: vec![origin], positions: None };
    Segment { header, body: batch.stored_body(new_from) }
}
