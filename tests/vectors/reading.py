"""What an event writes: values by the types of the fields, events by the schema.

Lines that no log holds (docs/formats.md, "What an event writes") are not judged here: what they fold to means nothing.
"""

import math
import uuid
from typing import NamedTuple

from canonical import SAFE
from stamps import Unfit, of_millis, read_stamp, stamp_text

# Values: what a payload holds, by the type of the field


def read_string(value):
    if not isinstance(value, str):
        raise Unfit("no text")
    return value


def read_number(value):
    """The double nearest to the decimal. `canonical.parse` makes a float of every number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Unfit("no number")
    number = float(value)
    if not math.isfinite(number):
        raise Unfit("not finite")
    return number + 0.0  # Which makes 0 of -0.


def read_integer(value):
    number = read_number(value)
    if not number.is_integer() or abs(number) > SAFE:
        raise Unfit("the nearest double is not whole, or out of range")
    return int(number)


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


def read_event(schema, device, event):
    """The event, or Unfit where the fold skips it."""
    if not isinstance(event, dict):
        raise Unfit("no event")
    if "deviceSequence" not in event:
        device = f"event:{read_uuid(event.get('eventId'))}"
    sequence = read_integer(event.get("deviceSequence", 1))
    clock = Clock(read_timestamp(event.get("timestamp")), device, sequence)
    entity_id = read_string(event.get("entityId"))
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


def read_timestamp(value):
    """An event's `timestamp`: a stamp's text, or whole milliseconds since 1970."""
    return read_stamp(value) if isinstance(value, str) else of_millis(read_integer(value))


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
