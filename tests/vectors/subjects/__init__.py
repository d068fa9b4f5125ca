"""What the vectors show, by subject."""

from subjects import clocks, events, integers, lifecycles, lists, numbers, rules, schemas, sets, stamps, texts

SUBJECTS = [rules, clocks, lifecycles, sets, lists, integers, numbers, texts, stamps, events, schemas]
