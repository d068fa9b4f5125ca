//! What must hold of every frame, whatever happens to its bytes on the way.

mod archive;
mod snapshot;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::id::{DeviceId, EventId, Position, Sequence, SpaceId, UserId};
use crate::limits::MAX_BODY_BYTES;
use crate::protocol::{Hello, HelloLine, UtcTime};

fn encode(content: &[u8]) -> Vec<u8> {
    Encoder::new().unwrap().encode(content).unwrap()
}

fn decode(frame: &[u8]) -> Result<Vec<u8>, FrameError> {
    Decoder::new().unwrap().decode_one(frame, MAX_BODY_BYTES)
}

/// A frame as a general zstd encoder may write it.
fn foreign_frame(content: &[u8], configure: impl Fn(&mut zstd::bulk::Compressor<'_>)) -> Vec<u8> {
    let mut compressor = zstd::bulk::Compressor::new(3).unwrap();
    compressor.include_checksum(true).unwrap();
    compressor.include_contentsize(true).unwrap();
    configure(&mut compressor);
    compressor.compress(content).unwrap()
}

#[test]
fn our_frames_have_what_passing_them_on_needs() {
    for size in [0, 1, 255, 256, 257, 70_000, MAX_BODY_BYTES] {
        let content = vec![b'x'; size];
        let frame = encode(&content);
        let info = inspect(&frame).unwrap();
        assert_eq!(info, FrameInfo { content_bytes: size as u64, frame_bytes: frame.len() });
        let head = &frame[..FRAME_HEAD_BYTES.min(frame.len())];
        assert_eq!(content_bytes(head), Ok(size as u64), "its head is enough to say so");
        assert_eq!(decode(&frame).unwrap(), content);
    }
}

#[test]
fn what_a_reader_could_not_trust_is_not_a_safe_frame() {
    let content = b"{\"batch\":{\"deviceId\":\"phone-1\"}}\n".repeat(20);
    let check = |frame: &[u8], expect: Unsafe| assert_eq!(inspect(frame), Err(expect));
    check(b"", Unsafe::NotZstd);
    check(b"{\"batch\"", Unsafe::NotZstd);
    check(&foreign_frame(&content, |c| c.include_checksum(false).unwrap()), Unsafe::Checksum);
    check(&foreign_frame(&content, |c| c.include_contentsize(false).unwrap()), Unsafe::ContentSize);
    check(&[0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4], Unsafe::Skippable);
    let frame = encode(&content);
    check(&frame[..frame.len() - 1], Unsafe::Torn);
    check(&frame[..4], Unsafe::Torn);
    let mut needs_dictionary = frame.clone();
    needs_dictionary[4] |= 1;
    check(&needs_dictionary, Unsafe::Dictionary);
}

#[test]
fn a_window_over_8_mib_is_refused() {
    // Magic, a descriptor with checksum and 4-byte content size but no single segment, a window of 16 MiB.
    let header = [0x28, 0xb5, 0x2f, 0xfd, 0b1000_0100, 14 << 3, 0, 0, 0, 1];
    assert_eq!(inspect(&header), Err(Unsafe::Window));
}

#[test]
fn a_bomb_is_refused_before_it_is_decoded() {
    let bomb = encode(&vec![0; 64 * 1024 * 1024]);
    assert!(bomb.len() < 16 * 1024);
    assert!(matches!(decode(&bomb), Err(FrameError::TooLarge { limit: MAX_BODY_BYTES })));
    // One that lies about its size does not get further than the size it claims.
    let mut liar = encode(&vec![0; 100_000]);
    liar[5] = 0xff;
    assert!(decode(&liar).is_err());
}

#[test]
fn bytes_behind_a_frame_are_noticed() {
    let mut two = encode(b"a\n");
    let one = two.len();
    two.extend(encode(b"b\n"));
    assert!(matches!(decode(&two), Err(FrameError::Damaged)));
    assert_eq!(Decoder::new().unwrap().decode_all(&two, 4).unwrap(), b"a\nb\n");
    assert!(matches!(Decoder::new().unwrap().decode_all(&two, 3), Err(FrameError::TooLarge { .. })));
    two.truncate(one + 1);
    assert!(decode(&two).is_err());
}

#[test]
fn a_batch_is_taken_apart_only_when_every_line_came_whole() {
    let check = |body: &[u8], expect: &MalformedBatch| {
        let split = BatchLines::split(body).map(|_| ()).unwrap_err();
        assert_eq!(std::mem::discriminant(&split), std::mem::discriminant(expect), "{split}");
    };
    let batch_line = MalformedBatch::BatchLine(String::new());
    check(b"{\"batch\":{\"deviceId\":\"p\"}}\n{}", &MalformedBatch::UnendedLine);
    check(b"", &MalformedBatch::UnendedLine);
    check(b"{\"batch\":{\"deviceId\":\"p\"}}\n", &MalformedBatch::Empty);
    check(b"\xef\xbb\xbf{\"batch\":{\"deviceId\":\"p\"}}\n{}\n", &MalformedBatch::Encoding);
    check(b"{\"batch\":{\"deviceId\":\"\xff\"}}\n{}\n", &MalformedBatch::Encoding);
    check(b"{}\n{}\n", &batch_line);
    check(b"{\"eventId\":1}\n{}\n", &batch_line);
    check(b"{\"batch\":{\"deviceId\":\"\"}}\n{}\n", &batch_line);
    check(b"{\"batch\":{\"deviceId\":\"p\",\"deviceId\":\"q\"}}\n{}\n", &batch_line);
    check(b"{\"batch\":{\"deviceId\":\"p\"},\"segment\":{}}\n{}\n", &batch_line);
    check(b"{\"batch\":{\"deviceId\":\"p\",\"color\":1}}\n{}\n", &batch_line);
    let whole = BatchLines::split(b"{\"batch\":{\"deviceId\":\"p\"}}\n{\"a\":1}\n{\"b\":2}\n").unwrap();
    assert_eq!(whole.events, ["{\"a\":1}", "{\"b\":2}"]);
}

fn push_header(quarantined: u64, accepted_bytes: usize) -> PushHeader {
    PushHeader {
        space: SpaceId::new("équipe").unwrap(),
        user_id: UserId::new("ann").unwrap(),
        device_id: Some(DeviceId::new("phone-1").unwrap()),
        first: Sequence(1),
        last: Sequence(3),
        last_event_id: EventId(Uuid::nil()),
        after: None,
        received_at: UtcTime(1_754_476_200_000),
        schema_version: 3,
        accepted_bytes,
        quarantined,
        reply_to: "tidelog.receipts.x".to_owned(),
        push_id: 7,
    }
}

#[test]
fn a_push_message_whose_parts_do_not_fit_together_is_unreadable() {
    let text = serde_json::to_string(&push_header(1, 2)).unwrap();
    assert_eq!(serde_json::from_str::<PushHeader>(&text).unwrap(), push_header(1, 2));
    assert_eq!(split_push(&push_header(1, 2), b"aab"), Ok((&b"aa"[..], &b"b"[..])));
    for (header, payload) in [
        (push_header(1, 2), &b"aa"[..]),
        (push_header(0, 2), b"aab"),
        (push_header(0, 4), b"aab"),
        (push_header(3, 2), b"aab"),
        (push_header(4, 0), b"aab"),
        (PushHeader { first: Sequence(4), ..push_header(0, 2) }, b"aa"),
        (PushHeader { last: Sequence(1001), ..push_header(0, 2) }, b"aa"),
        (PushHeader { last: Sequence(u64::MAX), ..push_header(0, 2) }, b"aa"),
        (PushHeader { first: Sequence(1 << 53), last: Sequence(1 << 53), ..push_header(0, 2) }, b"aa"),
    ] {
        assert_eq!(split_push(&header, payload), Err(UnreadablePush), "{header:?}");
    }
}

fn segment(first: u64, last: u64, lines: u64) -> SegmentHeader {
    let batch = SegmentBatch {
        first: Position(first),
        device_id: DeviceId::new("phone-1").unwrap(),
        user_id: UserId::new("ann").unwrap(),
        received_at: UtcTime(0),
        released: false,
    };
    SegmentHeader {
        first: Position(first),
        last: Position(last),
        lines,
        batches: vec![batch],
        positions: None,
    }
}

/// A hello with that cursor, as the first line of a pull.
fn hello(cursor: u64) -> Vec<u8> {
    let hello = Hello {
        server_time: UtcTime(0),
        epoch: None,
        head: Position(100),
        horizon: Position::ZERO,
        schema_version: 1,
        cursor: Position(cursor),
        device: None,
    };
    let mut line = Vec::new();
    write_line(&mut line, &HelloLine { hello });
    line
}

/// A segment of which each event line poses as its header.
fn segment_lines(header: &SegmentHeader) -> Vec<u8> {
    let mut lines = header.line();
    if header.has_batch_line() {
        lines.extend(b"{\"batch\":{\"deviceId\":\"phone-1\"}}\n");
    }
    for _ in 0..header.events() {
        lines.extend(header.line());
    }
    lines
}

/// A pull's lines: a hello with that cursor, then segments.
fn pull(cursor: u64, segments: &[SegmentHeader]) -> String {
    let mut lines = hello(cursor);
    lines.extend(segments.iter().flat_map(segment_lines));
    String::from_utf8(lines).unwrap()
}

fn positions(lines: &str, cursor: u64) -> Result<Vec<u64>, TornPull> {
    let mut reader = PullReader::new(lines, Position(cursor));
    let mut positions = Vec::new();
    while let Some(item) = reader.next_item()? {
        if let PullItem::Segment(_, events) = item {
            positions.extend(events.iter().map(|(position, _)| position.0));
        }
    }
    Ok(positions)
}

#[test]
fn a_reader_counts_so_that_no_event_poses_as_a_header() {
    let lines = pull(10, &[segment(9, 12, 5), segment(13, 14, 2)]);
    assert_eq!(positions(&lines, 10), Ok(vec![11, 12, 13, 14]));
}

#[test]
fn a_reader_refuses_a_segment_behind_its_next_position() {
    let lines = pull(10, &[segment(12, 13, 2)]);
    assert_eq!(positions(&lines, 10), Err(TornPull::Gap { first: Position(12) }));
}

#[test]
fn a_filtered_segment_moves_the_cursor_over_what_was_left_out() {
    let mut filtered = segment(11, 20, 2);
    filtered.positions = Some(vec![Position(12), Position(19)]);
    let mut nothing = segment(21, 30, 0);
    nothing.positions = Some(Vec::new());
    let lines = pull(10, &[filtered, nothing, segment(31, 31, 1)]);
    assert_eq!(positions(&lines, 10), Ok(vec![12, 19, 31]));
}

proptest! {
    #[test]
    fn no_flipped_byte_of_a_frame_goes_unnoticed(
        lines in prop::collection::vec("[a-z0-9{}\":,]{0,60}", 1..40),
        at in any::<prop::sample::Index>(),
        flip in 1u8..=255,
    ) {
        let content = lines.join("\n").into_bytes();
        let mut frame = encode(&content);
        let at = at.index(frame.len());
        frame[at] ^= flip;
        // Bits that zstd ignores may change without changing the content; anything else is an error.
        if let Ok(decoded) = decode(&frame) {
            prop_assert_eq!(decoded, content);
        }
    }

    #[test]
    fn no_truncation_of_a_frame_goes_unnoticed(content in prop::collection::vec(any::<u8>(), 0..500), keep in any::<prop::sample::Index>()) {
        let frame = encode(&content);
        prop_assert!(decode(&frame[..keep.index(frame.len())]).is_err());
    }

    #[test]
    fn no_splice_of_two_frames_goes_unnoticed(
        one in "[a-z ]{20,300}",
        two in "[a-z ]{20,300}",
        cut in any::<prop::sample::Index>(),
        resume in any::<prop::sample::Index>(),
    ) {
        let (first, second) = (encode(one.as_bytes()), encode(two.as_bytes()));
        let mut spliced = first[..cut.index(first.len())].to_vec();
        spliced.extend(&second[resume.index(second.len())..]);
        if let Ok(decoded) = decode(&spliced) {
            prop_assert!(decoded == one.as_bytes() || decoded == two.as_bytes());
        }
    }

    #[test]
    fn garbage_never_panics_a_reader(bytes in prop::collection::vec(any::<u8>(), 0..300), text in any::<String>()) {
        let _ = decode(&bytes);
        let _ = inspect(&[&encode(b"")[..5], &bytes].concat());
        let _ = BatchLines::split(&bytes);
        let _ = SegmentHeader::parse(&bytes);
        let _ = SnapshotHeader::parse(&bytes);
        let _ = positions(&text, 0);
        let _ = read_quarantined(&bytes, 1);
    }

    #[test]
    fn an_event_lines_bytes_survive_every_hop(
        payloads in prop::collection::vec(r#"\{"n": ?[0-9]{1,9}(\.[0-9]{1,6})?, *"t":"[a-zé😀 ]{0,20}"\}"#, 1..20)
    ) {
        let header = BatchHeader { device_id: Some(DeviceId::new("phone-1").unwrap()), user_id: None, after: None };
        let frame = encode(&write_batch(&header, &payloads));
        let body = decode(&frame).unwrap();
        let split = BatchLines::split(&body).unwrap();
        prop_assert_eq!(&split.events, &payloads);
        let segment = SegmentBody::split(&body, Position(5), Position(4 + payloads.len() as u64)).unwrap();
        prop_assert!(segment.batch_line.is_some());
        prop_assert_eq!(&segment.events, &payloads);
        let cut = encode(&write_batch(&header, &payloads[payloads.len() / 2..]));
        let body = decode(&cut).unwrap();
        prop_assert_eq!(&BatchLines::split(&body).unwrap().events, &payloads[payloads.len() / 2..]);
    }

    #[test]
    fn a_torn_answer_yields_only_whole_segments(keep in any::<prop::sample::Index>()) {
        let lines = pull(0, &[segment(1, 3, 4), segment(4, 4, 1), segment(5, 9, 6)]);
        let whole = positions(&lines, 0).unwrap();
        let cut = keep.index(lines.len());
        let mut reader = PullReader::new(&lines[..cut], Position::ZERO);
        let mut read = Vec::new();
        while let Ok(Some(item)) = reader.next_item() {
            if let PullItem::Segment(header, events) = item {
                prop_assert_eq!(events.len() as u64, header.events());
                read.extend(events.iter().map(|(position, _)| position.0));
            }
        }
        prop_assert_eq!(&read[..], &whole[..read.len()]);
        prop_assert!([0, 3, 4, 9].contains(&read.len()));
    }
}

#[test]
fn a_header_whose_counts_or_positions_cannot_be_is_none() {
    let check = |first: u64, last: u64, lines: u64, positions: &str, expect: bool| {
        let line = format!(
            r#"{{"segment":{{"first":{first},"last":{last},"lines":{lines}{positions},"batches":[{{"first":{first},"deviceId":"p","userId":"u","receivedAt":"2026-01-01T07:00:00.000Z"}}]}}}}"#
        );
        assert_eq!(SegmentHeader::parse(line.as_bytes()).is_some(), expect, "{line}");
    };
    check(1, 3, 3, "", true);
    check(1, 3, 5, "", false);
    check(1, u64::MAX, 0, "", false);
    check(u64::MAX, u64::MAX, 1, "", false);
    check(0, 3, 4, "", false);
    check(2, 5, 2, r#","positions":[2,5]"#, true);
    check(2, 5, 2, r#","positions":[5,2]"#, false);
    check(2, 5, 2, r#","positions":[2,6]"#, false);
    check(2, 5, 2, r#","positions":[1,5]"#, false);
    check(2, 3, 3, r#","positions":[2,2,3]"#, false);
}

#[test]
fn a_cursor_that_no_log_reaches_is_no_header() {
    let text = pull(u64::MAX, &[]);
    assert_eq!(PullReader::new(&text, Position(0)).next_item(), Err(TornPull::NoHeader));
}
