//! What a round has to tell once it is committed: a receipt to each gateway that waits, then the segments and heads
//! to whoever reads.

use std::collections::BTreeMap;

use tidelog_events::code::Refusal;
use tidelog_events::id::{Position, Sequence, SpaceId};
use tidelog_events::protocol::{Outcome, Receipt};
use tidelog_runtime::telemetry::Trace;
use tokio::time::Instant;

use crate::commit::Appended;
use crate::incoming::Incoming;

/// What is to be announced, in the order in which it is.
pub(crate) struct News {
    /// When that was, about.
    pub(crate) committed_at: Instant,
    /// By the subject on which a gateway waits.
    pub(crate) receipts: BTreeMap<String, Vec<Receipt>>,
    /// Appended, each with the trace of the push that brought it.
    pub(crate) segments: Vec<(Box<Appended>, Trace)>,
    /// Of spaces to which a batch brought nothing new: what it repeats may never have been announced.
    pub(crate) heads: Vec<(SpaceId, Position)>,
}

impl News {
    /// Nothing yet, of what was committed just now.
    pub(crate) fn new() -> Self {
        let (receipts, segments, heads) = Default::default();
        Self { committed_at: Instant::now(), receipts, segments, heads }
    }

    /// A batch that the transaction settled.
    pub(crate) fn settled(&mut self, incoming: &Incoming, outcome: Outcome, appended: Option<Box<Appended>>) {
        count(incoming, &outcome);
        tracing::debug!(parent: &incoming.span, ?outcome, "settled");
        if let Some(appended) = appended {
            self.segments.push((appended, incoming.trace.clone()));
        } else if let Outcome::Committed(committed) = &outcome {
            self.heads.push((incoming.batch.header.space.clone(), committed.head));
        }
        self.receipt(incoming, outcome);
    }

    /// A batch whose predecessor did not come in time.
    pub(crate) fn gap(&mut self, incoming: &Incoming, expected: Sequence) {
        let detail = format!("the device's next event must have sequence {expected}");
        let outcome = Outcome::Refused { code: Refusal::SequenceGap, detail, expected: Some(expected) };
        count(incoming, &outcome);
        self.receipt(incoming, outcome);
    }

    /// A batch that is kept whole, outside the log.
    pub(crate) fn kept(&mut self, incoming: &Incoming) {
        let detail = "the service cannot take this batch; it keeps a copy for its operators".to_owned();
        self.receipt(incoming, Outcome::Refused { code: Refusal::Internal, detail, expected: None });
    }

    fn receipt(&mut self, incoming: &Incoming, outcome: Outcome) {
        let header = &incoming.batch.header;
        let receipt = Receipt { push_id: header.push_id, outcome };
        self.receipts.entry(header.reply_to.clone()).or_default().push(receipt);
    }
}

fn count(incoming: &Incoming, outcome: &Outcome) {
    let label = match outcome {
        Outcome::Committed(committed) => match (committed.first, committed.last) {
            (Some(first), Some(last)) => {
                metrics::counter!("tidelog_ingest_events_total").increment(last.0 + 1 - first.0);
                "appended"
            }
            _ => "nothing-new",
        },
        Outcome::Done(_) => "done",
        Outcome::Refused { code, .. } => code.as_str(),
    };
    metrics::counter!("tidelog_ingest_batches_total", "outcome" => label).increment(1);
    incoming.trace.set("tidelog.outcome", label);
}
