//! Compression with bounds. An encoder and a decoder own zstd contexts and are meant to be kept and reused.

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::{CParameter, DParameter};

use super::inspect::{Unsafe, inspect};

/// log₂ of the greatest window that a decoder accepts (8 MiB).
const WINDOW_LOG_MAX: u32 = 23;
/// Level 1: the measured best trade for batches of events (a third of level 3's time for a tenth more bytes).
const LEVEL: i32 = 1;
/// For what is written once in the background and read for years: a tenth smaller still, at four times the cost.
const DENSE_LEVEL: i32 = 6;

/// Why bytes are not frames.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The content is larger than the caller allows; nothing was decompressed beyond that.
    #[error("decodes to more than {limit} bytes")]
    TooLarge {
        /// The caller's limit, in bytes.
        limit: usize,
    },
    /// The frame is not safe to read.
    #[error("{0}")]
    Unsafe(#[from] Unsafe),
    /// The frame's blocks or checksum are damaged.
    #[error("the frame is damaged")]
    Damaged,
    /// zstd refused to work: out of memory.
    #[error("zstd failed")]
    Zstd(#[source] std::io::Error),
}

/// Writes frames with content size and checksum.
pub struct Encoder {
    compressor: Compressor<'static>,
}

impl Encoder {
    /// An encoder with a context of its own.
    pub fn new() -> Result<Self, FrameError> {
        Self::of_level(LEVEL)
    }

    /// One that takes more time for fewer bytes.
    pub fn dense() -> Result<Self, FrameError> {
        Self::of_level(DENSE_LEVEL)
    }

    fn of_level(level: i32) -> Result<Self, FrameError> {
        let mut compressor = Compressor::new(level).map_err(FrameError::Zstd)?;
        compressor.set_parameter(CParameter::ChecksumFlag(true)).map_err(FrameError::Zstd)?;
        compressor.set_parameter(CParameter::ContentSizeFlag(true)).map_err(FrameError::Zstd)?;
        Ok(Self { compressor })
    }

    /// One frame of that content.
    pub fn encode(&mut self, content: &[u8]) -> Result<Vec<u8>, FrameError> {
        self.compressor.compress(content).map_err(FrameError::Zstd)
    }
}

/// Reads frames within bounds.
pub struct Decoder {
    decompressor: Decompressor<'static>,
}

impl Decoder {
    /// A decoder with a context of its own.
    pub fn new() -> Result<Self, FrameError> {
        let mut decompressor = Decompressor::new().map_err(FrameError::Zstd)?;
        decompressor.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).map_err(FrameError::Zstd)?;
        Ok(Self { decompressor })
    }

    /// Decodes the first frame of `bytes`, which must be safe ([`inspect`]) and hold at most `limit` bytes.
    /// Returns its content and the bytes behind it.
    pub fn decode_first<'b>(
        &mut self,
        bytes: &'b [u8],
        limit: usize,
    ) -> Result<(Vec<u8>, &'b [u8]), FrameError> {
        let frame = inspect(bytes)?;
        if frame.content_bytes > limit as u64 {
            return Err(FrameError::TooLarge { limit });
        }
        let (frame_bytes, rest) = bytes.split_at(frame.frame_bytes);
        let content = self
            .decompressor
            .decompress(frame_bytes, frame.content_bytes as usize)
            .map_err(|_| FrameError::Damaged)?;
        if content.len() as u64 == frame.content_bytes {
            Ok((content, rest))
        } else {
            Err(FrameError::Damaged)
        }
    }

    /// Decodes exactly one frame with nothing behind it.
    pub fn decode_one(&mut self, bytes: &[u8], limit: usize) -> Result<Vec<u8>, FrameError> {
        match self.decode_first(bytes, limit)? {
            (content, []) => Ok(content),
            _ => Err(FrameError::Damaged),
        }
    }

    /// Decodes concatenated frames into one text of lines, `limit` bytes in all.
    pub fn decode_all(&mut self, mut bytes: &[u8], limit: usize) -> Result<Vec<u8>, FrameError> {
        let mut content = Vec::new();
        while !bytes.is_empty() {
            let (next, rest) = self.decode_first(bytes, limit - content.len())?;
            content.extend_from_slice(&next);
            bytes = rest;
        }
        Ok(content)
    }
}
