//! Frames and what is in them: whatever the bytes, nothing is decoded beyond its bound, damage is noticed, inspecting
//! and decoding agree with a frame's own header and with zstd's stream, and batches, quarantined lines, segments and
//! pulls that are read are written and read back the same, no line lost and none torn.
#![no_main]

#[path = "frame/compressed.rs"]
mod compressed;
#[path = "frame/lines.rs"]
mod lines;
#[path = "planted.rs"]
mod planted;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    compressed::any_bytes(bytes);
    compressed::own_frame(bytes);
    compressed::made_by_hand(bytes);
    lines::batch(bytes);
    lines::quarantined(bytes);
    lines::push(bytes);
    lines::segment_header(bytes);
    lines::segment_body(bytes);
    lines::pull(bytes);
});
