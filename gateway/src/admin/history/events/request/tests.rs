//! What is asked for, as it stands in a query.

use axum::http::Uri;

use super::*;

fn read(query: &str) -> Result<EventRequest, String> {
    let uri: Uri = format!("/?{query}").parse().unwrap();
    let Query(params) = Query::<EventParams>::try_from_uri(&uri).map_err(|error| error.to_string())?;
    EventRequest::check(params, 1000).map_err(|problem| format!("{problem:?}"))
}

#[test]
fn a_bound_is_a_position_or_a_time() {
    let check = |query: &str, positions: (u64, u64), millis: Option<(i64, i64)>, quarantine: bool| {
        let request = read(query).unwrap();
        let filter = &request.filter;
        assert_eq!((filter.positions.start().0, filter.positions.end().0), positions, "{query}");
        assert_eq!(filter.millis.clone().map(RangeInclusive::into_inner), millis, "{query}");
        assert_eq!(request.with_quarantine, quarantine, "{query}");
    };
    let (first, last) = (1, MAX_SAFE_INTEGER);
    check("", (first, last), None, true);
    check("quarantined=without", (first, last), None, false);
    check("from=0", (first, last), None, false);
    check("from=7&to=9", (7, 9), None, false);
    check("to=9&quarantined=only", (first, 9), None, false);
    let ten = 1_754_476_200_000;
    let end = Stamp::MAX.millis();
    check("from=2025-08-06T10:30:00Z", (first, last), Some((ten, end)), true);
    check(
        "from=2025-08-06T10:30:00.000Z-0003&to=2025-08-06T10:30:00.005Z",
        (first, last),
        Some((ten, ten + 5)),
        true,
    );
    check("from=3&to=2025-08-06T10:30:00Z", (3, last), Some((Stamp::MIN.millis(), ten)), false);
}

#[test]
fn what_is_not_understood_is_refused() {
    for query in [
        "from=-1",
        "from=1.5",
        "from=NaN",
        "to=9007199254740992",
        "to=99999999999999999999999",
        "from=yesterday",
        "from=2025-13-01T00:00:00Z",
        "from=9&to=8",
        "from=2025-08-06T10:30:01Z&to=2025-08-06T10:30:00Z",
        "to=0",
        "order=received",
        "order=Position",
        "quarantined=yes",
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=NaN",
        "limit=",
        "deviceId=",
        "entityId=%00",
        "cursor=",
        "cursor=e30",
        "type=a&type=b",
        "nothing=1",
    ] {
        assert!(read(query).is_err(), "{query}");
    }
}

#[test]
fn a_cursor_is_taken_in_its_own_order_and_with_numbers_that_there_may_be() {
    let take = |order: &str, cursor: Cursor| {
        let text = serde_json::to_value(PageCursor(cursor)).unwrap();
        read(&format!("order={order}&cursor={}", text.as_str().unwrap())).is_ok()
    };
    let arrival = |millis: i64| Arrival {
        received_at: tidelog_events::protocol::UtcTime(millis),
        device: DeviceId::new("phone-1").unwrap(),
        sequence: Sequence(1),
    };
    let log = Cursor::Log { after: Position(7), listed: false };
    assert!(take("position", log.clone()) && !take("-position", log.clone()) && !take("timestamp", log));
    assert!(!take("position", Cursor::Log { after: Position(u64::MAX), listed: false }));
    assert!(take("-position", Cursor::LogBefore { before: Position(7) }));
    let quarantine = |millis| Cursor::Quarantine { after: Some(arrival(millis)), log: Position(7) };
    assert!(take("position", quarantine(1)) && !take("position", quarantine(-1)));
    assert!(take("-position", Cursor::QuarantineBefore { before: None }));
    let beyond = clock(Stamp::MIN, &DeviceId::new("phone-1").unwrap(), Sequence(1));
    let stamp = Cursor::Stamp { beyond, through: Position(7) };
    assert!(
        take("timestamp", stamp.clone()) && take("-timestamp", stamp.clone()) && !take("position", stamp)
    );
}
