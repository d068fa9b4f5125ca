"""Events: what is folded, what is skipped."""

from subjects.telling import SAMPLES, Raw, case, create, delete, event, fields, plain, schema, thing, write


def tell():
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
         delete("10:01", payload=[]), event("GONE", "10:02")),
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
    case("event-without-sequence", "An event without a sequence has a device of its own and the sequence 1.", one,
         create("10:00", None, value="x"), write("10:00", None, value="y", count=1), write("10:00", "tablet", count=1))
    case("event-without-sequence-order", "Devices of events are texts: `event:…` comes between `device` and `phone`.",
         thing(value="string list"), write("10:00", "phone", value="4"), write("10:00", None, value="2"),
         write("10:00", None, value="3"), write("10:00", "device", value="1"))
    case("event-id-upper-case", "The device of an event without a sequence has the id in lower case with hyphens.", one,
         plain('{"eventId":"0198F2A4-6C1E-7CC3-98A2-00000000000A","type":"CREATED","entityId":"t-1","timestamp":'
               '"2025-08-06T10:00:00Z","payload":{"value":"x"}}', "event:0198f2a4-6c1e-7cc3-98a2-00000000000a"))
