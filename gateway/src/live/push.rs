//! Pushes over a live connection: judged, published and answered as those by POST, a few at a time, while the log goes on.

use bytes::Bytes;
use tidelog_events::code::Refusal;
use tidelog_events::live::{LiveNotice, LiveReceipt};
use tidelog_events::protocol::PushAnswer;
use tidelog_runtime::telemetry::{SpanKind, Trace};
use tracing::Instrument;

use super::connection::Connection;
use crate::auth::{Access, SpaceWriter};
use crate::problem::Problem;
use crate::push::{Encoding, Format, Media};
use crate::request_id::RequestId;

impl Connection {
    /// Begins a push; its receipt comes as a notice.
    pub(super) fn push(&mut self, body: Bytes, is_frame: bool) {
        self.pushes += 1;
        let number = self.pushes;
        let encoding = if is_frame { Encoding::Zstd } else { Encoding::Identity };
        let format = Format { media: Media::Lines, encoding };
        let mailbox = self.place.mailbox.clone();
        // A request of its own, which only looks like a part of a longer one.
        let trace = Trace::root("push", SpanKind::Server);
        let id = RequestId::of_trace(&trace);
        let span = tracing::error_span!("push", space = %self.reader.space, request_id = %id, trace_id = %trace.id());
        let trace = trace.carrying(id);
        let refuse = |problem: Problem| mailbox.notice(receipt(number, Err(problem.of_request(&trace))));
        let writer = match self.writer() {
            Ok(writer) => writer,
            Err(problem) => return refuse(problem),
        };
        if let Err(problem) = self.live.rates.admit_caller(&writer.caller) {
            return refuse(problem);
        }
        let Ok(place) = self.push_room.clone().try_acquire_owned() else {
            let detail = "more pushes are under way than a connection may have; wait for their receipts";
            return refuse(Problem::new(Refusal::Overloaded, detail));
        };
        let (push, mailbox) = (self.live.push.clone(), mailbox.clone());
        let pushing = async move {
            let pushed = push.push_arrived(&writer, format, body).await;
            drop(place);
            mailbox.notice(receipt(number, pushed));
        };
        self.live.tasks.spawn(trace.scope(pushing).instrument(span));
    }

    /// The right to write, which a reader need not have.
    fn writer(&self) -> Result<SpaceWriter, Problem> {
        let (space, caller) = (&self.reader.space, &self.reader.caller);
        if caller.access(space) == Some(Access::Write) {
            Ok(SpaceWriter { space: space.clone(), caller: caller.clone() })
        } else {
            Err(Problem::new(Refusal::Forbidden, format!("the token may only read the space {space}")))
        }
    }
}

fn receipt(push: u64, pushed: Result<PushAnswer, Problem>) -> LiveNotice {
    LiveNotice::Receipt(match pushed {
        Ok(answer) => LiveReceipt { push, status: answer.status(), answer: Some(answer), problem: None },
        Err(problem) => LiveReceipt {
            push,
            status: problem.status(),
            answer: None,
            problem: Some(problem.into_document()),
        },
    })
}
