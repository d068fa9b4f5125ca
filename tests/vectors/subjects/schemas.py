"""Schemas: several events, entities and set values."""

from subjects.telling import case, create, delete, event, fields, schema, thing, write


def tell():
    both = schema({"thing": fields(name="string", size="integer max")}, {
        "NAMED": {"entity": "thing", "creates": True, "payload": {"name": "required"}},
        "RENAMED": {"entity": "thing", "payload": {"name": "required", "size": "optional"}},
        "MEASURED": {"entity": "thing", "payload": {"size": "required"}}})
    case("field-of-two-events", "A field that several event types write has one history.", both,
         event("NAMED", "10:00", name="x"), event("MEASURED", "10:03", "tablet-1", size=2),
         event("RENAMED", "10:02", "tablet-1", name="z", size=3), event("RENAMED", "10:01", name="y"))
    case("key-of-another-event", "A key that only another event type declares is ignored.", both,
         event("NAMED", "10:00", name="x", size=9), event("MEASURED", "10:01", name="y", size=1))
    literals = {"text": "done", "whole": 7, "part": 0.5, "truth": False, "time": "2025-01-01T00:00:00.5Z", "most": -3,
                "laps": 2, "tags": {"add": ["x", "y"], "remove": ["z"]}, "done": True, "notes": "said",
                "days": {"remove": ["2025-01-01T00:00:00Z"]}}
    case("set-value-literals", "`sets` writes the same values with every event, by each rule.",
         thing(literals, text="string", whole="integer", part="number", truth="boolean first", time="stamp",
               most="integer max", laps="integer sum", tags="string set", done="boolean flag", notes="string list",
               days="stamp set"),
         create("09:59"), write("10:00"), write("10:01", "tablet-1"))
    case("set-value-and-payload", "What one event type sets and another carries combines in the field's rule.",
         schema({"thing": fields(state="string", times="stamp list")}, {
             "MOVED": {"entity": "thing", "creates": True, "payload": {"state": "required", "times": "optional"}},
             "ENDED": {"entity": "thing", "sets": {"state": "ended", "times": "$timestamp"}}}),
         event("MOVED", "10:02", state="moving", times="2025-08-06T12:00:00Z"), event("ENDED", "10:01", "tablet-1"),
         event("ENDED", "10:03"))
    case("set-value-of-skipped-event", "A skipped event sets nothing either.",
         thing({"done": True}, done="boolean flag", value="string"), write("10:00", value=1), create("10:01"))
    case("set-value-number-forms", "Set values are read as payloads are: 1.0 is the integer 1, 100.0 the number 100.",
         thing({"whole": 1.0, "part": 100.0, "tags": {"add": [2.0, 1]}}, whole="integer", part="number",
               tags="integer set"), write("10:00"))
    several = schema({"workout": fields(name="string", laps="integer sum"), "Note": fields(text="string"),
                      "note": fields(text="string")}, {
        "STARTED": {"entity": "workout", "creates": True, "payload": {"name": "optional", "laps": "optional"}},
        "REMOVED": {"entity": "workout", "deletes": True},
        "NOTED": {"entity": "note", "creates": True, "payload": {"text": "required"}},
        "UPPER_NOTED": {"entity": "Note", "creates": True, "payload": {"text": "required"}}})
    case("entities-interleaved", "Entities of several types, their events mixed.", several,
         event("STARTED", "10:00", on="w-2", name="second", laps=1),
         event("NOTED", "10:01", "tablet-1", on="n-1", text="a"),
         event("STARTED", "10:02", on="w-1", name="first", laps=2), event("UPPER_NOTED", "10:03", on="n-1", text="A"),
         event("REMOVED", "10:04", "tablet-1", on="w-2"), event("STARTED", "10:01", "watch", on="w-10", laps=5),
         event("NOTED", "10:02", "watch", on="n-1", text="b"))
    case("entity-id-in-two-types", "One id in two types is two entities; lines stand by type before id.", several,
         event("STARTED", "10:00", on="1", name="x"), event("NOTED", "10:01", on="1", text="y"),
         event("NOTED", "10:01", "tablet-1", on="2", text="z"),
         event("REMOVED", "10:02", on="1"))
    case("entity-ids-in-order", "Ids are any text; lines stand by UTF-8 bytes, so U+1F600 comes after U+FF5E.",
         thing(value="string"),
         *(write("10:00", on=text, value=text) for text in [
             "\U0001f600", "\uff5e", "é", "e\u0301", "z", "Z", "10", "9", "a b", 'say "hi"', "back\\slash", "a",
             "a-b", "{}", "../x", "%00", "\u65e5\u672c\u8a9e", "é" * 64]))
    case("entity-id-not-normalised", "Composed and decomposed ids are two entities.", thing(value="string"),
         create("10:00", on="caf\u00e9", value="composed"), create("10:01", on="cafe\u0301", value="decomposed"))
    case("many-entities", "The hash of a type adds up over its entities, invisible ones too.",
         thing(laps="integer sum"),
         *(create("10:00", f"device-{n % 3}", on=f"t-{n}", laps=n) for n in range(20)),
         *(delete("10:01", f"device-{n % 3}", on=f"t-{n}") for n in range(0, 20, 4)))
    case("no-events", "A space without events has no state.", thing(value="string"))
    case("late-after-everything", "A device that was away for hours brings its events last.",
         thing(name="string", best="number max", laps="integer sum", tags="string set keep=3",
               notes="string list keep=2"),
         create("10:00", name="Run", best=4.5, laps=1, tags={"add": ["a", "b"]}, notes="start"),
         write("11:00", name="Long run", best=5.25, laps=2, tags={"add": ["c"], "remove": ["a"]}, notes="half"),
         write("12:00", laps=1, notes="end"),
         write("10:30", "watch", name="Run?", best=6, laps=1, tags={"add": ["a", "d"]}, notes="watch"),
         delete("10:45", "watch"), write("11:30", "watch", name="Watch run", laps=1, notes="watch again"))
