//! A push body: a batch line, then one event a line, every line ended.

use std::io::Write;

use serde::{Deserialize, Serialize};

use crate::admit::After;
use crate::id::{DeviceId, UserId};
use crate::json::scan_object;

/// What the first line says of the batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchHeader {
    /// The device that recorded the events; absent only where none of them has a sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_id: Option<DeviceId>,
    /// The author, where the token may write for everyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The event before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchLine<H> {
    batch: H,
}

/// A body taken apart into its batch line and its event lines, none of them read yet.
#[derive(Debug, PartialEq, Eq)]
pub struct BatchLines<'a> {
    /// The batch line's content.
    pub header: BatchHeader,
    /// The event lines, without their `\n`.
    pub events: Vec<&'a str>,
}

/// Why a body is not a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MalformedBatch {
    /// Not UTF-8, or a byte order mark.
    #[error("the body must be UTF-8 without a byte order mark")]
    Encoding,
    /// The last line lacks its `\n`: half a batch may have arrived.
    #[error("the last line is not ended by a line feed")]
    UnendedLine,
    /// The first line is no batch line.
    #[error("the first line must be {{\"batch\":{{\"deviceId\":…}}}} ({0})")]
    BatchLine(String),
    /// No event lines.
    #[error("the batch has no events")]
    Empty,
}

impl<'a> BatchLines<'a> {
    /// Takes a decoded body apart.
    pub fn split(body: &'a [u8]) -> Result<Self, MalformedBatch> {
        let text = std::str::from_utf8(body).map_err(|_| MalformedBatch::Encoding)?;
        if text.starts_with('\u{feff}') {
            return Err(MalformedBatch::Encoding);
        }
        let text = text.strip_suffix('\n').ok_or(MalformedBatch::UnendedLine)?;
        let mut lines = text.split('\n');
        let header = batch_line(lines.next().unwrap_or_default())?;
        let events: Vec<_> = lines.collect();
        if events.is_empty() { Err(MalformedBatch::Empty) } else { Ok(Self { header, events }) }
    }
}

fn batch_line(line: &str) -> Result<BatchHeader, MalformedBatch> {
    let refuse = |why: &dyn std::fmt::Display| MalformedBatch::BatchLine(why.to_string());
    let scanned = scan_object(line).map_err(|error| refuse(&error))?;
    if let Some(finding) = scanned.finding {
        return Err(refuse(&finding.detail));
    }
    let line: BatchLine<BatchHeader> = serde_json::from_str(line).map_err(|error| refuse(&error))?;
    Ok(line.batch)
}

/// The lines of a batch: what [`BatchLines::split`] takes apart.
pub fn write_batch<L: AsRef<[u8]>>(header: &BatchHeader, events: impl IntoIterator<Item = L>) -> Vec<u8> {
    let mut body = Vec::new();
    super::write_line(&mut body, &BatchLine { batch: header });
    for event in events {
        let _ = body.write_all(event.as_ref());
        body.push(b'\n');
    }
    body
}
