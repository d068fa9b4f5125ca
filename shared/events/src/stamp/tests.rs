//! Stamps: a table of texts, and properties against `jiff` over the whole range.

use proptest::prelude::*;

use super::*;

fn any_stamp() -> impl Strategy<Value = Stamp> {
    (Stamp::MIN.millis..=Stamp::MAX.millis, any::<u16>())
        .prop_map(|(millis, counter)| Stamp::new(millis, counter).unwrap())
}

fn check(text: &str, expect: Result<&str, InvalidStamp>) {
    let read = Stamp::parse(text).map(|stamp| stamp.to_string());
    assert_eq!(read.as_deref().map_err(|&fault| fault), expect, "{text:?}");
}

#[test]
fn a_stamp_is_read_from_its_text_and_from_plain_iso() {
    check("2025-08-06T10:30:00.000Z-0003", Ok("2025-08-06T10:30:00.000Z-0003"));
    check("2025-08-06T10:30:00.000Z-FFFF", Ok("2025-08-06T10:30:00.000Z-FFFF"));
    check("2025-08-06T10:30:00Z", Ok("2025-08-06T10:30:00.000Z-0000"));
    check("2025-08-06T10:30:00.5Z", Ok("2025-08-06T10:30:00.500Z-0000"));
    check("2025-08-06T10:30:00.9999999999Z", Ok("2025-08-06T10:30:00.999Z-0000"));
    check("0001-01-01T00:00:00Z", Ok("0001-01-01T00:00:00.000Z-0000"));
    check("9999-12-31T23:59:59.999Z-FFFF", Ok("9999-12-31T23:59:59.999Z-FFFF"));
    check("2000-02-29T00:00:00Z", Ok("2000-02-29T00:00:00.000Z-0000"));
    assert_eq!(Stamp::parse("9999-12-31T23:59:59.999Z-FFFF"), Ok(Stamp::MAX));
    assert_eq!(Stamp::parse("0001-01-01T00:00:00.000Z-0000"), Ok(Stamp::MIN));
}

#[test]
fn what_is_no_stamp_is_refused() {
    for form in [
        "",
        "2025-08-06",
        "2025-08-06T10:30:00",
        "2025-08-06t10:30:00Z",
        "2025-08-06T10:30:00z",
        "2025-08-06 10:30:00Z",
        "2025-08-06T10:30:00+00:00",
        "2025-08-06T10:30:00-00:00",
        "2025-08-06T10:30Z",
        "2025-08-06T10:30:00.Z",
        "2025-08-06T10:30:00,5Z",
        "2025-08-06T10:30:00.5xZ",
        "2025-08-06T10:30:00.000Z-",
        "2025-08-06T10:30:00.000Z-003",
        "2025-08-06T10:30:00.000Z-00003",
        "2025-08-06T10:30:00.000Z-00aB",
        "2025-08-06T10:30:00.00Z-0003",
        "2025-08-06T10:30:00Z-0003",
        "2025-08-06T10:30:00.000Z ",
        " 2025-08-06T10:30:00.000Z",
        "+2025-08-06T10:30:00Z",
        "12025-08-06T10:30:00Z",
        "-001-08-06T10:30:00Z",
        "２025-08-06T10:30:00Z",
    ] {
        check(form, Err(InvalidStamp::Form));
    }
    for date in [
        "2025-00-06T10:30:00Z",
        "2025-13-06T10:30:00Z",
        "2025-08-00T10:30:00Z",
        "2025-04-31T10:30:00Z",
        "2025-02-29T10:30:00Z",
        "1900-02-29T10:30:00Z",
        "2025-08-06T24:00:00Z",
        "2025-08-06T10:60:00Z",
        "2016-12-31T23:59:60Z",
    ] {
        check(date, Err(InvalidStamp::Date));
    }
    check("0000-01-01T00:00:00Z", Err(InvalidStamp::OutOfRange));
    assert_eq!(Stamp::from_millis(Stamp::MIN.millis() - 1), Err(InvalidStamp::OutOfRange));
    assert_eq!(Stamp::from_millis(Stamp::MAX.millis() + 1), Err(InvalidStamp::OutOfRange));
}

#[test]
fn json_has_texts_and_whole_milliseconds() {
    let read = |json: &str| serde_json::from_str::<Stamp>(json).map(|stamp| stamp.to_string()).ok();
    assert_eq!(read("1754476200000").as_deref(), Some("2025-08-06T10:30:00.000Z-0000"));
    assert_eq!(read("-1").as_deref(), Some("1969-12-31T23:59:59.999Z-0000"));
    assert_eq!(read("\"2025-08-06T10:30:00Z\"").as_deref(), Some("2025-08-06T10:30:00.000Z-0000"));
    for refused in
        ["1754476200000.5", "1e400", "18446744073709551615", "null", "true", "[]", "\"1754476200000\""]
    {
        assert_eq!(read(refused), None, "{refused}");
    }
    let stamp = Stamp::new(0, 0xABC).unwrap();
    assert_eq!(serde_json::to_string(&stamp).unwrap(), "\"1970-01-01T00:00:00.000Z-0ABC\"");
}

#[test]
fn every_day_of_the_calendar_comes_back() {
    let days = Stamp::MIN.millis() / 86_400_000..=Stamp::MAX.millis().div_euclid(86_400_000);
    for day in days {
        let (year, month, day_of_month) = civil_from_days(day);
        assert_eq!(days_from_civil(year, month, day_of_month), day);
    }
}

proptest! {
    #[test]
    fn a_stamp_comes_back_from_its_text(stamp in any_stamp()) {
        let text = stamp.to_string();
        prop_assert_eq!(text.len(), 29);
        prop_assert_eq!(Stamp::parse(&text), Ok(stamp));
        let json = serde_json::to_string(&stamp).unwrap();
        prop_assert_eq!(serde_json::from_str::<Stamp>(&json).unwrap(), stamp);
    }

    #[test]
    fn text_order_is_value_order(a in any_stamp(), b in any_stamp()) {
        prop_assert_eq!(a.to_string().cmp(&b.to_string()), a.cmp(&b));
    }

    #[test]
    fn jiff_agrees_on_every_date(stamp in any_stamp()) {
        let theirs = jiff::Timestamp::from_millisecond(stamp.millis());
        // jiff leaves out the last hours of the year 9999.
        prop_assume!(theirs.is_ok());
        let ours = Stamp::from_millis(stamp.millis()).unwrap().to_string();
        prop_assert_eq!(ours, format!("{:.3}-0000", theirs.unwrap()));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,40}", near in "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,4})?Z?(-[0-9A-Fa-f]{0,5})?") {
        let _ = Stamp::parse(&text);
        let _ = Stamp::parse(&near);
    }
}
