//! A snapshot as readers get it: a header line that counts, then a line an entity. It stands for the log through
//! its position, for readers whose cursor lies where the log was pruned.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Decoder, FrameError, write_line};
use crate::fold::StateHash;
use crate::id::{DeviceId, Position, Sequence};
use crate::limits::MAX_SAFE_INTEGER;

/// Counts the entity lines that follow it, and says what they are the state of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotHeader {
    /// The position through which the log is folded.
    pub through: Position,
    /// The schema version that folded it.
    pub schema_version: u32,
    /// Entity lines that follow, those of invisible entities included.
    pub entities: u64,
    /// The state hash of these lines.
    pub state_hash: StateHash,
    /// The last sequence of each numbered device at or below `through`.
    pub devices: BTreeMap<DeviceId, Sequence>,
}

#[derive(Serialize, Deserialize)]
struct SnapshotLine<H> {
    snapshot: H,
}

impl SnapshotHeader {
    /// The header's line, ended.
    pub fn line(&self) -> Vec<u8> {
        let mut line = Vec::with_capacity(256);
        write_line(&mut line, &SnapshotLine { snapshot: self });
        line
    }

    /// Reads a header line; `None` where the line is something else, or counts that cannot be.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let line: SnapshotLine<Self> = serde_json::from_slice(line).ok()?;
        let header = line.snapshot;
        let counts = 1..=MAX_SAFE_INTEGER;
        let possible = counts.contains(&header.through.0)
            && header.entities <= MAX_SAFE_INTEGER
            && header.devices.values().all(|sequence| counts.contains(&sequence.0));
        possible.then_some(header)
    }
}

/// The lines of a snapshot: the header, then the entity lines, given without their `\n`, as many as it counts.
pub fn write_snapshot<L: AsRef<str>>(
    header: &SnapshotHeader,
    entities: impl IntoIterator<Item = L>,
) -> Vec<u8> {
    let mut lines = header.line();
    let mut written = 0;
    for entity in entities {
        lines.extend_from_slice(entity.as_ref().as_bytes());
        lines.push(b'\n');
        written += 1;
    }
    debug_assert_eq!(written, header.entities, "a header counts its lines");
    lines
}

/// A part of a snapshot decodes to about 256 KiB, or to one entity: what decodes to more is not one that Tidelog wrote.
const PART_BYTES_MAX: usize = 256 * 1024 * 1024;

/// What is wrong with a part of a stored snapshot.
#[derive(Debug, thiserror::Error)]
pub enum DamagedPart {
    /// Its frame cannot be read.
    #[error("its frame cannot be read")]
    Frame(#[from] FrameError),
    /// It is no text of ended lines.
    #[error("it is not made of lines")]
    Text,
    /// It holds other lines than it counts.
    #[error("it counts {expected} entities and has {found} lines")]
    Count {
        /// Entities that it counts.
        expected: u32,
        /// Lines that it has.
        found: usize,
    },
}

/// The entity lines of a part of a stored snapshot, as many as it counts.
#[derive(Debug)]
pub struct PartLines(String);

impl PartLines {
    /// Decodes a part that counts so many entities.
    pub fn read(frame: &[u8], entities: u32, decoder: &mut Decoder) -> Result<Self, DamagedPart> {
        let text = String::from_utf8(decoder.decode_one(frame, PART_BYTES_MAX)?);
        let text = text.ok().filter(|text| text.ends_with('\n')).ok_or(DamagedPart::Text)?;
        let lines = Self(text);
        let found = lines.iter().count();
        if found == entities as usize {
            Ok(lines)
        } else {
            Err(DamagedPart::Count { expected: entities, found })
        }
    }

    /// The lines, without their `\n`.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.strip_suffix('\n').unwrap_or_default().split('\n')
    }

    /// Decoded bytes.
    pub fn bytes(&self) -> u64 {
        self.0.len() as u64
    }
}
