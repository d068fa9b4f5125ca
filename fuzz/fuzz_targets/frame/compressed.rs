//! The bytes of frames: any, those of our own encoder, and those that are put together here, block by block, with
//! every header that there can be.

use std::cell::RefCell;

use tidelog_events::frame::{Decoder, Encoder, FrameError, FrameInfo, Unsafe, inspect};
use tidelog_events::limits::MAX_WINDOW_BYTES;

/// Bytes that a frame may decode to here.
const LIMIT: usize = 1024 * 1024;

thread_local! {
    static ENCODER: RefCell<Encoder> = RefCell::new(Encoder::new().expect("zstd has memory"));
    static DECODER: RefCell<Decoder> = RefCell::new(Decoder::new().expect("zstd has memory"));
}

/// Inspecting and decoding agree, whatever the bytes.
pub fn any_bytes(bytes: &[u8]) {
    let first = decode_first(bytes, LIMIT);
    match (inspect(bytes), &first) {
        (Err(why), Err(FrameError::Unsafe(told))) => assert_eq!(why, *told),
        (Err(why), _) => panic!("{why}, but it is decoded or refused otherwise"),
        (Ok(info), Err(FrameError::TooLarge { .. })) => assert!(info.content_bytes > LIMIT as u64),
        (Ok(_), Err(error)) => assert!(matches!(error, FrameError::Damaged), "{error}"),
        (Ok(info), Ok((content, rest))) => {
            let (frame, behind) = bytes.split_at(info.frame_bytes);
            assert_eq!(behind, *rest);
            is_whole(frame, content, info);
        }
    }
    let one = DECODER.with_borrow_mut(|decoder| decoder.decode_one(bytes, LIMIT));
    let whole = first.as_ref().ok().filter(|(_, rest)| rest.is_empty()).map(|(content, _)| content);
    assert_eq!(one.ok().as_ref(), whole, "one frame, and nothing behind it");
    let all = DECODER.with_borrow_mut(|decoder| decoder.decode_all(bytes, LIMIT));
    assert_eq!(all.ok(), one_by_one(bytes));
}

/// What a frame decodes to is what zstd's own stream makes of it, and not a byte less bounds it.
fn is_whole(frame: &[u8], content: &[u8], info: FrameInfo) {
    assert_eq!(info.frame_bytes, frame.len());
    assert_eq!(info.content_bytes, content.len() as u64);
    assert_eq!(inspect(frame), Ok(info), "a frame is inspected without what follows it");
    assert_eq!(inspect(&frame[..frame.len() - 1]), Err(Unsafe::Torn));
    assert_eq!(zstd::stream::decode_all(frame).expect("zstd reads it, too"), content);
    assert!(decode_first(frame, content.len()).is_ok());
    if let Some(less) = content.len().checked_sub(1) {
        assert!(matches!(decode_first(frame, less), Err(FrameError::TooLarge { .. })));
    }
}

fn one_by_one(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let (content, rest) = decode_first(bytes, LIMIT).ok()?;
        all.extend(content);
        bytes = rest;
    }
    (all.len() <= LIMIT).then_some(all)
}

/// What our encoder writes comes back, alone and among others, and damage to a byte of it is noticed.
pub fn own_frame(content: &[u8]) {
    let encode =
        |content: &[u8]| ENCODER.with_borrow_mut(|encoder| encoder.encode(content)).expect("it encodes");
    let frame = encode(content);
    let info = inspect(&frame).expect("our frames are safe");
    is_whole(&frame, content, info);
    let (left, right) = content.split_at(content.len() / 2);
    let frames = [encode(left), encode(right)].concat();
    let all = DECODER.with_borrow_mut(|decoder| decoder.decode_all(&frames, content.len()));
    assert_eq!(all.expect("frames concatenate"), content);
    if let [at, flip, ..] = *content {
        is_noticed(frame, usize::from(at), flip, content);
    }
}

/// A frame with other bits in one byte is refused, or decodes to the same all the same.
fn is_noticed(mut frame: Vec<u8>, at: usize, flip: u8, content: &[u8]) {
    let at = at % frame.len();
    frame[at] ^= flip;
    if let Ok((read, _)) = decode_first(&frame, LIMIT) {
        assert_eq!(read, content, "damage is noticed");
    }
}

/// A frame whose header says what the first bytes say, of the rest as its content.
pub fn made_by_hand(bytes: &[u8]) {
    let [descriptor, window, more, block, at, flip, content @ ..] = bytes else { return };
    let claimed = content.len() as u64 + u64::from(*more);
    let Some(header) = header(*descriptor, *window, claimed) else { return };
    let mut frame = header;
    let blocks: Vec<&[u8]> = content.chunks(usize::from(*block) + 1).collect();
    for (index, block) in blocks.iter().enumerate() {
        write_block(&mut frame, block, index + 1 == blocks.len());
    }
    if blocks.is_empty() {
        write_block(&mut frame, &[], true);
    }
    if descriptor & 0b100 != 0 {
        frame.extend_from_slice(&xxhash_rust::xxh64::xxh64(content, 0).to_le_bytes()[..4]);
    }
    let expected = expected(*descriptor, *window, claimed)
        .map(|content_bytes| FrameInfo { content_bytes, frame_bytes: frame.len() });
    assert_eq!(inspect(&frame), expected);
    let read = decode_first(&frame, LIMIT).ok().map(|(content, _)| content);
    let right = expected.is_ok() && *more == 0;
    assert_eq!(read.as_deref(), right.then_some(content), "decodes to what it holds, or not at all");
    is_noticed(frame, usize::from(*at), *flip, content);
}

/// RFC 8878, section 3.1.1.1; `None` where the number does not fit into its field.
fn header(descriptor: u8, window: u8, claimed: u64) -> Option<Vec<u8>> {
    let mut header = 0xFD2F_B528_u32.to_le_bytes().to_vec();
    header.push(descriptor);
    if descriptor & 0b10_0000 == 0 {
        header.push(window);
    }
    header.resize(header.len() + [0, 1, 2, 4][usize::from(descriptor & 0b11)], 7);
    match (descriptor >> 6, descriptor & 0b10_0000) {
        (0, 0) => {}
        (0, _) => header.push(u8::try_from(claimed).ok()?),
        (1, _) => header.extend(u16::try_from(claimed.checked_sub(256)?).ok()?.to_le_bytes()),
        (2, _) => header.extend(u32::try_from(claimed).ok()?.to_le_bytes()),
        _ => header.extend(claimed.to_le_bytes()),
    }
    Some(header)
}

/// A block as it is, section 3.1.1.2.
fn write_block(frame: &mut Vec<u8>, content: &[u8], last: bool) {
    let header = (content.len() as u32) << 3 | u32::from(last);
    frame.extend_from_slice(&header.to_le_bytes()[..3]);
    frame.extend_from_slice(content);
}

/// What inspecting must say of that header: the content's size.
fn expected(descriptor: u8, window: u8, claimed: u64) -> Result<u64, Unsafe> {
    let single_segment = descriptor & 0b10_0000 != 0;
    let exponent = 10 + u32::from(window >> 3);
    let window_bytes = 2_u64.pow(exponent) * (8 + u64::from(window & 0b111)) / 8;
    if descriptor & 0b11 != 0 {
        Err(Unsafe::Dictionary)
    } else if descriptor & 0b100 == 0 {
        Err(Unsafe::Checksum)
    } else if descriptor >> 6 == 0 && !single_segment {
        Err(Unsafe::ContentSize)
    } else if !single_segment && window_bytes > MAX_WINDOW_BYTES {
        Err(Unsafe::Window)
    } else if descriptor & 0b1000 != 0 {
        // The bit that the RFC reserves.
        Err(Unsafe::Torn)
    } else {
        Ok(claimed)
    }
}

fn decode_first(bytes: &[u8], limit: usize) -> Result<(Vec<u8>, &[u8]), FrameError> {
    DECODER.with_borrow_mut(|decoder| decoder.decode_first(bytes, limit))
}
