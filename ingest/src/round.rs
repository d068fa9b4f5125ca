//! The times of a round, as the traces of its batches show them: how long each waited, the transaction that it shared with
//! the others, and the telling.

use std::time::SystemTime;

use tidelog_runtime::telemetry;

use crate::incoming::Incoming;

/// When a round did what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoundTimes {
    batches: usize,
    begun: SystemTime,
    committed: SystemTime,
}

impl RoundTimes {
    /// A round of so many batches that begins now.
    pub(crate) fn begin(batches: usize) -> Self {
        let now = telemetry::now();
        Self { batches, begun: now, committed: now }
    }

    /// Its transaction is committed.
    pub(crate) fn commit(&mut self) {
        self.committed = telemetry::now();
    }

    /// Completes the span of a batch that the round has settled and told of. Each has a span for the transaction that all
    /// shared: a trace is read by whoever looks for one push.
    pub(crate) fn settled(&self, incoming: &Incoming) {
        let trace = &incoming.trace;
        if trace.is_kept() {
            trace.step("queue", incoming.published(), self.begun, &[]);
            let batches = i64::try_from(self.batches).unwrap_or(i64::MAX);
            trace.step("commit", self.begun, self.committed, &[("tidelog.transaction.batches", batches)]);
            trace.step("announce", self.committed, telemetry::now(), &[]);
            trace.end();
        }
    }
}
