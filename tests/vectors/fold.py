#!/usr/bin/env python3
"""Folds events into entities as docs/formats.md, section "State", says, and judges the vectors by it.

    fold.py --check DIR     recomputes the expected state of every vector in DIR and names those that differ
    fold.py --write DIR     fills the expected states in

It shares no code with Tidelog and needs Python's standard library alone. It is naive on purpose: an entity keeps all
its events, and each field is computed from the whole set of its writes, so no order of arrival can matter.
"""

import argparse
import calendar
import datetime
import decimal
import hashlib
import json
import math
import pathlib
import re
import sys
import unicodedata
import uuid
from decimal import Decimal
from typing import NamedTuple

SAFE = 2**53 - 1
DEFAULT_KEEP = 1000


# Reading JSON


def parse(text):
    """A JSON text in which every number is an exact Decimal: neither long integers nor long fractions are rounded."""
    return json.loads(text, parse_int=read_decimal, parse_float=read_decimal, parse_constant=refuse)


def read_decimal(text):
    try:
        return Decimal(text)
    except decimal.InvalidOperation:  # An exponent of some twenty digits: without end, or 0.
        return Decimal(float(text))


def refuse(constant):
    raise ValueError(f"{constant} is not JSON")


# Writing JSON as RFC 8785 does


def canonical(value):
    """The canonical text of a value made of None, bool, int, float, str, list and dict."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return canonical_text(value)
    if isinstance(value, int):
        assert abs(value) <= SAFE, "a double holds every integer that is written"
        return str(value)
    if isinstance(value, float):
        return canonical_number(value)
    if isinstance(value, list):
        return "[" + ",".join(canonical(element) for element in value) + "]"
    keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
    return "{" + ",".join(f"{canonical_text(key)}:{canonical(value[key])}" for key in keys) + "}"


SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def canonical_text(text):
    def escaped(char):
        return SHORT_ESCAPES.get(char) or (f"\\u{ord(char):04x}" if char < " " else char)

    return '"' + "".join(map(escaped, text)) + '"'


def canonical_number(number):
    """A finite double as ECMAScript's Number::toString writes it. Its digits are the shortest that lead back to the
    double, as repr's are; only where the point stands differs."""
    assert math.isfinite(number), "JSON has no such number"
    if number == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(number)).as_tuple()
    digits = "".join(map(str, digits))
    point = len(digits) + exponent  # The value is 0.DIGITS times ten to the power of `point`.
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        text = digits + "0" * (point - len(digits))
    elif 0 < point <= 21:
        text = digits[:point] + "." + digits[point:]
    elif -6 < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        text = digits[0] + ("." + digits[1:] if len(digits) > 1 else "") + f"e{point - 1:+}"
    return "-" * sign + text


# Stamps: pairs of milliseconds since 1970 and a counter

STAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?Z(?:-([0-9A-F]{4}))?", re.ASCII)
EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()
DAY_MS = 24 * 60 * 60 * 1000


class Unfit(ValueError):
    """What makes a fold skip an event as a whole."""


def read_stamp(text):
    """The stamp that a text means: its own form, or plain ISO in UTC, which is cut to milliseconds."""
    match = STAMP.fullmatch(text)
    if not match:
        raise Unfit("no form of a stamp")
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    fraction, counter = match[7] or "", match[8]
    if counter and len(fraction) != 3:
        raise Unfit("a counter stands behind three decimals")
    exists = 1 <= year and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]
    if not exists or hour > 23 or minute > 59 or second > 59:
        raise Unfit("no such time")
    days = datetime.date(year, month, day).toordinal() - EPOCH_DAY
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
    return seconds * 1000 + int((fraction + "000")[:3]), int(counter or "0", 16)


FIRST_MS = read_stamp("0001-01-01T00:00:00Z")[0]
LAST_MS = read_stamp("9999-12-31T23:59:59.999Z")[0]


def read_timestamp(value):
    """An event's `timestamp`: a stamp's text, or whole milliseconds since 1970."""
    if isinstance(value, str):
        return read_stamp(value)
    number = exact(value)
    if not FIRST_MS <= number <= LAST_MS or not whole(number):
        raise Unfit("no milliseconds of the years 0001 to 9999")
    return int(number), 0


def stamp_text(stamp):
    days, rest = divmod(stamp[0], DAY_MS)
    date = datetime.date.fromordinal(days + EPOCH_DAY)
    seconds, millis = divmod(rest, 1000)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{millis:03}"
    return f"{date.year:04}-{date.month:02}-{date.day:02}T{clock}Z-{stamp[1]:04X}"


# Values: what a payload holds, by the type of the field


def exact(value):
    """The decimal that a JSON number is, whichever parser read it."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        raise Unfit("no number")
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def whole(number):
    return number == number.to_integral_value()


def read_string(value):
    if not isinstance(value, str):
        raise Unfit("no text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Unfit("half a surrogate pair") from None
    return value


def read_integer(value):
    number = exact(value)
    if not -SAFE <= number <= SAFE or not whole(number):
        raise Unfit("no integer, or one out of range")
    return int(number)


def read_number(value):
    number = float(exact(value))
    if not math.isfinite(number):
        raise Unfit("not finite")
    return number + 0.0  # Which makes 0 of -0.


def read_boolean(value):
    if not isinstance(value, bool):
        raise Unfit("neither true nor false")
    return value


READERS = {
    "string": read_string,
    "integer": read_integer,
    "number": read_number,
    "boolean": read_boolean,
    "stamp": lambda value: read_stamp(read_string(value)),
}


def written(field, value):
    """The JSON of a value. Values themselves are compared as Python does: texts by code points, false before true."""
    return stamp_text(value) if field["type"] == "stamp" else value


# Events


class Clock(NamedTuple):
    """Compared in the order of its parts."""

    stamp: tuple
    device: str  # Python compares texts by code points, which is the order of their UTF-8 bytes.
    sequence: int

    def json(self):
        return [stamp_text(self.stamp), self.device, self.sequence]


class Event(NamedTuple):
    """An event that was not skipped, as far as a fold needs it."""

    clock: Clock
    entity: tuple  # (type, id)
    creates: bool
    deletes: bool
    writes: dict  # From a field's name to the value that the event writes.


EVENT_KEYS = {"eventId", "deviceSequence", "type", "entityId", "timestamp", "lastSeenEventId", "payload"}


def read_event(schema, device, event):
    """The event, or Unfit where the fold skips it."""
    if not isinstance(event, dict) or not event.keys() <= EVENT_KEYS:
        raise Unfit("no event, or a key that events do not have")
    event_id = read_uuid(event.get("eventId"))
    if event.get("lastSeenEventId") is not None:
        read_uuid(event["lastSeenEventId"])
    sequence = read_integer(event.get("deviceSequence", 1))
    if sequence < 1:
        raise Unfit("sequences begin at 1")
    if "deviceSequence" not in event:
        device = f"event:{event_id}"
    clock = Clock(read_timestamp(event.get("timestamp")), device, sequence)
    entity_id = read_id(event.get("entityId"))
    definition = schema["events"].get(read_string(event.get("type")))
    if definition is None:
        raise Unfit("not declared")
    fields = schema["entities"][definition["entity"]]["fields"]
    writes = read_writes(definition, fields, event.get("payload", {}), clock.stamp)
    creates, deletes = definition.get("creates", False), definition.get("deletes", False)
    return Event(clock, (definition["entity"], entity_id), creates, deletes, writes)


def read_uuid(value):
    try:
        return uuid.UUID(read_string(value))
    except ValueError:
        raise Unfit("no UUID") from None


def read_id(value):
    text = read_string(value)
    control = any(unicodedata.category(char) == "Cc" for char in text)
    if not 1 <= len(text.encode()) <= 128 or control or text.strip() != text:
        raise Unfit("no id")
    return text


def read_writes(definition, fields, payload, stamp):
    if not isinstance(payload, dict):
        raise Unfit("the payload is no object")
    sets = definition.get("sets", {})
    writes = {name: stamp for name, value in sets.items() if value == "$timestamp"}
    literals = {name: value for name, value in sets.items() if value != "$timestamp"}
    declared = {name: value for name, value in payload.items() if name in definition.get("payload", {})}
    for name, value in {**literals, **declared}.items():
        writes[name] = read_write(fields[name], value)
    return writes


def read_write(field, value):
    """One write to a field: a value, or for a set the values added and those removed."""
    read = READERS[field["type"]]
    if field.get("merge") != "set":
        return read(value)
    if not isinstance(value, dict) or not value or not value.keys() <= {"add", "remove"}:
        raise Unfit("a set write has add or remove, and nothing else")
    if not all(isinstance(elements, list) for elements in value.values()):
        raise Unfit("no array of elements")
    return tuple({read(element) for element in value.get(key, [])} for key in ("add", "remove"))


# Merge rules: from all (clock, value) pairs written to a field to its form in the entity line, and what readers see


def by_clock(write):
    return write[0]


def latest(field, writes):
    clock, value = max(writes, key=by_clock)
    return {"latest": [written(field, value), clock.json()]}, written(field, value)


def first(field, writes):
    clock, value = min(writes, key=by_clock)
    return {"first": [written(field, value), clock.json()]}, written(field, value)


def greatest(field, writes):
    value = written(field, max(value for _, value in writes))
    return {"max": value}, value


def least(field, writes):
    value = written(field, min(value for _, value in writes))
    return {"min": value}, value


def total(_, writes):
    number = sum(value for _, value in writes)
    number = number if abs(number) <= SAFE else str(number)
    return {"sum": number}, number


def flag(_, writes):
    value = any(value for _, value in writes)
    return {"flag": value}, value


def elements(field, writes):
    touches = {}
    for clock, (added, removed) in writes:
        for value in added | removed:
            touches.setdefault(value, []).append((clock, value in added))
    last = [(*max(touched, key=by_clock), value) for value, touched in touches.items()]
    last.sort(key=lambda element: (element[0], element[2]))
    kept = sorted((value, clock, present) for clock, present, value in last[-keep(field) :])
    form = [[written(field, value), clock.json(), present] for value, clock, present in kept]
    return {"set": form}, [value for value, _, present in form if present]


def entries(field, writes):
    kept = sorted(writes, key=by_clock)[-keep(field) :]
    form = [[written(field, value), clock.json()] for clock, value in kept]
    return {"list": form}, [value for value, _ in form]


def keep(field):
    return int(field.get("keep", DEFAULT_KEEP))


RULES = {
    "latest": latest,
    "first": first,
    "max": greatest,
    "min": least,
    "sum": total,
    "flag": flag,
    "set": elements,
    "list": entries,
}


# State


class State:
    """What a set of events folds into."""

    def __init__(self, schema, events, skipped):
        self.schema = schema
        self.skipped = skipped  # Places in the log, from 1.
        self.events = {}
        for event in events:
            self.events.setdefault(event.entity, []).append(event)

    def entities(self):
        """Types and ids, in the order of the lines."""
        return sorted(self.events, key=lambda entity: (entity[0].encode(), entity[1].encode()))

    def lines(self):
        return [self.line(entity) for entity in self.entities()]

    def line(self, entity):
        content = {"type": entity[0], "entityId": entity[1]}
        content["fields"] = {name: form for name, (form, _) in self.fields(entity).items()}
        created, deleted = self.lifecycle(entity)
        if created:
            content["created"] = created.json()
        if deleted:
            content["deleted"] = deleted.json()
        return canonical(content)

    def views(self):
        return [self.view(entity) for entity in self.entities()]

    def view(self, entity):
        created, deleted = self.lifecycle(entity)
        visible = created is not None and (deleted is None or deleted < created)
        fields = {name: shown for name, (_, shown) in self.fields(entity).items()}
        return {"entityId": entity[1], "type": entity[0], "visible": visible, "fields": fields}

    def lifecycle(self, entity):
        """The greatest clocks of the events that create and that delete, or None."""
        events = self.events[entity]
        created = max((event.clock for event in events if event.creates), default=None)
        deleted = max((event.clock for event in events if event.deletes), default=None)
        return created, deleted

    def fields(self, entity):
        """By name, the form and what readers see of each field that was ever written."""
        fields = {}
        for name, field in self.schema["entities"][entity[0]]["fields"].items():
            writes = [(event.clock, event.writes[name]) for event in self.events[entity] if name in event.writes]
            if writes:
                fields[name] = RULES[field.get("merge", "latest")](field, writes)
        return fields

    def state_hash(self):
        sums = {}
        for entity in self.entities():
            digest = hashlib.sha256(self.line(entity).encode()).digest()
            sums[entity[0]] = sums.get(entity[0], 0) + int.from_bytes(digest[:16], "big")
        return {name: f"{value % 2**128:032x}" for name, value in sums.items()}


def fold(schema, events):
    """The state of a log: of (device id, event) pairs in order of position. Schema and events are parsed JSON."""
    folded, skipped = [], []
    for place, (device, event) in enumerate(events, 1):
        try:
            folded.append(read_event(schema, device, event))
        except Unfit:
            skipped.append(place)
    return State(schema, folded, skipped)


# Vectors


def expected(vector):
    """What a vector must expect, as the text of its last member. Its lines are easy to compare by eye."""
    state = fold(vector["schema"], [(entry["deviceId"], entry["event"]) for entry in vector["events"]])
    lines = rows(visibly(json.dumps(line, ensure_ascii=False)) for line in state.lines())
    views = rows(visibly(canonical(view)) for view in state.views())
    state_hash, skipped = canonical(state.state_hash()), canonical(state.skipped)
    members = {"lines": lines, "views": views, "stateHash": state_hash, "skipped": skipped}
    return "{\n" + ",\n".join(f'    "{key}": {text}' for key, text in members.items()) + "\n  }"


def rows(texts):
    return "[" + ",".join(f"\n      {text}" for text in texts) + "\n    ]"


def visibly(json_text):
    """The same JSON, with an escape for what an editor would not show, or not tell apart."""

    def escaped(char):
        if char.isprintable() and not unicodedata.combining(char):
            return char
        return json.dumps(char)[1:-1]

    return "".join(map(escaped, json_text))


EXPECTED = ',\n  "expected": '


def filled(text):
    """A vector's text with its expected state computed; all that stands before it keeps its bytes."""
    inputs = text.split(EXPECTED)[0] if EXPECTED in text else text.rstrip()[:-1].rstrip()
    return f"{inputs}{EXPECTED}{expected(parse(text))}\n}}\n"


def main():
    parser = argparse.ArgumentParser(description="Judges the vectors in a folder by an independent fold.")
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument("--check", metavar="DIR", type=pathlib.Path, help="name the vectors that expect something else")
    task.add_argument("--write", metavar="DIR", type=pathlib.Path, help="fill the expected states in")
    options = parser.parse_args()
    differing = []
    files = sorted((options.check or options.write).glob("*.json"))
    for file in files:
        text = file.read_bytes().decode()
        if options.write:
            file.write_bytes(filled(text).encode())
        elif text != filled(text):
            differing.append(file.name)
    if differing or not files:
        sys.exit("these expect another state: " + ", ".join(differing) if differing else "there are no vectors")
    print(f"{len(files)} vectors")


if __name__ == "__main__":
    main()
