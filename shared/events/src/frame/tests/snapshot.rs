//! What must hold of a snapshot in a pull, wherever it stands and wherever it is cut.

use serde_json::json;

use super::*;

fn snapshot(through: u64, entities: u64) -> SnapshotHeader {
    SnapshotHeader {
        through: Position(through),
        schema_version: 3,
        entities,
        state_hash: serde_json::from_value(json!({"note": "0".repeat(32)})).unwrap(),
        devices: [(DeviceId::new("phone-1").unwrap(), Sequence(50))].into(),
    }
}

/// A snapshot of which each entity line poses as a segment's header.
fn snapshot_lines(header: &SnapshotHeader) -> Vec<u8> {
    let poser = String::from_utf8(segment(header.through.0 + 1, header.through.0 + 2, 2).line()).unwrap();
    write_snapshot(header, (0..header.entities).map(|_| poser.trim_end()))
}

/// What is read, up to the end or an error: the cursor behind each item.
fn cursors(lines: &[u8], cursor: u64) -> (Vec<u64>, Option<TornPull>) {
    let mut reader = PullReader::new(std::str::from_utf8(lines).unwrap(), Position(cursor));
    let mut cursors = Vec::new();
    loop {
        match reader.next_item() {
            Ok(Some(_)) => cursors.push(reader.cursor().0),
            Ok(None) => return (cursors, None),
            Err(torn) => return (cursors, Some(torn)),
        }
    }
}

#[test]
fn a_header_is_written_and_read_back_and_what_is_added_later_is_ignored() {
    let header = snapshot(1000, 120);
    let line = String::from_utf8(header.line()).unwrap();
    assert_eq!(
        line,
        format!(
            "{{\"snapshot\":{{\"through\":1000,\"schemaVersion\":3,\"entities\":120,\"stateHash\":{{\"note\":\"{}\"}},\
             \"devices\":{{\"phone-1\":50}}}}}}\n",
            "0".repeat(32)
        )
    );
    assert_eq!(SnapshotHeader::parse(line.as_bytes()).as_ref(), Some(&header));
    let later = line.replace("\"entities\"", "\"madeAt\":\"2026\",\"entities\"");
    assert_eq!(SnapshotHeader::parse(later.as_bytes()).as_ref(), Some(&header));
    assert_eq!(SnapshotHeader::parse(&segment(1, 1, 1).line()), None);
}

#[test]
fn a_header_whose_counts_cannot_be_is_none() {
    let check = |header: SnapshotHeader, expect: bool| {
        assert_eq!(SnapshotHeader::parse(&header.line()).is_some(), expect, "{header:?}");
    };
    let sequence = |sequence: u64| SnapshotHeader {
        devices: [(DeviceId::new("phone-1").unwrap(), Sequence(sequence))].into(),
        ..snapshot(1, 0)
    };
    let max = (1 << 53) - 1;
    check(snapshot(1, 0), true);
    check(snapshot(max, max), true);
    check(snapshot(0, 0), false);
    check(snapshot(max + 1, 0), false);
    check(snapshot(u64::MAX, 0), false);
    check(snapshot(1, max + 1), false);
    check(snapshot(1, u64::MAX), false);
    check(sequence(max), true);
    check(sequence(0), false);
    check(sequence(u64::MAX), false);
}

#[test]
fn a_snapshot_comes_with_its_lines_and_moves_the_cursor_to_its_position() {
    let header = snapshot(20, 3);
    let lines = [hello(10), snapshot_lines(&header), segment_lines(&segment(19, 22, 5))].concat();
    let lines = String::from_utf8(lines).unwrap();
    let mut reader = PullReader::new(&lines, Position::ZERO);
    assert!(matches!(reader.next_item(), Ok(Some(PullItem::Hello(_)))));
    let Ok(Some(PullItem::Snapshot(read, entities))) = reader.next_item() else { panic!("a snapshot") };
    assert_eq!((read, entities.len(), reader.cursor()), (header, 3, Position(20)));
    assert!(entities.iter().all(|line| line.starts_with("{\"segment\":{\"first\":21,")));
    assert_eq!(positions(&lines, 0), Ok(vec![21, 22]));
}

#[test]
fn a_snapshot_before_the_cursor_is_left_to_the_caller() {
    let lines = [hello(30), snapshot_lines(&snapshot(20, 1)), segment_lines(&segment(31, 31, 1))].concat();
    assert_eq!(cursors(&lines, 0), (vec![30, 30, 31], None));
}

#[test]
fn a_segment_must_begin_at_or_before_the_position_behind_the_snapshot() {
    let answer = |first| {
        [hello(0), snapshot_lines(&snapshot(20, 1)), segment_lines(&segment(first, first, 1))].concat()
    };
    assert_eq!(cursors(&answer(21), 0), (vec![0, 20, 21], None));
    assert_eq!(cursors(&answer(22), 0), (vec![0, 20], Some(TornPull::Gap { first: Position(22) })));
}

#[test]
fn a_snapshot_stands_right_behind_the_hello_or_nowhere() {
    let (snapshot, segment) = (snapshot_lines(&snapshot(20, 0)), segment_lines(&segment(1, 1, 1)));
    let behind_a_segment = [hello(0), segment, snapshot.clone()].concat();
    assert_eq!(cursors(&behind_a_segment, 0), (vec![0, 1], Some(TornPull::NoHeader)));
    let twice = [hello(0), snapshot.clone(), snapshot.clone()].concat();
    assert_eq!(cursors(&twice, 0), (vec![0, 20], Some(TornPull::NoHeader)));
    assert_eq!(cursors(&snapshot, 0), (vec![], Some(TornPull::NoHeader)));
}

#[test]
fn a_snapshot_that_promises_more_than_comes_is_unfinished() {
    let line = snapshot(20, (1 << 53) - 1).line();
    assert_eq!(cursors(&[hello(0), line].concat(), 0), (vec![0], Some(TornPull::Unfinished)));
    for impossible in ["18446744073709551615", "18446744073709551616"] {
        let line = String::from_utf8(snapshot(20, 7).line()).unwrap();
        let line = line.replace("\"entities\":7", &format!("\"entities\":{impossible}"));
        let lines = [hello(0), line.into_bytes()].concat();
        assert_eq!(cursors(&lines, 0), (vec![0], Some(TornPull::NoHeader)), "{impossible}");
    }
}

#[test]
fn a_torn_snapshot_is_no_item() {
    let (begin, snapshot) = (hello(0), snapshot_lines(&snapshot(20, 4)));
    let lines = [&begin[..], &snapshot].concat();
    for cut in begin.len() + 1..lines.len() {
        assert_eq!(cursors(&lines[..cut], 0), (vec![0], Some(TornPull::Unfinished)), "cut at {cut}");
    }
    assert_eq!(cursors(&lines[..begin.len()], 0), (vec![0], None));
    assert_eq!(cursors(&lines, 0), (vec![0, 20], None));
}
