"""Clocks: what decides between two writes."""

from subjects.telling import case, thing, write


def tell():
    latest = thing(value="string")

    def duel(name, shows, *events):
        """Both orders of arrival, since they must give the same."""
        case(name, shows, latest, *events)
        case(f"{name}-reversed", f"{shows} The other order of arrival.", latest, *reversed(events))

    duel("clock-counter", "Within a millisecond the counter decides.",
         write("10:00+0003", "phone-1", value="3"), write("10:00+0002", "tablet-1", value="2"))
    duel("clock-counter-hexadecimal", "Counters are numbers to the base 16.",
         write("10:00+00FF", "tablet-1", value="255"), write("10:00+0100", "phone-1", value="256"))
    duel("clock-time-before-counter", "A later millisecond wins over the greatest counter.",
         write("2025-08-06T10:00:00.000Z-FFFF", "tablet-1", value="early"),
         write("2025-08-06T10:00:00.001Z-0000", "phone-1", value="late"))
    duel("clock-device", "Equal stamps are decided by the device.",
         write("10:00", "phone-1", value="phone"), write("10:00", "tablet-1", value="tablet"))
    duel("clock-device-before-sequence", "Equal stamps: the greater device wins over the greater sequence.",
         write("10:00", "phone-1", seq=900, value="phone"), write("10:00", "tablet-1", seq=1, value="tablet"))
    duel("clock-sequence", "Equal stamps of one device are decided by the sequence, as a number.",
         write("10:00", seq=9, value="9"), write("10:00", seq=10, value="10"))
    duel("clock-sequence-greatest", "Sequences reach to 2^53-1.",
         write("10:00", seq=9007199254740990, value="before"), write("10:00", seq=9007199254740991, value="last"))
    duel("clock-stamp-goes-back", "A device whose stamps go back loses against itself: stamps come before sequences.",
         write("10:05", seq=1, value="later stamp"), write("10:01", seq=2, value="later sequence"))
    duel("clock-device-case", "Devices compare by bytes: upper case comes before lower case.",
         write("10:00", "PHONE", value="upper"), write("10:00", "phone", value="lower"))
    duel("clock-device-not-ascii", "Devices compare by bytes: letters with accents come after z.",
         write("10:00", "zebra", value="z"), write("10:00", "émile", value="é"))
    duel("clock-device-astral", "Devices compare by UTF-8 bytes: U+1F600 comes after U+FF5E, though not in UTF-16.",
         write("10:00", "\U0001f600", value="U+1F600"), write("10:00", "\uff5e", value="U+FF5E"))
    duel("clock-device-prefix", "Of two devices the one that begins with the other is greater.",
         write("10:00", "phone", value="phone"), write("10:00", "phone-1", value="phone-1"))
    duel("clock-device-number", "Devices are texts: 10 comes before 9.",
         write("10:00", "phone-9", value="9"), write("10:00", "phone-10", value="10"))
    duel("clock-device-combining", "Composed and decomposed letters are two devices.",
         write("10:00", "caf\u00e9", value="composed"), write("10:00", "cafe\u0301", value="decomposed"))
    duel("clock-stamp-forms-equal", "An ISO time, milliseconds and a stamp of one moment are equal; devices decide.",
         write("2025-08-06T10:00:00Z", "c", value="c"), write(1754474400000, "b", value="b"),
         write("10:00", "a", value="a"))
    case("clock-first-by-device", "Equal stamps: the least device is first.", thing(value="string first"),
         write("10:00", "tablet-1", value="tablet"), write("10:00", "phone-1", value="phone"),
         write("10:00", "phone-1", value="phone again"))
    case("clock-list-by-device", "Equal stamps: a list stands in the order of devices, then sequences.",
         thing(value="string list"),
         write("10:00", "tablet-1", value="4"), write("10:00", "phone-1", seq=10, value="3"),
         write("10:00", "phone-1", seq=9, value="2"), write("10:00", "Phone-1", value="1"))
    case("clock-three-devices", "Three devices write at once, and a fourth one late.",
         thing(value="string", firstly="string first"),
         write("10:00+0001", "b", value="b", firstly="b"), write("10:00+0001", "c", value="c", firstly="c"),
         write("10:00+0001", "a", value="a", firstly="a"), write("09:59+FFFF", "z", value="z", firstly="z"))
    case("clock-quoted-device", "Quotes, backslashes and spaces of a device stand escaped in its clock.",
         latest, write("10:00", 'Ann\'s "phone" \\ 1', value="x"))
