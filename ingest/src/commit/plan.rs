//! The batches of a transaction between facts and rows: which are open, what became of each, and what is to be
//! written. `place` fills it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tidelog_events::code::Refusal;
use tidelog_events::frame::SegmentHeader;
use tidelog_events::id::{Position, Sequence, SpaceId};
use tidelog_events::protocol::Outcome;
use tidelog_store::quarantine::Quarantined;
use tidelog_store::segments::{SegmentColumns, SequenceRange};

use super::receipts;
use crate::batch::Batch;
use crate::decide::DeviceKey;

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
    /// Of a segment that is one batch.
    pub(super) sequences: Option<SequenceRange>,
}

/// The batches of a transaction on their way to rows.
pub(super) struct Plan<'a> {
    pub(super) batches: &'a [&'a Batch],
    /// The heads of the locked spaces, moving with what is appended.
    pub(super) heads: BTreeMap<SpaceId, Position>,
    /// The spaces whose heads have moved.
    pub(super) moved: BTreeSet<SpaceId>,
    /// Open batches.
    pub(super) by_device: BTreeMap<DeviceKey, Vec<usize>>,
    /// Open batches whose events have no sequences.
    pub(super) without_device: Vec<usize>,
    pub(super) quarantined: Vec<Quarantined>,
    pub(super) dispositions: Vec<Disposition>,
}

impl<'a> Plan<'a> {
    /// The batches of erased spaces are refused, those of free spaces are open; the others are
    /// [`Disposition::Locked`].
    pub(super) fn new(
        batches: &'a [&'a Batch],
        free: BTreeMap<SpaceId, Position>,
        erased: &BTreeSet<SpaceId>,
    ) -> Self {
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
            let space = &batch.header.space;
            if erased.contains(space) {
                let detail = format!("the space {space} was erased");
                plan.settle(index, receipts::refused(Refusal::SpaceErased, detail, None), None);
                continue;
            }
            if !plan.heads.contains_key(space) {
                continue;
            }
            match &batch.header.device_id {
                Some(device) => {
                    let key = (space.clone(), device.clone());
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

    /// The batches to decide about.
    pub(super) fn open(&self) -> impl Iterator<Item = (usize, &'a Batch)> {
        let with_device = self.by_device.values().flatten();
        with_device.chain(&self.without_device).map(|&index| (index, self.batches[index]))
    }

    /// Open batches by device, in order of sequence.
    pub(super) fn by_device(&self) -> impl Iterator<Item = (&DeviceKey, &[usize])> {
        self.by_device.iter().map(|(key, indexes)| (key, indexes.as_slice()))
    }

    pub(super) fn settle(&mut self, index: usize, outcome: Outcome, appended: Option<Appended>) {
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

    pub(super) fn into_dispositions(self) -> Vec<Disposition> {
        self.dispositions
    }
}
