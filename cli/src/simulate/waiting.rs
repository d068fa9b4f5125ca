//! What lies in wait for requests between phones and the stack: refusals as of a gateway at its limits, and pushes of
//! which only the broker heard. The stack itself stays as it is; what only it could suffer does not happen here.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidelog_client::transport::{Answer, Refused};
use tidelog_events::code::Refusal;
use tidelog_events::id::SpaceId;
use tidelog_events::protocol::{PushAnswer, UtcTime};
use tidelog_simulation::Disturbance;

/// What the gateway says in `Retry-After`.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What awaits the requests about each space.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    spaces: Mutex<HashMap<SpaceId, Awaited>>,
}

#[derive(Debug, Default)]
struct Awaited {
    refusal: Option<Refusal>,
    push: Option<PushFate>,
}

/// What becomes of a push that is answered 202.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PushFate {
    /// It is committed, and nobody waited for that.
    CommittedUnheard,
    /// The broker loses it, so it is not sent at all.
    Lost,
}

impl Waiting {
    /// Lets it wait for the next request. False: that can only befall the server itself.
    pub(super) fn expect(&self, space: &SpaceId, disturbance: Disturbance) -> bool {
        let mut spaces = self.spaces();
        let awaited = spaces.entry(space.clone()).or_default();
        match disturbance {
            Disturbance::Refuse(429) => awaited.refusal = Some(Refusal::RateLimited),
            Disturbance::Refuse(_) => awaited.refusal = Some(Refusal::Overloaded),
            Disturbance::CommitLate => awaited.push = Some(PushFate::CommittedUnheard),
            Disturbance::LosePush => awaited.push = Some(PushFate::Lost),
            Disturbance::Prune | Disturbance::KeepCopy | Disturbance::Restore => return false,
        }
        true
    }

    /// The refusal that awaited this request.
    pub(super) fn refusal(&self, space: &SpaceId) -> Option<Answer> {
        let code = self.spaces().get_mut(space)?.refusal.take()?;
        Some(Answer::Refused(Refused {
            status: code.status(),
            code: Some(code),
            detail: "the simulation refuses this request".to_owned(),
            expected: None,
            server_time: None,
            retry_after: Some(RETRY_AFTER),
        }))
    }

    /// The fate that awaited this push.
    pub(super) fn push_fate(&self, space: &SpaceId) -> Option<PushFate> {
        self.spaces().get_mut(space)?.push.take()
    }

    fn spaces(&self) -> MutexGuard<'_, HashMap<SpaceId, Awaited>> {
        self.spaces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 202: the broker has it, and perhaps nobody else.
pub(super) fn in_the_broker(server_time: UtcTime) -> Answer {
    Answer::Pushed(PushAnswer {
        committed: false,
        head: None,
        first: None,
        last: None,
        device: None,
        server_time,
        receipts: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_waits_for_one_request_about_its_space() {
        let waiting = Waiting::default();
        let (ann, bob) = (SpaceId::new("ann").unwrap(), SpaceId::new("bob").unwrap());
        assert!(waiting.expect(&ann, Disturbance::Refuse(503)));
        assert!(waiting.expect(&ann, Disturbance::LosePush));
        assert!(!waiting.expect(&ann, Disturbance::Prune));
        assert_eq!((waiting.refusal(&bob), waiting.push_fate(&bob)), (None, None));
        assert!(matches!(waiting.refusal(&ann), Some(Answer::Refused(refused)) if refused.status == 503));
        assert_eq!(waiting.push_fate(&ann), Some(PushFate::Lost));
        assert_eq!((waiting.refusal(&ann), waiting.push_fate(&ann)), (None, None));
    }
}
