//! Where and in which measure folding is done.

use std::path::{Path, PathBuf};

use crate::config::CompactorConfig;

/// A folder for what does not fit in memory, and how much that is.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    folder: PathBuf,
    /// Decoded bytes of events that are folded in memory at once.
    pub(crate) fold_bytes: u64,
    /// Decoded bytes of a snapshot, at most.
    pub(crate) snapshot_bytes: u64,
}

impl Work {
    pub(crate) fn new(config: &CompactorConfig) -> Self {
        let named = &config.work_folder;
        let folder = if named.as_os_str().is_empty() { std::env::temp_dir() } else { named.clone() };
        Self { folder, fold_bytes: config.fold_bytes, snapshot_bytes: config.snapshot_bytes }
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}
