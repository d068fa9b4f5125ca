//! What a watermark that the server tells means for the events that this device holds. Pure.
//!
//! ```text
//! confirmed: the watermark as it was last compared      1 ──────── C
//! told: what the server says now
//!
//! T = C, the same event     nothing new
//! T > C, we hold event T    everything through T is dealt with: it is not sent again
//! T > C, we do not, or it   other events have taken our numbers: the device was cloned, or its file restored
//!   is another event          from a backup. Nothing is retired; the server is asked which of ours it has
//! T < C, the same epoch     an old answer: ignored, a watermark never goes back in one incarnation of the log
//! T < C, a new epoch        the server was restored to an older state: what lies behind T is sent again,
//!                             if all of it is still here; else its numbers cannot be used again: a fork
//! ```

use tidelog_events::id::{EventId, Sequence};

use crate::defect::{Defect, is_planted};

/// A watermark.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    /// The last sequence that the server has dealt with; 0 for none.
    pub sequence: Sequence,
    /// That event's id, as far as it is known.
    pub event_id: Option<EventId>,
}

/// What this device holds, as far as it matters for a told watermark T.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// The watermark as it was last compared.
    pub confirmed: Told,
    /// Whether the epoch that tells T is the one that told `confirmed`.
    pub same_epoch: bool,
    /// The id of our event numbered T, if it is still here.
    pub at_told: Option<EventId>,
    /// Whether all our events behind T are still here.
    pub all_behind: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// Nothing: it is what we know, or an old answer.
    Nothing,
    /// Everything through T is dealt with.
    Advance,
    /// Everything behind T is to be sent again.
    GoBack,
    /// T stands on other events than ours.
    Forked,
}

/// Judges a told watermark.
pub fn judge(told: Told, held: Held) -> Judgement {
    let judgement = judge_by_id(told, held);
    let ours_at_least = held.at_told.is_some() || held.confirmed.sequence > Sequence::ZERO;
    match judgement {
        Judgement::Forked if is_planted(Defect::RetiredWithoutIdCheck) && held.at_told.is_some() => {
            Judgement::Advance
        }
        Judgement::Forked if is_planted(Defect::NoForkCheck) && ours_at_least => Judgement::Nothing,
        judgement => judgement,
    }
}

fn judge_by_id(told: Told, held: Held) -> Judgement {
    let confirmed = held.confirmed;
    if told.sequence == confirmed.sequence {
        let differ = confirmed.event_id.is_some_and(|id| told.event_id != Some(id));
        return if differ { Judgement::Forked } else { Judgement::Nothing };
    }
    if told.sequence > confirmed.sequence {
        let ours = held.at_told.is_some() && held.at_told == told.event_id;
        return if ours { Judgement::Advance } else { Judgement::Forked };
    }
    if held.same_epoch {
        return Judgement::Nothing;
    }
    let agrees = told.sequence == Sequence::ZERO || held.at_told.is_some() && held.at_told == told.event_id;
    if agrees && held.all_behind { Judgement::GoBack } else { Judgement::Forked }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn told(sequence: u64, id: u128) -> Told {
        Told { sequence: Sequence(sequence), event_id: (sequence > 0).then(|| EventId(Uuid::from_u128(id))) }
    }

    /// The device holds events `from..=last`, each with its sequence as id, and C was told to be 5.
    fn held(told: Told, from: u64, last: u64, same_epoch: bool) -> Held {
        let sequence = told.sequence.0;
        Held {
            confirmed: super::tests::told(5, 5),
            same_epoch,
            at_told: (from..=last).contains(&sequence).then(|| EventId(Uuid::from_u128(sequence.into()))),
            all_behind: from <= sequence + 1,
        }
    }

    #[test]
    fn every_watermark_that_a_server_can_tell() {
        use Judgement::{Advance, Forked, GoBack, Nothing};
        let check = |told: Told, from: u64, same_epoch: bool, expect: Judgement| {
            assert_eq!(judge(told, held(told, from, 9, same_epoch)), expect, "{told:?} {from} {same_epoch}");
        };
        check(told(5, 5), 1, true, Nothing);
        check(told(5, 5), 1, false, Nothing);
        check(told(5, 99), 1, true, Forked);
        check(told(8, 8), 1, true, Advance);
        check(told(9, 9), 6, true, Advance);
        check(told(8, 99), 1, true, Forked);
        check(told(10, 10), 1, true, Forked);
        check(told(3, 3), 1, true, Nothing);
        check(told(3, 3), 1, false, GoBack);
        check(told(3, 3), 3, false, GoBack);
        // Event 3 is not here any more: whether it is the same cannot be said.
        check(told(3, 3), 4, false, Forked);
        check(told(3, 99), 1, false, Forked);
        check(told(0, 0), 1, false, GoBack);
        check(told(0, 0), 2, false, Forked);
        check(told(0, 0), 1, true, Nothing);
    }
}
