//! The watermark decision: what becomes of a batch, given what the log has of its device. Pure, and at O(1)
//! per device whatever the history (invariant 2).
//!
//! ```text
//! the log has of the device     1 ─────────────── L          (L = the mark's sequence)
//! append                                           L+1 ── t
//! overlap                               f ────── L ────── t   its prefix is a duplicate, the rest appends
//! duplicate                   f ── t
//! gap                                                 L+2 ── t
//! fork                        the same sequences with other event ids
//! ```

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{EventId, Sequence, UserId};

/// The event that a batch follows: the device's previous one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct After {
    /// The sequence before the batch's first.
    pub device_sequence: Sequence,
    /// That event's id; null where there is none (sequence 0).
    pub event_id: Option<EventId>,
}

/// What a batch says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Who recorded the events.
    pub author: UserId,
    /// Sequence of the first event, 1 or more.
    pub first: Sequence,
    /// Sequence of the last event, at least `first`.
    pub last: Sequence,
    /// The event before the first, if the device names it.
    pub after: Option<After>,
    /// Event ids from `first` on. Only those of [`overlap`] are looked at: where that is `None`, this may be
    /// empty, and a caller saves decoding the batch.
    pub ids: Vec<EventId>,
}

/// A device's watermark: the last sequence that the log (or quarantine) has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The user who first pushed with the device.
    pub owner: UserId,
    /// The last sequence.
    pub sequence: Sequence,
    /// Its event id.
    pub event_id: EventId,
}

/// Event ids of a device by sequence, as far as they are still stored.
pub type KnownIds = BTreeMap<Sequence, EventId>;

/// What becomes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// All of it is new and next in order.
    Append,
    /// The first `duplicates` events are there already, the rest appends.
    Overlap {
        /// Events of the batch that are duplicates, at least one, not all.
        duplicates: u64,
    },
    /// All of it is there already.
    Duplicate,
    /// It begins later than the device's next sequence.
    Gap {
        /// The sequence that must come next.
        expected: Sequence,
    },
    /// The device's sequences are taken by other events.
    Fork {
        /// The first sequence at which the two histories are known to differ, or to belong to someone else.
        at: Sequence,
    },
}

/// The part of the offer that lies at or below the mark: the sequences whose known ids [`admit`] needs, the
/// event that `after` names included.
pub fn overlap(offer: &Offer, mark: Option<&Mark>) -> Option<RangeInclusive<Sequence>> {
    let mark = mark?;
    let from = match offer.after {
        Some(after) if after.device_sequence > Sequence::ZERO => after.device_sequence,
        _ => offer.first,
    };
    (offer.first <= mark.sequence).then(|| from..=offer.last.min(mark.sequence))
}

/// Decides about one batch. `known` must hold what is stored of [`overlap`]'s sequences; what is not in it
/// was pruned, and is a duplicate by its number alone.
pub fn admit(offer: &Offer, mark: Option<&Mark>, known: &KnownIds) -> Admission {
    let Some(mark) = mark else {
        let first = Sequence(1);
        return if offer.first == first { Admission::Append } else { Admission::Gap { expected: first } };
    };
    if offer.author != mark.owner {
        return Admission::Fork { at: offer.first };
    }
    if offer.first > mark.sequence.next() {
        return Admission::Gap { expected: mark.sequence.next() };
    }
    if let Some(at) = first_difference(offer, mark, known) {
        return Admission::Fork { at };
    }
    if offer.first > mark.sequence {
        Admission::Append
    } else if offer.last <= mark.sequence {
        Admission::Duplicate
    } else {
        Admission::Overlap { duplicates: mark.sequence.0 - offer.first.0 + 1 }
    }
}

/// The first sequence at which the offer and the log name different events.
fn first_difference(offer: &Offer, mark: &Mark, known: &KnownIds) -> Option<Sequence> {
    let stored = |sequence: Sequence| {
        if sequence == mark.sequence { Some(mark.event_id) } else { known.get(&sequence).copied() }
    };
    let before = offer.after.and_then(|after| Some((after.device_sequence, after.event_id?)));
    let offered = (offer.first.0..).map(Sequence).zip(offer.ids.iter().copied());
    before
        .into_iter()
        .chain(offered)
        .take_while(|(sequence, _)| *sequence <= mark.sequence)
        .find(|&(sequence, id)| stored(sequence).is_some_and(|stored| stored != id))
        .map(|(sequence, _)| sequence)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn id(number: u64) -> EventId {
        EventId(Uuid::from_u128(u128::from(number)))
    }

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    /// Events `first..=last` of a device whose event with sequence n has id n.
    fn offer(first: u64, last: u64) -> Offer {
        let after =
            After { device_sequence: Sequence(first - 1), event_id: (first > 1).then(|| id(first - 1)) };
        let ids = (first..=last).map(id).collect();
        Offer { author: user("ann"), first: Sequence(first), last: Sequence(last), after: Some(after), ids }
    }

    fn mark(sequence: u64) -> Mark {
        Mark { owner: user("ann"), sequence: Sequence(sequence), event_id: id(sequence) }
    }

    fn known(sequences: RangeInclusive<u64>) -> KnownIds {
        sequences.map(|n| (Sequence(n), id(n))).collect()
    }

    #[test]
    fn every_watermark_rule() {
        let nothing = KnownIds::new();
        let check = |offer: &Offer, mark: Option<Mark>, known: &KnownIds, expect: Admission| {
            assert_eq!(admit(offer, mark.as_ref(), known), expect, "{offer:?} {mark:?}");
        };
        let gap = |expected| Admission::Gap { expected: Sequence(expected) };
        let fork = |at| Admission::Fork { at: Sequence(at) };

        check(&offer(1, 5), None, &nothing, Admission::Append);
        check(&offer(2, 5), None, &nothing, gap(1));
        check(&offer(6, 9), Some(mark(5)), &nothing, Admission::Append);
        check(&offer(7, 9), Some(mark(5)), &nothing, gap(6));
        check(&offer(1, 5), Some(mark(5)), &known(1..=5), Admission::Duplicate);
        check(&offer(2, 3), Some(mark(5)), &known(1..=5), Admission::Duplicate);
        check(&offer(4, 9), Some(mark(5)), &known(1..=5), Admission::Overlap { duplicates: 2 });
        // Pruned events are duplicates by number alone.
        check(&offer(1, 4), Some(mark(5)), &nothing, Admission::Duplicate);

        // Someone else's device.
        check(&Offer { author: user("bob"), ..offer(6, 9) }, Some(mark(5)), &nothing, fork(6));
        // `after` names another event than the watermark.
        let stranger = After { device_sequence: Sequence(5), event_id: Some(id(99)) };
        check(&Offer { after: Some(stranger), ..offer(6, 9) }, Some(mark(5)), &nothing, fork(5));
        // Without `after` the ids in the overlap alone are checked.
        check(&Offer { after: None, ..offer(6, 9) }, Some(mark(5)), &nothing, Admission::Append);
        // Same sequences, other events.
        let mut clone = offer(4, 9);
        clone.ids[1] = id(99);
        check(&clone, Some(mark(5)), &known(1..=5), fork(5));
        clone = offer(2, 3);
        clone.ids[0] = id(99);
        check(&clone, Some(mark(5)), &known(1..=5), fork(2));
        // The watermark's own id is known without any lookup.
        clone = offer(5, 5);
        clone.ids[0] = id(99);
        check(&clone, Some(mark(5)), &nothing, fork(5));
    }

    #[test]
    fn overlap_names_the_sequences_to_look_up() {
        let range = |from, to| Some(Sequence(from)..=Sequence(to));
        assert_eq!(overlap(&offer(1, 5), None), None);
        assert_eq!(overlap(&offer(6, 9), Some(&mark(5))), None);
        assert_eq!(overlap(&offer(4, 9), Some(&mark(5))), range(3, 5));
        assert_eq!(overlap(&offer(1, 9), Some(&mark(5))), range(1, 5));
        assert_eq!(overlap(&offer(2, 3), Some(&mark(5))), range(1, 3));
    }

    /// The plain model: all events of a device, in a vector.
    #[derive(Default)]
    struct Model(Vec<EventId>);

    impl Model {
        fn admit(&self, offer: &Offer) -> Admission {
            let have = self.0.len() as u64;
            let differs = |sequence: u64, id: EventId| {
                sequence >= 1 && self.0.get(sequence as usize - 1).is_some_and(|stored| *stored != id)
            };
            if offer.first.0 > have + 1 {
                return Admission::Gap { expected: Sequence(have + 1) };
            }
            if let Some(After { device_sequence, event_id: Some(id) }) = offer.after
                && differs(device_sequence.0, id)
            {
                return Admission::Fork { at: device_sequence };
            }
            for (index, id) in offer.ids.iter().enumerate() {
                let sequence = offer.first.0 + index as u64;
                if differs(sequence, *id) {
                    return Admission::Fork { at: Sequence(sequence) };
                }
            }
            let duplicates = (have + 1).saturating_sub(offer.first.0).min(offer.ids.len() as u64);
            match duplicates {
                0 => Admission::Append,
                all if all == offer.ids.len() as u64 => Admission::Duplicate,
                duplicates => Admission::Overlap { duplicates },
            }
        }
    }

    proptest! {
        /// Random histories of one device and its clones: pushes of any range, of any of three lives that
        /// share a prefix, with and without `after`.
        #[test]
        fn admit_agrees_with_a_plain_model(
            pushes in prop::collection::vec((1u64..12, 1u64..6, 0u64..3, any::<bool>()), 1..60)
        ) {
            let mut model = Model::default();
            let mut mark: Option<Mark> = None;
            for (first, count, life, names_after) in pushes {
                let id_of = |sequence: u64| if sequence <= 4 { id(sequence) } else { id(life * 1000 + sequence) };
                let mut offer = offer(first, first + count - 1);
                offer.ids = (first..first + count).map(id_of).collect();
                offer.after = names_after.then(|| After {
                    device_sequence: Sequence(first - 1),
                    event_id: (first > 1).then(|| id_of(first - 1)),
                });
                let mut known = KnownIds::new();
                if let Some(range) = overlap(&offer, mark.as_ref()) {
                    for sequence in range.start().0.max(1)..=range.end().0 {
                        known.insert(Sequence(sequence), model.0[sequence as usize - 1]);
                    }
                } else {
                    prop_assert!(offer.first.0 > model.0.len() as u64);
                }
                let admission = admit(&offer, mark.as_ref(), &known);
                prop_assert_eq!(admission, model.admit(&offer));
                let skip = match admission {
                    Admission::Append => 0,
                    Admission::Overlap { duplicates } => duplicates as usize,
                    _ => continue,
                };
                model.0.extend(&offer.ids[skip..]);
                let event_id = *model.0.last().unwrap();
                mark = Some(Mark { owner: user("ann"), sequence: Sequence(model.0.len() as u64), event_id });
            }
            prop_assert_eq!(mark.map_or(0, |mark| mark.sequence.0), model.0.len() as u64);
        }
    }
}
