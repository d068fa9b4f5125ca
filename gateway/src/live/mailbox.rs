//! What waits for one live connection to be sent: bounded, whatever the connection does. Segments that find no room are
//! forgotten, and read from the log when their turn comes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidelog_events::id::{Epoch, Position};
use tidelog_events::live::{CloseReason, LiveNotice};
use tokio::sync::Notify;

use crate::pull::AnnouncedSegment;

/// Bytes of segments that wait. They are shared by all connections of a space.
const SEGMENT_BYTES_MAX: usize = 256 * 1024;
/// Notices that wait, above which presences are forgotten.
const PRESENCES_MAX: usize = 32;

/// One connection's.
#[derive(Default)]
pub(super) struct Mailbox {
    letters: Mutex<Letters>,
    arrived: Notify,
}

/// What has arrived.
#[derive(Default)]
pub(super) struct Letters {
    pub(super) segments: VecDeque<Arc<AnnouncedSegment>>,
    segment_bytes: usize,
    /// The log reaches this position.
    pub(super) head: Position,
    pub(super) notices: VecDeque<LiveNotice>,
    /// The connection must end.
    pub(super) closing: Option<(CloseReason, &'static str)>,
    /// The log's incarnation that the reader was told.
    epoch: Option<Epoch>,
}

impl Mailbox {
    fn letters(&self) -> MutexGuard<'_, Letters> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until something may have arrived.
    pub(super) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes what has arrived.
    pub(super) fn take(&self) -> Letters {
        let mut letters = self.letters();
        letters.segment_bytes = 0;
        Letters {
            segments: std::mem::take(&mut letters.segments),
            segment_bytes: 0,
            head: letters.head,
            notices: std::mem::take(&mut letters.notices),
            closing: letters.closing,
            epoch: letters.epoch,
        }
    }

    /// A segment was committed.
    pub(super) fn segment(&self, segment: &Arc<AnnouncedSegment>) {
        let mut letters = self.letters();
        letters.head = letters.head.max(segment.last());
        if letters.segment_bytes + segment.bytes() <= SEGMENT_BYTES_MAX {
            letters.segment_bytes += segment.bytes();
            letters.segments.push_back(segment.clone());
        }
        drop(letters);
        self.arrived.notify_one();
    }

    /// The log reaches this position.
    pub(super) fn head(&self, head: Position) {
        let mut letters = self.letters();
        if head > letters.head {
            letters.head = head;
            drop(letters);
            self.arrived.notify_one();
        }
    }

    /// What the database says of the log. A log with another epoch than the reader was told is another one.
    pub(super) fn seen(&self, epoch: Epoch, head: Position) {
        let told = self.letters().epoch;
        match told {
            Some(told) if told != epoch => {
                self.close(CloseReason::LogReplaced, "the log was replaced, as after a restore");
            }
            Some(_) => self.head(head),
            // The log has begun since its reader was told that there is none: it must be looked at.
            None => {
                self.letters().head = head;
                self.arrived.notify_one();
            }
        }
    }

    /// The reader was told this epoch.
    pub(super) fn told(&self, epoch: Option<Epoch>) {
        self.letters().epoch = epoch;
    }

    /// Something to say beside the log. Receipts always find room: a connection has few pushes under way.
    pub(super) fn notice(&self, notice: LiveNotice) {
        let mut letters = self.letters();
        if letters.notices.len() < PRESENCES_MAX || !matches!(notice, LiveNotice::Presence(_)) {
            letters.notices.push_back(notice);
        }
        drop(letters);
        self.arrived.notify_one();
    }

    /// The connection must end; the first reason counts.
    pub(super) fn close(&self, reason: CloseReason, detail: &'static str) {
        self.letters().closing.get_or_insert((reason, detail));
        self.arrived.notify_one();
    }
}
