//! What is said about the space's live connection.

use std::time::Duration;

use serde_json::Value;
use tidelog_events::live::Presence;
use tokio::sync::watch;

use super::{Control, State};
use crate::sync::live::{Ended, MAX_PRESENCES, Presences, Reconnect};

/// How the live connection stands.
pub(super) struct Live {
    /// When it is made; none where the app wants none.
    pub(super) reconnect: Option<Reconnect>,
    /// Whether it brings everything.
    pub(super) on: bool,
}

/// What is heard and said about who is here.
pub(super) struct Here {
    /// What the app shows to others; `None` until it says something.
    shown: watch::Sender<Option<Value>>,
    others: watch::Sender<Presences>,
    /// Changes whenever anything has that matters to the live connection.
    pub(super) news: watch::Sender<u64>,
}

impl Here {
    pub(super) fn new() -> Self {
        Self {
            shown: watch::Sender::new(None),
            others: watch::Sender::new(Presences::new()),
            news: watch::Sender::new(0),
        }
    }
}

impl State {
    /// A background slot is short, and what it is for is a sync.
    fn may_be_live(&self) -> bool {
        let runs = self.scheduler.is_online() && !self.scheduler.is_paused() && !self.ended;
        self.live.reconnect.is_some() && runs && self.deadlines_ms.is_empty()
    }
}

impl Control {
    /// How long to wait for the next connection; `None` while there can be none.
    pub(in crate::sync) fn live_wait(&self, now_ms: i64) -> Option<Duration> {
        let state = self.state();
        let reconnect = state.live.reconnect.as_ref().filter(|_| state.may_be_live() && !state.syncing);
        let due_ms = reconnect?.due_ms()?;
        Some(Duration::from_millis(due_ms.saturating_sub(now_ms).max(0).unsigned_abs()))
    }

    /// Changes whenever anything has that matters to the live connection.
    pub(in crate::sync) fn live_news(&self) -> watch::Receiver<u64> {
        self.here.news.subscribe()
    }

    /// Returns when there can be no live connection any more.
    pub(in crate::sync) async fn until_live_ends(&self) {
        let mut news = self.live_news();
        while self.state().may_be_live() && news.changed().await.is_ok() {}
    }

    /// The connection is there.
    pub(in crate::sync) fn connected(&self, now_ms: i64) {
        if let Some(reconnect) = &mut self.state().live.reconnect {
            reconnect.connected(now_ms);
        }
    }

    /// It has brought everything.
    pub(in crate::sync) fn went_live(&self, now_ms: i64) {
        let mut state = self.state();
        state.live.on = true;
        state.scheduler.went_live(now_ms);
        drop(state);
        self.wake.notify_one();
    }

    /// It is there no more: the space is asked for again.
    pub(in crate::sync) fn live_ended(&self, now_ms: i64, ended: &Ended) {
        let mut state = self.state();
        if let Some(reconnect) = &mut state.live.reconnect {
            reconnect.ended(now_ms, ended);
        }
        state.live.on = false;
        state.scheduler.lost_live(now_ms);
        if *ended == Ended::Broken {
            state.scheduler.wanted(now_ms);
        }
        drop(state);
        self.here.others.send_if_modified(|others| !std::mem::take(others).is_empty());
        self.wake.notify_one();
    }

    /// A sync is to find out what is amiss.
    pub(in crate::sync) fn want_sync(&self, now_ms: i64) {
        self.state().scheduler.wanted(now_ms);
        self.wake.notify_one();
    }

    /// The app shows that to others.
    pub(in crate::sync) fn show(&self, state: Value) {
        self.here.shown.send_replace(Some(state));
    }

    /// What the app shows to others, and each time that this changes.
    pub(in crate::sync) fn presence(&self) -> watch::Receiver<Option<Value>> {
        self.here.shown.subscribe()
    }

    /// Somebody is here, or is here no more.
    pub(in crate::sync) fn hear_presence(&self, presence: Presence) {
        self.here.others.send_modify(|others| {
            if presence.state.is_null() {
                others.remove(&presence.connection);
            } else if others.len() < MAX_PRESENCES || others.contains_key(&presence.connection) {
                others.insert(presence.connection.clone(), presence);
            }
        });
    }

    /// Who is here, and each time that this changes.
    pub(in crate::sync) fn presences(&self) -> watch::Receiver<Presences> {
        self.here.others.subscribe()
    }
}
