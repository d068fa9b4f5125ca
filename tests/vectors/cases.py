#!/usr/bin/env python3
"""The inputs of the vectors: what each one shows, its schema, and its events in the order of the log.

    python3 tests/vectors/cases.py

writes them all as `tests/vectors/NAME.json`, with what `fold.py` expects of them, and removes files of other names.

Shorthand: a time such as `10:01` is that minute of 2025-08-06, and `10:01+00FF` has a counter behind it; any other
text or number is the event's `timestamp` as it stands. Devices number their events in the order of the log.
"""

import itertools
import json
import pathlib
import re
import sys

sys.dont_write_bytecode = True  # The folder holds sources and vectors only.

import fold  # noqa: E402

VECTORS = {}
TYPES = ["string", "integer", "number", "boolean", "stamp"]


# How cases are told


def case(name, shows, schema, *events):
    assert re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", name) and name not in VECTORS, name
    VECTORS[name] = {"name": name, "shows": shows, "schema": schema, "events": list(numbered(events))}


def schema(entities, events):
    return {"name": "vectors", "version": 1, "entities": entities, "events": events}


def fields(**rules):
    """`integer max` or `string list keep=3` for each field."""
    return {"fields": {name: field(*rule.split()) for name, rule in rules.items()}}


def field(field_type, merge=None, keep=None):
    entry = {"type": field_type, "merge": merge}
    if keep:
        entry["keep"] = int(keep.partition("=")[2])
    return {key: value for key, value in entry.items() if value is not None}


def thing(sets=None, **rules):
    """The schema of most cases: one entity type whose events may write every field, but for those that WRITTEN sets."""
    payload = {name: "optional" for name in rules if name not in (sets or {})}
    events = {
        "CREATED": {"entity": "thing", "creates": True, "payload": payload},
        "WRITTEN": {"entity": "thing", "payload": payload, **({"sets": sets} if sets else {})},
        "DELETED": {"entity": "thing", "deletes": True},
    }
    return schema({"thing": fields(**rules)}, events)


class Raw(str):
    """A JSON text that stands in the event as it is."""


def event(event_type, when, device="phone-1", /, on="t-1", seq=None, payload=None, **writes):
    """An event about the entity `on`. Without a device, it comes from a caller that does not count."""
    payload = writes if payload is None else payload
    return {"type": event_type, "when": when, "device": device, "on": on, "seq": seq, "payload": payload}


def create(*args, **kwargs):
    return event("CREATED", *args, **kwargs)


def write(*args, **kwargs):
    return event("WRITTEN", *args, **kwargs)


def delete(*args, **kwargs):
    return event("DELETED", *args, **kwargs)


def plain(text, device="phone-1"):
    """An event whose whole line is given."""
    return {"line": text, "device": device}


def numbered(events):
    """Pairs of a device id and an event line: ids by place, sequences by device."""
    sequences = {}
    for place, entry in enumerate(events, 1):
        device, event_id = entry["device"], f"0198f2a4-6c1e-7cc3-98a2-{place:012x}"
        if "line" in entry:
            yield device, entry["line"]
            continue
        sequence = entry["seq"] or sequences.get(device, 0) + 1
        sequences[device] = sequence
        identity = {"eventId": event_id, **({"deviceSequence": sequence} if device else {})}
        about = {"type": entry["type"], "entityId": entry["on"], "timestamp": timestamp(entry["when"])}
        content = {"lastSeenEventId": None, "payload": entry["payload"]}
        yield device or f"event:{event_id}", line({**identity, **about, **content})


def timestamp(when):
    short = re.fullmatch(r"(\d\d:\d\d)(?:\+([0-9A-F]{4}))?", when) if isinstance(when, str) else None
    return f"2025-08-06T{short[1]}:00.000Z-{short[2] or '0000'}" if short else when


def line(value):
    """Compact JSON, with every Raw as it is."""
    if isinstance(value, Raw):
        return value
    if isinstance(value, dict):
        return "{" + ",".join(f"{line(key)}:{line(element)}" for key, element in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(line, value)) + "]"
    return fold.visibly(json.dumps(value, ensure_ascii=False))


# Rules: every merge rule with every type it allows

SAMPLES = {  # Least, middle and greatest value.
    "string": ("Zebra", "apple", "pear"),
    "integer": (-12, 5, 40),
    "number": (-2.5, 0.25, 10.125),
    "boolean": (False, True, True),
    "stamp": ("1969-12-31T23:59:59.999Z", "2025-08-06T10:30:00Z", "2025-08-06T10:30:00.000Z-0001"),
}


def rule_cases():
    for rule, shows in {
        "latest": "The write with the greatest clock wins, whenever it arrives",
        "first": "The write with the least clock wins, whenever it arrives",
        "list": "Elements stand in the order of their clocks, not of their arrival",
        "max": "The greatest value wins, whenever it was written",
        "min": "The least value wins, whenever it was written",
    }.items():
        for field_type in TYPES[1::3] + TYPES[2:3] if rule in ("max", "min") else TYPES:
            low, middle, high = SAMPLES[field_type]
            writes = [write("10:01", value=middle), write("10:03", "tablet-1", value=low), write("10:02", value=high)]
            case(f"{rule}-of-{field_type}", f"{shows}: {field_type}.", thing(value=f"{field_type} {rule}"), *writes)
    for field_type in TYPES:
        low, middle, high = SAMPLES[field_type]
        case(
            f"set-of-{field_type}",
            f"Elements stand in ascending order of their values, removed ones too: {field_type}.",
            thing(value=f"{field_type} set"),
            write("10:01", value={"add": [high]}),
            write("10:03", "tablet-1", value={"add": [low]}),
            write("10:02", value={"add": [middle], "remove": [high]}),
        )
    case(
        "sum-of-integer",
        "Every write counts once: two devices that each add 1 make 2.",
        thing(value="integer sum"),
        write("10:01", value=1),
        write("10:01", "tablet-1", value=1),
        write("10:02", value=-5),
        write("10:00", value=40),
    )
    case(
        "flag-of-boolean",
        "Once true it stays true: false before and after changes nothing.",
        thing(value="boolean flag"),
        write("10:01", value=False),
        write("10:02", value=True),
        write("10:03", value=False),
    )
    case("flag-only-false", "A flag that was written but never true is false.", thing(value="boolean flag"),
         write("10:01", value=False))
    case("flag-late-true", "A late true counts as any other.", thing(value="boolean flag"),
         write("10:03", value=False), write("10:01", "tablet-1", value=True))
    case("merge-left-out", "A field without `merge` has the rule latest.", thing(value="string"),
         write("10:02", value="late"), write("10:01", value="early"))
    case("first-late-events", "Ever earlier writes arrive, and each becomes the first.", thing(value="string first"),
         *(write(f"10:{30 - n}", value=f"{n}") for n in range(6)))
    case("max-below-zero", "The greatest of negative integers is the one nearest to 0.", thing(value="integer max"),
         write("10:01", value=-7), write("10:02", value=-3), write("10:03", value=-9))
    case("min-equal-values", "Equal values, however written, are one value.",
         thing(least="number min", most="number max"),
         write("10:01", least=Raw("1.50"), most=Raw("1e2")), write("10:02", least=1.5, most=Raw("100")))
    case("max-minus-zero", "Minus zero is zero and wins over negative numbers only.",
         thing(most="number max", least="number min"),
         write("10:01", most=Raw("-0.0"), least=Raw("-0.0")), write("10:02", most=-1.5, least=1.5))
    case("max-of-far-numbers", "The extremes of doubles compare by number.",
         thing(most="number max", least="number min"),
         *(write(f"10:0{n}", most=Raw(text), least=Raw(text))
           for n, text in enumerate(["1.7976931348623157e308", "-1.7976931348623157e308", "5e-324", "1e21"])))
    case("max-of-stamp-forms", "Stamps compare by time, then counter, whatever form they had.",
         thing(most="stamp max", least="stamp min"),
         *(write(f"10:0{n}", most=text, least=text) for n, text in enumerate(
             ["2025-01-01T00:00:00.5Z", "2025-01-01T00:00:00.500Z-000A", "2025-01-01T00:00:00.499999Z",
              "2025-01-01T00:00:00.500Z-0009"])))
    case("fields-do-not-meet", "One event writes several fields, each by its own rule.",
         thing(name="string", best="integer max", laps="integer sum", tags="string set", done="boolean flag"),
         create("10:00", name="a", best=3, laps=1, tags={"add": ["x"]}, done=True),
         write("10:02", "tablet-1", best=2, laps=1), write("10:01", name="b", tags={"remove": ["x"]}, done=False))
    case("field-names-in-order", "Keys stand in the order of their UTF-16 units: upper case before `_` before lower.",
         thing(a="string", B="string", a_b="string", aB="string", a1="string", Z9="string"),
         write("10:00", a="1", B="2", a_b="3", aB="4", a1="5", Z9="6"))


# Clocks: what decides between two writes


def clock_cases():
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


# Lifecycles: creates and deletes


def lifecycle_cases():
    one = thing(value="string")
    quartet = {
        "c1": create("10:01", "a", value="created"),
        "u2": write("10:02", "b", value="updated"),
        "d3": delete("10:03", "c"),
        "c4": create("10:04", "d", value="created again"),
    }
    for order in itertools.permutations(quartet):
        shows = f"Create, update, delete and create again, arriving as {', '.join(order)}: one state for every order."
        case(f"quartet-{'-'.join(order)}", shows, one, *(quartet[name] for name in order))
    trio = {"c1": create("10:01", "a", value="created"), "u2": write("10:02", "b", value="updated"),
            "d3": delete("10:03", "c")}
    for order in itertools.permutations(trio):
        shows = f"Create, update and delete, arriving as {', '.join(order)}: invisible, and nothing is forgotten."
        case(f"trio-{'-'.join(order)}", shows, one, *(trio[name] for name in order))
    for name, shows, *events in [
        ("delete-before-create", "A create with a later clock makes a deleted entity visible.",
         delete("10:00"), create("10:01", value="x")),
        ("delete-late", "A delete that arrives last but is earlier than the create does not hide.",
         create("10:01", value="x"), delete("10:00", "tablet-1")),
        ("create-late", "A create that arrives last but is earlier than the delete does not show.",
         delete("10:01"), create("10:00", "tablet-1", value="x")),
        ("delete-without-create", "An entity that was only deleted is there and invisible.", delete("10:00")),
        ("delete-then-update", "An update after the delete still folds, and the entity stays invisible.",
         create("10:00", value="x"), delete("10:01"), write("10:02", value="y")),
        ("update-without-create", "An entity that was never created folds its updates, and is invisible.",
         write("10:00", value="x"), write("10:01", "tablet-1", value="y")),
        ("update-before-create", "Fields written before the create are there when it comes.",
         write("10:00", value="x"), create("10:01", "tablet-1")),
        ("create-twice", "The greatest clock of two creates stands in the line.",
         create("10:01", value="second"), create("10:00", "tablet-1", value="first")),
        ("delete-twice", "The greatest clock of two deletes stands in the line.",
         create("10:00"), delete("10:02"), delete("10:01", "tablet-1")),
        ("create-between-deletes", "A create between two deletes stays hidden by the second.",
         delete("10:00"), create("10:01"), delete("10:02", "tablet-1")),
        ("create-and-delete-by-counter", "Within a millisecond the counter decides between create and delete.",
         create("10:00+000A"), delete("10:00+0009", "tablet-1")),
        ("create-wins-by-device", "Equal stamps: the create of the greater device wins over the delete.",
         create("10:00", "tablet-1"), delete("10:00", "phone-1", seq=7)),
        ("delete-wins-by-device", "Equal stamps: the delete of the greater device wins over the create.",
         create("10:00", "phone-1", seq=7), delete("10:00", "tablet-1")),
        ("create-wins-by-sequence", "Equal stamps of one device: the create has the greater sequence.",
         create("10:00", seq=10), delete("10:00", seq=9)),
        ("delete-wins-by-sequence", "Equal stamps of one device: the delete has the greater sequence.",
         create("10:00", seq=9), delete("10:00", seq=10)),
        ("revived-twice", "Each create with a later clock than the last delete shows the entity again.",
         create("10:00", value="1"), delete("10:01"), create("10:02", value="2"), delete("10:03"),
         create("10:04", value="3")),
        ("event-without-effect", "An event that writes nothing makes the entity, without fields.", write("10:00")),
    ]:
        case(name, shows, one, *events)
    sums = thing(laps="integer sum", tags="string set", notes="string list")
    case("delete-forgets-nothing", "A revived entity has all that was written before and after its delete.", sums,
         create("10:00", laps=1, tags={"add": ["a"]}, notes="one"), delete("10:01"),
         write("10:02", "tablet-1", laps=1, tags={"add": ["b"]}, notes="two"), create("10:03", laps=1, notes="three"))
    writing = schema({"thing": fields(value="string", ended="stamp")}, {
        "OPENED": {"entity": "thing", "creates": True, "payload": {"value": "required"}},
        "CLOSED": {"entity": "thing", "deletes": True, "payload": {"value": "optional"},
        "sets": {"ended": "$timestamp"}},
    })
    case("delete-that-writes", "A deleting event writes its fields as any other.", writing,
         event("OPENED", "10:00", value="open"), event("CLOSED", "10:01", value="closed"))


# Sets


def set_cases():
    tags, few, two = thing(tags="string set"), thing(tags="string set keep=3"), thing(tags="string set keep=2")

    def add(when, device, *added, remove=None):
        return write(when, device, tags={"add": list(added), **({"remove": remove} if remove else {})})

    def remove(when, device, *removed):
        return write(when, device, tags={"remove": list(removed)})

    for name, shows, rules, *events in [
        ("set-remove", "A later remove wins, and leaves a removed element.", tags,
         add("10:00", "a", "x", "y"), remove("10:01", "b", "x")),
        ("set-add-again", "An element added after its removal is there again.", tags,
         add("10:00", "a", "x"), remove("10:01", "b", "x"), add("10:02", "a", "x")),
        ("set-add-wins-in-one-event", "Of one event that adds and removes an element, adding wins.", tags,
         add("10:00", "a", "x", remove=["x", "y"])),
        ("set-remove-after-add-and-remove", "Adding wins within one event, but a later remove wins over both.",
         tags, add("10:00", "a", "x", remove=["x"]), remove("10:01", "b", "x")),
        ("set-remove-first", "Removing what was never added leaves a removed element.", tags, remove("10:00", "a",
         "x")),
        ("set-remove-late", "A remove that arrives late but is earlier changes nothing.", tags,
         add("10:01", "a", "x"), remove("10:00", "b", "x")),
        ("set-add-late", "An add that arrives late but is earlier than the remove changes nothing.", tags,
         remove("10:01", "a", "x"), add("10:00", "b", "x")),
        ("set-add-later-clock", "Adding what is there already gives it the greater clock.", tags,
         add("10:00", "a", "x"), add("10:01", "b", "x")),
        ("set-element-twice", "An element that stands twice in a write counts once.", tags,
         add("10:00", "a", "x", "y", "x", remove=["z", "z"])),
        ("set-equal-stamps-add", "Equal stamps: the add of the greater device wins.", tags,
         remove("10:00", "a", "x"), add("10:00", "b", "x")),
        ("set-equal-stamps-remove", "Equal stamps: the remove of the greater device wins, against adding.", tags,
         add("10:00", "a", "x"), remove("10:00", "b", "x")),
        ("set-three-devices", "Each element has its own latest write.", tags,
         add("10:00", "a", "x", "y", "z"), remove("10:02", "b", "x", "w"), add("10:01", "c", "x", "w", remove=["y"])),
        ("set-empty-write", "Empty arrays write the field, which has no elements.", tags, add("10:00", "a")),
        ("set-empty-text", "The empty text is an element, and comes first.", tags, add("10:00", "a", "b", "", " ")),
        ("set-order-of-texts", "Elements ascend by code points: U+1F600 comes after U+FF5E, upper case before lower.",
         tags, add("10:00", "a", "\U0001f600", "\uff5e", "é", "z", "e\u0301", "Z", "10", "9")),
        ("set-keep-latest", "Beyond `keep` the elements with the least clocks go.", few,
         add("10:03", "a", "w"), add("10:00", "b", "x"), add("10:01", "c", "y"), add("10:02", "d", "z")),
        ("set-keep-late", "A late element that is older than all that are kept goes at once.", few,
         *(add(f"10:0{n}", "a", f"e{n}") for n in (1, 2, 3, 0))),
        ("set-keep-distinct", "`keep` counts elements, not writes.", few,
         *(add(f"10:0{n}", "a", f"e{n % 3}") for n in range(9))),
        ("set-keep-one-event", "Within one event, whose clocks are equal, the least values go.", few,
         add("10:00", "a", "e", "b", "d", "a", "c")),
        ("set-keep-one-event-by-code-points", "Equal clocks: values compare by code points, so U+1F600 stays.", two,
         add("10:00", "a", "\U0001f600", "\uff5e", "z")),
        ("set-keep-add-and-remove", "Equal clocks: removed elements are kept by value like the others.", few,
         add("10:00", "a", "b", "d", remove=["a", "c", "e"])),
        ("set-keep-removed", "A removed element counts among those that are kept, and can push out a present one.", two,
         add("10:00", "a", "x", "y"), remove("10:01", "b", "z")),
        ("set-keep-again-later", "An element that went is back with a later write.", two,
         add("10:00", "a", "x"), add("10:01", "a", "y"), add("10:02", "a", "z"), add("10:03", "b", "x")),
        ("set-keep-again-earlier", "An element that went stays away with a write that is still too early.", two,
         add("10:01", "a", "x"), add("10:03", "a", "y"), add("10:04", "a", "z"), add("10:02", "b", "x")),
        ("set-keep-removed-went", "An element whose remove went stays away when an add before that remove arrives.",
         two, remove("10:01", "a", "x"), add("10:02", "a", "y"), add("10:03", "a", "z"), add("10:00", "b", "x")),
        ("set-keep-renewed", "An element written again with a later clock outlives younger ones.", two,
         add("10:00", "a", "x"), add("10:01", "a", "y"), add("10:03", "b", "x"), add("10:02", "c", "z")),
        ("set-keep-late-renewal", "A late write between the others saves its element from going.", two,
         add("10:01", "a", "x"), add("10:02", "a", "y"), add("10:04", "a", "z"), add("10:03", "b", "x")),
        ("set-keep-equal-stamps", "Equal stamps: the elements of the least devices go, whatever their values.", two,
         add("10:00", "c", "a"), add("10:00", "a", "z"), add("10:00", "b", "m")),
        ("set-keep-one", "A set that keeps one element has the latest.", thing(tags="string set keep=1"),
         add("10:01", "a", "x"), add("10:00", "b", "y"), remove("10:01", "b", "x")),
    ]:
        case(name, shows, rules, *events)
    case("set-keep-left-out", "Without `keep`, 1000 elements are kept.", thing(value="integer set"),
         write("10:00", value={"add": list(range(1, 1002))}))
    case("set-integer-forms", "1, 1.0 and 1e0 are one element, and so are 0 and -0.", thing(value="integer set"),
         write("10:00", value={"add": [Raw("1.0"), Raw("1e0"), 1, Raw("-0"), Raw("0.0")]}),
         write("10:01", "b", value={"remove": [Raw("10e-1")], "add": [Raw("1e1"), 9, -10]}))
    case("set-number-order", "Numbers ascend by number, not as text; 0 and -0 are one.", thing(value="number set"),
         write("10:00", value={"add": [10, 9.5, -1, -1.5, Raw("1e-7"), Raw("-0.0"), 0, Raw("1e21"), Raw("2E0")]}))
    case("set-number-rounding", "Two decimals nearest to one double are one element.", thing(value="number set"),
         write("10:00", value={"add": [Raw("0.1"), Raw("0.1000000000000000055511151231257827")]}),
         write("10:01", "b", value={"remove": [Raw("1e-1")], "add": [Raw("0.10000000000000002")]}))
    case("set-stamp-forms", "Forms of one stamp are one element; a counter makes another.", thing(value="stamp set"),
         write("10:00", value={"add": ["2025-08-06T10:30:00Z", "2025-08-06T10:30:00.0009Z"]}),
         write("10:01", "b", value={"remove": ["2025-08-06T10:30:00.000Z-0000"],
         "add": ["2025-08-06T10:30:00.000Z-0001"]}))
    case("set-boolean-keep", "A set of booleans that keeps one: true is the greater value.",
         thing(value="boolean set keep=1"), write("10:00", value={"add": [True, False]}))


# Lists


def list_cases():
    notes, few = thing(notes="string list"), thing(notes="string list keep=3")

    def note(when, device, text):
        return write(when, device, notes=text)

    for name, shows, rules, *events in [
        ("list-late", "A late element stands where its clock puts it.", notes,
         note("10:01", "a", "one"), note("10:03", "a", "three"), note("10:02", "b", "two"), note("10:00", "c", "zero")),
        ("list-duplicates", "Equal values are separate elements.", notes,
         note("10:00", "a", "x"), note("10:01", "b", "x"), note("10:01", "a", "x")),
        ("list-keep", "Beyond `keep` the elements with the least clocks go.", few,
         *(note(f"10:0{n}", "a", f"{n}") for n in range(5))),
        ("list-keep-late-in", "A late element within the latest pushes out an earlier one.", few,
         note("10:00", "a", "0"), note("10:02", "a", "2"), note("10:03", "a", "3"), note("10:01", "b", "1")),
        ("list-keep-late-out", "A late element before the latest goes at once.", few,
         note("10:01", "a", "1"), note("10:02", "a", "2"), note("10:03", "a", "3"), note("10:00", "b", "0")),
        ("list-keep-backwards", "Elements that arrive latest first: the first three to arrive stay.", few,
         *(note(f"10:0{9 - n}", "a", f"{n}") for n in range(6))),
        ("list-keep-duplicates", "Equal values count one by one.", few,
         *(note(f"10:0{n}", "a", "x") for n in range(5))),
        ("list-keep-equal-stamps", "Equal stamps: the elements of the least devices go.", few,
         *(note("10:00", device, device) for device in ("d", "b", "a", "c", "e"))),
        ("list-keep-one", "A list that keeps one element has the latest.", thing(notes="string list keep=1"),
         note("10:01", "a", "late"), note("10:00", "b", "early")),
        ("list-keep-equals-count", "As many elements as are kept stay.", few,
         *(note(f"10:0{n}", "a", f"{n}") for n in range(3))),
    ]:
        case(name, shows, rules, *events)


# Sums and integers


def integer_cases():
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
        ("sum-of-forms", "1.0, 1e3 and -0 are integers.", Raw("1.0"), Raw("1e3"), Raw("-0"), Raw("-0.0"), Raw("2.5e1")),
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
         *map(Raw, ["1.0", "1e3", "1E+3", "100e-2", "-0", "-0.0", "-0e5", "0.0", "-7.000", "9007199254740991.0"])),
        ("integer-out-of-range", "Beyond 2^53-1 the event is skipped, however the integer is written.",
         *map(Raw, ["1", "9007199254740992", "-9007199254740992", "1e16", "12345678901234567890", "1e300",
                    "9007199254740993.0"])),
        ("integer-with-fraction", "With a fraction the event is skipped.",
         *map(Raw, ["1", "1.5", "-0.25", "5e-324", "15e-1"])),
    ]:
        writes = [write(f"10:{n:02}", value=text, values=text) for n, text in enumerate(texts)]
        case(name, shows, every, *writes)


# Numbers: how doubles are read and written


def number_cases():
    rfc_8785 = """0 -0 5e-324 -5e-324 1.7976931348623157e308 -1.7976931348623157e308 9007199254740992
        -9007199254740992 295147905179352825856 9.999999999999997e22 1e23 1.0000000000000001e23
        999999999999999700000 999999999999999900000 1e21 9.999999999999997e-7 0.000001 333333333.3333332
        333333333.33333325 333333333.3333333 333333333.3333334 333333333.33333343 -0.0000033333333333333333
        1424953923781206.25"""
    for name, shows, texts in [
        ("number-rfc-8785", "The numbers of RFC 8785, appendix B.", rfc_8785),
        ("number-forms", "One number in many forms.", "1 1.0 1e0 1E0 1e+0 10e-1 0.1e1 100e-2 1.000000000000000000000"),
        ("number-zeros", "Every zero is 0, and so is what is nearer to 0 than to any other double.",
         "0 -0 0.0 -0.0 0e9 -0e-9 1e-400 -1e-400"),
        ("number-exponents", "Exponents begin at 1e21 and below 1e-6.",
         "1e20 1e21 1e22 123456789012345680000 1234567890123456800000 0.000001 0.0000001 1e-7 1.5e-7 0.00000123 -1e21"),
        ("number-long-integers", "Integers beyond 2^53 become the nearest double.",
         "9007199254740993 12345678901234567890 -12345678901234567890 18446744073709551616 100000000000000000000000"),
        ("number-halfway", "Of two doubles the nearer one is taken, or right between them the even one.",
         "9007199254740993 9007199254740995 9007199254740993.0000000000000000000001"
         " 1.00000000000000011102230246251565404 1.000000000000000111022302462515654042363166809082031250001"
         " 2.4703282292062328e-324 2.4703282292062327e-324"),
        ("number-nearest", "Decimals with many digits become the nearest double.",
         "0.1 0.30000000000000004 0.1000000000000000055511151231257827 333333333.33333329 4.50 2e-3"
         " 0.000000000000000000000000001 2.2250738585072011e-308 2.2250738585072014e-308 1.7976931348623158e308"
         " 8.988465674311579e307 123456.789e3 6.02214076e23"),
    ]:
        writes = (write(f"10:{n:02}", value=Raw(text)) for n, text in enumerate(texts.split()))
        case(name, shows, thing(value="number list"), *writes)
    case("number-not-finite", "A number that no finite double is nearest to skips its event.",
         thing(value="number list"),
         *(write(f"10:{n:02}", value=Raw(text)) for n, text in enumerate(
             ["1", "1e309", "-1e309", "1.7976931348623159e308", "1" + "0" * 400, "1e99999"])))
    case("number-integer-in-number", "An integer is a number; a whole number shows no fraction.",
         thing(value="number"), write("10:00", value=7), write("10:01", value=Raw("8.0")))


# Texts


def text_cases():
    for name, shows, *texts in [
        ("text-no-normalisation", "Composed and decomposed letters stay as they are, and are two texts.",
         "caf\u00e9", "cafe\u0301", "\u212b", "\u00c5"),
        ("text-emoji", "Characters beyond U+FFFF, joined and modified.", "\U0001f600", "👩‍🚀", "👍🏽", "🇦🇹", "\U0010ffff"),
        ("text-escaped-in-event", "Escapes of the event are characters of the text.",
         *map(Raw, [
             r'"\u0041\u00e9\u20ac"', r'"\ud83d\ude00"', r'"\/"', r'"\u0022\u005c\u002f"', r'"\u2028"', r'"\u007F"'])),
        ("text-short-escapes", "Quote, backslash and five control characters have short escapes.", '"', "\\",
         "\b\t\n\f\r", "a\"b\\c\nd"),
        ("text-control-characters",
         "Other control characters are escaped in lower case; U+007F and later ones are not.",
         "\u0001", "\u000b", "\u001f", "\u007f", "\u0080", "\u009f", "a\u001bb"),
        ("text-line-separators", "U+2028, U+2029, no-break spaces and byte order marks stand unescaped.",
         "a\u2028b", "a\u2029b", "\u00a0", "\ufeff", "\u200b"),
        ("text-private-and-unassigned", "Private and unassigned characters and noncharacters are texts as well.",
         "\ue000", "\uffff", "\ufdd0", "\U000e0001", "\U000f0000"),
        ("text-white-space", "White space stays, inside and outside; the empty text is a text.", "", " ", "  a  b ",
         "\t"),
        ("text-like-json", "A text that looks like something else is a text.", "null", "1e3", "{\"a\":1}",
         "$timestamp", "</script>"),
        ("text-right-to-left", "Scripts of every direction.", "שלום", "مرحبا", "你好", "สวัสดี", "नमस्ते"),
        ("text-long", "A long text with characters of one to four bytes.", "aé€😀" * 500),
    ]:
        writes = (write(f"10:{n:02}", value=text, set={"add": [text]}) for n, text in enumerate(texts))
        case(name, shows, thing(value="string list", set="string set"), *writes)


# Stamps


def stamp_cases():
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
        ("timestamp-out-of-range", "Milliseconds outside the years 0001 to 9999 skip the event.", 0, -62135596800001,
         253402300800000, Raw("9223372036854775807"), Raw("-9223372036854775808"), Raw("18446744073709551616")),
        ("timestamp-unreadable", "A timestamp in no form of a stamp, or of no such time, skips the event.",
         "2025-08-06T10:30:00Z", "2025-08-06T10:30:00+00:00", "2025-08-06T10:30:00", "2025-08-06 10:30:00Z",
         "2025-08-06t10:30:00z", "2025-08-06T10:30:00.Z", "2025-08-06T10:30:00Z-0003", "2025-08-06T10:30:00.00Z-0003",
         "2025-08-06T10:30:00.000Z-000a", "2025-08-06T10:30:00.000Z-003", "2025-08-06T10:30:60Z",
         "2025-08-06T24:00:00Z", "2025-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2025-13-01T00:00:00Z",
         "0000-12-31T23:59:59Z", "10000-01-01T00:00:00Z", " 2025-08-06T10:30:00Z", "", None, True),
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
    case("stamp-field-unreadable", "A text that is no stamp skips its event, and so does a number.",
         thing(value="stamp"), write("10:00", value="2025-08-06T10:30:00Z"), write("10:01", value="yesterday"),
         write("10:02", value="2025-02-30T00:00:00Z"), write("10:03", value=1754474400000), write("10:04", value=""))


# Events: what is folded, what is skipped


def event_cases():
    one = thing(value="string", count="integer sum")
    for name, shows, *events in [
        ("event-of-unknown-type", "An event of a type that is not declared is skipped and makes no entity.",
         create("10:00", value="x"), event("RENAMED", "10:01", value="y"), event("RENAMED", "10:02", on="t-2"),
         event("written", "10:03", value="z")),
        ("event-undeclared-keys", "Payload keys that are not declared are ignored, whatever they hold.",
         create("10:00", value="x", colour="red", Value=None, nested={"value": ["y"]})),
        ("event-mistyped-key", "One key of the wrong type skips the whole event, its create and other keys included.",
         create("10:00", value=7, count=1), write("10:01", value="x", count="1"), write("10:02", count=5)),
        ("event-null-value", "Null is no value: the event is skipped.", write("10:00", value="x"),
         write("10:01", value=None), write("10:02", count=None, value="y")),
        ("event-only-skipped", "A log whose events are all skipped has no state.", write("10:00", value=1),
         delete("not a stamp"), event("GONE", "10:01")),
        ("event-payload-no-object", "A payload that is no object skips the event.", write("10:00", value="x"),
         write("10:01", payload=[]), write("10:02", payload="x"), write("10:03", payload=7)),
        ("event-payload-null", "A payload that is null skips the event: only an absent one counts as {}.",
         write("10:00", value="x"), write("10:01", on="t-2", payload=Raw("null"))),
        ("event-undeclared-on-delete", "A deleting event that declares no payload deletes, whatever it carries.",
         create("10:00", value="x"), delete("10:01", value="y")),
    ]:
        case(name, shows, one, *events)
    for field_type, wrong in {
        "string": [1, True, ["x"], {"x": "y"}, None],
        "integer": ["1", True, 1.5, [1], {}, None],
        "number": ["1.5", False, [1.5], {}, None],
        "boolean": ["true", 0, 1, Raw("1.0"), [True], None],
        "stamp": [0, 1.5, True, ["2025-08-06T10:30:00Z"], None],
    }.items():
        writes = [write(f"10:{n:02}", value=value) for n, value in enumerate([SAMPLES[field_type][1], *wrong])]
        case(f"mistyped-{field_type}", f"What is not of the type {field_type} skips its event.",
             thing(value=field_type), *writes)
    case("mistyped-set", "A set write has `add` or `remove`, arrays of the field's type, and no other key.",
         thing(tags="string set"),
         *(write(f"10:{n:02}", tags=value) for n, value in enumerate(
             [{"add": ["x"]}, {}, [], ["x"], "x", None, {"add": "x"}, {"add": None}, {"add": [1]}, {"add": ["y", None]},
              {"add": ["y"], "clear": True}, {"remove": {}}, {"add": ["y"], "remove": [["x"]]}, {"Add": ["y"]}])))
    case("mistyped-flag", "A flag takes true and false alone.", thing(done="boolean flag"),
         *(write(f"10:{n:02}", done=value) for n, value in enumerate([False, 1, "true", None, {}])))
    case("mistyped-sum", "A sum takes integers alone.", thing(laps="integer sum"),
         *(write(f"10:{n:02}", laps=value) for n, value in enumerate([1, "1", 0.5, True, [1], {"add": [1]}, 2])))
    case("mistyped-list", "A list takes one element a write.", thing(notes="string list"),
         *(write(f"10:{n:02}", notes=value) for n, value in enumerate(["x", ["y"], {"add": ["y"]}, 1, "z"])))
    required = schema({"thing": fields(name="string", laps="integer sum")}, {
        "NAMED": {"entity": "thing", "creates": True, "payload": {"name": "required", "laps": "required"}}})
    case("event-missing-required-key", "A required key may be missing: what is there is written.", required,
         event("NAMED", "10:00", laps=1), event("NAMED", "10:01", name="x"), event("NAMED", "10:02", on="t-2"))
    case("event-payload-absent", "An absent payload counts as {}.", thing({"done": True}, done="boolean flag"),
         plain('{"eventId":"0198f2a4-6c1e-7cc3-98a2-000000000001","deviceSequence":1,"type":"WRITTEN",'
               '"entityId":"t-1","timestamp":"2025-08-06T10:00:00.000Z-0000"}'))
    case("event-keys-in-any-order", "White space, the order of keys and escapes in keys mean nothing.", one,
         plain('{ "payload" : {"\\u0076alue": "x" ,"count":1} , '
               '"lastSeenEventId":"0198F2A4-6C1E-7CC3-98A2-000000000009", '
               '"\\u0074imestamp":"2025-08-06T10:00:00Z","type":"CREAT\\u0045D", "entityId":"t\\u002d1",'
               '"deviceSequence":1,"eventId":"0198F2A46C1E7CC398A2000000000001" }'))
    missing = '{"eventId":"0198f2a4-6c1e-7cc3-98a2-000000000001","deviceSequence":1'
    case("event-without-what-is-required", "Without type, entity or timestamp a line is no event, and is skipped.", one,
         plain(missing + ',"entityId":"t-1","timestamp":0,"payload":{}}'),
         plain(missing + ',"type":"CREATED","timestamp":0,"payload":{}}'),
         plain(missing + ',"type":"CREATED","entityId":"t-1","payload":{}}'),
         plain('{"deviceSequence":1,"type":"CREATED","entityId":"t-1","timestamp":0,"payload":{}}'),
         create("10:00", seq=2, value="x"))
    case("event-without-sequence", "An event without a sequence has a device of its own and the sequence 1.", one,
         create("10:00", None, value="x"), write("10:00", None, value="y", count=1), write("10:00", "tablet", count=1))
    case("event-without-sequence-order", "Devices of events are texts: `event:…` comes between `device` and `phone`.",
         thing(value="string list"), write("10:00", "phone", value="4"), write("10:00", None, value="2"),
         write("10:00", None, value="3"), write("10:00", "device", value="1"))
    case("event-id-upper-case", "The device of an event without a sequence has the id in lower case with hyphens.", one,
         plain('{"eventId":"0198F2A4-6C1E-7CC3-98A2-00000000000A","type":"CREATED","entityId":"t-1","timestamp":'
               '"2025-08-06T10:00:00Z","payload":{"value":"x"}}', "event:0198f2a4-6c1e-7cc3-98a2-00000000000a"))


# Schemas: several events, entities and set values


def schema_cases():
    both = schema({"thing": fields(name="string", size="integer max")}, {
        "NAMED": {"entity": "thing", "creates": True, "payload": {"name": "required"}},
        "RENAMED": {"entity": "thing", "payload": {"name": "required", "size": "optional"}},
        "MEASURED": {"entity": "thing", "payload": {"size": "required"}}})
    case("field-of-two-events", "A field that several event types write has one history.", both,
         event("NAMED", "10:00", name="x"), event("MEASURED", "10:03", "tablet-1", size=2),
         event("RENAMED", "10:02", "tablet-1", name="z", size=3), event("RENAMED", "10:01", name="y"))
    case("key-of-another-event", "A key that only another event type declares is ignored.", both,
         event("NAMED", "10:00", name="x", size=9), event("MEASURED", "10:01", name="y", size=1))
    literals = {"text": "done", "whole": 7, "part": 0.5, "truth": False, "time": "2025-01-01T00:00:00.5Z", "most": -3,
                "laps": 2, "tags": {"add": ["x", "y"], "remove": ["z"]}, "done": True, "notes": "said",
                "days": {"remove": ["2025-01-01T00:00:00Z"]}}
    case("set-value-literals", "`sets` writes the same values with every event, by each rule.",
         thing(literals, text="string", whole="integer", part="number", truth="boolean first", time="stamp",
               most="integer max", laps="integer sum", tags="string set", done="boolean flag", notes="string list",
               days="stamp set"),
         create("09:59"), write("10:00"), write("10:01", "tablet-1"))
    case("set-value-and-payload", "What one event type sets and another carries combines in the field's rule.",
         schema({"thing": fields(state="string", times="stamp list")}, {
             "MOVED": {"entity": "thing", "creates": True, "payload": {"state": "required", "times": "optional"}},
             "ENDED": {"entity": "thing", "sets": {"state": "ended", "times": "$timestamp"}}}),
         event("MOVED", "10:02", state="moving", times="2025-08-06T12:00:00Z"), event("ENDED", "10:01", "tablet-1"),
         event("ENDED", "10:03"))
    case("set-value-of-skipped-event", "A skipped event sets nothing either.",
         thing({"done": True}, done="boolean flag", value="string"), write("10:00", value=1), create("10:01"))
    case("set-value-number-forms", "Set values are read as payloads are: 1.0 is the integer 1, 100.0 the number 100.",
         thing({"whole": 1.0, "part": 100.0, "tags": {"add": [2.0, 1]}}, whole="integer", part="number",
               tags="integer set"), write("10:00"))
    several = schema({"workout": fields(name="string", laps="integer sum"), "Note": fields(text="string"),
                      "note": fields(text="string")}, {
        "STARTED": {"entity": "workout", "creates": True, "payload": {"name": "optional", "laps": "optional"}},
        "REMOVED": {"entity": "workout", "deletes": True},
        "NOTED": {"entity": "note", "creates": True, "payload": {"text": "required"}},
        "UPPER_NOTED": {"entity": "Note", "creates": True, "payload": {"text": "required"}}})
    case("entities-interleaved", "Entities of several types, their events mixed.", several,
         event("STARTED", "10:00", on="w-2", name="second", laps=1),
         event("NOTED", "10:01", "tablet-1", on="n-1", text="a"),
         event("STARTED", "10:02", on="w-1", name="first", laps=2), event("UPPER_NOTED", "10:03", on="n-1", text="A"),
         event("REMOVED", "10:04", "tablet-1", on="w-2"), event("STARTED", "10:01", "watch", on="w-10", laps=5),
         event("NOTED", "10:02", "watch", on="n-1", text="b"))
    case("entity-id-in-two-types", "One id in two types is two entities; lines stand by type before id.", several,
         event("STARTED", "10:00", on="1", name="x"), event("NOTED", "10:01", on="1", text="y"),
         event("NOTED", "10:01", "tablet-1", on="2", text="z"),
         event("REMOVED", "10:02", on="1"))
    case("entity-ids-in-order", "Ids are any text; lines stand by UTF-8 bytes, so U+1F600 comes after U+FF5E.",
         thing(value="string"),
         *(write("10:00", on=text, value=text) for text in [
             "\U0001f600", "\uff5e", "é", "e\u0301", "z", "Z", "10", "9", "a b", 'say "hi"', "back\\slash", "a",
             "a-b", "{}", "../x", "%00", "\u65e5\u672c\u8a9e", "é" * 64]))
    case("entity-id-not-normalised", "Composed and decomposed ids are two entities.", thing(value="string"),
         create("10:00", on="caf\u00e9", value="composed"), create("10:01", on="cafe\u0301", value="decomposed"))
    case("many-entities", "The hash of a type adds up over its entities, invisible ones too.",
         thing(laps="integer sum"),
         *(create("10:00", f"device-{n % 3}", on=f"t-{n}", laps=n) for n in range(20)),
         *(delete("10:01", f"device-{n % 3}", on=f"t-{n}") for n in range(0, 20, 4)))
    case("no-events", "A space without events has no state.", thing(value="string"))
    case("late-after-everything", "A device that was away for hours brings its events last.",
         thing(name="string", best="number max", laps="integer sum", tags="string set keep=3",
               notes="string list keep=2"),
         create("10:00", name="Run", best=4.5, laps=1, tags={"add": ["a", "b"]}, notes="start"),
         write("11:00", name="Long run", best=5.25, laps=2, tags={"add": ["c"], "remove": ["a"]}, notes="half"),
         write("12:00", laps=1, notes="end"),
         write("10:30", "watch", name="Run?", best=6, laps=1, tags={"add": ["a", "d"]}, notes="watch"),
         delete("10:45", "watch"), write("11:30", "watch", name="Watch run", laps=1, notes="watch again"))


# Files


def vector_text(vector):
    """A file up to its expected state: inputs that read well, one event a line."""
    events = ",".join(f'\n    {{"deviceId":{line(device)},"event":{text}}}' for device, text in vector["events"])
    members = {
        "name": line(vector["name"]),
        "shows": line(vector["shows"]),
        "schema": indented(vector["schema"], 1),
        "events": f"[{events}\n  ]",
    }
    return "{\n" + ",\n".join(f'  "{key}": {text}' for key, text in members.items()) + "\n}\n"


def indented(value, depth):
    """An object by key a line, except one that fits on its line and has no objects of objects."""
    text = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, dict) or len(text) <= 90 and "{" not in text[1:]:
        return text
    rows = (f'{"  " * (depth + 1)}"{key}": {indented(entry, depth + 1)}' for key, entry in value.items())
    return "{\n" + ",\n".join(rows) + f'\n{"  " * depth}}}'


def main():
    for tell in (rule_cases, clock_cases, lifecycle_cases, set_cases, list_cases, integer_cases, number_cases,
                 text_cases, stamp_cases, event_cases, schema_cases):
        tell()
    folder = pathlib.Path(__file__).parent
    for stale in set(folder.glob("*.json")) - {folder / f"{name}.json" for name in VECTORS}:
        stale.unlink()
    for name, vector in VECTORS.items():
        (folder / f"{name}.json").write_bytes(fold.filled(vector_text(vector)).encode())
    print(f"{len(VECTORS)} vectors")


if __name__ == "__main__":
    main()
