//! Defects that a test plants, one at a time, to see that the simulation finds each. Without the feature `defects`,
//! which no product build has, nothing can be planted.

/// A rule of the design, broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Defect {
    /// The cursor moves in a transaction of its own, before what lies behind it is stored.
    CursorBeforeContents,
    /// A broker's acknowledgement counts as the log's.
    RetiredByBrokerAck,
    /// A watermark ends re-sending although its event id was not compared.
    RetiredWithoutIdCheck,
    /// An echo is folded as the device remembers the event, not as the log has it.
    ConfirmedFromLocalCopy,
    /// Events leave the overlay when the watermark covers them, before their echo has come.
    OverlayDroppedAtWatermark,
    /// A forked device numbers its events anew without asking which of them the server has.
    RenumberedWithoutAsking,
    /// A device that has re-stamped an event keeps its new stamp although the log has the old one.
    RestampedCopyKept,
    /// Nothing is ever a fork.
    NoForkCheck,
}

#[cfg(feature = "defects")]
mod planting {
    use std::cell::Cell;

    use super::Defect;

    thread_local! {
        static PLANTED: Cell<Option<Defect>> = const { Cell::new(None) };
    }

    /// Plants a defect in every device that this thread runs from now on; `None` takes it out again.
    pub fn plant(defect: Option<Defect>) {
        PLANTED.set(defect);
    }

    pub(crate) fn is_planted(defect: Defect) -> bool {
        PLANTED.get() == Some(defect)
    }
}

#[cfg(feature = "defects")]
pub use planting::plant;

#[cfg(feature = "defects")]
pub(crate) use planting::is_planted;

#[cfg(not(feature = "defects"))]
pub(crate) const fn is_planted(_: Defect) -> bool {
    false
}
