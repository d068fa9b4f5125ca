#!/usr/bin/env python3
"""Reads the entities of a running Tidelog from outside and compares them with an independent fold of the traces.

    verify_entities.py .tidelog/up.json ROWS.json TRACE.ndjson.gz...

ROWS.json says what PostgreSQL holds of each space: {"user-1": {"stateHash": {...}, "lines": [...]}}. The fold is the
plain one that wrote the expected states of the vectors (../vectors/fold.py); it shares no code with Tidelog.
"""

import gzip
import json
import pathlib
import sys
import urllib.parse
import urllib.request

sys.path.append(str(pathlib.Path(__file__).parent.parent / "vectors"))

import fold  # noqa: E402
from verify_log import token  # noqa: E402

PAGE = 3


def recorded(files):
    """The (device, event) pairs by space."""
    spaces = {}
    for name in files:
        opened = gzip.open(name, "rt") if name.endswith(".gz") else open(name)
        with opened as lines:
            for line in lines:
                record = fold.parse(line)
                spaces.setdefault(record["space"], []).append((record["deviceId"], record["event"]))
    return spaces


def get(url, bearer, path, **query):
    headers = {"Authorization": "Bearer " + bearer, "Accept": "application/json"}
    request = urllib.request.Request(f"{url}{path}?{urllib.parse.urlencode(query)}", headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read().decode()


def listed(url, bearer, entity_type, head):
    """All entities of a type, page by page, once the projector has come to the head."""
    items, query = [], {"limit": PAGE, "atLeast": head}
    while True:
        page = json.loads(get(url, bearer, f"/v1/spaces/me/entities/{entity_type}", **query))
        assert page["asOf"] >= head, f"{page['asOf']} is before {head}"
        items += page["items"]
        if page["next"] is None:
            return items
        query["cursor"] = page["next"]


def verify(url, secret, space, events, rows, schema):
    bearer = token(secret, space)
    state = fold.fold(schema, events)
    assert not state.skipped, f"{space}: events {state.skipped} are no events of the schema"
    assert rows["lines"] == state.lines(), f"{space}: the entity lines differ"
    assert rows["stateHash"] == state.state_hash(), f"{space}: the state hash differs"
    visible = [view for view in state.views() if view["visible"]]
    for entity_type in schema["entities"]:
        expected = [view for view in visible if view["type"] == entity_type]
        found = listed(url, bearer, entity_type, len(events))
        for item, view in zip(found, expected):
            where = f"{space}: {entity_type} {view['entityId']}"
            assert item["entityId"] == view["entityId"], f"{where} is missing"
            assert fold.canonical(item["fields"]) == fold.canonical(view["fields"]), f"{where} differs: {item}"
            path = f"/v1/spaces/me/entities/{entity_type}/{urllib.parse.quote(item['entityId'], '')}"
            assert json.loads(get(url, bearer, path))["item"] == item, f"{where} differs alone"
        assert len(found) == len(expected), f"{space}: {len(found)} of {len(expected)} of type {entity_type}"
    return len(visible)


def main():
    with open(sys.argv[1]) as file:
        stack = json.load(file)
    with open(sys.argv[2]) as file:
        rows = json.load(file)
    url, secret = stack["gatewayUrl"], stack["jwtSecret"]
    schema = fold.parse(get(url, stack["token"], "/v1/schema"))
    spaces = recorded(sys.argv[3:])
    total = sum(verify(url, secret, space, events, rows[space], schema) for space, events in sorted(spaces.items()))
    print(f"{total} entities, each as an independent fold has it")


main()
