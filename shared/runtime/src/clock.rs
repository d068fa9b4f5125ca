//! The server's clock: the one place that asks the system for the time of day.

use std::time::{SystemTime, UNIX_EPOCH};

use tidelog_events::protocol::UtcTime;

/// The time of day, in UTC milliseconds.
#[expect(clippy::disallowed_methods, reason = "this is where the others ask")]
pub fn utc_now() -> UtcTime {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UtcTime(since_epoch.as_millis() as i64)
}
