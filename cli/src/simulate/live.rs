//! Live connections of simulated phones to the stack, over the SDK's own transport.

use std::time::Duration;

use tidelog_client::transport::{
    Answer, HttpLive, LiveEnd, LiveMessage, LiveStream, NotLive, PullRequest, Unreachable,
};
use tidelog_events::frame::{PullItem, PullReader};
use tidelog_events::id::{Position, UserId};
use tidelog_events::protocol::UtcTime;
use tidelog_simulation::Cut;
use tokio::time::{Instant, timeout, timeout_at};

use super::simulated_time::told_at;
use super::stack::{Stack, is_trouble};

/// What was there when a connection began has come by then, unless something of the stack was killed.
const CATCH_UP: Duration = Duration::from_secs(20);
/// What a phone knows to be in the log has come by then; else it pulls.
const NEWS: Duration = Duration::from_secs(5);

/// A connection.
pub(super) struct StackLive {
    stream: HttpLive,
    /// The last position that came.
    cursor: Position,
}

impl Stack {
    /// A pull over a new live connection.
    pub(super) async fn live_pull(
        &self,
        user: &UserId,
        request: &PullRequest,
        now: UtcTime,
        cut: Option<Cut>,
    ) -> Result<(Answer, Option<StackLive>), Unreachable> {
        self.pace.keep(&request.space, now).await;
        let token = self.token(user)?;
        let lost = |why: &str| Err(Unreachable::broken(format!("cut off {why}")));
        match cut {
            None => {}
            Some(Cut::Before) => return lost("on the way there"),
            Some(Cut::During) => {
                if let Ok(mut stream) = self.transport.connect(request, &token).await {
                    // The first message, and what was behind it gets lost.
                    let _ = timeout(CATCH_UP, stream.next()).await;
                }
                return lost("halfway");
            }
            Some(Cut::After) => {
                let _ = self.caught_up(request, &token).await;
                return lost("on the way back");
            }
        }
        if let Some(refusal) = self.waiting.refusal(&request.space) {
            return Ok((refusal, None));
        }
        let (answer, live) = match self.caught_up(request, &token).await {
            Ok((lines, live)) => (Ok(Answer::Pulled(lines)), Some(live)),
            Err(NotLive::Refused(refused)) => (Ok(Answer::Refused(refused)), None),
            Err(NotLive::Unreachable(why)) => (Err(why), None),
            Err(NotLive::Unavailable(why)) => (Err(Unreachable::broken(why)), None),
        };
        if is_trouble(&answer) {
            self.after_trouble().await;
        }
        Ok((told_at(answer?, now), live))
    }

    /// A connection that has come to the head, and what it told: the lines of a pull.
    async fn caught_up(&self, request: &PullRequest, token: &str) -> Result<(String, StackLive), NotLive> {
        let mut stream = self.transport.connect(request, token).await?;
        let (mut lines, deadline) = (String::new(), Instant::now() + CATCH_UP);
        loop {
            if let Some(cursor) = head_reached(&lines, request.after) {
                return Ok((lines, StackLive { stream, cursor }));
            }
            match timeout_at(deadline, stream.next()).await {
                Ok(Ok(LiveMessage::Log(more))) => lines.push_str(&more),
                Ok(Ok(LiveMessage::Notice(_))) => {}
                Ok(Err(end)) => return Err(NotLive::Unreachable(ended(&end))),
                Err(_) => return Err(NotLive::Unreachable(Unreachable::broken("the head did not come"))),
            }
        }
    }
}

/// The cursor of a reader of these lines, if they are whole and go through the hello's head.
fn head_reached(lines: &str, after: Position) -> Option<Position> {
    let mut reader = PullReader::new(lines, after);
    let Ok(Some(PullItem::Hello(hello))) = reader.next_item() else { return None };
    loop {
        match reader.next_item() {
            Ok(Some(_)) => {}
            Ok(None) => return Some(reader.cursor()).filter(|cursor| *cursor >= hello.head),
            Err(_) => return None,
        }
    }
}

impl StackLive {
    /// What has come, and what comes until the log is there through `wanted`.
    pub(super) async fn news(&mut self, wanted: Position) -> Result<String, Unreachable> {
        let (mut lines, deadline) = (String::new(), Instant::now() + NEWS);
        loop {
            let next = match self.stream.ready() {
                Some(next) => next,
                None if self.cursor >= wanted => return Ok(lines),
                None => match timeout_at(deadline, self.stream.next()).await {
                    Ok(next) => next,
                    Err(_) => return Ok(lines),
                },
            };
            match next {
                Ok(LiveMessage::Log(more)) => {
                    let mut reader = PullReader::going_on(&more, self.cursor);
                    while let Ok(Some(_)) = reader.next_item() {}
                    self.cursor = reader.cursor();
                    lines.push_str(&more);
                }
                Ok(LiveMessage::Notice(_)) => {}
                // What came before the end counts; the next look finds the end.
                Err(_) if !lines.is_empty() => return Ok(lines),
                Err(end) => return Err(ended(&end)),
            }
        }
    }
}

fn ended(end: &LiveEnd) -> Unreachable {
    match end {
        LiveEnd::Closed(code) => Unreachable::broken(format!("the live connection was closed with {code}")),
        LiveEnd::Lost(why) => why.clone(),
    }
}
