"""Sums and integers."""

from subjects.telling import case, plain, raw, thing, write

# Decimals that are not whole, or not in range; the doubles nearest to them are, and the other way round.
NEAR_ONE = "1.0000000000000000000001 0.99999999999999999999"
NEAR_ZERO = "1e-400 -1e-400 2.4703282292062327e-324"
NEAR_GREATEST = "9007199254740991.4 -9007199254740991.4"
BEYOND_GREATEST = "9007199254740991.5 -9007199254740991.5 9007199254740991.6"


def tell():
    sums, most = thing(laps="integer sum"), 2**53 - 1

    def adding(*amounts):
        return [write(f"10:{n:02}", "ab"[n % 2], laps=amount) for n, amount in enumerate(amounts)]

    for name, shows, *amounts in [
        ("sum-greatest-number", "2^53-1 is still a number.", most),
        ("sum-least-number", "-(2^53-1) is still a number.", -most),
        ("sum-beyond-safe", "One more than 2^53-1 is a text.", most, 1),
        ("sum-below-safe", "One less than -(2^53-1) is a text with a sign.", -most, -1),
        ("sum-far-beyond-safe", "Far beyond 2^53-1 nothing is rounded.", *[most] * 20, -3),
        ("sum-far-below-safe", "Far below, nothing is rounded either.", *[-most] * 20, 3),
        ("sum-back-within-safe", "A sum that comes back within the safe integers is a number again.", most, most,
         -most, -2),
        ("sum-to-zero", "A sum of zero is 0.", 5, -5),
        ("sum-of-zeros", "Writing 0 writes the field.", 0),
        ("sum-of-many", "Every one of fifty writes counts.", *range(-10, 40)),
        ("sum-nearest-double", "A sum adds nearest doubles, not digits.", *raw(f"{NEAR_ONE} {NEAR_ZERO}"), 40,
         *raw(f"{BEYOND_GREATEST} 1.0000000000000002")),
        ("sum-nearest-double-greatest", "What is nearest to 2^53-1 is added as 2^53-1, nothing is lost beyond.",
         *raw("9007199254740991.4 9007199254740991.4 9007199254740991.5 0.99999999999999999999")),
        ("sum-of-forms", "1.0, 1e3 and -0 are integers.", *raw("1.0 1e3 -0 -0.0 2.5e1")),
    ]:
        case(name, shows, sums, *adding(*amounts))
    short = (
        '{"eventId":"0198f2a4-6c1e-7cc3-98a2-%012x","deviceSequence":%d,'
        '"type":"WRITTEN","entityId":"t-1","timestamp":0}'
    )
    case("sum-beyond-64-bits", "1025 times the greatest integer is more than 64 bits hold.",
         thing({"up": most, "down": -most}, up="integer sum", down="integer sum"),
         *(plain(short % (n, n)) for n in range(1, 1026)))
    every = thing(value="integer", values="integer list")
    for name, shows, *texts in [
        ("integer-extremes", "Integers reach to 2^53-1 on both sides.", most, -most),
        ("integer-forms", "An integer has neither fraction nor exponent in the line, and no minus zero.",
         *raw("1.0 1e3 1E+3 100e-2 -0 -0.0 -0e5 0.0 -7.000 9007199254740991.0")),
        ("integer-out-of-range", "Beyond 2^53-1 the event is skipped, however the integer is written.",
         *raw("1 9007199254740992.0 -9007199254740992.0 1e16 12345678901234567890.0 1e300 9007199254740993.0")),
        ("integer-with-fraction", "With a fraction the event is skipped.", *raw("1 1.5 -0.25 5e-324 15e-1")),
        ("integer-nearest-double", "An integer is read as a number is: the nearest double counts, not the digits.",
         *raw(f"{NEAR_ONE} {NEAR_GREATEST} {NEAR_ZERO} 9007199254740990.5 -4503599627370497.5")),
        ("integer-nearest-double-not-whole", "Where the nearest double has a fraction, the event is skipped.",
         *raw("7 1.0000000000000002 0.9999999999999999 2.4703282292062328e-324 -5e-324 4503599627370495.5"
              " 12345678901234567e-1")),
        ("integer-nearest-double-out-of-range", "Where the nearest double is beyond 2^53-1, the event is skipped.",
         *raw(f"7 {BEYOND_GREATEST} 9007199254740991500e-3 0.90071992547409915e16")),
    ]:
        writes = [write(f"10:{n:02}", value=text, values=text) for n, text in enumerate(texts)]
        case(name, shows, every, *writes)
    case("max-nearest-double", "Integers compare as nearest doubles: 9007199254740991.4 is 2^53-1, and .5 is skipped.",
         thing(most="integer max", least="integer min"), write("10:00", most=5, least=5),
         *(write(f"10:0{n}", "ab"[n % 2], most=value, least=value)
           for n, value in enumerate(raw(f"{NEAR_ONE} {BEYOND_GREATEST}"), 1)),
         write("10:06", most=raw("9007199254740991.4")[0]), write("10:07", least=raw("-9007199254740991.4")[0]))
    case("set-nearest-double", "Integers with one nearest double are one element, also for removing.",
         thing(value="integer set"), write("10:00", value={"add": [1, *raw(f"{NEAR_ONE} {NEAR_ZERO}"), most]}),
         write("10:01", "b", value={"remove": raw("0.99999999999999999999 9007199254740991.4")}),
         write("10:02", "c", value={"add": raw(NEAR_GREATEST)}))
    case("set-nearest-double-skipped", "One element whose nearest double is no integer in range skips the event.",
         thing(value="integer set"), write("10:00", value={"add": [1]}),
         *(write(f"10:0{n}", value={"add": [2], key: [3, value]}) for n, (key, value) in enumerate(
             zip(["add", "remove", "add", "remove"], raw(f"{BEYOND_GREATEST} 2.4703282292062328e-324")), 1)))
