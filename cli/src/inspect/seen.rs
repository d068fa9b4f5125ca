//! What the admin API says of a space, as far as it is shown.

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidelog_events::protocol::UtcTime;

/// A space, all that is shown of it; each part as the gateway says it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Inspected {
    pub(super) space: Value,
    pub(super) devices: Value,
    pub(super) quarantine: Value,
    pub(super) events: Value,
}

/// Reads an answer, or a part of one.
pub(super) fn read<T: DeserializeOwned>(answer: &Value) -> Result<T> {
    T::deserialize(answer).context("the admin API's answer is not understood")
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// Where the next one begins, if there is one.
    pub(super) next: Option<String>,
}

/// The space itself.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Summary {
    pub(super) space_id: String,
    pub(super) head: u64,
    pub(super) horizon: u64,
    pub(super) epoch: String,
    pub(super) created_at: Option<UtcTime>,
    pub(super) last_received_at: Option<UtcTime>,
    pub(super) sizes: Sizes,
    pub(super) projection: Option<Projection>,
    pub(super) compaction: Compaction,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Sizes {
    pub(super) segments: u64,
    pub(super) log_bytes: u64,
    pub(super) archived_objects: u64,
    pub(super) archived_bytes: u64,
    pub(super) snapshot: Option<Snapshot>,
    pub(super) visible_entities: u64,
    pub(super) quarantined: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Snapshot {
    pub(super) through: u64,
    pub(super) entities: u64,
    pub(super) bytes: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Projection {
    pub(super) applied: u64,
    pub(super) behind: u64,
    pub(super) schema_version: u64,
    pub(super) rebuilding: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Compaction {
    pub(super) refusal: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    pub(super) at: UtcTime,
}

/// A device.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct KnownDevice {
    pub(super) device_id: String,
    pub(super) user_id: String,
    pub(super) name: Option<String>,
    pub(super) last_sequence: u64,
    pub(super) cursor: u64,
    pub(super) behind: u64,
    pub(super) last_seen_at: Option<UtcTime>,
    pub(super) app_version: Option<String>,
    pub(super) clock_offset_ms: Option<i64>,
    pub(super) pending: Option<u64>,
    pub(super) last_error: Option<DeviceError>,
    pub(super) gaps: u64,
    pub(super) forks: u64,
    pub(super) quarantined: u64,
    pub(super) diverged: Option<Divergence>,
    /// Why it does not sync, as the gateway finds.
    pub(super) why: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct DeviceError {
    pub(super) code: Option<String>,
    pub(super) detail: String,
    pub(super) at: UtcTime,
}

#[derive(Debug, Deserialize)]
pub(super) struct Divergence {
    pub(super) position: u64,
    pub(super) since: UtcTime,
}

/// What lies in quarantine: an event, or a message, which has neither device nor code.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Quarantined {
    pub(super) kind: String,
    pub(super) device_id: Option<String>,
    pub(super) device_sequence: Option<u64>,
    pub(super) received_at: Option<UtcTime>,
    pub(super) code: Option<String>,
    pub(super) detail: String,
    pub(super) releasable: bool,
    pub(super) dismissed: Option<Dismissed>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Dismissed {
    pub(super) at: UtcTime,
    pub(super) by: String,
}

/// An event of log or archive. Quarantined ones, which have no position, are not asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ShownEvent {
    pub(super) position: u64,
    pub(super) source: String,
    pub(super) device_id: String,
    pub(super) device_sequence: u64,
    pub(super) received_at: Option<UtcTime>,
    pub(super) released: bool,
    #[serde(rename = "type")]
    pub(super) event_type: String,
    pub(super) entity_id: String,
    /// A stamp, an ISO time, or milliseconds.
    pub(super) timestamp: Value,
    pub(super) payload: Value,
}
