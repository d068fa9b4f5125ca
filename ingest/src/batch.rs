//! A batch as it comes from the broker: its header is read at once, its events only where they must be known.

use bytes::Bytes;
use serde::Deserialize;
use tidelog_events::frame::{
    BatchHeader, BatchLines, Decoder, Encoder, FrameError, PushHeader, QuarantineReason, inspect,
    read_quarantined, split_push, write_batch,
};
use tidelog_events::id::{DeviceId, EventId, Sequence};
use tidelog_events::limits::MAX_BODY_BYTES;

/// Room for the batch line, and for lines that the gateway wrote anew, above a body's limit.
const DECODED_BYTES_MAX: usize = 2 * MAX_BODY_BYTES;

/// A batch between broker and log.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    /// What the gateway said of it.
    pub(crate) header: PushHeader,
    /// The frame of its accepted events; empty where there are none.
    pub(crate) frame: Bytes,
    /// Its quarantined events, by sequence, each with the reason and its line.
    pub(crate) quarantined: Vec<(QuarantineReason, Vec<u8>)>,
}

/// Why a message is no batch.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("the message has no header {name}", name = PushHeader::NAME)]
    NoHeader,
    #[error("the batch header cannot be read")]
    Header(#[source] serde_json::Error),
    #[error("the command cannot be read")]
    Command(#[source] serde_json::Error),
    #[error("header and payload do not fit together")]
    Payload,
    #[error("a frame cannot be read")]
    Frame(#[from] FrameError),
    #[error("a frame holds {lines} lines where {expected} are expected")]
    Lines { lines: usize, expected: usize },
    #[error("an event line has no identity")]
    Identity,
}

impl Batch {
    /// Reads a message's header and payload. The accepted events stay unread, but bytes that are no frame at
    /// all must not get into the log: no reader could go past them.
    pub(crate) fn read(header: Option<&str>, payload: &Bytes) -> Result<Self, Unreadable> {
        let header: PushHeader =
            serde_json::from_str(header.ok_or(Unreadable::NoHeader)?).map_err(Unreadable::Header)?;
        let (accepted, quarantined) = split_push(&header, payload).map_err(|_| Unreadable::Payload)?;
        if !accepted.is_empty() && inspect(accepted).map_err(FrameError::from)?.frame_bytes != accepted.len()
        {
            return Err(Unreadable::Payload);
        }
        let frame = payload.slice_ref(accepted);
        let quarantined = match header.quarantined {
            0 => Vec::new(),
            expected => {
                let lines = Decoder::new()?.decode_one(quarantined, DECODED_BYTES_MAX)?;
                read_quarantined(&lines, expected).map_err(|_| Unreadable::Payload)?
            }
        };
        Ok(Self { header, frame, quarantined })
    }

    /// Decodes the accepted events and merges them with the quarantined ones by sequence.
    pub(crate) fn contents(&self, decoder: &mut Decoder) -> Result<Contents, Unreadable> {
        let expected = self.header.accepted() as usize;
        let mut accepted = Vec::with_capacity(expected);
        if expected > 0 {
            let body = decoder.decode_one(&self.frame, DECODED_BYTES_MAX)?;
            let lines = BatchLines::split(&body).map_err(|_| Unreadable::Identity)?.events;
            if lines.len() != expected {
                return Err(Unreadable::Lines { lines: lines.len(), expected });
            }
            for line in lines {
                let identity: Identity = serde_json::from_str(line).map_err(|_| Unreadable::Identity)?;
                accepted.push((identity.event_id, line.to_owned()));
            }
        }
        let mut accepted = accepted.into_iter();
        let mut quarantined = self.quarantined.iter().map(|(reason, _)| reason).peekable();
        let mut events = Vec::with_capacity(self.header.events() as usize);
        for sequence in (self.header.first.0..=self.header.last.0).map(Sequence) {
            if let Some(found) = quarantined.next_if(|found| found.device_sequence == sequence) {
                events.push(ContentEvent { sequence, event_id: found.event_id, line: None });
            } else {
                let (event_id, line) = accepted.next().ok_or(Unreadable::Payload)?;
                events.push(ContentEvent { sequence, event_id, line: Some(line) });
            }
        }
        Ok(Contents { events })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Identity {
    event_id: EventId,
}

/// The events of a batch, by sequence.
#[derive(Debug, Clone)]
pub(crate) struct Contents {
    /// All of them, without gaps.
    pub(crate) events: Vec<ContentEvent>,
}

/// An event of a decoded batch.
#[derive(Debug, Clone)]
pub(crate) struct ContentEvent {
    /// Its sequence.
    pub(crate) sequence: Sequence,
    /// Its id.
    pub(crate) event_id: EventId,
    /// Its line; `None` where it goes to quarantine.
    pub(crate) line: Option<String>,
}

impl Contents {
    /// A frame of the accepted events that `keep` names, and their number. `None` where none is kept. A frame
    /// of one batch begins with its batch line; events without sequences are several batches, unless there is
    /// one alone.
    pub(crate) fn encode_kept(
        &self,
        header: &PushHeader,
        encoder: &mut Encoder,
        keep: impl Fn(&ContentEvent) -> bool,
    ) -> Result<Option<(Vec<u8>, u64)>, FrameError> {
        let kept: Vec<(EventId, &str)> = self
            .events
            .iter()
            .filter(|event| keep(event))
            .filter_map(|event| Some((event.event_id, event.line.as_deref()?)))
            .collect();
        let device_id = match (&header.device_id, kept.as_slice()) {
            (_, []) => return Ok(None),
            (Some(device), _) => Some(device.clone()),
            (None, [(event_id, _)]) => Some(DeviceId::of_event(*event_id)),
            (None, _) => None,
        };
        let lines = kept.iter().map(|(_, line)| line);
        let mut body = Vec::new();
        if device_id.is_some() {
            body = write_batch(&BatchHeader { device_id, user_id: None, after: None }, lines);
        } else {
            for line in lines {
                body.extend_from_slice(line.as_bytes());
                body.push(b'\n');
            }
        }
        Ok(Some((encoder.encode(&body)?, kept.len() as u64)))
    }
}
