//! What must hold of an archive object, wherever it is cut, and whatever its header says.

use super::*;
use crate::id::Epoch;

fn header(first: u64, last: u64, segments: u64) -> ArchiveHeader {
    ArchiveHeader {
        space: SpaceId::new("équipe 9/blå").unwrap(),
        epoch: Epoch(Uuid::nil()),
        first: Position(first),
        last: Position(last),
        segments,
    }
}

/// Segments of those positions, one after another, each with its body frame.
fn stored(ranges: &[(u64, u64)]) -> Vec<(SegmentHeader, Vec<u8>)> {
    let stored = ranges.iter().map(|(first, last)| {
        let header = segment(*first, *last, last - first + 2);
        let body = encode(&segment_lines(&header)[header.line().len()..]);
        (header, body)
    });
    stored.collect()
}

fn object(header: &ArchiveHeader, segments: &[(SegmentHeader, Vec<u8>)]) -> Vec<u8> {
    let segments = segments.iter().map(|(header, body)| (header, &body[..]));
    write_archive(header, segments, &mut Encoder::new().unwrap()).unwrap()
}

fn read(object: &[u8]) -> Result<usize, DamagedArchive> {
    read_archive(object, &mut Decoder::new().unwrap()).map(|(_, segments)| segments.len())
}

#[test]
fn a_header_is_written_and_read_back_and_what_is_added_later_is_ignored() {
    let header = header(1, 500, 12);
    let line = String::from_utf8(header.line()).unwrap();
    assert_eq!(
        line,
        "{\"archive\":{\"space\":\"équipe 9/blå\",\"epoch\":\"00000000-0000-0000-0000-000000000000\",\
         \"first\":1,\"last\":500,\"segments\":12}}\n"
    );
    assert_eq!(ArchiveHeader::parse(line.as_bytes()).as_ref(), Some(&header));
    let later = line.replace("\"first\"", "\"madeAt\":\"2026\",\"first\"");
    assert_eq!(ArchiveHeader::parse(later.as_bytes()).as_ref(), Some(&header));
    assert_eq!(ArchiveHeader::parse(&segment(1, 1, 1).line()), None);
}

#[test]
fn a_header_whose_counts_cannot_be_is_none() {
    let check = |first, last, segments, expect: bool| {
        let header = header(first, last, segments);
        assert_eq!(ArchiveHeader::parse(&header.line()).is_some(), expect, "{header:?}");
    };
    check(1, 1, 1, true);
    check(5, 7, 3, true);
    check(0, 7, 1, false);
    check(7, 5, 1, false);
    check(5, 7, 0, false);
    check(5, 7, 4, false);
    check(1, u64::MAX, 1, false);
    check(u64::MAX, u64::MAX, 1, false);
    check(1, (1 << 53) - 1, u64::MAX, false);
}

#[test]
fn an_object_that_lies_about_its_positions_or_segments_is_damaged() {
    let segments = stored(&[(5, 7), (8, 8), (9, 20)]);
    assert_eq!(read(&object(&header(5, 20, 3), &segments)).unwrap(), 3);
    for lie in [header(5, 20, 2), header(5, 20, 4), header(5, 21, 3), header(5, 19, 3)] {
        let damaged = read(&object(&lie, &segments)).unwrap_err();
        assert!(matches!(damaged, DamagedArchive::Miscounted { segments: 3, last: Position(20) }), "{lie:?}");
    }
    for lie in [header(4, 20, 3), header(6, 20, 3)] {
        let damaged = read(&object(&lie, &segments)).unwrap_err();
        assert!(
            matches!(damaged, DamagedArchive::NoSegment { expected } if expected == lie.first),
            "{lie:?}"
        );
    }
    let damaged = read(&object(&header(5, 20, 1), &[])).unwrap_err();
    assert!(matches!(damaged, DamagedArchive::Miscounted { segments: 0, last: Position(4) }));
}

#[test]
fn segments_that_do_not_follow_each_other_are_damage() {
    for ranges in [[(1, 3), (5, 9)], [(1, 3), (3, 9)], [(4, 9), (1, 3)]] {
        let damaged = read(&object(&header(1, 9, 2), &stored(&ranges))).unwrap_err();
        assert!(matches!(damaged, DamagedArchive::NoSegment { .. }), "{ranges:?}: {damaged}");
    }
}

#[test]
fn a_filtered_segment_is_not_what_the_log_stores() {
    let mut segments = stored(&[(1, 3)]);
    segments[0].0.positions = Some(vec![Position(1), Position(2), Position(3)]);
    let damaged = read(&object(&header(1, 3, 1), &segments)).unwrap_err();
    assert!(matches!(damaged, DamagedArchive::NoSegment { expected: Position(1) }));
}

#[test]
fn an_object_cut_anywhere_and_one_with_more_behind_its_end_are_damaged() {
    let whole = object(&header(5, 20, 3), &stored(&[(5, 7), (8, 8), (9, 20)]));
    for cut in 0..whole.len() {
        assert!(read(&whole[..cut]).is_err(), "cut at {cut}");
    }
    for behind in [&b"\0"[..], b"garbage", &whole, &encode(b"one more\n")] {
        assert!(read(&[&whole, behind].concat()).is_err(), "{behind:?}");
    }
    assert!(read(&whole).is_ok());
}

#[test]
fn an_object_without_its_header_is_damaged() {
    let segments = stored(&[(1, 3)]);
    let whole = object(&header(1, 3, 1), &segments);
    let behind_the_header = &whole[inspect(&whole).unwrap().frame_bytes..];
    assert!(matches!(read(behind_the_header), Err(DamagedArchive::NoHeader)));
}

proptest! {
    #[test]
    fn what_was_archived_comes_back(first in 1u64..1_000_000, events in prop::collection::vec(1u64..40, 1..20)) {
        let mut next = first;
        let ranges: Vec<_> = events.iter().map(|events| {
            let range = (next, next + events - 1);
            next += events;
            range
        }).collect();
        let segments = stored(&ranges);
        let header = header(first, next - 1, segments.len() as u64);
        let object = object(&header, &segments);
        let (read_header, read_segments) = read_archive(&object, &mut Decoder::new().unwrap()).unwrap();
        prop_assert_eq!(read_header, header);
        let read_segments: Vec<_> =
            read_segments.into_iter().map(|(header, body)| (header, body.to_vec())).collect();
        prop_assert_eq!(read_segments, segments);
    }

    #[test]
    fn garbage_never_panics_a_reader_of_archives(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in any::<prop::sample::Index>()) {
        let whole = object(&header(1, 3, 1), &stored(&[(1, 3)]));
        let _ = read(&[&whole[..cut.index(whole.len())], &bytes].concat());
        prop_assert!(ArchiveHeader::parse(&bytes).is_none());
    }
}
