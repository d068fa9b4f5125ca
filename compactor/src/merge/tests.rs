//! What several segments are as one: their lines, byte for byte, and their batches.

use tidelog_events::frame::SegmentBatch;
use tidelog_events::id::{DeviceId, UserId};

use super::*;

fn batch(first: u64, device: &str, received_ms: i64, released: bool) -> SegmentBatch {
    SegmentBatch {
        first: Position(first),
        device_id: DeviceId::new(device).unwrap(),
        user_id: UserId::new("ann").unwrap(),
        received_at: UtcTime(received_ms),
        released,
    }
}

/// A segment of that body, from the position of its first batch on.
fn segment(batches: &[SegmentBatch], last: u64, lines: u64, body: &str) -> Segment {
    let first = batches[0].first;
    let header =
        SegmentHeader { first, last: Position(last), lines, batches: batches.to_vec(), positions: None };
    Segment { header, frame: Encoder::new().unwrap().encode(body.as_bytes()).unwrap() }
}

fn merged(segments: &[Segment]) -> Result<Merged, (DamagedLog, Span)> {
    Merged::of(segments, &mut Decoder::new().unwrap())
}

fn three() -> Vec<Segment> {
    vec![
        segment(&[batch(4, "phone-1", 30, false)], 5, 3, "{\"batch\":{}}\n{\"e\": 1}\r\n {\"batch\":2}\n"),
        segment(&[batch(6, "event:e", 50, false), batch(7, "event:f", 50, false)], 7, 2, "{}\n{\"e\":4}\n"),
        segment(&[batch(8, "phone-1", 10, true)], 8, 2, "{\"batch\":{}}\n{\"e\":\"ü\"}\n"),
    ]
}

#[test]
fn event_lines_keep_their_bytes_and_batches_their_places() {
    let merged = merged(&three()).unwrap();
    let lines = "{\"e\": 1}\r\n {\"batch\":2}\n{}\n{\"e\":4}\n{\"e\":\"ü\"}\n";
    assert_eq!(String::from_utf8(merged.content).unwrap(), lines, "batch lines alone are dropped");
    let header = merged.header;
    assert_eq!((header.first, header.last, header.lines), (Position(4), Position(8), 5));
    assert!(!header.has_batch_line());
    let batches = [
        batch(4, "phone-1", 30, false),
        batch(6, "event:e", 50, false),
        batch(7, "event:f", 50, false),
        batch(8, "phone-1", 10, true),
    ];
    assert_eq!(header.batches, batches);
    assert_eq!(merged.received_at, UtcTime(50), "as young as the youngest");
}

#[test]
fn what_was_merged_can_be_merged_again() {
    let [first, second, third] = <[Segment; 3]>::try_from(three()).unwrap();
    let of_two = merged(&[first, second]).unwrap();
    let frame = Encoder::dense().unwrap().encode(&of_two.content).unwrap();
    let again = merged(&[Segment { header: of_two.header, frame }, third]).unwrap();
    let at_once = merged(&three()).unwrap();
    assert_eq!((again.content, again.header), (at_once.content, at_once.header));
}

#[test]
fn damage_is_found_and_located() {
    let check = |case: &str, damage: &dyn Fn(&mut Segment), expect: &dyn Fn(&DamagedLog) -> bool| {
        let mut segments = three();
        damage(&mut segments[1]);
        let (found, at) = merged(&segments).unwrap_err();
        assert!(expect(&found), "{case}: {found:?}");
        assert_eq!(at, Span { first: Position(6), last: Position(7) }, "{case}");
    };
    let is_frame: &dyn Fn(&DamagedLog) -> bool = &|found| matches!(found, DamagedLog::Frame { .. });
    let is_lines: &dyn Fn(&DamagedLog) -> bool = &|found| matches!(found, DamagedLog::Lines { .. });
    check("cut short", &|segment| segment.frame.truncate(segment.frame.len() - 1), is_frame);
    check("a bit", &|segment| *segment.frame.last_mut().unwrap() ^= 1, is_frame);
    check("something behind it", &|segment| segment.frame.push(0), is_frame);
    check("no frame", &|segment| segment.frame.clear(), is_frame);
    let with = |body: &'static str| {
        move |segment: &mut Segment| segment.frame = Encoder::new().unwrap().encode(body.as_bytes()).unwrap()
    };
    check("a line less", &with("{}\n"), is_lines);
    check("a line more", &with("{}\n{}\n{}\n"), is_lines);
    check("two lines more", &with("{}\n{}\n{}\n{}\n"), is_lines);
    check("an open end", &with("{}\n{\"e\":4}"), is_lines);
    check("a batch line that is missing", &|segment| segment.header.lines += 1, is_lines);
    let no_batch = |segment: &mut Segment| segment.header.batches.clear();
    check("no origin", &no_batch, &|found| matches!(found, DamagedLog::Origin(Position(6))));
}
