//! What an answer has of a snapshot: all that is wanted, in every form, or nothing at all.

use serde_json::Value;
use tidelog_events::fold::LineDigest;
use tidelog_events::frame::{Decoder, Encoder, PullItem, PullReader};
use tidelog_events::id::{DeviceId, Sequence};
use tidelog_events::protocol::UtcTime;

use super::*;
use crate::pull::answer::{Answer, AnswerError, answer};
use crate::pull::read::{LogRead, SnapshotRead};
use crate::pull::testing::{entity_line, request, schema, several, single, snapshot, stored};

const FORMATS: [Format; 3] = [Format::Frames, Format::Lines, Format::Json];
const PARTS: &[&[&str]] = &[&["goal", "goal"], &["goal", "route", "workout"], &["workout"]];

/// A log through 10 that is pruned through 4.
fn pruned() -> LogRead {
    let (snapshot, parts) = snapshot(4, PARTS);
    LogRead {
        head: Position(10),
        horizon: Position(4),
        snapshot: Some(SnapshotRead { snapshot, parts }),
        segments: [several(&[5, 7], 9), single(10, 10)].map(stored).into(),
        ..LogRead::default()
    }
}

fn codec() -> Codec {
    Codec { encoder: Encoder::new().unwrap(), decoder: Decoder::new().unwrap() }
}

fn answer_to(read: &LogRead, request: &PullRequest, pull_bytes: u64) -> Result<Answer, AnswerError> {
    answer(read, Some(read.hello(None, 3, UtcTime(1))), request, &schema(), pull_bytes, &mut codec())
}

/// What a reader at 0 gets: what the header counts, the entity lines, the positions, and where it then stands.
#[derive(Debug, PartialEq)]
struct Told {
    header: SnapshotHeader,
    entities: Vec<String>,
    positions: Vec<u64>,
    cursor: u64,
}

fn told(format: Format, body: &[u8]) -> Told {
    if format == Format::Json {
        return told_as_json(&serde_json::from_slice(body).unwrap());
    }
    let lines = match format {
        Format::Frames => Decoder::new().unwrap().decode_all(body, 1 << 20).unwrap(),
        _ => body.to_vec(),
    };
    let mut reader = PullReader::new(std::str::from_utf8(&lines).unwrap(), Position::ZERO);
    let (mut snapshot, mut positions) = (None, Vec::new());
    while let Some(item) = reader.next_item().unwrap() {
        match item {
            PullItem::Hello(hello) => assert_eq!((hello.cursor, hello.horizon), (Position(0), Position(4))),
            PullItem::Snapshot(header, lines) => snapshot = Some((header, lines)),
            PullItem::Segment(_, events) => positions.extend(events.iter().map(|(position, _)| position.0)),
        }
    }
    let (header, entities) = snapshot.unwrap();
    let entities = entities.into_iter().map(str::to_owned).collect();
    Told { header, entities, positions, cursor: reader.cursor().0 }
}

fn told_as_json(answer: &Value) -> Told {
    let list = |value: &Value| value.as_array().unwrap().clone();
    let mut header = answer["snapshot"].clone();
    let entities = list(&header["entities"]);
    header["entities"] = entities.len().into();
    assert_eq!(answer["more"], answer["cursor"] != answer["head"]);
    Told {
        header: serde_json::from_value(header).unwrap(),
        entities: entities.iter().map(Value::to_string).collect(),
        positions: list(&answer["events"]).iter().map(|event| event["position"].as_u64().unwrap()).collect(),
        cursor: answer["cursor"].as_u64().unwrap(),
    }
}

/// The lines of the entities that `PARTS` holds at these places.
fn lines(places: &[usize]) -> Vec<String> {
    let all: Vec<String> = PARTS
        .iter()
        .flat_map(|types| types.iter().zip(0..))
        .map(|(name, id)| entity_line(name, id))
        .collect();
    places.iter().map(|place| all[*place].clone()).collect()
}

#[test]
fn a_snapshot_stands_before_the_segments_and_the_limit_counts_behind_it() {
    let check = |limit, types: &[&str], positions: &[u64], entities: &[usize]| {
        for format in FORMATS {
            // Unfiltered frames are whole segments.
            let is_cut = format != Format::Frames || !types.is_empty();
            let positions = if is_cut { positions } else { &[5, 6, 7, 8, 9, 10][..positions.len().max(5)] };
            let answer = answer_to(&pruned(), &request(0, limit, types, format), 1 << 20).unwrap();
            let told = told(format, &answer.body);
            assert_eq!(told.entities, lines(entities), "{format:?} {limit} {types:?}");
            assert_eq!((told.header.through.0, told.header.entities), (4, entities.len() as u64));
            assert_eq!(told.header.state_hash == StateHash::default(), !types.is_empty());
            assert_eq!((&*told.positions, answer.events), (positions, positions.len() as u64), "{format:?}");
        }
    };
    check(1000, &[], &[5, 6, 7, 8, 9, 10], &[0, 1, 2, 3, 4, 5]);
    check(1, &[], &[5], &[0, 1, 2, 3, 4, 5]);
    check(5, &[], &[5, 6, 7, 8, 9], &[0, 1, 2, 3, 4, 5]);
    check(1000, &["goal"], &[6, 9], &[0, 1, 2]);
    check(1000, &["workout"], &[5, 7, 8, 10], &[4, 5]);
    check(1, &["workout"], &[5], &[4, 5]);
    check(1000, &["goal", "workout"], &[5, 6, 7, 8, 9, 10], &[0, 1, 2, 4, 5]);
}

#[test]
fn who_has_read_a_snapshot_stands_at_its_position_or_behind_it() {
    let check = |read: &LogRead, limit, expect| {
        for format in [Format::Lines, Format::Json] {
            let answer = answer_to(read, &request(0, limit, &[], format), 1 << 20).unwrap();
            assert_eq!(told(format, &answer.body).cursor, expect, "{format:?}");
        }
    };
    check(&pruned(), 2, 6);
    check(&LogRead { segments: Vec::new(), head: Position(4), ..pruned() }, 10, 4);
}

#[test]
fn stored_parts_are_passed_on_untouched_where_all_their_entities_are_wanted() {
    let is_passed_on = |types: &[&str]| {
        let read = pruned();
        let body = answer_to(&read, &request(0, 10, types, Format::Frames), 1 << 20).unwrap().body;
        let parts = &read.snapshot.unwrap().parts;
        let holds = |part: &Part| body.windows(part.frame.len()).any(|bytes| bytes == part.frame);
        parts.iter().map(holds).collect::<Vec<_>>()
    };
    assert_eq!(is_passed_on(&[]), [true, true, true]);
    assert_eq!(is_passed_on(&["goal"]), [true, false, false]);
    assert_eq!(is_passed_on(&["goal", "workout"]), [true, false, true]);
}

#[test]
fn a_snapshot_without_entities_is_a_header_that_says_so() {
    let (snapshot, parts) = snapshot(4, &[]);
    let read = LogRead { snapshot: Some(SnapshotRead { snapshot, parts }), ..pruned() };
    for (types, positions) in [(&[][..], &[5, 6, 7, 8, 9, 10][..]), (&["goal"], &[6, 9])] {
        for format in FORMATS {
            let answer = answer_to(&read, &request(0, 10, types, format), 1 << 20).unwrap();
            let told = told(format, &answer.body);
            assert_eq!((told.header.entities, told.positions.as_slice()), (0, positions), "{format:?}");
        }
    }
}

/// Where the entities are to be put in: what stands before and behind that place.
fn place(read: &LogRead, format: Format, pull_bytes: u64) -> Option<(Vec<u8>, Vec<u8>)> {
    let Answer { body, entities_at, .. } = answer_to(read, &request(0, 10, &[], format), pull_bytes).unwrap();
    entities_at.map(|at| (body[..at].to_vec(), body[at..].to_vec()))
}

#[test]
fn entities_that_are_not_here_or_decode_to_too_much_are_left_to_be_put_in() {
    let mut partly = pruned();
    partly.snapshot.as_mut().unwrap().parts.pop();
    for format in FORMATS {
        assert_eq!(place(&pruned(), format, 1 << 20), None);
        assert_eq!(place(&pruned(), format, 1).is_some(), format != Format::Frames, "{format:?}");
        let (before, behind) = place(&partly, format, 1 << 20).unwrap();
        let mut entities = Vec::new();
        let (SnapshotRead { snapshot, parts }, mut codec) = (pruned().snapshot.unwrap(), codec());
        let mut writer = EntityWriter::new(&snapshot, &request(0, 10, &[], format));
        for part in &parts {
            assert!(!writer.is_done() && writer.end().is_err());
            writer.write(part, &mut codec, &mut entities).unwrap();
        }
        assert!(writer.is_done() && writer.end().is_ok());
        let told = told(format, &[before, entities, behind].concat());
        assert_eq!((told.entities, told.cursor), (lines(&[0, 1, 2, 3, 4, 5]), 10), "{format:?}");
    }
}

#[test]
fn a_name_in_the_header_is_no_place_for_entities() {
    let mut read = pruned();
    let snapshot = &mut read.snapshot.as_mut().unwrap().snapshot;
    snapshot.devices = [(DeviceId::new("entities").unwrap(), Sequence(2))].into();
    snapshot.state_hash.replace("entities", None, LineDigest::of(b"x"));
    let (before, behind) = place(&read, Format::Json, 1).unwrap();
    let told = told(Format::Json, &[before, b"{},{}".to_vec(), behind].concat());
    assert_eq!((told.entities.len(), told.header.devices.len()), (2, 1));
}

#[test]
fn damage_gives_no_answer_in_any_form() {
    let check = |types: &[&str], change: &dyn Fn(&mut SnapshotRead), expect: [bool; 3]| {
        for (format, is_refused) in FORMATS.into_iter().zip(expect) {
            let mut read = pruned();
            change(read.snapshot.as_mut().unwrap());
            let answer = answer_to(&read, &request(0, 10, types, format), 1 << 20);
            let refused = matches!(answer, Err(AnswerError::DamagedSnapshot(_)));
            assert_eq!((refused, answer.is_err()), (is_refused, is_refused), "{format:?} {types:?}");
        }
    };
    let encode = |lines: &str| Encoder::new().unwrap().encode(lines.as_bytes()).unwrap();
    check(&[], &|_| {}, [false; 3]);
    check(&[], &|read| read.parts[1].frame.truncate(20), [true; 3]);
    check(&[], &|read| read.parts[1].frame.push(0), [true; 3]);
    check(&[], &|read| read.parts[1].entities -= 1, [true; 3]);
    check(&[], &|read| *read.snapshot.entities.get_mut("goal").unwrap() += 1, [true; 3]);
    check(&[], &|read| read.parts[2] = read.parts[0].clone(), [true; 3]);
    // What is inside of a frame is for its reader to check: the checksum is passed on.
    check(&[], &|read| read.parts[2].frame = encode("{}\n{}\n"), [false, true, true]);
    check(&[], &|read| read.parts[2].frame = encode("{\"torn\":\n"), [false, false, true]);
    // Of parts that hold nothing of the kind, nothing is asked.
    check(&["goal"], &|read| read.parts[2].frame = encode("{}\n{}\n"), [false; 3]);
    check(&["goal"], &|read| read.parts[1].frame = encode("{}\n{}\n{}\n"), [true; 3]);
}
