"""How cases are told: schemas and events in shorthand.

A time such as `10:01` is that minute of 2025-08-06, and `10:01+00FF` has a counter behind it; any other text or number
is the event's `timestamp` as it stands. Devices number their events in the order of the log.
"""

import json
import re

from canonical import visibly
from subjects.form import check_form

VECTORS = {}
TYPES = ["string", "integer", "number", "boolean", "stamp"]
SAMPLES = {  # Least, middle and greatest value.
    "string": ("Zebra", "apple", "pear"),
    "integer": (-12, 5, 40),
    "number": (-2.5, 0.25, 10.125),
    "boolean": (False, True, True),
    "stamp": ("1969-12-31T23:59:59.999Z", "2025-08-06T10:30:00Z", "2025-08-06T10:30:00.000Z-0001"),
}


def case(name, shows, schema, *events):
    assert re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", name) and name not in VECTORS, name
    log = list(numbered(events))
    for device, text in log:
        check_form(name, device, text)
    VECTORS[name] = {"name": name, "shows": shows, "schema": schema, "events": log}


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
    """A JSON text that stands in the event as it is: a number with just these digits, an escape that stays one."""


def raw(texts):
    """One Raw for each word."""
    return [Raw(text) for text in texts.split()]


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
    return visibly(json.dumps(value, ensure_ascii=False))
