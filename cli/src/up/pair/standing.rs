//! What is known of a pair, kept on disk: written before a standby is promoted, and before commits no longer wait for it.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Standing {
    /// Which of the two is the primary: 0 or 1.
    pub(super) primary: usize,
    /// The standby has every commit that was acknowledged.
    pub(super) is_synchronous: bool,
}

impl Standing {
    /// What was kept; a file that is missing or damaged says nothing.
    pub(super) fn read(file: &Path) -> Result<Option<Self>> {
        match fs::read(file) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok().filter(|kept: &Self| kept.primary < 2)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", file.display())),
        }
    }

    /// Replaces the file in one step, and returns when it is on the disk.
    pub(super) fn write(self, file: &Path) -> Result<()> {
        let folder = file.parent().unwrap_or(Path::new("."));
        let mut unfinished = NamedTempFile::new_in(folder)?;
        serde_json::to_writer(&mut unfinished, &self)?;
        unfinished.flush()?;
        unfinished.as_file().sync_all()?;
        unfinished.persist(file).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(File::open(folder)?.sync_all()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pair.json");
        assert_eq!(Standing::read(&file).unwrap(), None);
        let standing = Standing { primary: 1, is_synchronous: true };
        standing.write(&file).unwrap();
        assert_eq!(Standing::read(&file).unwrap(), Some(standing));
        for damaged in ["", "{\"primary\":1", "{\"primary\":2,\"isSynchronous\":true}"] {
            fs::write(&file, damaged).unwrap();
            assert_eq!(Standing::read(&file).unwrap(), None, "{damaged}");
        }
    }
}
