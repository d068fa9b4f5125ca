"""Rules: every merge rule with every type it allows."""

from subjects.telling import SAMPLES, TYPES, Raw, case, create, thing, write


def tell():
    for rule, shows in {
        "latest": "The write with the greatest clock wins, whenever it arrives",
        "first": "The write with the least clock wins, whenever it arrives",
        "list": "Elements stand in the order of their clocks, not of their arrival",
        "max": "The greatest value wins, whenever it was written",
        "min": "The least value wins, whenever it was written",
    }.items():
        for field_type in TYPES[1::3] + TYPES[2:3] if rule in ("max", "min") else TYPES:
            low, middle, high = SAMPLES[field_type]
            writes = [write("10:01", value=middle), write("10:03", "tablet-1", value=low), write("10:02", value=high)]
            case(f"{rule}-of-{field_type}", f"{shows}: {field_type}.", thing(value=f"{field_type} {rule}"), *writes)
    for field_type in TYPES:
        low, middle, high = SAMPLES[field_type]
        case(
            f"set-of-{field_type}",
            f"Elements stand in ascending order of their values, removed ones too: {field_type}.",
            thing(value=f"{field_type} set"),
            write("10:01", value={"add": [high]}),
            write("10:03", "tablet-1", value={"add": [low]}),
            write("10:02", value={"add": [middle], "remove": [high]}),
        )
    case(
        "sum-of-integer",
        "Every write counts once: two devices that each add 1 make 2.",
        thing(value="integer sum"),
        write("10:01", value=1),
        write("10:01", "tablet-1", value=1),
        write("10:02", value=-5),
        write("10:00", value=40),
    )
    case(
        "flag-of-boolean",
        "Once true it stays true: false before and after changes nothing.",
        thing(value="boolean flag"),
        write("10:01", value=False),
        write("10:02", value=True),
        write("10:03", value=False),
    )
    case("flag-only-false", "A flag that was written but never true is false.", thing(value="boolean flag"),
         write("10:01", value=False))
    case("flag-late-true", "A late true counts as any other.", thing(value="boolean flag"),
         write("10:03", value=False), write("10:01", "tablet-1", value=True))
    case("merge-left-out", "A field without `merge` has the rule latest.", thing(value="string"),
         write("10:02", value="late"), write("10:01", value="early"))
    case("first-late-events", "Ever earlier writes arrive, and each becomes the first.", thing(value="string first"),
         *(write(f"10:{30 - n}", value=f"{n}") for n in range(6)))
    case("max-below-zero", "The greatest of negative integers is the one nearest to 0.", thing(value="integer max"),
         write("10:01", value=-7), write("10:02", value=-3), write("10:03", value=-9))
    case("min-equal-values", "Equal values, however written, are one value.",
         thing(least="number min", most="number max"),
         write("10:01", least=Raw("1.50"), most=Raw("1e2")), write("10:02", least=1.5, most=Raw("100")))
    case("max-minus-zero", "Minus zero is zero and wins over negative numbers only.",
         thing(most="number max", least="number min"),
         write("10:01", most=Raw("-0.0"), least=Raw("-0.0")), write("10:02", most=-1.5, least=1.5))
    case("max-of-far-numbers", "The extremes of doubles compare by number.",
         thing(most="number max", least="number min"),
         *(write(f"10:0{n}", most=Raw(text), least=Raw(text))
           for n, text in enumerate(["1.7976931348623157e308", "-1.7976931348623157e308", "5e-324", "1e21"])))
    case("max-of-stamp-forms", "Stamps compare by time, then counter, whatever form they had.",
         thing(most="stamp max", least="stamp min"),
         *(write(f"10:0{n}", most=text, least=text) for n, text in enumerate(
             ["2025-01-01T00:00:00.5Z", "2025-01-01T00:00:00.500Z-000A", "2025-01-01T00:00:00.499999Z",
              "2025-01-01T00:00:00.500Z-0009"])))
    case("fields-do-not-meet", "One event writes several fields, each by its own rule.",
         thing(name="string", best="integer max", laps="integer sum", tags="string set", done="boolean flag"),
         create("10:00", name="a", best=3, laps=1, tags={"add": ["x"]}, done=True),
         write("10:02", "tablet-1", best=2, laps=1), write("10:01", name="b", tags={"remove": ["x"]}, done=False))
    case("field-names-in-order", "Keys stand in the order of their UTF-16 units: upper case before `_` before lower.",
         thing(a="string", B="string", a_b="string", aB="string", a1="string", Z9="string"),
         write("10:00", a="1", B="2", a_b="3", aB="4", a1="5", Z9="6"))
