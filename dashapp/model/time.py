"""Points in time as integers: microseconds since 1970-01-01T00:00:00Z, negative before it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import NewType

from dashapp.errors import BadTime

EpochUs = NewType("EpochUs", int)

US_PER_SECOND = 1_000_000
US_PER_DAY = 86_400 * US_PER_SECOND

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# The years that ISO-8601 writes with four digits and that Parquet, DuckDB and Python all hold.
MIN_US = EpochUs(-62_135_596_800 * US_PER_SECOND)  # 0001-01-01T00:00:00Z
MAX_US = EpochUs(253_402_300_800 * US_PER_SECOND - 1)  # 9999-12-31T23:59:59.999999Z


def from_datetime(moment: datetime) -> EpochUs:
    """The microseconds of an aware datetime; exact, unlike `timestamp()`.

    Raises ValueError for a datetime without a zone.
    """
    if moment.tzinfo is None:
        raise ValueError(f"datetime {moment.isoformat()} has no time zone")
    return EpochUs((moment - _EPOCH) // timedelta(microseconds=1))


def to_datetime(moment_us: int) -> datetime:
    """The aware UTC datetime of a point in time (years 1 to 9999)."""
    return _EPOCH + timedelta(microseconds=moment_us)


def to_iso(moment_us: int) -> str:
    """ISO-8601 in UTC with Z; fractions of a second only where there are some."""
    return to_datetime(moment_us).isoformat().replace("+00:00", "Z")


def date_of(moment_us: int) -> str:
    """The UTC date a point in time falls on, as YYYY-MM-DD."""
    return to_datetime(moment_us).date().isoformat()


def parse_iso(text: str, name: str = "time") -> EpochUs:
    """The point in time of an ISO-8601 text with Z or an offset; a date alone is its first moment in UTC.

    Raises BadTime, naming the parameter, for anything else: a time without a zone is not guessed.
    """
    try:
        moment_us = from_datetime(_aware(text.strip()))
    except ValueError:
        raise BadTime(
            f"{name} {text[:40]!r} is not an ISO-8601 time with a zone. "
            "Write it as 2026-01-31T09:30:00Z, or a date alone "
            "for its first moment in UTC (an offset's + is %2B in a URL).",
            parameter=name,
        ) from None
    if not MIN_US <= moment_us <= MAX_US:  # an offset can lead out of the years that can be written
        raise BadTime(f"{name} {text[:40]!r} is outside the years 1 to 9999 in UTC.", parameter=name)
    return moment_us


def _aware(text: str) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return datetime.fromisoformat(text)
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
