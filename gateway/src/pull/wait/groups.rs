//! The waiting pulls in groups, one a (space, cursor), so that one read serves a whole group. Decides only;
//! nothing here waits, and `G` is whatever a group is to those who do.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tidelog_events::id::{DeviceId, Position, SpaceId};

/// Devices whose state a group's read brings along; the pulls of further ones read for themselves.
const GROUP_DEVICES: usize = 1000;

/// Where a group stands. The number tells it from earlier and later groups of the same place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GroupId {
    pub(super) space: SpaceId,
    pub(super) after: Position,
    number: u64,
}

/// What a pull wants of its group's read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) events: u64,
    pub(super) device: Option<DeviceId>,
}

/// What a group's read must bring.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GroupWanted {
    pub(super) events: u64,
    pub(super) devices: BTreeSet<DeviceId>,
}

struct Group<G> {
    number: u64,
    shared: G,
    members: HashMap<u64, Member>,
    caught_up: bool,
}

/// A member's place in its group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlaceId {
    pub(super) group: GroupId,
    number: u64,
}

/// All groups.
pub(super) struct Groups<G> {
    spaces: HashMap<SpaceId, BTreeMap<Position, Group<G>>>,
    next_number: u64,
}

impl<G> Default for Groups<G> {
    fn default() -> Self {
        Self { spaces: HashMap::new(), next_number: 0 }
    }
}

impl<G: Clone> Groups<G> {
    /// Joins the group of that place; `make` makes it where there is none.
    pub(super) fn join(
        &mut self,
        space: &SpaceId,
        after: Position,
        member: Member,
        make: impl FnOnce(&GroupId) -> G,
    ) -> (PlaceId, G) {
        let number = self.number();
        let group = self.spaces.entry(space.clone()).or_default().entry(after).or_insert_with(|| {
            let id = GroupId { space: space.clone(), after, number };
            Group { number, shared: make(&id), members: HashMap::new(), caught_up: false }
        });
        group.members.insert(number, member);
        let id = GroupId { space: space.clone(), after, number: group.number };
        (PlaceId { group: id, number }, group.shared.clone())
    }

    /// Joins the group of that place if it knows that there is no news: then the caller need not look first.
    pub(super) fn join_caught_up(
        &mut self,
        space: &SpaceId,
        after: Position,
        member: Member,
    ) -> Option<(PlaceId, G)> {
        let number = self.number();
        let group = self.spaces.get_mut(space)?.get_mut(&after).filter(|group| group.caught_up)?;
        group.members.insert(number, member);
        let id = GroupId { space: space.clone(), after, number: group.number };
        Some((PlaceId { group: id, number }, group.shared.clone()))
    }

    /// Leaves. Returns the group if that was its last member: it is gone from here.
    pub(super) fn leave(&mut self, place: &PlaceId) -> Option<G> {
        let group = self.group_mut(&place.group)?;
        group.members.remove(&place.number);
        if group.members.is_empty() { self.end(&place.group) } else { None }
    }

    /// Ends a group: who comes now begins another.
    pub(super) fn end(&mut self, id: &GroupId) -> Option<G> {
        self.group_mut(id)?;
        let groups = self.spaces.get_mut(&id.space)?;
        let ended = groups.remove(&id.after);
        if groups.is_empty() {
            self.spaces.remove(&id.space);
        }
        ended.map(|group| group.shared)
    }

    /// The group has read, with its hints listened to, that there is no news.
    pub(super) fn caught_up(&mut self, id: &GroupId) {
        if let Some(group) = self.group_mut(id) {
            group.caught_up = true;
        }
    }

    /// What the group's read must bring: the largest answer that a member wants, and the members' devices.
    pub(super) fn wanted(&mut self, id: &GroupId) -> GroupWanted {
        let members = self.group_mut(id).into_iter().flat_map(|group| group.members.values());
        let mut wanted = GroupWanted { events: 1, devices: BTreeSet::new() };
        for member in members {
            wanted.events = wanted.events.max(member.events);
            if wanted.devices.len() < GROUP_DEVICES {
                wanted.devices.extend(member.device.clone());
            }
        }
        wanted
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn group_mut(&mut self, id: &GroupId) -> Option<&mut Group<G>> {
        self.spaces.get_mut(&id.space)?.get_mut(&id.after).filter(|group| group.number == id.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Position = Position(7);

    fn space(name: &str) -> SpaceId {
        SpaceId::new(name).unwrap()
    }

    fn member(events: u64, device: &str) -> Member {
        Member { events, device: DeviceId::new(device).ok() }
    }

    fn join(groups: &mut Groups<u64>, name: &str, after: u64) -> (PlaceId, u64) {
        groups.join(&space(name), Position(after), member(10, ""), |id| id.number)
    }

    #[test]
    fn those_who_wait_at_one_cursor_of_one_space_share_a_group() {
        let mut groups = Groups::default();
        let (_, first) = join(&mut groups, "ann", 7);
        let (_, same) = join(&mut groups, "ann", 7);
        let (_, elsewhere) = join(&mut groups, "ann", 8);
        let (_, other) = join(&mut groups, "bob", 7);
        assert_eq!(first, same);
        assert_eq!(BTreeSet::from([first, elsewhere, other]).len(), 3);
    }

    #[test]
    fn a_group_reads_the_most_that_a_member_wants_and_every_members_device() {
        let mut groups = Groups::default();
        let (place, ()) = groups.join(&space("ann"), AFTER, member(10, "phone-1"), |_| ());
        let (large, ()) = groups.join(&space("ann"), AFTER, member(500, "phone-2"), |_| ());
        groups.join(&space("ann"), AFTER, member(20, ""), |_| ());
        let devices = |names: &[&str]| names.iter().map(|name| DeviceId::new(*name).unwrap()).collect();
        let expect = GroupWanted { events: 500, devices: devices(&["phone-1", "phone-2"]) };
        assert_eq!(groups.wanted(&place.group), expect);
        groups.leave(&large);
        let expect = GroupWanted { events: 20, devices: devices(&["phone-1"]) };
        assert_eq!(groups.wanted(&place.group), expect);
    }

    #[test]
    fn the_last_who_leaves_takes_the_group_along() {
        let mut groups = Groups::default();
        let (first, group) = join(&mut groups, "ann", 7);
        let (second, _) = join(&mut groups, "ann", 7);
        assert_eq!(groups.leave(&first), None);
        assert_eq!(groups.leave(&first), None, "leaving twice");
        assert_eq!(groups.leave(&second), Some(group));
        assert!(groups.spaces.is_empty());
    }

    #[test]
    fn leaving_a_group_that_has_ended_does_not_touch_its_successor() {
        let mut groups = Groups::default();
        let (old, ended) = join(&mut groups, "ann", 7);
        assert_eq!(groups.end(&old.group), Some(ended));
        assert_eq!(groups.end(&old.group), None);
        let (_, successor) = join(&mut groups, "ann", 7);
        assert_eq!(groups.leave(&old), None);
        assert_eq!(join(&mut groups, "ann", 7).1, successor, "it is still there");
    }

    #[test]
    fn only_a_group_that_has_read_is_joined_without_looking() {
        let mut groups = Groups::default();
        let looking = |groups: &mut Groups<u64>| groups.join_caught_up(&space("ann"), AFTER, member(10, ""));
        assert_eq!(looking(&mut groups), None);
        let (place, group) = join(&mut groups, "ann", 7);
        assert_eq!(looking(&mut groups), None);
        groups.caught_up(&place.group);
        assert_eq!(looking(&mut groups).map(|(_, group)| group), Some(group));
    }
}
