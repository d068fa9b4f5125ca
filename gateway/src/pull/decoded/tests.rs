//! What a damaged segment does, and what a filter leaves.

use tidelog_events::frame::Encoder;

use super::*;
use crate::pull::testing::{line, several, single, stored};

/// What a header says, shortly: `first-last lines [batch firsts]`.
fn shape(segment: &DecodedSegment<'_>) -> String {
    let header = &segment.header;
    let firsts: Vec<u64> = header.batches.iter().map(|batch| batch.first.0).collect();
    let positions = header.positions.iter().flatten().map(|position| position.0).collect::<Vec<_>>();
    let filtered = if header.positions.is_some() { format!(" of {positions:?}") } else { String::new() };
    format!("{}-{} {} {firsts:?}{filtered}", header.first, header.last, header.lines)
}

fn assert_consistent(segment: &DecodedSegment<'_>) {
    assert_eq!(SegmentHeader::parse(&segment.header.line()).as_ref(), Some(&segment.header));
    let mut body = Vec::new();
    segment.write_body(&mut body);
    assert_eq!(body.split_inclusive(|byte| *byte == b'\n').count() as u64, segment.header.lines);
    for (position, text) in segment.events() {
        assert_eq!(text, line(position.0));
    }
}

#[test]
fn a_cut_segment_counts_what_is_left_of_it() {
    let check = |(header, body): (SegmentHeader, Vec<u8>), after, through, expect: Option<&str>| {
        let segment = DecodedSegment::split(&header, &body).unwrap();
        let cut = segment.cut(Position(after), Position(through));
        assert_eq!(cut.as_ref().map(shape).as_deref(), expect, "{after}..{through}");
        if let Some(cut) = &cut {
            assert_consistent(cut);
            assert_eq!(cut.events().count() as u64, cut.header.events());
        }
    };
    check(single(11, 20), 10, 1010, Some("11-20 11 [11]"));
    check(single(11, 20), 0, 20, Some("11-20 11 [11]"));
    check(single(11, 20), 14, 1000, Some("15-20 7 [15]"));
    check(single(11, 20), 10, 12, Some("11-12 3 [11]"));
    check(single(11, 20), 15, 16, Some("16-16 2 [16]"));
    check(single(11, 20), 20, 30, None);
    check(single(11, 20), 0, 10, None);
    check(several(&[11, 13, 18], 20), 10, 1010, Some("11-20 10 [11, 13, 18]"));
    check(several(&[11, 13, 18], 20), 12, 1010, Some("13-20 8 [13, 18]"));
    check(several(&[11, 13, 18], 20), 14, 1010, Some("15-20 6 [15, 18]"));
    check(several(&[11, 13, 18], 20), 19, 1010, Some("20-20 1 [20]"));
    check(several(&[11, 13, 18], 20), 10, 17, Some("11-17 7 [11, 13]"));
    check(several(&[11, 13, 18], 20), 13, 14, Some("14-14 1 [14]"));
}

#[test]
fn a_filtered_run_of_segments_covers_every_position() {
    let check = |parts: &[(SegmentHeader, Vec<u8>)], keep: &[u64], expect: &[&str]| {
        let segments =
            parts.iter().map(|(header, body)| DecodedSegment::split(header, body).unwrap()).collect();
        let lines: Vec<String> = keep.iter().map(|position| line(*position)).collect();
        let kept = filter(segments, |line| lines.iter().any(|kept| kept == line));
        assert_eq!(kept.iter().map(shape).collect::<Vec<_>>(), expect, "{keep:?}");
        kept.iter().for_each(assert_consistent);
    };
    let two = [single(1, 3), single(4, 6)];
    check(&two, &[1, 3, 5], &["1-3 2 [1] of [1, 3]", "4-6 1 [4] of [5]"]);
    check(&two, &[2], &["1-6 1 [1] of [2]"]);
    check(&two, &[6], &["1-6 1 [4] of [6]"]);
    check(&two, &[], &["1-6 0 [1] of []"]);
    check(&[], &[], &[]);
    let four = [single(1, 1), single(2, 2), single(3, 3), single(4, 4)];
    check(&four, &[2], &["1-4 1 [2] of [2]"]);
    check(&four, &[1, 4], &["1-3 1 [1] of [1]", "4-4 1 [4] of [4]"]);
    check(&four, &[], &["1-4 0 [1] of []"]);
    check(&[several(&[1, 3, 5], 6)], &[2, 6], &["1-6 2 [1, 5] of [2, 6]"]);
    check(&[several(&[1, 3, 5], 6)], &[4], &["1-6 1 [3] of [4]"]);
}

#[test]
fn decoding_stops_at_the_limit_and_gives_one_segment_at_least() {
    let parts = [single(1, 3), single(4, 6), single(7, 9)];
    let bytes = parts[0].1.len() as u64;
    let segments: Vec<Segment> = parts.iter().cloned().map(stored).collect();
    let mut decoder = Decoder::new().unwrap();
    for (limit_bytes, expect) in [(0, 1), (bytes, 1), (2 * bytes - 1, 1), (2 * bytes, 2), (u64::MAX, 3)] {
        let bodies = decode(&segments, limit_bytes, &mut decoder).unwrap();
        assert_eq!(bodies.len(), expect, "{limit_bytes}");
        assert!(bodies.iter().zip(&parts).all(|(body, (_, expect))| body == expect));
    }
}

#[test]
fn a_damaged_segment_is_noticed() {
    let sound = stored(single(1, 3));
    let frame = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut segment = sound.clone();
        change(&mut segment.frame);
        decode(&[segment], u64::MAX, &mut Decoder::new().unwrap())
    };
    assert!(frame(&|_| {}).is_ok());
    assert!(frame(&|frame| frame.truncate(frame.len() - 1)).is_err());
    assert!(frame(&|frame| frame.push(0)).is_err());
    assert!(frame(&|frame| frame.clear()).is_err());
    assert!(frame(&|frame| frame.extend(Encoder::new().unwrap().encode(b"{}\n").unwrap())).is_err());
    let middle = sound.frame.len() / 2;
    assert!(frame(&|frame| frame[middle] ^= 1).is_err());

    let split = |header: &SegmentHeader, body: &[u8]| DecodedSegment::split(header, body).map(|_| ());
    let (header, body) = single(1, 3);
    assert!(split(&header, &body).is_ok());
    assert!(split(&header, &body[..body.len() - 1]).is_err());
    let without_batch_line = body.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    assert!(split(&header, &body[without_batch_line..]).is_err());
    let (header, body) = several(&[1, 2], 3);
    assert!(
        split(&SegmentHeader { batches: header.batches[1..].to_vec(), ..header.clone() }, &body).is_err()
    );
    assert!(split(&SegmentHeader { batches: Vec::new(), ..header }, &body).is_err());
}
