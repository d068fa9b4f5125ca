"""Stamps."""

from subjects.telling import Raw, case, thing, write


def tell():
    stamped = thing({"times": "$timestamp"}, times="stamp list")
    for name, shows, *stamps in [
        ("timestamp-fractions", "An ISO time is cut to milliseconds, never rounded, and has the counter 0.",
         "2025-08-06T10:30:00Z", *(f"2025-08-06T10:30:01.{'987654321'[:n]}Z" for n in range(1, 10)),
         "2025-08-06T10:30:02.0Z", "2025-08-06T10:30:02.9999999999999999999999Z"),
        ("timestamp-counters", "A stamp's own form has a counter of four hexadecimal digits.",
         "2025-08-06T10:30:00.000Z-0000", "2025-08-06T10:30:00.000Z-FFFF", "2025-08-06T10:30:00.999Z-00AB"),
        ("timestamp-milliseconds", "Whole milliseconds since 1970, also before.", 0, 1, -1, 999, -1000, 1754474400123,
         -86400001),
        ("timestamp-first-and-last", "The years 0001 to 9999, in all forms.",
         "0001-01-01T00:00:00.000Z-0000", -62135596800000, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z-FFFF",
         253402300799999, "9999-12-31T23:59:59.9999Z"),
        ("timestamp-leap-days", "Leap days of 2024, 2000 and 0004, and the days around those that are none.",
         "2024-02-29T00:00:00Z", "2000-02-29T23:59:59.999Z", "0004-02-29T12:00:00Z", 951782400000, 951868800000,
         -2203891200001, -2203891200000, "1900-02-28T23:59:59.999Z"),
    ]:
        writes = (write(when, f"device-{n:02}") for n, when in enumerate(stamps))
        case(name, shows, stamped, *writes)
    kinds = {"latest": "stamp", "first": "stamp first", "most": "stamp max", "least": "stamp min", "all": "stamp list"}
    case("set-value-timestamp", "`$timestamp` is the event's own stamp, counter included, under every rule.",
         thing({name: "$timestamp" for name in kinds}, **kinds),
         write("10:01+0002"), write("2025-08-06T10:03:00.5678Z", "tablet-1"), write(1754474400000))
    case("stamp-field-forms", "A stamp in a payload is written in its own form.", thing(value="stamp list"),
         *(write(f"10:{n:02}", value=text) for n, text in enumerate(
             ["2025-08-06T10:30:00Z", "2025-08-06T10:30:00.1Z", "2025-08-06T10:30:00.123456Z",
              "2025-08-06T10:30:00.123Z-BEEF", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z-FFFF"])))
    case("stamp-field-unreadable", "A text in no form of a stamp, or of no such time, skips its event.",
         thing(value="stamp"), *(write(f"10:{n:02}", value=value) for n, value in enumerate(
             ["2025-08-06T10:30:00Z", "yesterday", "", 1754474400000, Raw("1.7544744e12"), "1754474400000",
              "2025-08-06", "2025-08-06T10:30Z", "2025-08-06T10:30:00", "2025-08-06T10:30:00+00:00",
              "2025-08-06 10:30:00Z", "2025-08-06t10:30:00z", "2025-08-06T10:30:00.Z", "2025-08-06T10:30:00,5Z",
              "2025-08-06T10:30:00Z-0003", "2025-08-06T10:30:00.00Z-0003", "2025-08-06T10:30:00.000Z-000a",
              "2025-08-06T10:30:00.000Z-003", "2025-08-06T10:30:60Z", "2025-08-06T10:60:00Z", "2025-08-06T24:00:00Z",
              "2025-02-29T00:00:00Z", "2025-02-30T00:00:00Z", "1900-02-29T00:00:00Z", "2025-13-01T00:00:00Z",
              "2025-00-01T00:00:00Z", "2025-01-00T00:00:00Z", "0000-12-31T23:59:59Z", "10000-01-01T00:00:00Z",
              " 2025-08-06T10:30:00Z", "2025-08-06T10:30:00Z\n", "\u0662025-08-06T10:30:00Z"])))
