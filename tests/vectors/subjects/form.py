"""The form that every line of a log has, since the gateway takes no other: docs/formats.md, "What an event writes"."""

import json
import re
import unicodedata
import uuid

import stamps

KEYS = {"eventId", "deviceSequence", "type", "entityId", "timestamp", "lastSeenEventId", "payload"}
SAFE = 2**53 - 1
MAX_BYTES, MAX_ID_BYTES, MAX_NESTING = 65536, 128, 32


def check_form(case, device, line):
    """Stops at a line that no log holds: a vector must not depend on what a fold makes of it."""
    try:
        judge(device, line)
    except (ValueError, AssertionError) as fault:
        raise SystemExit(f"{case}: {fault or 'no line of a log'}: {line[:200]}") from None


def judge(device, line):
    assert len(line.encode()) <= MAX_BYTES and "\n" not in line, "too long, or no line"
    event = json.loads(line, parse_int=integer, parse_float=finite, parse_constant=constant, object_pairs_hook=unique)
    judge_value(event, 1)
    assert event.keys() <= KEYS and {"eventId", "type", "entityId", "timestamp"} <= event.keys(), "keys"
    event_id = uuid.UUID(event["eventId"])
    if event.get("lastSeenEventId") is not None:
        uuid.UUID(event["lastSeenEventId"])
    if "deviceSequence" in event:
        sequence = event["deviceSequence"]
        assert type(sequence) is int and 1 <= sequence and not device.startswith("event:"), "deviceSequence"
    else:
        assert device == f"event:{event_id}", "the device of an event without a sequence"
    judge_id(device)
    judge_id(event["entityId"])
    assert isinstance(event["type"], str), "type"
    if isinstance(event["timestamp"], str):
        stamps.read_stamp(event["timestamp"])
    else:
        assert type(event["timestamp"]) is int, "timestamp"
        stamps.of_millis(event["timestamp"])


def integer(text):
    """A number without fraction and exponent. `-0` is no integer for everyone."""
    assert abs(int(text)) <= SAFE, "an integer out of range"
    return -0.0 if text == "-0" else int(text)


def finite(text):
    assert abs(float(text)) < float("inf"), "not finite"
    return float(text)


def constant(text):
    raise ValueError(f"{text} is not JSON")


def unique(pairs):
    assert len(pairs) == len(dict(pairs)), "a key twice"
    return dict(pairs)


def judge_value(value, depth):
    assert depth <= MAX_NESTING or not isinstance(value, (dict, list)), "too deep"
    if isinstance(value, str):
        assert "\0" not in value, "U+0000"
        value.encode()  # Fails for half a surrogate pair.
    for element in value if isinstance(value, (list, dict)) else ():
        judge_value(element, depth + 1)
    for element in value.values() if isinstance(value, dict) else ():
        judge_value(element, depth + 1)


def judge_id(text):
    assert 1 <= len(text.encode()) <= MAX_ID_BYTES and text.strip() == text, "an id"
    assert all(unicodedata.category(char) != "Cc" for char in text), "an id with control characters"
