//! The live connections of this process by space: what is told of a space is handed to all who are connected to it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidelog_events::code::Refusal;
use tidelog_events::id::{DeviceId, Epoch, Position, SpaceId, UserId};
use tidelog_events::live::{CloseReason, LiveNotice, Presence};
use tidelog_runtime::broker::Broker;
use tokio::time::Instant;

use super::mailbox::Mailbox;
use super::presence::{PresenceHint, Present};
use crate::codecs::Codecs;
use crate::news::{News, Newsroom, Subscription};
use crate::pull::AnnouncedSegment;

/// All of them. Clones share them.
#[derive(Clone)]
pub(super) struct Rooms {
    shared: Arc<Shared>,
}

struct Shared {
    newsroom: Newsroom,
    broker: Broker,
    codecs: Codecs,
    sweep_every: Duration,
    rooms: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    rooms: HashMap<SpaceId, Arc<Room>>,
    next_number: u64,
}

/// The connections to one space.
struct Room {
    news: Subscription,
    members: Arc<Members>,
}

struct Members {
    mailboxes: Mutex<HashMap<u64, Member>>,
    present: Mutex<Present>,
}

struct Member {
    mailbox: Arc<Mailbox>,
    user: UserId,
    device: Option<DeviceId>,
    /// What it last showed to others, if it ever did, and how often it has.
    shown: Option<(Presence, u64)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Rooms {
    pub(super) fn new(newsroom: Newsroom, broker: Broker, codecs: Codecs, sweep_every: Duration) -> Self {
        let rooms = Mutex::default();
        Self { shared: Arc::new(Shared { newsroom, broker, codecs, sweep_every, rooms }) }
    }

    /// Enters the room of a space, and hears of everything from then on (once [`Place::live`] returns).
    pub(super) fn enter(&self, space: &SpaceId, user: &UserId, device: Option<&DeviceId>) -> Place {
        let mut open = lock(&self.shared.rooms);
        open.next_number += 1;
        let number = open.next_number;
        let room = open.rooms.entry(space.clone()).or_insert_with(|| self.open(space)).clone();
        let mailbox = Arc::new(Mailbox::default());
        let member =
            Member { mailbox: mailbox.clone(), user: user.clone(), device: device.cloned(), shown: None };
        lock(&room.members.mailboxes).insert(number, member);
        Place { rooms: self.clone(), space: space.clone(), number, room, mailbox }
    }

    fn open(&self, space: &SpaceId) -> Arc<Room> {
        let present = Mutex::new(Present::new(self.shared.sweep_every));
        let members = Arc::new(Members { mailboxes: Mutex::default(), present });
        let (told, shared, of) = (members.clone(), Arc::downgrade(&self.shared), space.clone());
        let news = self.shared.newsroom.subscribe(space, move |news| {
            if let Some(shared) = shared.upgrade() {
                told.tell(news, &shared, &of);
            }
        });
        // Who is here already is known to the gateways where they are.
        self.publish(space, PresenceHint::Ask {});
        Arc::new(Room { news, members })
    }

    fn publish(&self, space: &SpaceId, hint: PresenceHint) {
        let (broker, space) = (self.shared.broker.clone(), space.clone());
        tokio::spawn(async move { hint.publish(&broker, &space).await });
    }

    /// The spaces that somebody is connected to.
    pub(super) fn spaces(&self) -> Vec<SpaceId> {
        lock(&self.shared.rooms).rooms.keys().cloned().collect()
    }

    fn room(&self, space: &SpaceId) -> Option<Arc<Room>> {
        lock(&self.shared.rooms).rooms.get(space).cloned()
    }

    /// What the database says of a log.
    pub(super) fn seen(&self, space: &SpaceId, epoch: Epoch, head: Position) {
        if let Some(room) = self.room(space) {
            room.members.each(|mailbox| mailbox.seen(epoch, head));
        }
    }

    /// Ends all connections to a space.
    pub(super) fn close(&self, space: &SpaceId, reason: CloseReason, detail: &'static str) {
        if let Some(room) = self.room(space) {
            room.members.each(|mailbox| mailbox.close(reason, detail));
        }
    }

    /// The users and devices of the connections to a space.
    pub(super) fn devices(&self, space: &SpaceId) -> Vec<(UserId, DeviceId)> {
        let Some(room) = self.room(space) else { return Vec::new() };
        let members = lock(&room.members.mailboxes);
        members.values().filter_map(|member| Some((member.user.clone(), member.device.clone()?))).collect()
    }

    /// Ends the connections of a user's device, which was revoked.
    pub(super) fn close_device(&self, user: &UserId, device: &DeviceId) {
        let rooms: Vec<_> = lock(&self.shared.rooms).rooms.values().cloned().collect();
        for room in rooms {
            for member in lock(&room.members.mailboxes).values() {
                if member.user == *user && member.device.as_ref() == Some(device) {
                    let reason = CloseReason::Refused(Refusal::DeviceRevoked);
                    member.mailbox.close(reason, "the device was revoked");
                }
            }
        }
    }

    /// Tells again who is present here, and forgets who was told of elsewhere and is not any more.
    pub(super) fn refresh_presences(&self, space: &SpaceId) {
        let Some(room) = self.room(space) else { return };
        let gone = lock(&room.members.present).expire(Instant::now());
        for presence in &gone {
            room.members.tell_presence(presence);
        }
        for hint in room.members.own_presences() {
            self.publish(space, hint);
        }
    }
}

impl Members {
    fn each(&self, act: impl Fn(&Mailbox)) {
        lock(&self.mailboxes).values().for_each(|member| act(&member.mailbox));
    }

    fn tell(&self, news: &News, shared: &Arc<Shared>, space: &SpaceId) {
        match news {
            News::Head(head) => self.each(|mailbox| mailbox.head(*head)),
            News::Segment { last, payload, .. } => match AnnouncedSegment::read(payload, &shared.codecs) {
                Some(segment) => {
                    let segment = Arc::new(segment);
                    self.each(|mailbox| mailbox.segment(&segment));
                }
                // The log has it as it should be.
                None => self.each(|mailbox| mailbox.head(*last)),
            },
            News::Presence(payload) => match serde_json::from_slice(payload) {
                Ok(PresenceHint::Here { presence, number }) => {
                    if lock(&self.present).told(&presence, number, Instant::now()) {
                        self.tell_presence(&presence);
                    }
                }
                Ok(PresenceHint::Ask {}) => {
                    let rooms = Rooms { shared: shared.clone() };
                    for hint in self.own_presences() {
                        rooms.publish(space, hint);
                    }
                }
                Err(error) => tracing::debug!(%error, "a presence cannot be read"),
            },
        }
    }

    /// Tells all but who is meant.
    fn tell_presence(&self, presence: &Presence) {
        for member in lock(&self.mailboxes).values() {
            let is_own = member.shown.as_ref().is_some_and(|(own, _)| own.connection == presence.connection);
            if !is_own {
                member.mailbox.notice(LiveNotice::Presence(presence.clone()));
            }
        }
    }

    /// Who of those that are connected here is present.
    fn own_presences(&self) -> Vec<PresenceHint> {
        let members = lock(&self.mailboxes);
        let shown = members.values().filter_map(|member| member.shown.clone());
        let here = shown.filter(|(presence, _)| !presence.state.is_null());
        here.map(|(presence, number)| PresenceHint::Here { presence, number }).collect()
    }
}

/// A connection's place in its room, left when it is dropped.
pub(super) struct Place {
    rooms: Rooms,
    space: SpaceId,
    number: u64,
    room: Arc<Room>,
    pub(super) mailbox: Arc<Mailbox>,
}

impl Place {
    /// Waits until no news goes unheard any more.
    pub(super) async fn live(&self) {
        self.room.news.live().await;
    }

    /// Who is present.
    pub(super) fn present(&self) -> Vec<Presence> {
        lock(&self.room.members.present).all()
    }

    /// Shows a state to others; null to show nothing any more.
    pub(super) fn show(&self, presence: Presence) {
        let mut members = lock(&self.room.members.mailboxes);
        let Some(member) = members.get_mut(&self.number) else { return };
        let number = member.shown.as_ref().map_or(1, |(_, number)| number + 1);
        member.shown = Some((presence.clone(), number));
        drop(members);
        self.rooms.publish(&self.space, PresenceHint::Here { presence, number });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let left = lock(&self.room.members.mailboxes).remove(&self.number);
        if let Some((presence, number)) = left.and_then(|member| member.shown)
            && !presence.state.is_null()
        {
            let presence = Presence { state: serde_json::Value::Null, ..presence };
            self.rooms.publish(&self.space, PresenceHint::Here { presence, number: number + 1 });
        }
        let mut open = lock(&self.rooms.shared.rooms);
        let is_empty = |room: &Arc<Room>| lock(&room.members.mailboxes).is_empty();
        if open.rooms.get(&self.space).is_some_and(|room| Arc::ptr_eq(room, &self.room) && is_empty(room)) {
            open.rooms.remove(&self.space);
        }
    }
}
