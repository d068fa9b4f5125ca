//! One pull, in each of its formats.

use serde_json::Value;
use tidelog_events::frame::{Decoder, PullItem, PullReader};
use tidelog_events::id::Position;
use tidelog_events::protocol::UtcTime;

use super::*;
use crate::pull::testing::{line, request, schema, several, single, stored};

/// 1–4 one batch, 5–9 two, 10 and 50 beyond every type.
fn read(after: u64) -> LogRead {
    let segments = [single(1, 4), several(&[5, 7], 9), single(10, 10)];
    LogRead {
        head: Position(10),
        cursor: Position(after),
        segments: segments.into_iter().filter(|(header, _)| header.last.0 > after).map(stored).collect(),
        ..LogRead::default()
    }
}

fn answer_to(read: &LogRead, request: &PullRequest) -> Answer {
    let mut codec = Codec { encoder: Encoder::new().unwrap(), decoder: Decoder::new().unwrap() };
    answer(read, Some(read.hello(None, 3, UtcTime(1))), request, &schema(), 1 << 20, &mut codec).unwrap()
}

/// The positions that a reader at `after` gets from lines, and where it then stands.
fn read_back(lines: &[u8], after: u64) -> (Vec<u64>, u64) {
    let mut reader = PullReader::new(std::str::from_utf8(lines).unwrap(), Position(after));
    let mut positions = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        if let PullItem::Segment(_, events) = item {
            for (position, text) in events {
                assert_eq!(text, line(position.0));
                positions.push(position.0);
            }
        }
    }
    (positions, reader.cursor().0)
}

fn lines_of(format: Format, body: &[u8]) -> Vec<u8> {
    if format == Format::Lines {
        body.to_vec()
    } else {
        Decoder::new().unwrap().decode_all(body, 1 << 20).unwrap()
    }
}

#[test]
fn lines_and_json_end_at_the_limit_and_frames_are_whole_segments() {
    let check = |after: u64, limit: u64, types: &[&str], cut: (&[u64], u64), whole: (&[u64], u64)| {
        let read = read(after);
        for (format, (expect, cursor)) in [(Format::Lines, cut), (Format::Frames, whole)] {
            let answer = answer_to(&read, &request(after, limit, types, format));
            let found = read_back(&lines_of(format, &answer.body), after);
            assert_eq!(found, (expect.to_vec(), cursor), "{format:?} after {after} limit {limit} {types:?}");
        }
        let json = answer_to(&read, &request(after, limit, types, Format::Json));
        assert_eq!(json.events, cut.0.len() as u64);
        let json: Value = serde_json::from_slice(&json.body).unwrap();
        let positions: Vec<u64> = json["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["position"].as_u64().unwrap())
            .collect();
        assert_eq!((positions.as_slice(), json["cursor"].as_u64()), (cut.0, Some(cut.1)));
        assert_eq!(json["more"], cut.1 < 10);
    };
    let all: Vec<u64> = (1..=10).collect();
    check(0, 1000, &[], (&all, 10), (&all, 10));
    check(0, 3, &[], (&[1, 2, 3], 3), (&[1, 2, 3, 4], 4));
    check(2, 4, &[], (&[3, 4, 5, 6], 6), (&[3, 4, 5, 6, 7, 8, 9], 9));
    check(7, 1, &[], (&[8], 8), (&[8, 9], 9));
    check(9, 1, &[], (&[10], 10), (&[10], 10));
    // Filtered frames are made anew, so they are cut like lines.
    check(0, 1000, &["goal"], (&[3, 6, 9], 10), (&[3, 6, 9], 10));
    check(0, 5, &["goal"], (&[3], 5), (&[3], 5));
    check(9, 1000, &["goal"], (&[], 10), (&[], 10));
    check(2, 1000, &["goal", "workout"], (&all[2..], 10), (&all[2..], 10));
}

#[test]
fn stored_frames_are_passed_on_untouched() {
    let read = read(0);
    let body = answer_to(&read, &request(0, 1000, &[], Format::Frames)).body;
    for segment in &read.segments {
        assert!(body.windows(segment.frame.len()).any(|bytes| bytes == segment.frame));
    }
}

#[test]
fn an_event_of_a_type_that_the_schema_lacks_is_kept_out_of_a_filtered_pull() {
    let read = LogRead { head: Position(51), segments: vec![stored(single(49, 51))], ..LogRead::default() };
    let read = LogRead { cursor: Position(48), ..read };
    let answer = answer_to(&read, &request(48, 10, &["workout", "goal"], Format::Lines));
    assert_eq!(read_back(&answer.body, 48), (vec![49], 51));
}

#[test]
fn a_cursor_beyond_the_head_is_answered_with_cursor_0_and_no_events() {
    let read = LogRead { head: Position(10), ..LogRead::default() };
    for format in [Format::Lines, Format::Frames] {
        let answer = answer_to(&read, &request(11, 1000, &[], format));
        assert_eq!(read_back(&lines_of(format, &answer.body), 11), (vec![], 0));
    }
    let json = answer_to(&read, &request(11, 1000, &[], Format::Json)).body;
    let expect = r#"{"serverTime":"1970-01-01T00:00:00.001Z","epoch":null,"head":10,"horizon":0,"schemaVersion":3,"device":null,"events":[],"cursor":0,"more":true}"#;
    assert_eq!(String::from_utf8(json).unwrap(), expect);
}

#[test]
fn a_json_event_keeps_the_bytes_of_its_line_behind_its_origin() {
    let json = answer_to(&read(7), &request(7, 1, &[], Format::Json)).body;
    let origin =
        r#"{"position":8,"deviceId":"phone-7","userId":"ann","receivedAt":"1970-01-01T00:00:00.001Z","#;
    let expect = format!("\"events\":[{origin}{}]", &line(8)[1..]);
    assert!(String::from_utf8(json).unwrap().contains(&expect));
}

#[test]
fn damage_gives_no_answer_in_any_form() {
    let mut read = read(0);
    read.segments[1].frame.truncate(20);
    let mut codec = Codec { encoder: Encoder::new().unwrap(), decoder: Decoder::new().unwrap() };
    for format in [Format::Frames, Format::Lines, Format::Json] {
        let request = request(0, 1000, &[], format);
        let answer =
            answer(&read, Some(read.hello(None, 3, UtcTime(1))), &request, &schema(), 1 << 20, &mut codec);
        assert!(matches!(answer, Err(AnswerError::Damaged(_))), "{format:?}");
    }
    let mut read = LogRead { head: Position(4), ..LogRead::default() };
    let (header, _) = single(1, 1);
    read.segments = vec![stored((header, b"{\"batch\":{}}\n{\"torn\":\n".to_vec()))];
    let request = request(0, 1000, &[], Format::Json);
    let answer =
        answer(&read, Some(read.hello(None, 3, UtcTime(1))), &request, &schema(), 1 << 20, &mut codec);
    assert!(matches!(answer, Err(AnswerError::Json(_))));
}
