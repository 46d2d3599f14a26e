"""The time of an item, read from whatever its sender wrote; what would need a guess is rejected.

Read are
- ISO-8601: `2014-01-01T03:59:03Z`, blank for T, offsets `Z` `+05:30` `+0530` `+05`, ` UTC`, ` GMT`, seconds optional,
  fractions of 1 to 9 digits after point or comma (cut to microseconds), and the basic form `20220914T141049`;
- RFC 2822: `Wed, 02 Oct 2002 13:00:00 GMT` (also its North American zone names), and Twitter's
  `Wed Aug 27 13:08:45 +0000 2008`;
- numbers, and texts of digits: time since 1970-01-01T00:00:00Z, the unit told by the size as _EPOCH_UNITS says;
- dates and datetimes, as Parquet holds them.

A time without a zone is read in `zone`. Where the clocks were set back and a time came twice, the first is meant; a
time that the clocks jumped over is rejected, since it shows that the zone is wrong.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from decimal import ROUND_FLOOR, Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from dashapp.ingest.rejects import rejected, shown
from dashapp.model.time import MAX_US, MIN_US, US_PER_DAY, US_PER_SECOND, EpochUs, from_datetime

DateOnly = Literal["start", "noon", "end"]

_OFFSET = r"(?P<zone>[Zz]|UTC|GMT|[+-]\d\d(?::?\d\d)?)?"
_SECONDS = r"(?P<second>\d\d)(?:[.,](?P<fraction>\d{1,9}))?"
_ISO = re.compile(
    r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)[Tt ] ?"
    rf"(?P<hour>\d\d):(?P<minute>\d\d)(?::{_SECONDS})? ?{_OFFSET}",
    re.ASCII,
)
_BASIC = re.compile(
    rf"(?P<year>\d{{4}})(?P<month>\d\d)(?P<day>\d\d)[Tt](?P<hour>\d\d)(?P<minute>\d\d)(?:{_SECONDS})? ?{_OFFSET}",
    re.ASCII,
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})"
_WEEKDAY = r"(?:mon|tue|wed|thu|fri|sat|sun)"
_CLOCK = r"(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d))?(?P<fraction>)"
# The zone names of RFC 2822 section 4.3; elsewhere EST and its kin mean several things.
_MAIL_ZONES = {"EDT": "-0400", "EST": "-0500", "CDT": "-0500", "CST": "-0600"}
_MAIL_ZONES |= {"MDT": "-0600", "MST": "-0700", "PDT": "-0700", "PST": "-0800", "UT": "Z"}
_MAIL = re.compile(
    rf"(?:{_WEEKDAY}, *)?(?P<day>\d\d?) {_MONTH} (?P<year>\d{{4}}) {_CLOCK}"
    rf"(?: (?P<zone>[+-]\d{{4}}|Z|UTC|GMT|{'|'.join(_MAIL_ZONES)}))?",
    re.ASCII | re.IGNORECASE,
)
_TWITTER = re.compile(
    rf"{_WEEKDAY} {_MONTH}  ?(?P<day>\d\d?) {_CLOCK}(?: (?P<zone>[+-]\d{{4}}|UTC|GMT))? (?P<year>\d{{4}})",
    re.ASCII | re.IGNORECASE,
)
_FORMS = (_ISO, _BASIC, _MAIL, _TWITTER)

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d{1,20}(?:\.\d{1,12})?", re.ASCII)
_SLASHED = re.compile(r"\d\d?([/.-])\d\d?\1(?:\d\d){1,2}\b", re.ASCII)
_RELATIVE = re.compile(
    r"\b(?:ago|now|today|tonight|yesterday|tomorrow|last|previous|this morning)\b"
    r"|^[+-]?\d+ ?(?:s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|wks?|weeks?|mo|months?|y|yrs?|years?)$",
    re.ASCII | re.IGNORECASE,
)
_CALENDAR_DIGITS = re.compile(
    r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:(?:[01]\d|2[0-3])[0-5]\d)?", re.ASCII
)

# From the first size (inclusive) to the second (exclusive), positive or negative: each unit reaches the year 2286,
# and all but the seconds begin in 1973. Between the bands a number could be either of its neighbours, centuries or
# decades off, so it is rejected. The last figure is the power of ten that makes microseconds of the unit.
_EPOCH_UNITS = (
    (0, 10**10, 6),  # seconds, 1653 to 2286
    (10**11, 10**13, 3),  # milliseconds
    (10**14, 10**16, 0),  # microseconds
    (10**17, 10**19, -3),  # nanoseconds
)
_MAX_TIME_CHARS = 64  # longer than any of the forms
_UNIX_ORDINAL = date(1970, 1, 1).toordinal()
_DAY_CLOCK_US: dict[DateOnly, int] = {"start": 0, "noon": US_PER_DAY // 2, "end": US_PER_DAY - 1}


def parse_time(value: object, *, zone: ZoneInfo | None, date_only: DateOnly | None) -> EpochUs:
    """The point in time a value names, in microseconds.

    `zone` is for times without one. `date_only` says which moment of the day (in `zone`, else UTC) a date alone
    means; without it a date alone is rejected. Raises RowRejected.
    """
    if isinstance(value, str):
        return _of_text(value, zone, date_only)
    if isinstance(value, datetime):
        if value.tzinfo is not None:
            return _checked(from_datetime(value), value)
        day_us = (value.toordinal() - _UNIX_ORDINAL) * US_PER_DAY
        clock_us = ((value.hour * 60 + value.minute) * 60 + value.second) * US_PER_SECOND + value.microsecond
        return _checked(_in_zone(day_us + clock_us, value, zone), value)
    if isinstance(value, date):
        return _of_date(value, value, zone, date_only)
    if value is None or value != value:  # NaN, which is how some tools write a missing number
        raise rejected("missing_time", "the time is empty")
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        # repr of a float is the shortest figure that means it: 1398882903.1 is not 1398882903.099999905.
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        return _of_number(number, value, zone, date_only)
    raise rejected("bad_time", f"time {shown(value)}")


def _of_text(value: str, zone: ZoneInfo | None, date_only: DateOnly | None) -> EpochUs:
    text = value.strip()
    if len(text) <= _MAX_TIME_CHARS:
        for form in _FORMS:
            found = form.fullmatch(text)
            if found:
                return _of_parts(found, value, zone)
        if not text:
            raise rejected("missing_time", "the time is empty")
        if _NUMBER.fullmatch(text):
            return _of_number(Decimal(text), value, zone, date_only)
        if _DATE.fullmatch(text):
            return _of_date(_date_of(text.replace("-", ""), value), value, zone, date_only)
        if _RELATIVE.search(text):
            raise rejected("relative_time", f"time {shown(value)}")
        if _SLASHED.match(text):
            raise rejected("ambiguous_time", f"time {shown(value)} does not say which figure is the month")
    raise rejected("bad_time", f"time {shown(value)}")


def _of_parts(found: re.Match[str], value: str, zone: ZoneInfo | None) -> EpochUs:
    year, month, day, hour, minute, second, fraction, offset = found.group(
        "year", "month", "day", "hour", "minute", "second", "fraction", "zone"
    )
    hours, minutes, seconds = int(hour), int(minute), int(second or 0)
    if seconds == 60:
        raise rejected("leap_second", f"time {shown(value)}")
    try:
        months = int(month) if month.isdecimal() else _MONTHS.index(month.lower()) + 1
        days = date(int(year), months, int(day)).toordinal() - _UNIX_ORDINAL
    except ValueError:
        raise rejected("bad_time", f"time {shown(value)} is not in the calendar") from None
    if hours > 23 or minutes > 59 or seconds > 59:
        raise rejected("bad_time", f"time {shown(value)} is not on the clock")
    local_us = ((days * 24 + hours) * 60 + minutes) * 60 * US_PER_SECOND + seconds * US_PER_SECOND
    if fraction:
        local_us += int(fraction[:6].ljust(6, "0"))
    if offset is None:
        return _checked(_in_zone(local_us, value, zone), value)
    return _checked(local_us - _offset_us(offset, value), value)


def _offset_us(offset: str, value: str) -> int:
    offset = _MAIL_ZONES.get(offset.upper(), offset)
    if offset.isalpha():  # Z, UTC, GMT
        return 0
    hours, minutes = int(offset[1:3]), int(offset[3:].lstrip(":") or 0)
    if hours > 23 or minutes > 59:
        raise rejected("bad_time", f"time {shown(value)} has an impossible offset")
    away_us = (hours * 60 + minutes) * 60 * US_PER_SECOND
    return -away_us if offset[0] == "-" else away_us


def _of_number(number: Decimal, value: object, zone: ZoneInfo | None, date_only: DateOnly | None) -> EpochUs:
    if not number.is_finite():
        raise rejected("bad_time", f"time {shown(value)} is not finite")
    if number == number.to_integral_value() and 10**7 < number < 10**12:
        digits = str(int(number))
        if _CALENDAR_DIGITS.fullmatch(digits):
            if date_only and len(digits) == 8:
                return _of_date(_date_of(digits, value), value, zone, date_only)
            raise rejected("ambiguous_time", f"time {shown(value)} may be a date in digits or a count since 1970")
    for low, high, power in _EPOCH_UNITS:
        if low <= abs(number) < high:
            return _checked(int(number.scaleb(power).to_integral_value(ROUND_FLOOR)), value)
    if abs(number) < _EPOCH_UNITS[-1][1]:
        raise rejected("ambiguous_time", f"time {shown(value)} has a size between two units")
    raise rejected("time_out_of_range", f"time {shown(value)}")


def _of_date(day: date, value: object, zone: ZoneInfo | None, date_only: DateOnly | None) -> EpochUs:
    if date_only is None:
        raise rejected("date_only", f"time {shown(value) if isinstance(value, str) else day.isoformat()}")
    local_us = (day.toordinal() - _UNIX_ORDINAL) * US_PER_DAY + _DAY_CLOCK_US[date_only]
    if zone is None:
        return EpochUs(local_us)
    # Where clocks change at midnight, a day starts after the gap and ends with the second of two equal times.
    gap_allowed, last = date_only == "start", date_only == "end"
    return _checked(_in_zone(local_us, value, zone, gap_allowed=gap_allowed, last=last), value)


def _in_zone(
    local_us: int, value: object, zone: ZoneInfo | None, *, gap_allowed: bool = False, last: bool = False
) -> int:
    if zone is None:
        raise rejected("no_zone", f"time {shown(value) if isinstance(value, str) else value}")
    day, second = divmod(local_us // US_PER_SECOND, 86_400)
    minute, second = divmod(second, 60)
    wall = datetime.combine(date.fromordinal(day + _UNIX_ORDINAL), datetime.min.time())
    wall = wall.replace(hour=minute // 60, minute=minute % 60, second=second, tzinfo=zone)
    first_offset, last_offset = wall.utcoffset(), wall.replace(fold=1).utcoffset()
    assert first_offset is not None  # a ZoneInfo answers for every datetime
    assert last_offset is not None
    if last_offset > first_offset and not gap_allowed:
        raise rejected("nonexistent_time", f"time {shown(value) if isinstance(value, str) else value} in {zone.key}")
    offset = last_offset if last else first_offset
    return local_us - (offset.days * 86_400 + offset.seconds) * US_PER_SECOND


def _date_of(digits: str, value: object) -> date:
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:]))
    except ValueError:
        raise rejected("bad_time", f"time {shown(value)} is not in the calendar") from None


def _checked(moment_us: int, value: object) -> EpochUs:
    if not MIN_US <= moment_us <= MAX_US:
        raise rejected("time_out_of_range", f"time {shown(value)}")
    return EpochUs(moment_us)
