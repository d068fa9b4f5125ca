//! The lines in frames: batches, quarantined lines, messages of PUSH, segments and pulls.

use tidelog_events::frame::{
    BatchLines, MalformedBatch, PullItem, PullReader, PushHeader, SegmentBody, SegmentHeader, SnapshotHeader,
    read_quarantined, split_push, write_batch, write_quarantined,
};
use tidelog_events::id::Position;
use tidelog_events::limits::MAX_BATCH_EVENTS;

use crate::planted;

/// A batch has every line of its body, and is written and read back the same.
pub fn batch(body: &[u8]) {
    let line_feeds = line_feeds(body);
    match BatchLines::split(body) {
        Ok(batch) => {
            let lines = body.split_inclusive(|byte| *byte == b'\n').skip(1);
            assert!(lines.eq(batch.events.iter().map(|event| [event.as_bytes(), b"\n"].concat())));
            assert_eq!(batch.events.len() as u64 + 1, line_feeds);
            let written = write_batch(&batch.header, &batch.events);
            assert_eq!(BatchLines::split(&written).as_ref(), Ok(&batch));
            planted::behind(batch.events.iter().filter(|event| event.is_empty()).count());
        }
        Err(MalformedBatch::Encoding) => {
            assert!(std::str::from_utf8(body).is_err() || body.starts_with(b"\xef\xbb\xbf"));
        }
        Err(MalformedBatch::UnendedLine) => assert!(!body.ends_with(b"\n")),
        Err(MalformedBatch::Empty) => assert_eq!(line_feeds, 1),
        Err(MalformedBatch::BatchLine(why)) => assert!(!why.is_empty()),
    }
}

/// Quarantined lines come in order, as many as are expected, and are written and read back the same.
pub fn quarantined(lines: &[u8]) {
    let expected = line_feeds(lines) / 2;
    let Ok(events) = read_quarantined(lines, expected) else { return };
    assert_eq!(events.len() as u64, expected);
    assert!(events.is_sorted_by(|one, next| one.0.device_sequence < next.0.device_sequence));
    assert!(read_quarantined(lines, expected + 1).is_err() && read_quarantined(lines, expected - 1).is_err());
    let mut written = Vec::new();
    for (reason, line) in &events {
        write_quarantined(&mut written, reason, line);
    }
    assert_eq!(read_quarantined(&written, expected).as_ref(), Ok(&events));
}

/// A message of PUSH, its header in the first line, is split into two frames of which none is unexpected.
pub fn push(message: &[u8]) {
    let (first, payload) = first_line(message);
    let Ok(header) = serde_json::from_slice::<PushHeader>(first) else { return };
    let written = serde_json::to_vec(&header).expect("a header is JSON");
    assert_eq!(serde_json::from_slice::<PushHeader>(&written).expect("a header"), header);
    let Ok((accepted, quarantined)) = split_push(&header, payload) else { return };
    assert_eq!([accepted, quarantined].concat(), payload);
    assert_eq!(accepted.is_empty(), header.accepted() == 0);
    assert_eq!(quarantined.is_empty(), header.quarantined == 0);
    assert_eq!(header.accepted() + header.quarantined, header.events());
    assert!((1..=MAX_BATCH_EVENTS as u64).contains(&header.events()));
}

/// A segment's header counts at least one event and is written and read back the same.
pub fn segment_header(bytes: &[u8]) {
    let (line, _) = first_line(bytes);
    let Some(header) = SegmentHeader::parse(line) else { return };
    assert_eq!(SegmentHeader::parse(&header.line()).as_ref(), Some(&header));
    assert!(Position::ZERO < header.first && header.first <= header.last);
    assert_eq!(header.events() + u64::from(header.has_batch_line()), header.lines);
    let last = Position(header.first.0 + header.events() - 1);
    assert!(last <= header.last, "no more events than positions");
    for position in [header.first, header.last] {
        assert!(header.batch_at(position).is_none_or(|batch| batch.first <= position));
    }
}

/// A body is taken apart where its lines are as many as the row counts, and refused with their number elsewhere.
pub fn segment_body(body: &[u8]) {
    let whole = std::str::from_utf8(body).is_ok() && body.ends_with(b"\n");
    let lines = if whole { line_feeds(body) } else { 0 };
    for events in [lines.saturating_sub(2), lines.saturating_sub(1), lines, lines + 1] {
        let (first, last) = (Position(7), Position(6 + events));
        match SegmentBody::split(body, first, last) {
            Ok(segment) => {
                let read: Vec<&str> = segment.batch_line.iter().chain(&segment.events).copied().collect();
                let text: String = read.iter().flat_map(|line| [line, "\n"]).collect();
                assert_eq!(segment.events.len() as u64, events);
                assert!(text.as_bytes() == body || lines == 0 && events == 0);
            }
            Err(torn) => {
                assert_eq!((torn.events, torn.lines), (events, lines));
                assert!(lines != events && lines != events + 1);
            }
        }
    }
}

/// A pull moves the cursor forwards, over each position once, up to where the segment ends.
pub fn pull(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut reader = PullReader::new(text, Position::ZERO);
    let mut cursor = Position::ZERO;
    let mut lines = 0;
    while let Ok(Some(item)) = reader.next_item() {
        match item {
            PullItem::Hello(hello) => {
                assert_eq!(lines, 0, "only the first line can be a hello");
                cursor = hello.cursor;
                lines = 1;
            }
            PullItem::Snapshot(header, entities) => {
                assert_eq!(lines, 1, "a snapshot stands right behind the hello");
                assert_eq!(entities.len() as u64, header.entities);
                assert_eq!(SnapshotHeader::parse(&header.line()).as_ref(), Some(&header));
                lines += 1 + header.entities;
                cursor = cursor.max(header.through);
                assert_eq!(reader.cursor(), cursor);
            }
            PullItem::Segment(header, events) => {
                lines += 1 + header.lines;
                for (position, line) in events {
                    assert!(position > cursor, "no position comes twice");
                    assert!(!line.contains('\n'));
                    cursor = position;
                }
                assert!(cursor <= reader.cursor(), "the cursor lies behind all that was read");
                cursor = reader.cursor();
            }
        }
    }
    assert!(lines <= line_feeds(bytes));
}

fn line_feeds(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

fn first_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}
