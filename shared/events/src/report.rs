//! What a device tells of itself when it syncs, so that support sees why it does not: facts for people, never decided by.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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
    fn an_error_is_cut_and_has_no_control_characters() {
        let report = checked(json!({"lastError": format!("a\0\n{}", "é".repeat(500))})).unwrap();
        let error = report.last_error.unwrap();
        assert!(error.starts_with("a  é") && error.chars().count() == MAX_ERROR_CHARS, "{error}");
    }
}
