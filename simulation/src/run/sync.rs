//! A phone's sync: the driver of a cycle, with what befalls its requests on the way.

use std::time::Duration;

use tidelog_client::store::StoreError;
use tidelog_client::sync::{Cycle, CycleOptions, Progress};
use tidelog_client::transport::{Answer, Request};

use super::phone::{Late, Phone};
use super::world::World;
use crate::fault::Fault;
use crate::finding::{Finding, Stop, Wrong};
use crate::plan::{RequestFault, SyncPlan};
use crate::server::Server;

/// A sync that asks more often does not come to an end.
const MOST_REQUESTS: u32 = 2000;

/// How a sync ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SyncEnd {
    /// Everything is synced.
    Synced,
    /// There was no answer.
    Unanswered,
    /// The server said to come again later.
    Later(Option<Duration>),
    /// The app was killed.
    Killed,
}

impl<S: Server> World<'_, S> {
    pub(super) fn sync_as_planned(&mut self, phone: &mut Phone, plan: &SyncPlan) -> Result<(), Stop> {
        if plan.after_weeks {
            self.come_back(phone)?;
        }
        let end = self.sync(phone, plan)?;
        if plan.tries_again && end == SyncEnd::Unanswered {
            self.sync(phone, &SyncPlan::default())?;
        }
        Ok(())
    }

    /// A phone that was away counts if it has something to push: it may have been restored meanwhile.
    fn come_back(&mut self, phone: &mut Phone) -> Result<(), Stop> {
        let space = self.space.clone();
        let status = self.at_store(phone, None, |store, _| store.space(&space))?;
        let pending = status.map_or(0, |status| status.pending);
        self.note(phone, format!("is back after weeks, with {pending} pending events"));
        if pending > 0 {
            self.counts.add_fault(Fault::Away);
        }
        Ok(())
    }

    /// One sync, and a look at what the phone shows then.
    pub(super) fn sync(&mut self, phone: &mut Phone, plan: &SyncPlan) -> Result<SyncEnd, Stop> {
        self.counts.syncs += 1;
        self.note(phone, format!("syncs, {:?}", plan.faults));
        for late in &mut phone.late {
            late.after_syncs = late.after_syncs.saturating_sub(1);
        }
        self.deliver_late(phone)?;
        let end = self.drive(phone, plan)?;
        self.note(phone, format!("{end:?}"));
        self.look_at(phone)?;
        Ok(end)
    }

    fn drive(&mut self, phone: &mut Phone, plan: &SyncPlan) -> Result<SyncEnd, Stop> {
        let options = CycleOptions {
            batch_events: self.plan.batch_events,
            pull_events: self.plan.pull_events,
            ..CycleOptions::default()
        };
        let space = self.space.clone();
        let mut cycle = Cycle::new(space.clone(), options);
        for number in 0..MOST_REQUESTS {
            if self.follow(phone, true)?.is_none() {
                return Ok(SyncEnd::Killed);
            }
            let next = self.at_store(phone, None, |store, _| cycle.next(store))?;
            let Some(request) = next else { return Ok(SyncEnd::Killed) };
            let Some(request) = request else { return Ok(SyncEnd::Synced) };
            let fault = plan.faults.iter().find(|(at, _)| *at == number).map(|(_, fault)| *fault);
            let Some(late) = self.ask_with(phone, request, fault) else { return Ok(SyncEnd::Unanswered) };
            match fault {
                Some(RequestFault::Delay) => {
                    self.disconnect(phone);
                    phone.late.push(late);
                    return Ok(SyncEnd::Unanswered);
                }
                Some(RequestFault::Reorder) => {
                    self.disconnect(phone);
                    // The phone gives up waiting, and begins anew; then the answer comes after all.
                    phone.late.push(Late { after_syncs: 0, ..late });
                    cycle = Cycle::new(space.clone(), options);
                    continue;
                }
                _ => {}
            }
            let Some(progress) = self.take_in(phone, &mut cycle, &late)? else { return Ok(SyncEnd::Killed) };
            self.heard_hello(phone, &late);
            let again = fault == Some(RequestFault::Duplicate);
            if again && self.take_late(phone, &late)?.is_none() || self.deliver_late(phone)?.is_none() {
                return Ok(SyncEnd::Killed);
            }
            match progress {
                Progress::GoOn => {}
                Progress::Retry(failure) => return Ok(SyncEnd::Later(failure.retry_after)),
                Progress::NeedsToken | Progress::Erased => {
                    let what = format!("a phone stops its sync with {progress:?}");
                    return Err(Finding::new(Wrong::Stuck, what).into());
                }
            }
        }
        Err(Finding::new(Wrong::Stuck, format!("a sync did not end after {MOST_REQUESTS} requests")).into())
    }

    /// The answer, unless something keeps it from coming at all.
    fn ask_with(&mut self, phone: &Phone, request: Request, fault: Option<RequestFault>) -> Option<Late> {
        let sent = phone.clock.moment(self.now_ms);
        if let Some(fault) = fault {
            self.counts.add_fault(fault.kind());
        }
        let cut = if let Some(RequestFault::Cut(cut)) = fault { Some(cut) } else { None };
        let answer = self.ask(phone, &request, cut).ok()?;
        Some(Late { request, answer, sent, after_syncs: self.rng.u32(1..4) })
    }

    fn take_in(
        &mut self,
        phone: &mut Phone,
        cycle: &mut Cycle,
        Late { request, answer, sent, .. }: &Late,
    ) -> Result<Option<Progress>, Stop> {
        let progress =
            self.at_store(phone, None, |store, now| cycle.take(store, request, answer, sent, now))?;
        self.note(phone, format!("{} → {}, {progress:?}", told(request), told_answer(answer)));
        Ok(progress)
    }

    /// Takes in an answer that no cycle waits for any more. `None`: the app was killed at that.
    fn take_late(&mut self, phone: &mut Phone, late: &Late) -> Result<Option<()>, Stop> {
        let Late { request, answer, sent, .. } = late;
        let taken = self.at_store(phone, None, |store, now| -> Result<_, StoreError> {
            store.take(request, answer, sent, now)
        })?;
        self.note(phone, format!("late: {} → {}, {taken:?}", told(request), told_answer(answer)));
        Ok(taken.map(|_| ()))
    }

    /// Takes in the answers that are due, the last one first.
    fn deliver_late(&mut self, phone: &mut Phone) -> Result<Option<()>, Stop> {
        let waiting = std::mem::take(&mut phone.late);
        let (due, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|late| late.after_syncs == 0);
        phone.late = later;
        for late in due.iter().rev() {
            if self.take_late(phone, late)?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }
}

/// A request in short.
fn told(request: &Request) -> String {
    match request {
        Request::Pull(pull) => format!("pull of {} after {}", pull.device, pull.after),
        Request::Push(push) => format!("push of {} {} to {}", push.device, push.first, push.last),
        Request::OwnEvents(own) => format!("own events of {} {} to {}", own.device, own.from, own.to),
    }
}

/// An answer in short.
fn told_answer(answer: &Answer) -> String {
    match answer {
        Answer::Pulled(lines) => format!("{} lines", lines.lines().count()),
        Answer::Pushed(answer) => format!("committed {}, {:?}", answer.committed, answer.device),
        Answer::OwnEvents(events) => format!("{} events", events.len()),
        Answer::Refused(refused) => format!("{} {:?}: {}", refused.status, refused.code, refused.detail),
    }
}
