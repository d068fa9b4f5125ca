"""Stamps: pairs of milliseconds since 1970 and a counter."""

import calendar
import datetime
import re

STAMP = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?Z(?:-([0-9A-F]{4}))?", re.ASCII)
EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()
DAY_MS = 24 * 60 * 60 * 1000


class Unfit(ValueError):
    """What makes a fold skip an event as a whole."""


def read_stamp(text):
    """The stamp that a text means: its own form, or plain ISO in UTC, which is cut to milliseconds."""
    match = STAMP.fullmatch(text)
    if not match:
        raise Unfit("no form of a stamp")
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    fraction, counter = match[7] or "", match[8]
    if counter and len(fraction) != 3:
        raise Unfit("a counter stands behind three decimals")
    exists = 1 <= year and 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1]
    if not exists or hour > 23 or minute > 59 or second > 59:
        raise Unfit("no such time")
    days = datetime.date(year, month, day).toordinal() - EPOCH_DAY
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
    return seconds * 1000 + int((fraction + "000")[:3]), int(counter or "0", 16)


FIRST_MS = read_stamp("0001-01-01T00:00:00Z")[0]
LAST_MS = read_stamp("9999-12-31T23:59:59.999Z")[0]


def of_millis(millis):
    """The stamp of whole milliseconds since 1970."""
    if not FIRST_MS <= millis <= LAST_MS:
        raise Unfit("not in the years 0001 to 9999")
    return int(millis), 0


def stamp_text(stamp):
    days, rest = divmod(stamp[0], DAY_MS)
    date = datetime.date.fromordinal(days + EPOCH_DAY)
    seconds, millis = divmod(rest, 1000)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{millis:03}"
    return f"{date.year:04}-{date.month:02}-{date.day:02}T{clock}Z-{stamp[1]:04X}"
