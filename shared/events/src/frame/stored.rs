//! Short lines as frames: stored in one raw block (RFC 8878, section 3.1.1), since compressing a hundred bytes costs
//! a hundred times what it saves.

use xxhash_rust::xxh64::xxh64;

use super::{Encoder, FrameError};

/// Longer lines, such as the header of a segment of many batches, are compressed.
const STORED_BYTES_MAX: usize = 1024;

const MAGIC: u32 = 0xFD2F_B528;
/// `Frame_Header_Descriptor`: a single segment with a checksum; the bits above say how the size is written.
const SINGLE_WITH_CHECKSUM: u8 = 0b10_0100;
const SIZE_IN_TWO_BYTES: u8 = 0b0100_0000;
/// `Block_Header`: the last block; its type, raw, is 0.
const LAST: u32 = 1;

/// A frame of a line, with content size and checksum like every frame of ours.
pub fn line_frame(line: &[u8], encoder: &mut Encoder) -> Result<Vec<u8>, FrameError> {
    if line.len() > STORED_BYTES_MAX { encoder.encode(line) } else { Ok(stored(line)) }
}

fn stored(content: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(content.len() + 14);
    frame.extend_from_slice(&MAGIC.to_le_bytes());
    // One byte says up to 255; two bytes say how much it is above 256.
    if let Ok(size) = u8::try_from(content.len()) {
        frame.extend_from_slice(&[SINGLE_WITH_CHECKSUM, size]);
    } else {
        frame.push(SINGLE_WITH_CHECKSUM | SIZE_IN_TWO_BYTES);
        frame.extend_from_slice(&((content.len() - 256) as u16).to_le_bytes());
    }
    frame.extend_from_slice(&(LAST | (content.len() as u32) << 3).to_le_bytes()[..3]);
    frame.extend_from_slice(content);
    frame.extend_from_slice(&(xxh64(content, 0) as u32).to_le_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::super::Decoder;
    use super::*;

    #[test]
    fn a_line_of_any_length_comes_back_from_its_frame_and_damage_is_noticed() {
        let (mut encoder, mut decoder) = (Encoder::new().unwrap(), Decoder::new().unwrap());
        for bytes in [0, 1, 2, 100, 254, 255, 256, 257, 258, 500, 1023, 1024, 1025, 5000] {
            let line: Vec<u8> = (0..bytes).map(|index| (index % 251) as u8).collect();
            let mut frame = line_frame(&line, &mut encoder).unwrap();
            assert_eq!(decoder.decode_one(&frame, 10_000).unwrap(), line, "{bytes} bytes");
            assert_eq!(
                zstd::decode_all(frame.as_slice()).unwrap(),
                line,
                "{bytes} bytes, with zstd's own reader"
            );
            if let Some(byte) = frame.get_mut(12) {
                *byte ^= 1;
                assert!(decoder.decode_one(&frame, 10_000).is_err(), "{bytes} bytes");
            }
        }
    }
}
