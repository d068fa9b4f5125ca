//! One sync of a space, as a machine without sockets: it says what to ask next, and takes in what was answered.
//!
//! ```text
//! hello and pull ─► stamps corrected ─► push, batch by batch ─► pull to the head
//!        ▲                                   │
//!        └── for each device id whose ◄──────┘   a fork: what does the server have of ours?
//!            events are to be sent
//! ```
//!
//! Everything that it decides by is in the store, or is asked again by the next cycle: one that is dropped at any
//! moment loses nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use tidelog_events::code::Refusal;
use tidelog_events::id::{DeviceId, Position, Sequence, SpaceId};
use tidelog_events::protocol::{DeviceEvent, UtcTime};
use tidelog_events::report::{DeviceReport, SyncFailureCause};

use crate::moment::Moment;
use crate::store::{BatchLimits, EventStore, OwnRange, QueueOutlook, StoreError, Taken};
use crate::transport::{Answer, OwnEventsRequest, PullRequest, PushRequest, Refused, Request};

/// Answers that do not bring a cycle forward, after which it leaves the rest to the next one.
const PATIENCE: u32 = 12;
/// A server that has no time to look for so few own sequences is overloaded by something else.
const OWN_SEQUENCES_MIN: u64 = 50;

/// How a cycle works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CycleOptions {
    /// Events of a batch.
    pub batch_events: usize,
    /// Bytes of a batch's lines.
    pub batch_bytes: usize,
    /// Events of a pull.
    pub pull_events: u64,
    /// Own sequences that one request asks for, after a fork.
    pub own_sequences: u64,
}

impl Default for CycleOptions {
    fn default() -> Self {
        Self { batch_events: 50, batch_bytes: 256 * 1024, pull_events: 1000, own_sequences: 1000 }
    }
}

/// Why a cycle ended before everything was synced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    /// The refusal's code, if it was one.
    pub code: Option<Refusal>,
    /// What it is counted as.
    pub cause: SyncFailureCause,
    /// What happened, for people.
    pub detail: String,
    /// How long the server asks to be left alone.
    pub retry_after: Option<Duration>,
}

/// How a cycle goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// With what [`Cycle::next`] says.
    GoOn,
    /// With the same request, under a fresh token.
    NeedsToken,
    /// Not at all: later, with another one.
    Retry(Failure),
    /// Not at all: the space was erased, on the server and here.
    Erased,
}

/// A sync of one space.
#[derive(Debug)]
pub struct Cycle {
    space: SpaceId,
    options: CycleOptions,
    /// Device ids whose watermark the server has told in this cycle.
    heard: BTreeSet<DeviceId>,
    server_time: Option<UtcTime>,
    limits: BatchLimits,
    patience: u32,
    /// The last request that was answered well: the same again leads nowhere.
    answered: Option<Step>,
    /// What the server has of a forked device's events, as far as it was asked.
    asked: Asked,
    /// What the device tells of itself, until a pull with it was answered.
    report: Option<Box<DeviceReport>>,
}

#[derive(Debug, Default)]
struct Asked {
    device: Option<DeviceId>,
    /// The last sequence that is asked for, and through which that was answered.
    to: Sequence,
    through: Sequence,
    known: Vec<DeviceEvent>,
}

/// How far a request says that the device is.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Pull(DeviceId, Position),
    Push(DeviceId, Sequence),
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
enum Action {
    Pull(DeviceId),
    Push(DeviceId),
    Ask(OwnRange),
    SettleFork(DeviceId),
    Finish,
}

impl Cycle {
    /// A cycle that has not begun.
    pub fn new(space: SpaceId, options: CycleOptions) -> Self {
        Self {
            space,
            options,
            heard: BTreeSet::new(),
            server_time: None,
            limits: BatchLimits { events: options.batch_events, bytes: options.batch_bytes },
            patience: PATIENCE,
            answered: None,
            asked: Asked::default(),
            report: None,
        }
    }

    /// With what the device tells of itself, once.
    #[must_use]
    pub fn reporting(mut self, report: DeviceReport) -> Self {
        self.report = Some(Box::new(report));
        self
    }

    /// How to try again if this cycle fails: as it was told to, or asking for fewer own sequences at once, where the
    /// server would not or could not look for so many.
    pub fn options(&self) -> CycleOptions {
        self.options
    }

    /// What to ask the server next; `None` when everything is synced.
    pub fn next(&mut self, store: &mut EventStore) -> Result<Option<Request>, StoreError> {
        loop {
            let outlook = store.outlook(&self.space)?;
            let pull = |device| {
                Request::Pull(PullRequest {
                    space: self.space.clone(),
                    after: outlook.after,
                    limit: self.options.pull_events,
                    device,
                    types: outlook.types.clone(),
                    report: self.report.clone(),
                })
            };
            match self.decide(&outlook.queues, &outlook.recording, outlook.behind) {
                Action::Pull(device) => return Ok(Some(pull(device))),
                Action::Ask(range) => return Ok(Some(self.ask(range))),
                Action::Push(device) => {
                    if let Some(push) = store.next_batch(&self.space, &device, self.limits)? {
                        return Ok(Some(Request::Push(push)));
                    }
                }
                Action::SettleFork(device) => self.settle_fork(store, &device)?,
                Action::Finish => {
                    store.compact(&self.space)?;
                    return Ok(None);
                }
            }
        }
    }

    fn decide(&self, queues: &[QueueOutlook], recording: &DeviceId, behind: bool) -> Action {
        for queue in queues {
            if queue.forked {
                let unasked = |_: &&OwnRange| !self.asks(&queue.device) || self.asked.through < self.asked.to;
                return match queue.to_ask.as_ref().filter(unasked) {
                    Some(range) => Action::Ask(range.clone()),
                    None => Action::SettleFork(queue.device.clone()),
                };
            }
            if (queue.pending || queue.unheard) && !self.heard.contains(&queue.device) {
                return Action::Pull(queue.device.clone());
            }
            if queue.pending {
                return Action::Push(queue.device.clone());
            }
        }
        if behind || self.heard.is_empty() { Action::Pull(recording.clone()) } else { Action::Finish }
    }

    fn asks(&self, device: &DeviceId) -> bool {
        self.asked.device.as_ref() == Some(device)
    }

    fn ask(&mut self, range: OwnRange) -> Request {
        if !self.asks(&range.device) {
            self.asked = Asked { device: Some(range.device.clone()), to: range.to, ..Asked::default() };
        }
        let from = range.from.max(self.asked.through.next());
        let to = self.asked.to.min(Sequence(from.0 + self.options.own_sequences - 1));
        Request::OwnEvents(OwnEventsRequest { space: self.space.clone(), device: range.device, from, to })
    }

    fn settle_fork(&mut self, store: &mut EventStore, device: &DeviceId) -> Result<(), StoreError> {
        let asked = if self.asks(device) { std::mem::take(&mut self.asked) } else { Asked::default() };
        let at = self.server_time.unwrap_or(UtcTime(0));
        store.settle_fork(&self.space, device, &asked.known, at)
    }

    /// Takes in what was answered to the request that [`Self::next`] named. `sent` is the moment just before it left,
    /// `now` the one when the answer was whole.
    pub fn take(
        &mut self,
        store: &mut EventStore,
        request: &Request,
        answer: &Answer,
        sent: &Moment,
        now: &Moment,
    ) -> Result<Progress, StoreError> {
        let taken = store.take(request, answer, sent, now)?;
        Ok(match (taken, request, answer) {
            (Taken::Pulled { server_time }, Request::Pull(request), _) => {
                self.heard.insert(request.device.clone());
                self.server_time = Some(server_time);
                if let Some(syncs) = self.report.take().and_then(|report| report.syncs) {
                    store.syncs_told(&self.space, &syncs);
                }
                self.step(Step::Pull(request.device.clone(), request.after))
            }
            (Taken::Pushed { committed: true }, Request::Push(push), _) => {
                self.limits.events = (self.limits.events * 2).min(self.options.batch_events);
                self.step(Step::Push(push.device.clone(), push.first))
            }
            (Taken::Pushed { committed: false }, ..) => {
                retry(SyncFailureCause::Server, "the server has taken the events, but not stored them yet")
            }
            (Taken::OwnEvents, Request::OwnEvents(request), Answer::OwnEvents(known)) => {
                self.asked.through = request.to;
                self.asked.known.extend(known.iter().cloned());
                Progress::GoOn
            }
            (Taken::Erased, ..) => Progress::Erased,
            (Taken::Refused, Request::Push(push), Answer::Refused(refused)) if too_large(refused) => {
                self.shrink(store, push, refused)?
            }
            (Taken::Refused, Request::OwnEvents(asked), Answer::Refused(refused)) => {
                self.ask_fewer(asked, refused)
            }
            (Taken::Refused, _, Answer::Refused(refused)) => given_up(refused),
            (Taken::Torn, ..) => self.wait(SyncFailureCause::Broken, "the server's answer cannot be read"),
            (Taken::Rewound | Taken::Forked | Taken::Restamped | Taken::Late, ..) => {
                self.wait(SyncFailureCause::Refused, "the server refuses what the device corrects")
            }
            (Taken::Pulled { .. } | Taken::Pushed { .. } | Taken::OwnEvents | Taken::Refused, ..) => {
                self.wait(SyncFailureCause::Broken, "the answer is to another request")
            }
        })
    }

    /// An answer that brings the cycle forward, unless it is to what was asked and answered before.
    fn step(&mut self, step: Step) -> Progress {
        if self.answered.as_ref() == Some(&step) {
            return self
                .wait(SyncFailureCause::Server, "the server's answers do not bring the device forward");
        }
        self.answered = Some(step);
        self.patience = PATIENCE;
        Progress::GoOn
    }

    /// An answer that leads nowhere by itself: the cycle goes on, but not for ever.
    fn wait(&mut self, cause: SyncFailureCause, why: &str) -> Progress {
        self.patience = self.patience.saturating_sub(1);
        if self.patience == 0 { retry(cause, why) } else { Progress::GoOn }
    }

    /// Halves what the server is asked for at once, where that may be what it refuses.
    fn ask_fewer(&mut self, asked: &OwnEventsRequest, refused: &Refused) -> Progress {
        let sequences = asked.to.0 + 1 - asked.from.0;
        match refused.code {
            // The operator may allow fewer at once.
            Some(Refusal::RequestInvalid) if sequences > 1 => {
                self.options.own_sequences = sequences / 2;
                self.wait(
                    SyncFailureCause::Refused,
                    "the server does not say what it has of a forked device's events",
                )
            }
            // To look through its archive for so many may take the server too long.
            Some(Refusal::Overloaded) if sequences > OWN_SEQUENCES_MIN => {
                self.options.own_sequences = (sequences / 2).max(OWN_SEQUENCES_MIN);
                given_up(refused)
            }
            _ => given_up(refused),
        }
    }

    /// A batch that the server does not take is tried in smaller ones. A single event is withheld.
    fn shrink(
        &mut self,
        store: &mut EventStore,
        push: &PushRequest,
        refused: &Refused,
    ) -> Result<Progress, StoreError> {
        let events = push.last.0 + 1 - push.first.0;
        if events > 1 {
            self.limits.events = events as usize / 2;
            return Ok(Progress::GoOn);
        }
        let code = refused.code.map_or_else(|| refused.status.to_string(), |code| code.to_string());
        store.withhold(push, &code)?;
        Ok(self
            .wait(SyncFailureCause::Refused, "the server takes neither an event nor the notice in its place"))
    }
}

fn too_large(refused: &Refused) -> bool {
    matches!(refused.code, Some(Refusal::BodyTooLarge | Refusal::BatchMalformed)) || refused.status == 413
}

/// What ends a cycle: a refusal that nothing is known to do about.
fn given_up(refused: &Refused) -> Progress {
    match refused.code {
        Some(Refusal::Unauthorized) => Progress::NeedsToken,
        code => Progress::Retry(Failure {
            code,
            cause: cause(refused),
            detail: refused.detail.clone(),
            retry_after: refused.retry_after,
        }),
    }
}

/// What a refusal is counted as.
fn cause(refused: &Refused) -> SyncFailureCause {
    match (refused.code, refused.status) {
        (Some(Refusal::Overloaded), _) | (None, 503) => SyncFailureCause::Overloaded,
        (Some(Refusal::RequestTimeout), _) | (None, 408 | 504) => SyncFailureCause::Timeout,
        (_, 429) => SyncFailureCause::RateLimited,
        (_, 401) => SyncFailureCause::Unauthorized,
        (_, 403) => SyncFailureCause::Forbidden,
        (_, 500..) => SyncFailureCause::Server,
        _ => SyncFailureCause::Refused,
    }
}

fn retry(cause: SyncFailureCause, why: &str) -> Progress {
    Progress::Retry(Failure { code: None, cause, detail: why.to_owned(), retry_after: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_counted_as_what_the_server_says_or_else_by_its_status() {
        let check = |code: Option<Refusal>, status: u16, expect: SyncFailureCause| {
            let detail = String::new();
            let (expected, server_time, retry_after) = (None, None, None);
            let refused = Refused { status, code, detail, expected, server_time, retry_after };
            assert_eq!(cause(&refused), expect, "{code:?} {status}");
        };
        for (code, expect) in [
            (Refusal::Overloaded, SyncFailureCause::Overloaded),
            (Refusal::RequestTimeout, SyncFailureCause::Timeout),
            (Refusal::RateLimited, SyncFailureCause::RateLimited),
            (Refusal::Unauthorized, SyncFailureCause::Unauthorized),
            (Refusal::DeviceRevoked, SyncFailureCause::Forbidden),
            (Refusal::ClientTooOld, SyncFailureCause::Refused),
            (Refusal::Internal, SyncFailureCause::Server),
        ] {
            check(Some(code), code.status(), expect);
        }
        check(None, 502, SyncFailureCause::Server);
        check(None, 503, SyncFailureCause::Overloaded);
        check(None, 504, SyncFailureCause::Timeout);
        check(None, 302, SyncFailureCause::Refused);
    }
}
