"""JSON: read with every number as its nearest double, and written as RFC 8785 does."""

import json
import math
import unicodedata
from decimal import Decimal

SAFE = 2**53 - 1


# Reading


def parse(text):
    """A JSON text in which every number, however it is written, is the double nearest to its decimal."""
    return json.loads(text, parse_int=float, parse_constant=refuse)


def refuse(constant):
    raise ValueError(f"{constant} is not JSON")


# Writing


def canonical(value):
    """The canonical text of a value made of None, bool, int, float, str, list and dict."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return canonical_text(value)
    if isinstance(value, int):
        assert abs(value) <= SAFE, "a double holds every integer that is written"
        return str(value)
    if isinstance(value, float):
        return canonical_number(value)
    if isinstance(value, list):
        return "[" + ",".join(canonical(element) for element in value) + "]"
    keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
    return "{" + ",".join(f"{canonical_text(key)}:{canonical(value[key])}" for key in keys) + "}"


SHORT_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def canonical_text(text):
    def escaped(char):
        return SHORT_ESCAPES.get(char) or (f"\\u{ord(char):04x}" if char < " " else char)

    return '"' + "".join(map(escaped, text)) + '"'


def canonical_number(number):
    """A finite double as ECMAScript's Number::toString writes it. Its digits are the shortest that lead back to the
    double, as repr's are; only where the point stands differs."""
    assert math.isfinite(number), "JSON has no such number"
    if number == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(number)).as_tuple()
    digits = "".join(map(str, digits))
    point = len(digits) + exponent  # The value is 0.DIGITS times ten to the power of `point`.
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        text = digits + "0" * (point - len(digits))
    elif 0 < point <= 21:
        text = digits[:point] + "." + digits[point:]
    elif -6 < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        text = digits[0] + ("." + digits[1:] if len(digits) > 1 else "") + f"e{point - 1:+}"
    return "-" * sign + text


def visibly(json_text):
    """The same JSON, with an escape for what an editor would not show, or not tell apart."""

    def escaped(char):
        if char.isprintable() and not unicodedata.combining(char):
            return char
        return json.dumps(char)[1:-1]

    return "".join(map(escaped, json_text))
