//! What an answer has of a snapshot: a header that counts, then the entities part by part; the stored frames as they are
//! where nothing is filtered out of them, else decoded lines. They are counted, so that what is missing is noticed.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::IgnoredAny;
use tidelog_events::fold::StateHash;
use tidelog_events::frame::{FrameError, SnapshotHeader};
use tidelog_events::id::Position;
use tidelog_store::snapshot_parts::Part;
use tidelog_store::snapshots::Snapshot;

use super::decoded::{DamagedFrame, inspect_frame};
use super::negotiate::Format;
use super::request::PullRequest;
use crate::codecs::Codec;

/// A snapshot that must not reach a reader: what is stored is not what was written.
#[derive(Debug, thiserror::Error)]
pub(super) enum DamagedSnapshot {
    #[error("part {part} of the snapshot through {through} is damaged")]
    Part {
        through: Position,
        part: u32,
        #[source]
        damage: DamagedPart,
    },
    #[error("the snapshot through {through} counts {expected} entities, and {found} of them are there")]
    Torn { through: Position, expected: u64, found: u64 },
}

/// What is wrong with a part.
#[derive(Debug, thiserror::Error)]
pub(super) enum DamagedPart {
    #[error(transparent)]
    Frame(#[from] DamagedFrame),
    #[error("it counts {expected} entities and has {found} lines")]
    Lines { expected: u32, found: usize },
    #[error("an entity line is no JSON object with a type")]
    Json(#[from] serde_json::Error),
    #[error("a frame cannot be written")]
    Encode(#[source] FrameError),
}

/// What a snapshot's header counts: of a filtered one what is left, and then nothing is said about its hash.
pub(super) fn header(snapshot: &Snapshot, types: Option<&BTreeSet<String>>) -> SnapshotHeader {
    let header = snapshot.header();
    let Some(types) = types else { return header };
    let of_types = types.iter().filter_map(|name| snapshot.entities.get(name.as_str()));
    SnapshotHeader { entities: of_types.sum(), state_hash: StateHash::default(), ..header }
}

/// Writes entities into an answer.
#[derive(Debug)]
pub(super) struct EntityWriter {
    format: Format,
    types: Option<BTreeSet<String>>,
    through: Position,
    expected: u64,
    written: u64,
}

impl EntityWriter {
    /// For all entities that the answer's header counts.
    pub(super) fn new(snapshot: &Snapshot, request: &PullRequest) -> Self {
        let types = request.types.clone();
        let expected = header(snapshot, types.as_ref()).entities;
        Self { format: request.format, types, through: snapshot.through, expected, written: 0 }
    }

    /// Whether all that are counted are written.
    pub(super) fn is_done(&self) -> bool {
        self.written == self.expected
    }

    /// The types that are wanted; `None` for all.
    pub(super) fn types(&self) -> Option<Vec<&str>> {
        Some(self.types.as_ref()?.iter().map(String::as_str).collect())
    }

    /// There are no more parts.
    pub(super) fn end(&self) -> Result<(), DamagedSnapshot> {
        if self.is_done() { Ok(()) } else { Err(self.torn()) }
    }

    fn torn(&self) -> DamagedSnapshot {
        let Self { through, expected, written, .. } = *self;
        DamagedSnapshot::Torn { through, expected, found: written }
    }

    /// Appends what is wanted of a part. The parts come in order.
    pub(super) fn write(
        &mut self,
        part: &Part,
        codec: &mut Codec,
        body: &mut Vec<u8>,
    ) -> Result<(), DamagedSnapshot> {
        let written = self.write_part(part, codec, body).map_err(|damage| DamagedSnapshot::Part {
            through: self.through,
            part: part.part,
            damage,
        })?;
        self.written += written;
        if self.written > self.expected { Err(self.torn()) } else { Ok(()) }
    }

    /// Returns how many entities it has written.
    fn write_part(&self, part: &Part, codec: &mut Codec, body: &mut Vec<u8>) -> Result<u64, DamagedPart> {
        let content_bytes = inspect_frame(&part.frame)?;
        let filter = match &self.types {
            Some(types) if !may_hold(part, types) => return Ok(0),
            // It holds one type alone, which is wanted.
            Some(_) if part.first_type == part.last_type => None,
            types => types.as_ref(),
        };
        if self.format == Format::Frames && filter.is_none() {
            body.extend_from_slice(&part.frame);
            return Ok(part.entities.into());
        }
        let content = codec.decoder.decode_one(&part.frame, content_bytes as usize);
        let content = content.map_err(DamagedFrame::from)?;
        let lines = wanted_lines(&content, part.entities, filter)?;
        match self.format {
            Format::Frames => {
                let kept: Vec<u8> = lines.concat();
                if !kept.is_empty() {
                    body.extend(codec.encoder.encode(&kept).map_err(DamagedPart::Encode)?);
                }
            }
            Format::Lines => lines.iter().for_each(|line| body.extend_from_slice(line)),
            Format::Json => self.write_json(&lines, body)?,
        }
        Ok(lines.len() as u64)
    }

    fn write_json(&self, lines: &[&[u8]], body: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        for (index, line) in (self.written..).zip(lines) {
            // A damaged line must not tear the answer's text.
            serde_json::from_slice::<IgnoredAny>(line)?;
            if index > 0 {
                body.push(b',');
            }
            body.extend_from_slice(line.trim_ascii_end());
        }
        Ok(())
    }
}

/// Whether entities of one of the types may be among the part's.
fn may_hold(part: &Part, types: &BTreeSet<String>) -> bool {
    types.iter().any(|name| (&*part.first_type..=&*part.last_type).contains(&name.as_str()))
}

/// The part's lines, each with its end, of the types in the filter.
fn wanted_lines<'c>(
    content: &'c [u8],
    expected: u32,
    filter: Option<&BTreeSet<String>>,
) -> Result<Vec<&'c [u8]>, DamagedPart> {
    let lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
    if lines.len() != expected as usize || !content.ends_with(b"\n") {
        return Err(DamagedPart::Lines { expected, found: lines.len() });
    }
    let Some(types) = filter else { return Ok(lines) };
    let mut wanted = Vec::with_capacity(lines.len());
    for line in lines {
        if types.contains(&*entity_type(line)?) {
            wanted.push(line);
        }
    }
    Ok(wanted)
}

fn entity_type(line: &[u8]) -> Result<Cow<'_, str>, serde_json::Error> {
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(rename = "type", borrow)]
        entity_type: Cow<'a, str>,
    }
    serde_json::from_slice::<Typed<'_>>(line).map(|typed| typed.entity_type)
}

#[cfg(test)]
mod tests;
