//! What a page is asked for by, read and checked once.

use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Query};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use tidelog_events::fold::Clock;
use tidelog_events::id::{DeviceId, EntityId, Position, Sequence, UserId};
use tidelog_events::limits::MAX_SAFE_INTEGER;
use tidelog_events::stamp::Stamp;
use tidelog_store::quarantine::arrived::Arrival;
use utoipa::{IntoParams, ToSchema};

use super::super::scan::Direction;
use super::super::space::invalid;
use super::filter::{EVERY_POSITION, Filter};
use crate::admin::page::PageCursor;
use crate::problem::Problem;

/// Items of a page when the caller does not say.
const DEFAULT_ITEMS: u64 = 100;

/// The query.
#[derive(Debug, Default, Deserialize, IntoParams, FromRequestParts)]
#[from_request(via(Query), rejection(Problem))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventParams {
    /// Only events of this type.
    #[param(example = "WORKOUT_CREATED")]
    r#type: Option<String>,
    /// Only events about this entity.
    #[param(value_type = Option<String>)]
    entity_id: Option<EntityId>,
    /// Only events that this device recorded.
    #[param(value_type = Option<String>)]
    device_id: Option<DeviceId>,
    /// Only events of this author.
    #[param(value_type = Option<String>)]
    user_id: Option<UserId>,
    /// Only events from here on: a number is a position, a time such as `2026-11-23T10:00:00Z` is compared with the events'
    /// stamps. With a position, quarantined events are left out.
    #[param(value_type = Option<String>, example = "1")]
    from: Option<Bound>,
    /// Only events through here, likewise.
    #[param(value_type = Option<String>, example = "9999-12-31T23:59:59Z")]
    to: Option<Bound>,
    /// The order.
    #[param(inline, required = false)]
    #[serde(default)]
    order: OrderParam,
    /// Whether quarantined events are listed.
    #[param(inline, required = false)]
    #[serde(default)]
    quarantined: QuarantinedParam,
    /// Items of the page, at most.
    #[param(default = 100, minimum = 1, maximum = 1000)]
    limit: Option<u64>,
    /// Where the page begins: the `next` of the page before, with the same order and filters.
    #[param(value_type = Option<String>)]
    cursor: Option<PageCursor<Cursor>>,
}

/// The order of a history.
#[derive(Debug, Default, Clone, Copy, Deserialize, ToSchema)]
enum OrderParam {
    /// The log's, the first events first.
    #[default]
    #[serde(rename = "position")]
    Position,
    /// The log's, the latest events first.
    #[serde(rename = "-position")]
    PositionBackwards,
    /// By stamp, then device, then sequence.
    #[serde(rename = "timestamp")]
    Timestamp,
    /// The same backwards.
    #[serde(rename = "-timestamp")]
    TimestampBackwards,
}

/// Whether quarantined events are listed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum QuarantinedParam {
    /// With the others.
    #[default]
    With,
    /// Not at all.
    Without,
    /// They alone.
    Only,
}

/// The beginning or end of what is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Position(Position),
    /// UTC milliseconds.
    Millis(i64),
}

impl<'de> Deserialize<'de> for Bound {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let invalid =
            || D::Error::custom("a position such as 17 or a time such as 2026-11-23T10:00:00Z is expected");
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = text.parse().ok().filter(|number| *number <= MAX_SAFE_INTEGER);
            return number.map(|number| Self::Position(Position(number))).ok_or_else(invalid);
        }
        Stamp::parse(&text).map(|stamp| Self::Millis(stamp.millis())).map_err(|_| invalid())
    }
}

/// Where the next page begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) enum Cursor {
    /// Forwards: the log behind a position. `listed`: quarantined events were listed already.
    Log { after: Position, listed: bool },
    /// Forwards: quarantined events behind one; `log` is the position through which the log was listed.
    Quarantine { after: Option<Arrival>, log: Position },
    /// Backwards: the log before a position.
    LogBefore { before: Position },
    /// Backwards: quarantined events before one.
    QuarantineBefore { before: Option<Arrival> },
    /// By stamp: those that stand beyond one; `through` was the head when the first page was asked for.
    Stamp { beyond: Clock, through: Position },
}

impl Cursor {
    /// Whether it can be of a page in that order, with numbers that there may be.
    fn fits(&self, order: Order) -> bool {
        let is_number = |number: u64| number <= MAX_SAFE_INTEGER;
        let is_arrival = |arrival: &Option<Arrival>| {
            let is_past = |millis: i64| (0..=Stamp::MAX.millis()).contains(&millis);
            arrival.as_ref().is_none_or(|at| is_number(at.sequence.0) && is_past(at.received_at.0))
        };
        match (self, order) {
            (Self::Log { after, .. }, Order::Position(Direction::Forwards)) => is_number(after.0),
            (Self::Quarantine { after, log }, Order::Position(Direction::Forwards)) => {
                is_number(log.0) && is_arrival(after)
            }
            (Self::LogBefore { before }, Order::Position(Direction::Backwards)) => is_number(before.0),
            (Self::QuarantineBefore { before }, Order::Position(Direction::Backwards)) => is_arrival(before),
            (Self::Stamp { beyond, through }, Order::Timestamp(_)) => {
                is_number(through.0) && is_number(beyond.sequence.0)
            }
            _ => false,
        }
    }
}

/// The order of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Position(Direction),
    Timestamp(Direction),
}

/// A page that can be looked for.
#[derive(Debug)]
pub(super) struct EventRequest {
    pub(super) filter: Filter,
    pub(super) order: Order,
    pub(super) with_log: bool,
    pub(super) with_quarantine: bool,
    pub(super) limit: usize,
    pub(super) cursor: Option<Cursor>,
}

impl EventRequest {
    pub(super) fn check(params: EventParams, limit_max: u64) -> Result<Self, Problem> {
        let order = match params.order {
            OrderParam::Position => Order::Position(Direction::Forwards),
            OrderParam::PositionBackwards => Order::Position(Direction::Backwards),
            OrderParam::Timestamp => Order::Timestamp(Direction::Forwards),
            OrderParam::TimestampBackwards => Order::Timestamp(Direction::Backwards),
        };
        let cursor = params.cursor.map(|PageCursor(cursor)| cursor);
        if cursor.as_ref().is_some_and(|cursor| !cursor.fits(order)) {
            return Err(invalid("`cursor` must be the `next` of a page in the same order"));
        }
        let is_position = |bound: &Option<Bound>| matches!(bound, Some(Bound::Position(_)));
        let by_position = is_position(&params.from) || is_position(&params.to);
        let (positions, millis) = bounds(params.from, params.to)?;
        let filter = Filter {
            event_type: params.r#type,
            entity_id: params.entity_id,
            device: params.device_id,
            user: params.user_id,
            positions,
            millis,
        };
        Ok(Self {
            order,
            with_log: params.quarantined != QuarantinedParam::Only,
            with_quarantine: params.quarantined != QuarantinedParam::Without && !by_position,
            filter,
            limit: limit(params.limit, limit_max)? as usize,
            cursor,
        })
    }
}

/// How many items a page has at most.
pub(in super::super) fn limit(asked: Option<u64>, most: u64) -> Result<u64, Problem> {
    let limit = asked.unwrap_or(DEFAULT_ITEMS.min(most));
    if (1..=most).contains(&limit) {
        Ok(limit)
    } else {
        Err(invalid(format!("`limit` must be from 1 to {most}, the limit `admin.page_items`")))
    }
}

type Bounds = (RangeInclusive<Position>, Option<RangeInclusive<i64>>);

fn bounds(from: Option<Bound>, to: Option<Bound>) -> Result<Bounds, Problem> {
    let (mut first, mut last) = EVERY_POSITION.into_inner();
    let (mut earliest, mut latest) = (Stamp::MIN.millis(), Stamp::MAX.millis());
    match from {
        Some(Bound::Position(position)) => first = position.max(first),
        Some(Bound::Millis(millis)) => earliest = millis,
        None => {}
    }
    match to {
        Some(Bound::Position(position)) => last = position,
        Some(Bound::Millis(millis)) => latest = millis,
        None => {}
    }
    if last < first || latest < earliest {
        return Err(invalid("`to` must not be before `from`"));
    }
    let is_timed = [from, to].into_iter().flatten().any(|bound| matches!(bound, Bound::Millis(_)));
    Ok((first..=last, is_timed.then_some(earliest..=latest)))
}

/// A place in event order.
pub(super) fn clock(stamp: Stamp, device: &DeviceId, sequence: Sequence) -> Clock {
    Clock { stamp, device: Arc::new(device.clone()), sequence }
}

#[cfg(test)]
mod tests;
