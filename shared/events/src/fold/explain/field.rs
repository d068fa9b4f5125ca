//! One field: the writes that its state holds, and those that it does not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::clock::Clock;
use super::super::field::{FieldState, Write};
use super::super::scalar::Scalar;
use super::{Witness, Written, why};
use crate::schema::MergeRule;

/// What a kept write takes beside its value, roughly.
const WRITTEN_BYTES: u64 = 256;

/// A place in a field's state that one write fills.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    /// The field as a whole.
    Whole,
    /// An element of a set.
    Element(Scalar),
    /// An entry of a list.
    Entry(Clock),
}

/// What an event writes to a field, taken apart: a value; or an element, and whether it is added.
type Unit = (Option<Scalar>, Option<bool>);

/// Why a field is as it is.
#[derive(Debug)]
pub struct FieldExplanation {
    rule: MergeRule,
    /// What the state holds, each in its place. Nothing of a sum, which holds no single write.
    held: BTreeMap<Slot, Written>,
    others: Others,
}

impl FieldExplanation {
    pub(super) fn new(rule: MergeRule, listed: usize) -> Self {
        Self { rule, held: BTreeMap::new(), others: Others { listed, ..Others::default() } }
    }

    /// Takes in what an event has written; `state` is what the fold made of the field with that write in it.
    ///
    /// A write that a state does not hold is never held later: what outweighs it stays, or is outweighed itself. So
    /// each needs to be looked at when it comes, and when another takes its place.
    pub(super) fn take(&mut self, write: Write, at: &Clock, witness: &Arc<Witness>, state: &FieldState) {
        for (value, present) in units(write) {
            let written = Written { at: at.clone(), witness: witness.clone(), value, present };
            let slot = slot(self.rule, &written);
            let displaced = match slot {
                Some(slot) if holds(state, self.held.get(&slot), &written) => self.held.insert(slot, written),
                _ => Some(written),
            };
            if let Some(displaced) = displaced {
                self.others.add(displaced);
            }
        }
        self.let_go(state);
    }

    /// Gives up the elements that the fold has let go of, since it keeps only so many.
    fn let_go(&mut self, state: &FieldState) {
        let kept = match state {
            FieldState::Set(members) => members.len(),
            FieldState::List(elements) => elements.len(),
            _ => return,
        };
        if self.held.len() <= kept {
            return;
        }
        let gone = self.held.iter().filter(|(_, written)| !holds(state, None, written));
        let gone: Vec<Slot> = gone.map(|(slot, _)| slot.clone()).collect();
        for written in gone.iter().filter_map(|slot| self.held.remove(slot)).collect::<Vec<_>>() {
            self.others.add(written);
        }
    }

    /// The rule by which its writes combine.
    pub fn rule(&self) -> MergeRule {
        self.rule
    }

    /// The write that won; `None` for the rules under which several are shown: `sum`, `set` and `list`.
    pub fn winner(&self) -> Option<&Written> {
        self.held.get(&Slot::Whole)
    }

    /// The writes that the field's state holds: the winner; the latest write of each element of a set, by element;
    /// the entries of a list, in event order. None for a sum.
    pub fn held(&self) -> impl Iterator<Item = &Written> {
        self.held.values()
    }

    /// The latest of the others by event order, the latest first: those that lost, and the summands of a sum.
    pub fn others(&self) -> impl Iterator<Item = Written> {
        self.others.latest.iter().rev().map(|((at, value, present), witness)| Written {
            at: at.clone(),
            witness: witness.clone(),
            value: value.clone(),
            present: *present,
        })
    }

    /// How many others there are beyond [`Self::others`].
    pub fn more_others(&self) -> u64 {
        self.others.count - self.others.latest.len() as u64
    }

    /// Why a write is among the others, in a sentence.
    pub fn why(&self, lost: &Written) -> String {
        why::why(self.rule, lost, slot(self.rule, lost).and_then(|slot| self.held.get(&slot)))
    }

    /// Bytes that it takes, roughly.
    pub(super) fn bytes(&self) -> u64 {
        let held = self.held.values().map(|written| value_bytes(written.value.as_ref()));
        let others = self.others.latest.keys().map(|(_, value, _)| value_bytes(value.as_ref()));
        held.chain(others).map(|value_bytes| WRITTEN_BYTES + value_bytes).sum()
    }
}

fn value_bytes(value: Option<&Scalar>) -> u64 {
    // Once as what is written, once as its place or in the state.
    if let Some(Scalar::Text(text)) = value { 2 * text.len() as u64 } else { 0 }
}

/// Each value or element that the write names, once; or that it names none.
fn units(write: Write) -> BTreeSet<Unit> {
    let (add, remove) = match write {
        Write::Value(value) => return [(Some(value), None)].into(),
        Write::Elements { add, remove } => (add, remove),
    };
    if add.is_empty() && remove.is_empty() {
        return [(None, None)].into();
    }
    let unit = |present: bool| move |value: Scalar| (Some(value), Some(present));
    add.into_iter().map(unit(true)).chain(remove.into_iter().map(unit(false))).collect()
}

fn slot(rule: MergeRule, written: &Written) -> Option<Slot> {
    match rule {
        MergeRule::Sum => None,
        MergeRule::Set { .. } => written.value.clone().map(Slot::Element),
        MergeRule::List { .. } => Some(Slot::Entry(written.at.clone())),
        MergeRule::Latest | MergeRule::First | MergeRule::Max | MergeRule::Min | MergeRule::Flag => {
            Some(Slot::Whole)
        }
    }
}

/// Whether the state holds what was written. States without clocks do not say which of several equal writes they hold:
/// the first one by event order, which is why `before`, what was held there until now, counts.
fn holds(state: &FieldState, before: Option<&Written>, written: &Written) -> bool {
    let is_first_of = |value: &Scalar| {
        let is_earlier = |before: &Written| before.value.as_ref() != Some(value) || written.at < before.at;
        written.value.as_ref() == Some(value) && before.is_none_or(is_earlier)
    };
    match state {
        FieldState::Latest(_, at) | FieldState::First(_, at) => *at == written.at,
        FieldState::Max(value) | FieldState::Min(value) => is_first_of(value),
        FieldState::Flag(flag) => is_first_of(&Scalar::Boolean(*flag)),
        FieldState::Set(members) => {
            let member = written.value.as_ref().and_then(|value| members.get(value));
            member.is_some_and(|member| member.at == written.at && Some(member.present) == written.present)
        }
        FieldState::List(elements) => elements.contains_key(&written.at),
        FieldState::Sum(_) => false,
    }
}

/// The latest writes of those that a field does not hold.
#[derive(Debug, Default)]
struct Others {
    latest: BTreeMap<(Clock, Option<Scalar>, Option<bool>), Arc<Witness>>,
    count: u64,
    listed: usize,
}

impl Others {
    fn add(&mut self, written: Written) {
        let Written { at, witness, value, present } = written;
        self.count += 1;
        self.latest.insert((at, value, present), witness);
        if self.latest.len() > self.listed {
            self.latest.pop_first();
        }
    }
}
