"""Lists."""

from subjects.telling import case, thing, write


def tell():
    notes, few = thing(notes="string list"), thing(notes="string list keep=3")

    def note(when, device, text):
        return write(when, device, notes=text)

    for name, shows, rules, *events in [
        ("list-late", "A late element stands where its clock puts it.", notes,
         note("10:01", "a", "one"), note("10:03", "a", "three"), note("10:02", "b", "two"), note("10:00", "c", "zero")),
        ("list-duplicates", "Equal values are separate elements.", notes,
         note("10:00", "a", "x"), note("10:01", "b", "x"), note("10:01", "a", "x")),
        ("list-keep", "Beyond `keep` the elements with the least clocks go.", few,
         *(note(f"10:0{n}", "a", f"{n}") for n in range(5))),
        ("list-keep-late-in", "A late element within the latest pushes out an earlier one.", few,
         note("10:00", "a", "0"), note("10:02", "a", "2"), note("10:03", "a", "3"), note("10:01", "b", "1")),
        ("list-keep-late-out", "A late element before the latest goes at once.", few,
         note("10:01", "a", "1"), note("10:02", "a", "2"), note("10:03", "a", "3"), note("10:00", "b", "0")),
        ("list-keep-backwards", "Elements that arrive latest first: the first three to arrive stay.", few,
         *(note(f"10:0{9 - n}", "a", f"{n}") for n in range(6))),
        ("list-keep-duplicates", "Equal values count one by one.", few,
         *(note(f"10:0{n}", "a", "x") for n in range(5))),
        ("list-keep-equal-stamps", "Equal stamps: the elements of the least devices go.", few,
         *(note("10:00", device, device) for device in ("d", "b", "a", "c", "e"))),
        ("list-keep-one", "A list that keeps one element has the latest.", thing(notes="string list keep=1"),
         note("10:01", "a", "late"), note("10:00", "b", "early")),
        ("list-keep-equals-count", "As many elements as are kept stay.", few,
         *(note(f"10:0{n}", "a", f"{n}") for n in range(3))),
    ]:
        case(name, shows, rules, *events)
