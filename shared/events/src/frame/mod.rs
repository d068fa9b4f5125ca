//! Frames: the one format from device to device. A frame is one independently compressed zstd frame of
//! NDJSON lines; frames concatenate. Here is what makes a frame safe to pass on unread, and what each kind of
//! frame holds.

mod archive;
mod batch;
mod codec;
mod inspect;
mod pull;
mod push;
mod segment;
mod snapshot;
mod stored;

#[cfg(test)]
mod tests;

pub use archive::{ArchiveHeader, DamagedArchive, read_archive, write_archive};
pub use batch::{BatchHeader, BatchLines, MalformedBatch, write_batch};
pub use codec::{Decoder, Encoder, FrameError};
pub use inspect::{FRAME_HEAD_BYTES, FrameInfo, Unsafe, content_bytes, inspect};
pub use pull::{PullItem, PullReader, TornPull, write_line};
pub use push::{
    PushHeader, QuarantineReason, UnreadablePush, read_quarantined, split_push, write_quarantined,
};
pub use segment::{
    FIRST_HEADER, LAST_HEADER, SPACE_HEADER, SegmentBatch, SegmentBody, SegmentHeader, TornSegment,
};
pub use snapshot::{DamagedPart, PartLines, SnapshotHeader, write_snapshot};
pub use stored::line_frame;
