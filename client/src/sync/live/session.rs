//! A live connection that is there: what comes is stored, and little is said in return.

use std::future::pending;
use std::time::Duration;

use serde_json::Value;
use tidelog_events::id::Position;
use tidelog_events::live::{CursorCall, LiveCall, LiveNotice, PresenceCall};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Ended;
use super::follower::{Follower, is_caught_up};
use crate::store::{Followed, Following, SpaceStatus};
use crate::sync::TokenSource;
use crate::transport::{LiveEnd, LiveMessage, LiveStream, Transport};

/// Between two calls that say what is stored.
const CURSOR_GAP: Duration = Duration::from_secs(3);
/// Between two calls that say what the app shows to others.
const PRESENCE_GAP: Duration = Duration::from_millis(100);
/// Bytes of lines that are stored in one transaction, if so many have come already.
const STORED_AT_ONCE_BYTES: usize = 1024 * 1024;

/// The connection.
pub(super) struct Session<'f, L, T, S> {
    follower: &'f Follower<T, S>,
    stream: L,
    following: Following,
    /// What is stored, and what of it was said.
    cursor: Position,
    said: Position,
    cursor_at: Instant,
    /// What the app shows to others.
    presence: watch::Receiver<Option<Value>>,
    presence_is_new: bool,
    presence_at: Instant,
    /// Changes when a sync has ended, after which the space may be another.
    news: watch::Receiver<u64>,
    is_live: bool,
}

/// What happens next on it.
enum Next {
    Come(Result<LiveMessage, LiveEnd>),
    Presence,
    News,
    Say,
}

impl<'f, L: LiveStream, T: Transport, S: TokenSource> Session<'f, L, T, S> {
    /// One of which the hello was taken in.
    pub(super) fn new(
        follower: &'f Follower<T, S>,
        stream: L,
        following: Following,
        stands: &SpaceStatus,
    ) -> Self {
        let (presence, news) = (follower.control.presence(), follower.control.live_news());
        let presence_is_new = presence.borrow().is_some();
        let mut session = Self {
            follower,
            stream,
            following,
            cursor: Position::ZERO,
            said: stands.cursor,
            cursor_at: Instant::now(),
            presence,
            presence_is_new,
            presence_at: Instant::now(),
            news,
            is_live: false,
        };
        session.stored(stands);
        session
    }

    /// Until it ends.
    pub(super) async fn run(mut self) -> Result<Ended, LiveEnd> {
        loop {
            let say_at = self.say_at();
            let next = tokio::select! {
                come = self.stream.next() => Next::Come(come),
                _ = self.presence.changed() => Next::Presence,
                _ = self.news.changed() => Next::News,
                () = until(say_at) => Next::Say,
            };
            let ended = match next {
                Next::Come(come) => self.take(come?).await?,
                Next::Presence => {
                    self.presence_is_new = true;
                    None
                }
                Next::News => self.look().await,
                Next::Say => {
                    self.say().await?;
                    None
                }
            };
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }

    /// Takes in a message, and with it what has come behind it already.
    async fn take(&mut self, message: LiveMessage) -> Result<Option<Ended>, LiveEnd> {
        let mut log = String::new();
        let mut next = Some(Ok(message));
        let end = loop {
            match next {
                Some(Ok(LiveMessage::Log(lines))) if log.is_empty() => log = lines,
                Some(Ok(LiveMessage::Log(lines))) => log.push_str(&lines),
                Some(Ok(LiveMessage::Notice(notice))) => self.hear(notice),
                Some(Err(end)) => break Some(end),
                None => break None,
            }
            next = if log.len() < STORED_AT_ONCE_BYTES { self.stream.ready() } else { None };
        };
        let ended = if log.is_empty() { None } else { self.store(log).await };
        // What came before the end is stored.
        match (ended, end) {
            (None, Some(end)) => Err(end),
            (ended, _) => Ok(ended),
        }
    }

    fn hear(&self, notice: LiveNotice) {
        match notice {
            LiveNotice::Presence(presence) => self.follower.control.hear_presence(presence),
            LiveNotice::Closing(closing) => tracing::debug!(?closing, "the gateway ends a live connection"),
            // Nothing is pushed here.
            LiveNotice::Receipt(_) => {}
        }
    }

    async fn store(&mut self, lines: String) -> Option<Ended> {
        let (following, now) = (self.following.clone(), self.follower.now());
        let space = self.follower.control.space.clone();
        let step = self
            .follower
            .at_store(move |store| Ok((store.follow(&following, &lines, &now)?, store.space(&space)?)));
        match step.await {
            Ok((followed, stands)) => {
                self.stored(&stands);
                (followed == Followed::Broken).then_some(Ended::Broken)
            }
            Err(ended) => Some(ended),
        }
    }

    fn stored(&mut self, stands: &SpaceStatus) {
        let (control, now) = (&self.follower.control, self.follower.now());
        self.cursor = stands.cursor;
        if !self.is_live && is_caught_up(self.cursor, &self.following) {
            self.is_live = true;
            control.went_live(now.monotonic_ms);
        }
        control.publish(stands, &now);
    }

    /// Whether the connection still brings what is to be stored, after a sync.
    async fn look(&mut self) -> Option<Ended> {
        let space = self.follower.control.space.clone();
        match self.follower.at_store(move |store| store.space(&space)).await {
            Ok(stands) if self.following.fits(&stands) => {
                self.stored(&stands);
                None
            }
            Ok(_) => Some(Ended::Broken),
            Err(ended) => Some(ended),
        }
    }

    fn say_at(&self) -> Option<Instant> {
        let cursor = (self.cursor > self.said).then_some(self.cursor_at);
        let presence = self.presence_is_new.then_some(self.presence_at);
        cursor.into_iter().chain(presence).min()
    }

    async fn say(&mut self) -> Result<(), LiveEnd> {
        let now = Instant::now();
        if self.presence_is_new && self.presence_at <= now {
            (self.presence_is_new, self.presence_at) = (false, now + PRESENCE_GAP);
            let state = self.presence.borrow_and_update().clone().unwrap_or_default();
            self.stream.say(&LiveCall::Presence(PresenceCall { state })).await?;
        }
        if self.cursor > self.said && self.cursor_at <= now {
            (self.said, self.cursor_at) = (self.cursor, now + CURSOR_GAP);
            let call = CursorCall { position: self.cursor, report: None };
            self.stream.say(&LiveCall::Cursor(call)).await?;
        }
        Ok(())
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
