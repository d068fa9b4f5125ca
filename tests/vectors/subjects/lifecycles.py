"""Lifecycles: creates and deletes."""

import itertools

from subjects.telling import case, create, delete, event, fields, schema, thing, write


def tell():
    one = thing(value="string")
    quartet = {
        "c1": create("10:01", "a", value="created"),
        "u2": write("10:02", "b", value="updated"),
        "d3": delete("10:03", "c"),
        "c4": create("10:04", "d", value="created again"),
    }
    for order in itertools.permutations(quartet):
        shows = f"Create, update, delete and create again, arriving as {', '.join(order)}: one state for every order."
        case(f"quartet-{'-'.join(order)}", shows, one, *(quartet[name] for name in order))
    trio = {"c1": create("10:01", "a", value="created"), "u2": write("10:02", "b", value="updated"),
            "d3": delete("10:03", "c")}
    for order in itertools.permutations(trio):
        shows = f"Create, update and delete, arriving as {', '.join(order)}: invisible, and nothing is forgotten."
        case(f"trio-{'-'.join(order)}", shows, one, *(trio[name] for name in order))
    for name, shows, *events in [
        ("delete-before-create", "A create with a later clock makes a deleted entity visible.",
         delete("10:00"), create("10:01", value="x")),
        ("delete-late", "A delete that arrives last but is earlier than the create does not hide.",
         create("10:01", value="x"), delete("10:00", "tablet-1")),
        ("create-late", "A create that arrives last but is earlier than the delete does not show.",
         delete("10:01"), create("10:00", "tablet-1", value="x")),
        ("delete-without-create", "An entity that was only deleted is there and invisible.", delete("10:00")),
        ("delete-then-update", "An update after the delete still folds, and the entity stays invisible.",
         create("10:00", value="x"), delete("10:01"), write("10:02", value="y")),
        ("update-without-create", "An entity that was never created folds its updates, and is invisible.",
         write("10:00", value="x"), write("10:01", "tablet-1", value="y")),
        ("update-before-create", "Fields written before the create are there when it comes.",
         write("10:00", value="x"), create("10:01", "tablet-1")),
        ("create-twice", "The greatest clock of two creates stands in the line.",
         create("10:01", value="second"), create("10:00", "tablet-1", value="first")),
        ("delete-twice", "The greatest clock of two deletes stands in the line.",
         create("10:00"), delete("10:02"), delete("10:01", "tablet-1")),
        ("create-between-deletes", "A create between two deletes stays hidden by the second.",
         delete("10:00"), create("10:01"), delete("10:02", "tablet-1")),
        ("create-and-delete-by-counter", "Within a millisecond the counter decides between create and delete.",
         create("10:00+000A"), delete("10:00+0009", "tablet-1")),
        ("create-wins-by-device", "Equal stamps: the create of the greater device wins over the delete.",
         create("10:00", "tablet-1"), delete("10:00", "phone-1", seq=7)),
        ("delete-wins-by-device", "Equal stamps: the delete of the greater device wins over the create.",
         create("10:00", "phone-1", seq=7), delete("10:00", "tablet-1")),
        ("create-wins-by-sequence", "Equal stamps of one device: the create has the greater sequence.",
         create("10:00", seq=10), delete("10:00", seq=9)),
        ("delete-wins-by-sequence", "Equal stamps of one device: the delete has the greater sequence.",
         create("10:00", seq=9), delete("10:00", seq=10)),
        ("revived-twice", "Each create with a later clock than the last delete shows the entity again.",
         create("10:00", value="1"), delete("10:01"), create("10:02", value="2"), delete("10:03"),
         create("10:04", value="3")),
        ("event-without-effect", "An event that writes nothing makes the entity, without fields.", write("10:00")),
    ]:
        case(name, shows, one, *events)
    sums = thing(laps="integer sum", tags="string set", notes="string list")
    case("delete-forgets-nothing", "A revived entity has all that was written before and after its delete.", sums,
         create("10:00", laps=1, tags={"add": ["a"]}, notes="one"), delete("10:01"),
         write("10:02", "tablet-1", laps=1, tags={"add": ["b"]}, notes="two"), create("10:03", laps=1, notes="three"))
    writing = schema({"thing": fields(value="string", ended="stamp")}, {
        "OPENED": {"entity": "thing", "creates": True, "payload": {"value": "required"}},
        "CLOSED": {"entity": "thing", "deletes": True, "payload": {"value": "optional"},
        "sets": {"ended": "$timestamp"}},
    })
    case("delete-that-writes", "A deleting event writes its fields as any other.", writing,
         event("OPENED", "10:00", value="open"), event("CLOSED", "10:01", value="closed"))
