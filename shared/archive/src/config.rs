//! `[archive]`: which folder or bucket.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use tidelog_runtime::config::{Secret, positive};

/// `[archive]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveConfig {
    /// A folder, as a path or `file:///…`, or `s3://bucket/prefix`.
    pub url: String,
    /// The S3 server; empty: AWS's of the region.
    pub s3_endpoint: String,
    /// Its region.
    pub s3_region: String,
    /// The key's id; empty: the key that the process's surroundings give it.
    pub s3_access_key_id: String,
    /// The key.
    pub s3_secret_access_key: Secret,
    /// Whether the endpoint may be spoken to without TLS.
    pub s3_allow_http: bool,
    /// Whether the bucket's name stands in the path, not in the host's name.
    pub s3_path_style: bool,
    /// A request that takes longer has failed, in milliseconds.
    #[serde(deserialize_with = "positive")]
    pub request_timeout_ms: u64,
    /// Failed requests are sent again for this long, in milliseconds; 0: never.
    pub retry_for_ms: u64,
}

impl ArchiveConfig {
    /// The folder, where it is none of S3's buckets.
    pub fn folder(&self) -> Option<PathBuf> {
        match self.url.split_once("://") {
            None => std::path::absolute(&self.url).ok(),
            Some(("file", folder)) => Some(folder.into()),
            Some(_) => None,
        }
    }

    /// A request that takes longer has failed.
    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }

    /// Failed requests are sent again for this long.
    pub fn retry_for(&self) -> Duration {
        Duration::from_millis(self.retry_for_ms)
    }
}
