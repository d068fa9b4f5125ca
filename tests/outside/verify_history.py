#!/usr/bin/env python3
"""Compares the whole history of spaces, pruned or not, with the traces that were replayed into them.

    verify_history.py TRACE.ndjson.gz SPACE=FILE...

FILE is what `tidelog history SPACE --json` printed. It shares no code with Tidelog and needs Python's standard library
alone. It checks that each space has exactly the events of the trace, once, at gapless positions, each device's in its
order, every line byte for byte, and what was pruned before what was not; and prints {"SPACE": [pruned, all]}.
"""

import collections
import json
import sys

from verify_log import traces


def verify(space, file, wanted):
    found = collections.defaultdict(int)
    pruned = position = 0
    with open(file, "rb") as lines:
        for line in lines:
            printed = json.loads(line)
            assert printed["position"] == position + 1, f"{space}: {printed['position']} follows {position}"
            position += 1
            if printed["source"] == "archive":
                assert pruned == position - 1, f"{space}: the archive ends at {pruned}, and has {position}"
                pruned = position
            device = printed["deviceId"]
            expected = wanted[device][found[device]]
            own = b"," + expected[1:] + b"\n"
            assert line.endswith(own), f"{space} at {position}: {line} does not end as {expected}"
            found[device] += 1
    for device, events in wanted.items():
        assert found[device] == len(events), f"{space}: {found[device]} of {len(events)} events of {device}"
    return [pruned, position]


def main():
    files = dict(argument.split("=", 1) for argument in sys.argv[2:])
    wanted = traces(sys.argv[1:2])
    assert files.keys() == wanted.keys(), f"{sorted(wanted)} were replayed"
    print(json.dumps({space: verify(space, files[space], wanted[space]) for space in sorted(files)}))


if __name__ == "__main__":
    main()
