//! Takes news from LOG. Messages come without their payloads, since the log itself is what is folded.

use std::ops::ControlFlow;
use std::time::SystemTime;

use async_nats::HeaderMap;
use tidelog_events::frame::{LAST_HEADER, SPACE_HEADER};
use tidelog_events::id::{Position, SpaceId};
use tidelog_runtime::broker::{Delivery, Fed, PullMeasure};
use tidelog_runtime::telemetry::{self, Trace};
use tokio::sync::mpsc;

/// Messages asked for at once.
pub(crate) const MEASURE: PullMeasure = PullMeasure { messages: 1024, bytes: 0 };

/// A space's log goes on.
pub(crate) struct News {
    pub(crate) space: SpaceId,
    /// It reaches at least this.
    pub(crate) last: Position,
    /// To be told when it is folded; none where a sweep found it.
    pub(crate) message: Option<LogMessage>,
}

/// The message that brought news, to be settled when they are folded.
pub(crate) struct LogMessage {
    delivery: Delivery,
    /// Of the push whose segment it is.
    trace: Trace,
    published: SystemTime,
}

/// Passes news to the worker.
pub(crate) struct Intake(pub(crate) mpsc::Sender<News>);

impl Fed for Intake {
    async fn take(&self, delivery: Delivery) -> ControlFlow<()> {
        let Some((space, last)) = delivery.headers.as_ref().and_then(segment) else {
            tracing::warn!(subject = %delivery.subject, "a message of LOG names no segment; left out");
            delivery.acknowledge().await;
            return ControlFlow::Continue(());
        };
        let message = Some(LogMessage::new(delivery));
        // The worker is gone.
        if self.0.send(News { space, last, message }).await.is_err() {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

/// Which space's log goes on, and how far.
fn segment(headers: &HeaderMap) -> Option<(SpaceId, Position)> {
    let space = SpaceId::new(headers.get(SPACE_HEADER)?.as_str()).ok()?;
    let last = headers.get(LAST_HEADER)?.as_str().parse().ok()?;
    Some((space, Position(last)))
}

/// When a transaction began and was committed, and how many spaces it had.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Folded {
    pub(crate) begun: SystemTime,
    pub(crate) committed: SystemTime,
    pub(crate) spaces: usize,
}

impl LogMessage {
    fn new(delivery: Delivery) -> Self {
        let published = delivery.info().map_or_else(|_| telemetry::now(), |about| about.published.into());
        let trace = Trace::of_message("fold", "LOG", delivery.headers.as_ref(), published);
        Self { delivery, trace, published }
    }

    /// The space was folded in that transaction; or it was not, and stands aside.
    pub(crate) async fn settle(self, folded: Option<Folded>) {
        let Self { delivery, trace, published } = self;
        if let Some(Folded { begun, committed, spaces }) = folded {
            trace.step("queue", published, begun, &[]);
            let spaces = i64::try_from(spaces).unwrap_or(i64::MAX);
            trace.step("commit", begun, committed, &[("tidelog.transaction.spaces", spaces)]);
        } else {
            trace.fail();
        }
        trace.end();
        delivery.acknowledge().await;
    }
}
