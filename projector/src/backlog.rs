//! The spaces that wait to be folded, each once however much news there is of it, in the order in which they came.
//! Those that cannot be folded are put aside for a while, so that they stop nobody.

use std::collections::BTreeMap;
use std::time::Duration;

use tidelog_events::id::{Position, SpaceId};
use tokio::time::Instant;

use crate::aside::Aside;

/// How soon a space is tried again that somebody else had locked.
const LOCKED_RETRY: Duration = Duration::from_millis(5);

/// Waiting spaces; `M` is what is told of a space's end (a message to acknowledge).
#[derive(Debug)]
pub(crate) struct Backlog<M> {
    waiting: BTreeMap<SpaceId, Waiting<M>>,
    /// Whose turn it is next: each waiting space stands here once, under its turn.
    turns: BTreeMap<u64, SpaceId>,
    next_turn: u64,
    aside: Aside,
}

#[derive(Debug)]
struct Waiting<M> {
    turn: u64,
    messages: Vec<(Position, M)>,
    not_before: Option<Instant>,
}

impl<M> Backlog<M> {
    pub(crate) fn new() -> Self {
        Self { waiting: BTreeMap::new(), turns: BTreeMap::new(), next_turn: 0, aside: Aside::default() }
    }

    /// Adds news of a space. Gives the message back if the space is put aside just now: a sweep will find it again.
    pub(crate) fn add(
        &mut self,
        space: SpaceId,
        last: Position,
        message: Option<M>,
        now: Instant,
    ) -> Option<M> {
        if self.aside.holds(&space, now) {
            return message;
        }
        let waiting = self.waiting.entry(space.clone()).or_insert_with(|| {
            let turn = self.next_turn;
            self.next_turn += 1;
            self.turns.insert(turn, space);
            Waiting { turn, messages: Vec::new(), not_before: None }
        });
        waiting.messages.extend(message.map(|message| (last, message)));
        None
    }

    /// Up to `most` spaces whose turn it is; they stay in the backlog until they are settled. A space whose last try
    /// failed has a round of its own, so that it fails alone.
    pub(crate) fn next_round(&mut self, most: usize, now: Instant) -> Vec<SpaceId> {
        let is_due = |space: &&SpaceId| {
            let not_before = self.waiting.get(*space).and_then(|waiting| waiting.not_before);
            not_before.is_none_or(|not_before| not_before <= now)
        };
        let due = self.turns.values().filter(is_due);
        match due.clone().next() {
            Some(first) if self.aside.has_failed(first) => vec![first.clone()],
            _ => due.filter(|space| !self.aside.has_failed(space)).take(most).cloned().collect(),
        }
    }

    /// When the next space is due; `None` where none waits.
    pub(crate) fn next_due(&self, now: Instant) -> Option<Instant> {
        self.waiting.values().map(|waiting| waiting.not_before.unwrap_or(now)).min()
    }

    /// The space is folded through its log's end: returns all its messages.
    pub(crate) fn caught_up(&mut self, space: &SpaceId) -> Vec<M> {
        self.aside.forgive(space);
        self.take(space)
    }

    /// The space is folded through `applied` and there is more: it goes to the end of the queue. Returns the messages
    /// that are settled.
    pub(crate) fn moved(&mut self, space: &SpaceId, applied: Position) -> Vec<M> {
        self.aside.forgive(space);
        self.requeue(space, None);
        let Some(waiting) = self.waiting.get_mut(space) else { return Vec::new() };
        let (settled, left) =
            std::mem::take(&mut waiting.messages).into_iter().partition(|(last, _)| *last <= applied);
        waiting.messages = left;
        Vec::into_iter(settled).map(|(_, message)| message).collect()
    }

    /// Somebody else has the space: it is tried again in a moment.
    pub(crate) fn locked(&mut self, space: &SpaceId, now: Instant) {
        self.requeue(space, Some(now + LOCKED_RETRY));
    }

    /// The space cannot be folded: it is put aside, longer each time. Returns its messages, which are settled with
    /// that, and the pause.
    pub(crate) fn put_aside(&mut self, space: &SpaceId, now: Instant) -> (Vec<M>, Duration) {
        let pause = self.aside.put(space, now);
        (self.take(space), pause)
    }

    fn take(&mut self, space: &SpaceId) -> Vec<M> {
        let Some(waiting) = self.waiting.remove(space) else { return Vec::new() };
        self.turns.remove(&waiting.turn);
        waiting.messages.into_iter().map(|(_, message)| message).collect()
    }

    fn requeue(&mut self, space: &SpaceId, not_before: Option<Instant>) {
        if let Some(waiting) = self.waiting.get_mut(space) {
            waiting.not_before = not_before;
            self.turns.remove(&waiting.turn);
            waiting.turn = self.next_turn;
            self.turns.insert(waiting.turn, space.clone());
            self.next_turn += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(name: &str) -> SpaceId {
        SpaceId::new(name).unwrap()
    }

    fn names(spaces: &[SpaceId]) -> Vec<&str> {
        spaces.iter().map(SpaceId::as_str).collect()
    }

    /// A backlog with one message for each of these, numbered by place.
    fn backlog(names: &[&str], now: Instant) -> Backlog<usize> {
        let mut backlog = Backlog::new();
        for (number, name) in names.iter().enumerate() {
            assert_eq!(backlog.add(space(name), Position(number as u64 + 1), Some(number), now), None);
        }
        backlog
    }

    #[test]
    fn a_space_waits_once_however_much_news_there_is_of_it() {
        let now = Instant::now();
        let mut backlog = backlog(&["b", "a", "b", "b"], now);
        assert_eq!(names(&backlog.next_round(9, now)), ["b", "a"]);
        assert_eq!(names(&backlog.next_round(1, now)), ["b"]);
        assert_eq!(backlog.caught_up(&space("b")), [0, 2, 3]);
        assert_eq!(names(&backlog.next_round(9, now)), ["a"]);
    }

    #[test]
    fn a_space_with_more_to_fold_goes_behind_the_others_with_what_is_not_settled() {
        let now = Instant::now();
        let mut backlog = backlog(&["hot", "hot", "cold"], now);
        assert_eq!(backlog.moved(&space("hot"), Position(1)), [0]);
        assert_eq!(names(&backlog.next_round(9, now)), ["cold", "hot"]);
        assert_eq!(backlog.caught_up(&space("hot")), [1]);
    }

    #[test]
    fn a_locked_space_is_due_again_in_a_moment() {
        let now = Instant::now();
        let mut backlog = backlog(&["a"], now);
        backlog.locked(&space("a"), now);
        assert!(backlog.next_round(9, now).is_empty());
        let due = backlog.next_due(now).unwrap();
        assert!(due > now);
        assert_eq!(names(&backlog.next_round(9, due)), ["a"]);
    }

    #[test]
    fn a_space_that_cannot_be_folded_stands_aside_and_stops_nobody() {
        let mut now = Instant::now();
        let mut backlog = backlog(&["bad", "good"], now);
        let (settled, pause) = backlog.put_aside(&space("bad"), now);
        assert_eq!(settled, [0]);
        assert_eq!(names(&backlog.next_round(9, now)), ["good"]);
        assert_eq!(
            backlog.add(space("bad"), Position(9), Some(7), now),
            Some(7),
            "its news is settled at once"
        );
        now += pause;
        assert_eq!(backlog.add(space("bad"), Position(9), Some(8), now), None);
        assert_eq!(names(&backlog.next_round(9, now)), ["good"]);
        assert_eq!(backlog.moved(&space("good"), Position(1)), [] as [usize; 0]);
        assert_eq!(names(&backlog.next_round(9, now)), ["bad"], "it has its turn, and has it alone");
        assert_eq!(backlog.caught_up(&space("bad")), [8]);
        backlog.add(space("bad"), Position(10), Some(9), now);
        assert_eq!(names(&backlog.next_round(9, now)), ["good", "bad"], "once folded, it is like the others");
    }
}
