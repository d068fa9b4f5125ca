//! What a zstd frame says of itself before anything is decompressed (RFC 8878, section 3.1.1), and which
//! frames may be passed on as they are.

use crate::limits::MAX_WINDOW_BYTES;

const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
const SKIPPABLE: std::ops::RangeInclusive<u32> = 0x184D_2A50..=0x184D_2A5F;

/// A frame that any reader can decode within bounds, and notice if it was damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameInfo {
    /// Bytes that the frame decodes to.
    pub content_bytes: u64,
    /// Bytes of the frame itself.
    pub frame_bytes: usize,
}

/// Why a frame is not passed on as it is. All but [`Unsafe::Torn`] may still be decodable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsafe {
    /// No zstd magic number at the beginning.
    #[error("not a zstd frame")]
    NotZstd,
    /// A skippable frame.
    #[error("a skippable frame")]
    Skippable,
    /// The header or the blocks end early.
    #[error("the frame is cut short or damaged")]
    Torn,
    /// It needs a dictionary.
    #[error("the frame needs a dictionary")]
    Dictionary,
    /// A decoder would need more than 8 MiB for its window.
    #[error("the frame's window is over 8 MiB")]
    Window,
    /// It does not say how much it decodes to.
    #[error("the frame has no content size")]
    ContentSize,
    /// Nothing would notice damage.
    #[error("the frame has no checksum")]
    Checksum,
}

/// With so many bytes of a frame at hand, [`content_bytes`] needs no more of it.
pub const FRAME_HEAD_BYTES: usize = 14;

/// Looks at the first frame in `bytes`. Nothing is decompressed.
pub fn inspect(bytes: &[u8]) -> Result<FrameInfo, Unsafe> {
    let content_bytes = content_bytes(bytes)?;
    let frame_bytes = zstd::zstd_safe::find_frame_compressed_size(bytes).map_err(|_| Unsafe::Torn)?;
    Ok(FrameInfo { content_bytes, frame_bytes })
}

/// Bytes that the first frame in `bytes` decodes to, as its header says.
pub fn content_bytes(bytes: &[u8]) -> Result<u64, Unsafe> {
    let magic = bytes.first_chunk::<4>().ok_or(Unsafe::NotZstd)?;
    if SKIPPABLE.contains(&u32::from_le_bytes(*magic)) {
        return Err(Unsafe::Skippable);
    }
    if *magic != MAGIC {
        return Err(Unsafe::NotZstd);
    }
    let descriptor = *bytes.get(4).ok_or(Unsafe::Torn)?;
    let single_segment = descriptor & 0b10_0000 != 0;
    let window_bytes = if single_segment { None } else { Some(window(*bytes.get(5).ok_or(Unsafe::Torn)?)) };
    if descriptor & 0b11 != 0 {
        return Err(Unsafe::Dictionary);
    }
    if descriptor & 0b100 == 0 {
        return Err(Unsafe::Checksum);
    }
    let from = if single_segment { 5 } else { 6 };
    let content_bytes = content_size(descriptor >> 6, single_segment, &bytes[from..])?;
    if window_bytes.unwrap_or(content_bytes) > MAX_WINDOW_BYTES {
        return Err(Unsafe::Window);
    }
    Ok(content_bytes)
}

/// `Window_Descriptor`, section 3.1.1.1.2.
fn window(descriptor: u8) -> u64 {
    let base = 1_u64 << (10 + (descriptor >> 3));
    base + (base / 8) * u64::from(descriptor & 0b111)
}

/// `Frame_Content_Size`, section 3.1.1.1.4.
fn content_size(flag: u8, single_segment: bool, bytes: &[u8]) -> Result<u64, Unsafe> {
    let field = |size: usize| -> Result<u64, Unsafe> {
        let mut number = [0; 8];
        number[..size].copy_from_slice(bytes.get(..size).ok_or(Unsafe::Torn)?);
        Ok(u64::from_le_bytes(number))
    };
    match flag {
        0 if !single_segment => Err(Unsafe::ContentSize),
        0 => field(1),
        1 => Ok(field(2)? + 256),
        2 => field(4),
        _ => field(8),
    }
}
