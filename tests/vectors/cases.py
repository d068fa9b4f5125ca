#!/usr/bin/env python3
"""Writes the vectors: every case that `subjects` tells as `tests/vectors/NAME.json`, with what `fold.py` expects of it.

    python3 tests/vectors/cases.py

Files of other names are removed.
"""

import json
import pathlib

import fold
from subjects import SUBJECTS
from subjects.telling import VECTORS, line


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
    for subject in SUBJECTS:
        subject.tell()
    folder = pathlib.Path(__file__).parent
    for stale in set(folder.glob("*.json")) - {folder / f"{name}.json" for name in VECTORS}:
        stale.unlink()
    for name, vector in VECTORS.items():
        (folder / f"{name}.json").write_bytes(fold.filled(vector_text(vector)).encode())
    print(f"{len(VECTORS)} vectors")


if __name__ == "__main__":
    main()
