//! How far each space was followed. A real program keeps this in its own database, beside what it does with the events.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use tidelog_events::id::{Position, SpaceId};

/// The last position that was dealt with, for each space, in a file.
pub struct Checkpoints {
    file: PathBuf,
    positions: BTreeMap<String, Position>,
}

impl Checkpoints {
    /// Those of the file; none where it is not there.
    pub fn open(file: impl Into<PathBuf>) -> Result<Self> {
        let file = file.into();
        let positions = match fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text).context("the checkpoints cannot be read")?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error.into()),
        };
        Ok(Self { file, positions })
    }

    /// That of a space.
    pub fn get(&self, space: &SpaceId) -> Option<Position> {
        self.positions.get(space.as_str()).copied()
    }

    /// Sets it, durably: the file is there whole or as it was.
    pub fn set(&mut self, space: &SpaceId, position: Position) -> Result<()> {
        self.positions.insert(space.to_string(), position);
        let new = self.file.with_extension("new");
        fs::write(&new, serde_json::to_vec(&self.positions)?)?;
        fs::File::open(&new)?.sync_all()?;
        fs::rename(&new, &self.file).context("the checkpoints cannot be written")
    }
}
