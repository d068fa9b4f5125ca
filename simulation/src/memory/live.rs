//! A live connection to a server in memory: it tells what a pull would find behind what it has told, without the hello.

use tidelog_client::transport::{Answer, PullRequest, Request, Unreachable};
use tidelog_events::frame::{PullItem, PullReader};
use tidelog_events::id::{Epoch, UserId};
use tidelog_events::limits::MAX_PULL_EVENTS;

/// A connection.
#[derive(Debug)]
pub struct MemoryLive {
    user: UserId,
    /// What a pull would ask that goes on behind what was told.
    request: PullRequest,
    epoch: Option<Epoch>,
}

impl MemoryLive {
    /// One that has told this answer; `None` where that was a refusal.
    pub(super) fn begun(user: &UserId, request: &PullRequest, answer: &Answer) -> Option<Self> {
        let request = PullRequest { limit: MAX_PULL_EVENTS, ..request.clone() };
        let mut live = Self { user: user.clone(), request, epoch: None };
        live.epoch = live.read(answer)?.0;
        Some(live)
    }

    pub(super) fn user(&self) -> &UserId {
        &self.user
    }

    pub(super) fn request(&self) -> Request {
        Request::Pull(self.request.clone())
    }

    /// What is new in this answer. A log that was replaced or pruned meanwhile ends the connection.
    pub(super) fn news(&mut self, answer: &Answer) -> Result<String, Unreachable> {
        let closed = |why: &str| Unreachable::broken(format!("the live connection was closed: {why}"));
        let (epoch, is_snapshot) = self.read(answer).ok_or_else(|| closed("overloaded"))?;
        if self.epoch.is_some() && epoch != self.epoch || is_snapshot {
            return Err(closed("log-replaced"));
        }
        self.epoch = epoch;
        let Answer::Pulled(lines) = answer else { return Err(closed("overloaded")) };
        Ok(lines.split_once('\n').map_or("", |(_, news)| news).to_owned())
    }

    /// Reads an answer to its end. Tells its epoch, and whether there is a snapshot in it.
    fn read(&mut self, answer: &Answer) -> Option<(Option<Epoch>, bool)> {
        let Answer::Pulled(lines) = answer else { return None };
        let mut reader = PullReader::new(lines, self.request.after);
        let Ok(Some(PullItem::Hello(hello))) = reader.next_item() else { return None };
        let mut is_snapshot = false;
        while let Ok(Some(item)) = reader.next_item() {
            is_snapshot |= matches!(item, PullItem::Snapshot(..));
        }
        self.request.after = reader.cursor();
        Some((hello.epoch, is_snapshot))
    }
}
