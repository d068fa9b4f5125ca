#!/usr/bin/env python3
"""Reads the log of a running Tidelog from outside and compares it with the traces that were replayed into it.

    verify_log.py .tidelog/up.json TRACE.ndjson.gz...

It shares no code with Tidelog and needs Python's standard library alone. It checks that each space holds exactly the
events of the traces, once, at gapless positions, each device's in its order, and every line byte for byte.
"""

import base64
import collections
import gzip
import hashlib
import hmac
import json
import sys
import urllib.request

PAGE = 700


def token(secret, user):
    def part(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    signed = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps({"sub": user}).encode())
    return (signed + b"." + part(hmac.new(secret.encode(), signed, hashlib.sha256).digest())).decode()


def traces(files):
    """The event lines by space, device and sequence."""
    wanted = collections.defaultdict(lambda: collections.defaultdict(list))
    for name in files:
        opened = gzip.open(name) if name.endswith(".gz") else open(name, "rb")
        with opened as lines:
            for line in lines:
                record = json.loads(line)
                event = line.split(b'"event":', 1)[1].rstrip(b"\n")[:-1]
                wanted[record["space"]][record["deviceId"]].append(event)
    return wanted


def pull(url, bearer, after):
    """One page of decoded lines: the hello, then (position, device, line) of each event."""
    headers = {"Authorization": "Bearer " + bearer, "Accept": "application/x-ndjson"}
    request = urllib.request.Request(f"{url}/v1/spaces/me/log?after={after}&limit={PAGE}", headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        lines = answer.read().split(b"\n")
    assert lines.pop() == b"", "the last line is ended"
    hello = json.loads(lines[0])["hello"]
    events, at = [], 1
    while at < len(lines):
        segment = json.loads(lines[at])["segment"]
        count = segment["last"] - segment["first"] + 1
        at += 1 + segment["lines"] - count
        for position in range(segment["first"], segment["last"] + 1):
            batch = [batch for batch in segment["batches"] if batch["first"] <= position][-1]
            events.append((position, batch["deviceId"], lines[at]))
            at += 1
    assert at == len(lines), "the headers count every line"
    return hello, events


def verify(url, secret, space, wanted):
    bearer, after, found = token(secret, space), 0, collections.defaultdict(list)
    while True:
        hello, events = pull(url, bearer, after)
        for position, device, line in events:
            assert position == after + 1, f"{space}: {position} follows {after}"
            after = position
            found[device].append(line)
        if after == hello["head"]:
            break
        assert events, f"{space}: no events behind {after} of {hello['head']}"
    for device in wanted.keys() | found.keys():
        assert found[device] == wanted[device], f"{space}: the events of {device} differ"
    return after


def main():
    with open(sys.argv[1]) as file:
        stack = json.load(file)
    total = 0
    for space, wanted in sorted(traces(sys.argv[2:]).items()):
        total += verify(stack["gatewayUrl"], stack["jwtSecret"], space, wanted)
    print(f"{total} events, each once, in order, byte for byte")


if __name__ == "__main__":
    main()
