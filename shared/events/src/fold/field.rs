//! The state of a field under each merge rule. Every state is a combination of what single events wrote, and
//! [`FieldState::merge`] is that combination: commutative and associative, whatever the grouping.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::clock::Clock;
use super::form;
use super::scalar::Scalar;
use crate::schema::MergeRule;

/// What a field's events amount to. Its JSON is the one of entity lines (`docs/formats.md`).
///
/// # The algebra
///
/// The states of each merge rule, with "no write" as zero, are a commutative monoid, and merging is its operation:
///
/// | rule | elements | operation | idempotent |
/// |---|---|---|---|
/// | `latest`, `first` | writes by clock | greatest, least clock | yes |
/// | `max`, `min` | values | greatest, least | yes |
/// | `flag` | `false < true` | or | yes |
/// | `set` | each value's write (clock, then added over removed) | greatest write by value, then the `keep` greatest | yes |
/// | `list` | writes by clock | union, then the `keep` greatest | yes |
/// | `sum` | integers | addition | no |
///
/// Commutative and associative is all that order and grouping ask for; an entity (two greatest clocks, created and
/// deleted, and a field for each name) and a space (an entity for each key) are products of these. The `keep` greatest
/// of a union are a monoid of their own: what is let go of is outweighed by `keep` others, which only later writes
/// displace, never earlier ones, so letting go early and letting go late are the same. Event order is total
/// ([`Clock`]), and so no two writes tie.
///
/// All but `sum` are semilattices: taking an event in twice would change nothing. `sum` counts, and is a join over
/// *disjoint* sets of events only. That is what merging asks for and what positions guarantee: the log has each event
/// once (invariant 2), and whoever folds knows through which position. Then `state(A ⊎ B) = state(A) merge state(B)`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FieldState {
    /// The write with the greatest clock.
    Latest(Scalar, Clock),
    /// The write with the least clock.
    First(Scalar, Clock),
    /// The greatest value.
    Max(Scalar),
    /// The least value.
    Min(Scalar),
    /// The sum. 2⁶³ events of 2⁵³ fit in it.
    Sum(#[serde(serialize_with = "form::write_sum", deserialize_with = "form::read_sum")] i128),
    /// Whether any write was true.
    Flag(bool),
    /// Each value with its latest write.
    Set(
        #[serde(serialize_with = "form::write_members", deserialize_with = "form::read_members")]
        BTreeMap<Scalar, Membership>,
    ),
    /// The elements in event order.
    List(
        #[serde(serialize_with = "form::write_elements", deserialize_with = "form::read_elements")]
        BTreeMap<Clock, Scalar>,
    ),
}

/// The latest write of a set's value. Orders by clock; in one event adding is later than removing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Membership {
    /// When.
    pub at: Clock,
    /// Whether it was added.
    pub present: bool,
}

/// What one event writes to one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Write {
    /// A value.
    Value(Scalar),
    /// Elements of a set.
    Elements { add: Vec<Scalar>, remove: Vec<Scalar> },
}

impl FieldState {
    /// The field after that write alone; `None` for a write that the rule does not take.
    pub(super) fn of(rule: MergeRule, write: Write, at: &Clock) -> Option<Self> {
        Some(match (rule, write) {
            (MergeRule::Latest, Write::Value(value)) => Self::Latest(value, at.clone()),
            (MergeRule::First, Write::Value(value)) => Self::First(value, at.clone()),
            (MergeRule::Max, Write::Value(value)) => Self::Max(value),
            (MergeRule::Min, Write::Value(value)) => Self::Min(value),
            (MergeRule::Sum, Write::Value(Scalar::Number(number))) => Self::Sum(number.whole()?.into()),
            (MergeRule::Flag, Write::Value(Scalar::Boolean(value))) => Self::Flag(value),
            (MergeRule::List { .. }, Write::Value(value)) => Self::List([(at.clone(), value)].into()),
            (MergeRule::Set { keep }, Write::Elements { add, remove }) => {
                let membership = |present| move |value| (value, Membership { at: at.clone(), present });
                // Behind the removed ones, so that adding wins.
                let mut members: BTreeMap<_, _> = remove.into_iter().map(membership(false)).collect();
                members.extend(add.into_iter().map(membership(true)));
                keep_greatest_members(&mut members, keep);
                Self::Set(members)
            }
            _ => return None,
        })
    }

    /// Combines this with what other events amount to; none of them may be in both. `keep` is the schema's, where
    /// the rule has one. States of two rules, which no schema and no log brings together, leave this one as it is.
    pub(super) fn merge(&mut self, other: Self, keep: Option<NonZeroU32>) {
        match (self, other) {
            (Self::Latest(value, at), Self::Latest(other, other_at)) => {
                if other_at > *at {
                    (*value, *at) = (other, other_at);
                }
            }
            (Self::First(value, at), Self::First(other, other_at)) => {
                if other_at < *at {
                    (*value, *at) = (other, other_at);
                }
            }
            (Self::Max(value), Self::Max(other)) => {
                if other > *value {
                    *value = other;
                }
            }
            (Self::Min(value), Self::Min(other)) => {
                if other < *value {
                    *value = other;
                }
            }
            (Self::Sum(sum), Self::Sum(other)) => *sum += other,
            (Self::Flag(flag), Self::Flag(other)) => *flag |= other,
            (Self::Set(members), Self::Set(other)) => merge_members(members, other, keep),
            (Self::List(elements), Self::List(other)) => {
                elements.extend(other);
                while keep.is_some_and(|keep| elements.len() > keep.get() as usize) {
                    elements.pop_first();
                }
            }
            _ => debug_assert!(false, "a field has one merge rule for ever"),
        }
    }

    /// Whether this is a state under that rule.
    pub(super) fn is_of(&self, rule: MergeRule) -> bool {
        matches!(
            (self, rule),
            (Self::Latest(..), MergeRule::Latest)
                | (Self::First(..), MergeRule::First)
                | (Self::Max(_), MergeRule::Max)
                | (Self::Min(_), MergeRule::Min)
                | (Self::Sum(_), MergeRule::Sum)
                | (Self::Flag(_), MergeRule::Flag)
                | (Self::Set(_), MergeRule::Set { .. })
                | (Self::List(_), MergeRule::List { .. })
        )
    }

    /// The greatest clock that it holds; `None` for the rules that hold none, and for an empty set.
    pub fn latest_clock(&self) -> Option<&Clock> {
        match self {
            Self::Latest(_, at) | Self::First(_, at) => Some(at),
            Self::Set(members) => members.values().map(|membership| &membership.at).max(),
            Self::List(elements) => elements.last_key_value().map(|(at, _)| at),
            Self::Max(_) | Self::Min(_) | Self::Sum(_) | Self::Flag(_) => None,
        }
    }

    /// What readers get.
    pub fn view(&self) -> Value {
        match self {
            Self::Latest(value, _) | Self::First(value, _) | Self::Max(value) | Self::Min(value) => {
                value.to_json()
            }
            Self::Sum(sum) => form::sum_to_json(*sum),
            Self::Flag(flag) => Value::from(*flag),
            Self::Set(_) | Self::List(_) => self.values().map(Scalar::to_json).collect(),
        }
    }

    /// The single values that the field shows: one, or those of a set or list. None for a sum, which may be
    /// greater than any [`Scalar`].
    pub(super) fn values(&self) -> Box<dyn Iterator<Item = &Scalar> + '_> {
        match self {
            Self::Latest(value, _) | Self::First(value, _) | Self::Max(value) | Self::Min(value) => {
                Box::new(std::iter::once(value))
            }
            Self::Set(members) => {
                Box::new(members.iter().filter(|(_, membership)| membership.present).map(|(value, _)| value))
            }
            Self::List(elements) => Box::new(elements.values()),
            Self::Flag(flag) => Box::new(std::iter::once(if *flag { &TRUE } else { &FALSE })),
            Self::Sum(_) => Box::new(std::iter::empty()),
        }
    }
}

const TRUE: Scalar = Scalar::Boolean(true);
const FALSE: Scalar = Scalar::Boolean(false);

fn merge_members(
    members: &mut BTreeMap<Scalar, Membership>,
    other: BTreeMap<Scalar, Membership>,
    keep: Option<NonZeroU32>,
) {
    for (value, membership) in other {
        let present = members.entry(value).or_insert_with(|| membership.clone());
        if membership > *present {
            *present = membership;
        }
    }
    if let Some(keep) = keep {
        keep_greatest_members(members, keep);
    }
}

/// Lets go of the members with the least (clock, value). A value whose latest write is not among the `keep` greatest
/// can only come back by a later write, so letting go early changes nothing.
fn keep_greatest_members(members: &mut BTreeMap<Scalar, Membership>, keep: NonZeroU32) {
    let surplus = members.len().saturating_sub(keep.get() as usize);
    if surplus == 0 {
        return;
    }
    let mut by_age: Vec<_> = std::mem::take(members)
        .into_iter()
        .map(|(value, member)| (member.at, value, member.present))
        .collect();
    by_age.select_nth_unstable(surplus - 1);
    let kept = by_age.split_off(surplus);
    members.extend(kept.into_iter().map(|(at, value, present)| (value, Membership { at, present })));
}
