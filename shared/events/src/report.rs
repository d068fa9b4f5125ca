//! What a device tells of itself when it syncs, so that support sees why it does not: facts for people, never decided by.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::code::codes;
use crate::fold::StateHash;
use crate::id::{Epoch, Position};
use crate::limits::MAX_SAFE_INTEGER;

/// The request header that names the app's version: numbers with dots between, `2.14.0`.
pub const CLIENT_VERSION_HEADER: &str = "tidelog-client-version";

/// The request header that carries a [`DeviceReport`], as one line of ASCII JSON (others escaped) of at most
/// [`MAX_REPORT_BYTES`].
pub const REPORT_HEADER: &str = "tidelog-report";

/// Bytes of a report.
pub const MAX_REPORT_BYTES: usize = 4096;

/// Characters of a report's `lastError` that are kept.
pub const MAX_ERROR_CHARS: usize = 200;

/// Attempts of one kind that a report may tell: more are told by the next one.
pub const MAX_REPORTED_SYNCS: u64 = 10_000;

codes!(
    /// Why a device could not sync, as it sees it.
    SyncFailureCause {
        /// No connection: there is no network, or nobody at the other end.
        Offline = "offline",
        /// The server did not answer in time.
        Timeout = "timeout",
        /// The connection broke, or what came over it cannot be read.
        Broken = "broken",
        /// The server has no room just now.
        Overloaded = "overloaded",
        /// The server is asked too often.
        RateLimited = "rate-limited",
        /// The token is not valid, or there is none.
        Unauthorized = "unauthorized",
        /// The token, or the device, may not do this.
        Forbidden = "forbidden",
        /// The server refuses what is asked for another reason.
        Refused = "refused",
        /// The server failed otherwise.
        Server = "server",
        /// The device's own store failed.
        Store = "store",
        /// Something else.
        Other = "other",
    }
);

/// How a device's attempts to sync ended since the last report that was answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SyncCounts {
    /// Everything was synced.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub succeeded: u64,
    /// Something was not, by cause. A cause that is not known counts as `other`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<String, u64>,
}

impl SyncCounts {
    /// Counts an attempt: one that ended well, or why it did not.
    pub fn count(&mut self, failure: Option<SyncFailureCause>) {
        let count = match failure {
            None => &mut self.succeeded,
            Some(cause) => self.failed.entry(cause.as_str().to_owned()).or_default(),
        };
        *count = count.saturating_add(1);
    }

    /// As much of it as one report may tell; `None` where there is nothing to tell.
    pub fn to_tell(&self) -> Option<Self> {
        let failed = self.failures().into_iter().filter(|(_, count)| *count > 0);
        let told = Self {
            succeeded: self.succeeded.min(MAX_REPORTED_SYNCS),
            failed: failed.map(|(cause, count)| (cause.as_str().to_owned(), count)).collect(),
        };
        (told != Self::default()).then_some(told)
    }

    /// Takes away what was told.
    pub fn subtract(&mut self, told: &Self) {
        self.succeeded = self.succeeded.saturating_sub(told.succeeded);
        for (cause, told) in &told.failed {
            if let Some(count) = self.failed.get_mut(cause) {
                *count = count.saturating_sub(*told);
            }
        }
        self.failed.retain(|_, count| *count > 0);
    }

    /// The failures by known cause, each no more than a report may tell.
    pub fn failures(&self) -> BTreeMap<SyncFailureCause, u64> {
        let mut failures = BTreeMap::<_, u64>::new();
        for (cause, count) in &self.failed {
            let cause = SyncFailureCause::from_text(cause).unwrap_or(SyncFailureCause::Other);
            let known = failures.entry(cause).or_default();
            *known = known.saturating_add(*count).min(MAX_REPORTED_SYNCS);
        }
        failures
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// How a device stands, by its own account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeviceReport {
    /// Events that it has not synced yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<u64>,
    /// Why its last attempt to sync failed, as `code: detail`; absent when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Milliseconds by which its wall clock is ahead of the server's; negative: behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_offset_ms: Option<i64>,
    /// What its confirmed state hashes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<ReportedState>,
    /// How its attempts to sync ended since the last report that was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syncs: Option<SyncCounts>,
}

impl DeviceReport {
    /// The report with its error cut to [`MAX_ERROR_CHARS`], if its numbers and hashes can be true.
    pub fn checked(mut self) -> Option<Self> {
        let counts = [self.pending, self.clock_offset_ms.map(i64::unsigned_abs)];
        let position = self.state.as_ref().map(|state| state.position.0);
        if counts.into_iter().chain([position]).flatten().any(|number| number > MAX_SAFE_INTEGER) {
            return None;
        }
        if self.state.as_ref().is_some_and(|state| state.hash().is_none()) {
            return None;
        }
        self.last_error = self.last_error.map(|error| {
            let printable = error.chars().map(|c| if c.is_control() { ' ' } else { c });
            printable.take(MAX_ERROR_CHARS).collect()
        });
        Some(self)
    }
}

impl ReportedState {
    /// The hashes, if they are some.
    pub fn hash(&self) -> Option<StateHash> {
        if self.hash.keys().any(|entity_type| entity_type.contains('\0')) {
            return None;
        }
        serde_json::to_value(&self.hash).and_then(serde_json::from_value).ok()
    }
}

/// A device's confirmed state: comparable with the server's at the same position, epoch and schema version only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReportedState {
    /// The position through which it is folded.
    pub position: Position,
    /// The log's incarnation.
    pub epoch: Epoch,
    /// The schema version that folded it.
    pub schema_version: u32,
    /// By entity type, 32 hexadecimal digits (docs/formats.md, state hash).
    pub hash: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn checked(report: serde_json::Value) -> Option<DeviceReport> {
        serde_json::from_value::<DeviceReport>(report).unwrap().checked()
    }

    #[test]
    fn what_cannot_be_true_is_no_report() {
        let state = |position: u64, digits: &str, entity_type: &str| {
            let epoch = "0198f2a4-6c1e-7cc3-98a2-6d1f2f5c0b51";
            json!({"state": {"position": position, "epoch": epoch, "schemaVersion": 3, "hash": {entity_type: digits}}})
        };
        let digits = "07096af6c997d545e7665b7c9ee3cf0d";
        assert!(checked(state(7, digits, "workout")).is_some());
        for wrong in [
            state(1 << 53, digits, "workout"),
            state(7, "7", "workout"),
            state(7, digits, "a\0b"),
            json!({"pending": 1_u64 << 53}),
            json!({"clockOffsetMs": i64::MIN}),
        ] {
            assert_eq!(checked(wrong.clone()), None, "{wrong}");
        }
        assert_eq!(checked(json!({})), Some(DeviceReport::default()));
    }

    #[test]
    fn syncs_are_told_in_bounded_numbers_and_by_causes_that_are_known() {
        let report =
            checked(json!({"syncs": {"succeeded": 7, "failed": {"timeout": 2, "gremlins": 1, "other": 3}}}));
        let mut counts = report.unwrap().syncs.unwrap();
        let failures: Vec<_> = counts.failures().into_iter().collect();
        assert_eq!(failures, [(SyncFailureCause::Timeout, 2), (SyncFailureCause::Other, 4)]);

        counts.succeeded = u64::MAX;
        let told = counts.to_tell().unwrap();
        assert_eq!(told.succeeded, MAX_REPORTED_SYNCS);
        counts.subtract(&told);
        assert_eq!(counts.succeeded, u64::MAX - MAX_REPORTED_SYNCS);
        assert_eq!(SyncCounts::default().to_tell(), None);
        assert!(serde_json::from_value::<SyncCounts>(json!({"succeeded": 1, "lost": 2})).is_err());
    }

    #[test]
    fn what_is_counted_while_a_report_is_under_way_is_told_by_the_next() {
        let mut counts = SyncCounts::default();
        counts.count(Some(SyncFailureCause::Offline));
        let told = counts.to_tell().unwrap();
        counts.count(Some(SyncFailureCause::Offline));
        counts.count(None);
        counts.subtract(&told);
        assert_eq!(serde_json::to_value(&counts).unwrap(), json!({"succeeded": 1, "failed": {"offline": 1}}));
        let told = counts.to_tell().unwrap();
        counts.subtract(&told);
        assert_eq!(counts, SyncCounts::default());
    }

    #[test]
    fn an_error_is_cut_and_has_no_control_characters() {
        let report = checked(json!({"lastError": format!("a\0\n{}", "é".repeat(500))})).unwrap();
        let error = report.last_error.unwrap();
        assert!(error.starts_with("a  é") && error.chars().count() == MAX_ERROR_CHARS, "{error}");
    }
}
