//! What becomes of the batches of one device, one after the other, as its watermark moves. Pure.

use std::collections::BTreeSet;

use tidelog_events::admit::{Admission, KnownIds, Mark, Offer, admit};
use tidelog_events::frame::PushHeader;
use tidelog_events::id::{DeviceId, Sequence, SpaceId};

use crate::batch::Contents;

/// A device in a space.
pub(crate) type DeviceKey = (SpaceId, DeviceId);

/// A device's watermark and the ids that are known of it, moving with each batch that is taken.
#[derive(Debug, Default)]
pub(crate) struct DeviceLedger {
    /// The watermark; `None` before the first batch.
    pub(crate) mark: Option<Mark>,
    /// What is stored of the sequences that the batches overlap.
    pub(crate) known: KnownIds,
    /// Whether a batch moved the mark.
    pub(crate) moved: bool,
}

impl DeviceLedger {
    /// Decides about the next batch, and moves on if it is taken. `contents` must be there where the batch
    /// overlaps what came before.
    pub(crate) fn admit(&mut self, header: &PushHeader, contents: Option<&Contents>) -> Admission {
        let ids = contents.map(|contents| contents.events.iter().map(|event| event.event_id).collect());
        let offer = Offer {
            author: header.user_id.clone(),
            first: header.first,
            last: header.last,
            after: header.after,
            ids: ids.unwrap_or_default(),
        };
        let admission = admit(&offer, self.mark.as_ref(), &self.known);
        if matches!(admission, Admission::Append | Admission::Overlap { .. }) {
            self.known.extend((offer.first.0..).map(Sequence).zip(offer.ids));
            self.mark =
                Some(Mark { owner: offer.author, sequence: header.last, event_id: header.last_event_id });
            self.moved = true;
        }
        admission
    }
}

/// Which events of a batch without sequences are new, by their places in it (the same event may come twice in
/// one batch); the others are duplicates. `taken` holds the devices of events that the log has, and gains the
/// new ones.
pub(crate) fn admit_single_events(contents: &Contents, taken: &mut BTreeSet<DeviceId>) -> BTreeSet<Sequence> {
    let new = contents.events.iter().filter(|event| taken.insert(DeviceId::of_event(event.event_id)));
    new.map(|event| event.sequence).collect()
}
