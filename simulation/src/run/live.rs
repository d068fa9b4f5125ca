//! Live connections of phones: a pull opens one, and what comes on it later is taken in whenever the phone does something.

use tidelog_client::store::{Followed, Following};
use tidelog_client::transport::{Answer, PullRequest, Request, Unreachable};
use tidelog_events::id::Position;

use super::phone::{Late, Phone};
use super::world::World;
use crate::finding::Stop;
use crate::server::{Cut, Server};

/// Of so many messages, about one gets lost, and one comes twice.
const UNLUCKY: u32 = 16;

/// A phone's live connection.
pub(super) struct LiveEnd<L> {
    live: L,
    /// Known once the phone has taken in the hello.
    following: Option<Following>,
}

impl<S: Server> World<'_, S> {
    /// Pulls over a new live connection, which the phone keeps.
    pub(super) fn connect(
        &mut self,
        phone: &Phone,
        pull: &PullRequest,
        cut: Option<Cut>,
    ) -> Result<Answer, Unreachable> {
        self.disconnect(phone);
        let (answer, live) = self.server.connect(&self.user, pull, self.now_ms, cut)?;
        self.live[phone.number] = live.map(|live| LiveEnd { live, following: None });
        Ok(answer)
    }

    /// The phone's connection, if there is one, is lost.
    pub(super) fn disconnect(&mut self, phone: &Phone) {
        self.live[phone.number] = None;
    }

    /// The phone has taken in what its connection began with.
    pub(super) fn heard_hello(&mut self, phone: &Phone, Late { request, answer, sent, .. }: &Late) {
        let now = phone.clock.moment(self.now_ms);
        if let (Request::Pull(pull), Answer::Pulled(lines), Some(end)) =
            (request, answer, &mut self.live[phone.number])
        {
            end.following = Following::told(pull, lines, sent, &now);
        }
    }

    /// Takes in what has come on the phone's connection; what the phone knows to be in the log is waited for, if `waits`.
    /// `None`: the app was killed at that.
    pub(super) fn follow(&mut self, phone: &mut Phone, waits: bool) -> Result<Option<()>, Stop> {
        let Some(LiveEnd { mut live, following: Some(following) }) = self.live[phone.number].take() else {
            return Ok(Some(()));
        };
        let space = self.space.clone();
        let Some(stands) = self.at_store(phone, None, |store, _| store.space(&space))? else {
            return Ok(None);
        };
        let wanted = if waits { stands.head } else { Position::ZERO };
        let lines = match self.server.follow(&mut live, wanted, self.now_ms) {
            Ok(lines) => lines,
            Err(end) => {
                self.note(phone, format!("is not live any more: {end}"));
                return Ok(Some(()));
            }
        };
        let times = match self.rng.u32(..UNLUCKY) {
            _ if lines.is_empty() => 0,
            0 => 0,
            1 => 2,
            _ => 1,
        };
        for _ in 0..times {
            self.counts.followed += 1;
            let followed = self.at_store(phone, None, |store, now| store.follow(&following, &lines, now))?;
            self.note(phone, format!("live: {} lines, {followed:?}", lines.lines().count()));
            match followed {
                None => return Ok(None),
                Some(Followed::Broken) => return self.look_at(phone).map(Some),
                Some(Followed::Stored) => {}
            }
        }
        self.live[phone.number] = Some(LiveEnd { live, following: Some(following) });
        if times > 0 {
            self.look_at(phone)?;
        }
        Ok(Some(()))
    }
}
