//! What the server in memory answers, and what it holds then.

mod disturbing;
mod pulling;
mod pushing;

use std::sync::Arc;

use tidelog_client::transport::{Answer, OwnEventsRequest, PullRequest, PushRequest, Refused, Request};
use tidelog_events::admit::After;
use tidelog_events::frame::{BatchHeader, PullItem, PullReader, write_batch};
use tidelog_events::id::{DeviceId, EventId, Position, Sequence, SpaceId, UserId};
use tidelog_events::protocol::{DeviceEvent, Hello, PushAnswer};
use tidelog_events::schema::Schema;
use uuid::Uuid;

use super::MemoryServer;
use crate::server::{LogEvent, Server};

const SCHEMA: &str = r#"{"name":"test","version":3,
    "entities":{"cup":{"fields":{"name":{"type":"string"}}},"tea":{"fields":{"sort":{"type":"string"}}}},
    "events":{"CUP_MADE":{"entity":"cup","creates":true,"payload":{"name":"required"}},
              "TEA_BOUGHT":{"entity":"tea","creates":true,"payload":{"sort":"required"}}}}"#;
/// 2025-08-06T10:30:00Z.
const NOW_MS: i64 = 1_754_476_200_000;

fn server() -> MemoryServer {
    MemoryServer::new(Arc::new(Schema::parse(SCHEMA).unwrap()))
}

fn space() -> SpaceId {
    SpaceId::new("ann").unwrap()
}

fn device(name: &str) -> DeviceId {
    DeviceId::new(name).unwrap()
}

/// The id of a device's event; `life` tells clones apart.
fn id(device: &str, life: u128, sequence: u64) -> EventId {
    let name = device.bytes().fold(0, |sum, byte| sum * 256 + u128::from(byte));
    EventId(Uuid::from_u128((name << 48) + (life << 32) + u128::from(sequence)))
}

/// An event line: odd sequences make cups, even ones buy tea.
fn line(device: &str, life: u128, sequence: u64) -> String {
    let id = id(device, life, sequence);
    let (event_type, field) = if sequence % 2 == 1 { ("CUP_MADE", "name") } else { ("TEA_BOUGHT", "sort") };
    format!(
        r#"{{"eventId":"{id}","deviceSequence":{sequence},"type":"{event_type}","entityId":"e-{sequence}","timestamp":"2025-08-06T10:00:00.000Z-{sequence:04X}","lastSeenEventId":null,"payload":{{"{field}":"{device}"}}}}"#
    )
}

/// An event that no schema knows.
fn bad_line(device: &str, sequence: u64) -> String {
    line(device, 0, sequence).replace("CUP_MADE", "CUP_BROKEN").replace("TEA_BOUGHT", "TEA_SPILT")
}

fn request_of(device_name: &str, after: Option<After>, first: u64, lines: &[String]) -> Request {
    let header = BatchHeader { device_id: Some(device(device_name)), user_id: None, after };
    Request::Push(PushRequest {
        space: space(),
        device: device(device_name),
        first: Sequence(first),
        last: Sequence(first + lines.len() as u64 - 1),
        body: write_batch(&header, lines),
    })
}

/// A push of sequences `first` to `last`, all good, in the order of the device's first life.
fn push(device_name: &str, first: u64, last: u64) -> Request {
    let lines: Vec<_> = (first..=last).map(|sequence| line(device_name, 0, sequence)).collect();
    let event_id = (first > 1).then(|| id(device_name, 0, first - 1));
    let after = After { device_sequence: Sequence(first - 1), event_id };
    request_of(device_name, Some(after), first, &lines)
}

fn answer(server: &MemoryServer, request: &Request) -> Answer {
    server.send(&UserId::new("ann").unwrap(), request, NOW_MS, None).unwrap()
}

fn pushed(server: &MemoryServer, request: &Request) -> PushAnswer {
    match answer(server, request) {
        Answer::Pushed(answer) => answer,
        other => panic!("{other:?}"),
    }
}

fn refused(server: &MemoryServer, request: &Request) -> Refused {
    match answer(server, request) {
        Answer::Refused(refused) => refused,
        other => panic!("{other:?}"),
    }
}

fn pull(after: u64, limit: u64, types: Option<&[&str]>) -> Request {
    let types = types.map(|types| types.iter().map(ToString::to_string).collect());
    Request::Pull(PullRequest {
        space: space(),
        after: Position(after),
        limit,
        device: device("phone"),
        types,
        report: None,
    })
}

/// An answer's text.
fn lines(server: &MemoryServer, request: &Request) -> String {
    match answer(server, request) {
        Answer::Pulled(lines) => lines,
        other => panic!("{other:?}"),
    }
}

/// The parts of an answer, the hello apart.
fn items(lines: &str) -> (Hello, Vec<PullItem<'_>>) {
    let mut reader = PullReader::new(lines, Position::ZERO);
    let Some(PullItem::Hello(hello)) = reader.next_item().unwrap() else { panic!("no hello: {lines}") };
    let mut items = Vec::new();
    while let Some(item) = reader.next_item().unwrap() {
        items.push(item);
    }
    (*hello, items)
}

fn own_events(server: &MemoryServer, device_name: &str) -> Vec<DeviceEvent> {
    let (from, to) = (Sequence(1), Sequence(1000));
    match answer(
        server,
        &Request::OwnEvents(OwnEventsRequest { space: space(), device: device(device_name), from, to }),
    ) {
        Answer::OwnEvents(events) => events,
        other => panic!("{other:?}"),
    }
}

/// Devices and sequences of the log, as text.
fn log(server: &MemoryServer) -> Vec<String> {
    let event = |(at, event): (u64, LogEvent)| {
        assert_eq!(event.position, Position(at), "positions are gapless");
        let value: serde_json::Value = serde_json::from_str(&event.line).unwrap();
        format!("{} {}", event.device, value["deviceSequence"])
    };
    (1..).zip(server.log(&space()).unwrap()).map(event).collect()
}
