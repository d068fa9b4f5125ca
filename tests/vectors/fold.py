#!/usr/bin/env python3
"""Folds events into entities as docs/formats.md, section "State", says, and judges the vectors by it.

    fold.py --check DIR     recomputes the expected state of every vector in DIR and names those that differ
    fold.py --write DIR     fills the expected states in

It shares no code with Tidelog and needs Python's standard library alone. It is naive on purpose: an entity keeps all
its events, and each field is computed from the whole set of its writes, so no order of arrival can matter.
"""

import argparse
import hashlib
import json
import pathlib
import sys

from canonical import SAFE, canonical, parse, visibly
from reading import read_event, written
from stamps import Unfit

DEFAULT_KEEP = 1000


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
    """The state of a log: of (device id, event) pairs by position. Schema and events are JSON as `parse` reads it."""
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
