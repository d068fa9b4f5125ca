"""Sets."""

from subjects.telling import Raw, case, thing, write


def tell():
    tags, few, two = thing(tags="string set"), thing(tags="string set keep=3"), thing(tags="string set keep=2")

    def add(when, device, *added, remove=None):
        return write(when, device, tags={"add": list(added), **({"remove": remove} if remove else {})})

    def remove(when, device, *removed):
        return write(when, device, tags={"remove": list(removed)})

    for name, shows, rules, *events in [
        ("set-remove", "A later remove wins, and leaves a removed element.", tags,
         add("10:00", "a", "x", "y"), remove("10:01", "b", "x")),
        ("set-add-again", "An element added after its removal is there again.", tags,
         add("10:00", "a", "x"), remove("10:01", "b", "x"), add("10:02", "a", "x")),
        ("set-add-wins-in-one-event", "Of one event that adds and removes an element, adding wins.", tags,
         add("10:00", "a", "x", remove=["x", "y"])),
        ("set-remove-after-add-and-remove", "Adding wins within one event, but a later remove wins over both.",
         tags, add("10:00", "a", "x", remove=["x"]), remove("10:01", "b", "x")),
        ("set-remove-first", "Removing what was never added leaves a removed element.", tags, remove("10:00", "a",
         "x")),
        ("set-remove-late", "A remove that arrives late but is earlier changes nothing.", tags,
         add("10:01", "a", "x"), remove("10:00", "b", "x")),
        ("set-add-late", "An add that arrives late but is earlier than the remove changes nothing.", tags,
         remove("10:01", "a", "x"), add("10:00", "b", "x")),
        ("set-add-later-clock", "Adding what is there already gives it the greater clock.", tags,
         add("10:00", "a", "x"), add("10:01", "b", "x")),
        ("set-element-twice", "An element that stands twice in a write counts once.", tags,
         add("10:00", "a", "x", "y", "x", remove=["z", "z"])),
        ("set-equal-stamps-add", "Equal stamps: the add of the greater device wins.", tags,
         remove("10:00", "a", "x"), add("10:00", "b", "x")),
        ("set-equal-stamps-remove", "Equal stamps: the remove of the greater device wins, against adding.", tags,
         add("10:00", "a", "x"), remove("10:00", "b", "x")),
        ("set-three-devices", "Each element has its own latest write.", tags,
         add("10:00", "a", "x", "y", "z"), remove("10:02", "b", "x", "w"), add("10:01", "c", "x", "w", remove=["y"])),
        ("set-empty-write", "Empty arrays write the field, which has no elements.", tags, add("10:00", "a")),
        ("set-empty-text", "The empty text is an element, and comes first.", tags, add("10:00", "a", "b", "", " ")),
        ("set-order-of-texts", "Elements ascend by code points: U+1F600 comes after U+FF5E, upper case before lower.",
         tags, add("10:00", "a", "\U0001f600", "\uff5e", "é", "z", "e\u0301", "Z", "10", "9")),
        ("set-keep-latest", "Beyond `keep` the elements with the least clocks go.", few,
         add("10:03", "a", "w"), add("10:00", "b", "x"), add("10:01", "c", "y"), add("10:02", "d", "z")),
        ("set-keep-late", "A late element that is older than all that are kept goes at once.", few,
         *(add(f"10:0{n}", "a", f"e{n}") for n in (1, 2, 3, 0))),
        ("set-keep-distinct", "`keep` counts elements, not writes.", few,
         *(add(f"10:0{n}", "a", f"e{n % 3}") for n in range(9))),
        ("set-keep-one-event", "Within one event, whose clocks are equal, the least values go.", few,
         add("10:00", "a", "e", "b", "d", "a", "c")),
        ("set-keep-one-event-by-code-points", "Equal clocks: values compare by code points, so U+1F600 stays.", two,
         add("10:00", "a", "\U0001f600", "\uff5e", "z")),
        ("set-keep-add-and-remove", "Equal clocks: removed elements are kept by value like the others.", few,
         add("10:00", "a", "b", "d", remove=["a", "c", "e"])),
        ("set-keep-removed", "A removed element counts among those that are kept, and can push out a present one.", two,
         add("10:00", "a", "x", "y"), remove("10:01", "b", "z")),
        ("set-keep-again-later", "An element that went is back with a later write.", two,
         add("10:00", "a", "x"), add("10:01", "a", "y"), add("10:02", "a", "z"), add("10:03", "b", "x")),
        ("set-keep-again-earlier", "An element that went stays away with a write that is still too early.", two,
         add("10:01", "a", "x"), add("10:03", "a", "y"), add("10:04", "a", "z"), add("10:02", "b", "x")),
        ("set-keep-removed-went", "An element whose remove went stays away when an add before that remove arrives.",
         two, remove("10:01", "a", "x"), add("10:02", "a", "y"), add("10:03", "a", "z"), add("10:00", "b", "x")),
        ("set-keep-renewed", "An element written again with a later clock outlives younger ones.", two,
         add("10:00", "a", "x"), add("10:01", "a", "y"), add("10:03", "b", "x"), add("10:02", "c", "z")),
        ("set-keep-late-renewal", "A late write between the others saves its element from going.", two,
         add("10:01", "a", "x"), add("10:02", "a", "y"), add("10:04", "a", "z"), add("10:03", "b", "x")),
        ("set-keep-equal-stamps", "Equal stamps: the elements of the least devices go, whatever their values.", two,
         add("10:00", "c", "a"), add("10:00", "a", "z"), add("10:00", "b", "m")),
        ("set-keep-one", "A set that keeps one element has the latest.", thing(tags="string set keep=1"),
         add("10:01", "a", "x"), add("10:00", "b", "y"), remove("10:01", "b", "x")),
    ]:
        case(name, shows, rules, *events)
    case("set-keep-left-out", "Without `keep`, 1000 elements are kept.", thing(value="integer set"),
         write("10:00", value={"add": list(range(1, 1002))}))
    case("set-integer-forms", "1, 1.0 and 1e0 are one element, and so are 0 and -0.", thing(value="integer set"),
         write("10:00", value={"add": [Raw("1.0"), Raw("1e0"), 1, Raw("-0"), Raw("0.0")]}),
         write("10:01", "b", value={"remove": [Raw("10e-1")], "add": [Raw("1e1"), 9, -10]}))
    case("set-number-order", "Numbers ascend by number, not as text; 0 and -0 are one.", thing(value="number set"),
         write("10:00", value={"add": [10, 9.5, -1, -1.5, Raw("1e-7"), Raw("-0.0"), 0, Raw("1e21"), Raw("2E0")]}))
    case("set-number-rounding", "Two decimals nearest to one double are one element.", thing(value="number set"),
         write("10:00", value={"add": [Raw("0.1"), Raw("0.1000000000000000055511151231257827")]}),
         write("10:01", "b", value={"remove": [Raw("1e-1")], "add": [Raw("0.10000000000000002")]}))
    case("set-stamp-forms", "Forms of one stamp are one element; a counter makes another.", thing(value="stamp set"),
         write("10:00", value={"add": ["2025-08-06T10:30:00Z", "2025-08-06T10:30:00.0009Z"]}),
         write("10:01", "b", value={"remove": ["2025-08-06T10:30:00.000Z-0000"],
         "add": ["2025-08-06T10:30:00.000Z-0001"]}))
    case("set-boolean-keep", "A set of booleans that keeps one: true is the greater value.",
         thing(value="boolean set keep=1"), write("10:00", value={"add": [True, False]}))
