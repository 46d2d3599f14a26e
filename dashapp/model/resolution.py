"""The eight resolutions: the one table of them, and what follows from it.

Buckets are aligned to the UTC wall clock, start inclusive, end exclusive. Every width divides a day, and 1970-01-01
began a day, so floor division of the microseconds since then is the whole of alignment, before 1970 as well. UTC has no
daylight saving time, so none of it can matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dashapp.errors import UnknownResolution
from dashapp.model.time import US_PER_SECOND, EpochUs, from_datetime, to_datetime

PeriodKind = Literal["day", "month", "year"]


@dataclass(frozen=True, slots=True)
class Resolution:
    """One width of buckets.

    `period_kind` is how much time one partition of the buckets table holds at this resolution: a partition is what a
    rollup rewrites, so it is short where buckets are many.
    """

    name: str
    seconds: int
    period_kind: PeriodKind

    @property
    def width_us(self) -> int:
        """The width of a bucket in microseconds."""
        return self.seconds * US_PER_SECOND


RESOLUTIONS: tuple[Resolution, ...] = (
    Resolution("1m", 60, "day"),
    Resolution("5m", 300, "day"),
    Resolution("10m", 600, "day"),
    Resolution("1h", 3_600, "month"),
    Resolution("3h", 10_800, "month"),
    Resolution("6h", 21_600, "month"),
    Resolution("12h", 43_200, "year"),
    Resolution("24h", 86_400, "year"),
)
FINEST = RESOLUTIONS[0]

_BY_NAME = {resolution.name: resolution for resolution in RESOLUTIONS}
_PERIOD_FORMAT: dict[PeriodKind, int] = {"day": 10, "month": 7, "year": 4}  # characters of YYYY-MM-DD


def parse_resolution(name: str) -> Resolution:
    """The resolution of that name; raises UnknownResolution, which lists the eight, for any other."""
    try:
        return _BY_NAME[name]
    except KeyError:
        valid = [resolution.name for resolution in RESOLUTIONS]
        raise UnknownResolution(
            f"resolution {name!r} is unknown. Use one of: {', '.join(valid)}.", resolution=name, valid=valid
        ) from None


def floor_us(moment_us: int, resolution: Resolution) -> EpochUs:
    """The start of the bucket that holds this moment."""
    return EpochUs(moment_us - moment_us % resolution.width_us)


def ceil_us(moment_us: int, resolution: Resolution) -> EpochUs:
    """The first bucket start at or after this moment."""
    return EpochUs(-(-moment_us // resolution.width_us) * resolution.width_us)


def end_us(start_us: int, resolution: Resolution) -> EpochUs:
    """The end of the bucket that starts here; it belongs to the next bucket."""
    return EpochUs(start_us + resolution.width_us)


def progress_pct(start_us: int, resolution: Resolution, now_us: int) -> float:
    """How much of a bucket's interval is over: 0.0 at its start, below 100.0 until its end, 100.0 from then on."""
    elapsed_us = now_us - start_us
    if elapsed_us >= resolution.width_us:
        return 100.0
    # Rounding down to 0.01 keeps the last instant below 100.
    return max(0, elapsed_us * 10_000 // resolution.width_us) / 100


def is_partial(start_us: int, resolution: Resolution, now_us: int) -> bool:
    """Whether the bucket's interval is not over yet."""
    return start_us > last_closed_us(resolution, now_us)


def last_closed_us(resolution: Resolution, now_us: int) -> int:
    """The latest moment at which a bucket may start whose interval is over."""
    return now_us - resolution.width_us


def period_of(start_us: int, resolution: Resolution) -> str:
    """The partition of the buckets table that holds this bucket: YYYY-MM-DD, YYYY-MM or YYYY, in UTC."""
    return to_datetime(start_us).date().isoformat()[: _PERIOD_FORMAT[resolution.period_kind]]


def period_start_us(moment_us: int, resolution: Resolution) -> EpochUs:
    """The start of the period, as of `period_of`, that holds this moment."""
    day = to_datetime(moment_us).replace(hour=0, minute=0, second=0, microsecond=0)
    if resolution.period_kind == "day":
        return from_datetime(day)
    return from_datetime(day.replace(day=1) if resolution.period_kind == "month" else day.replace(month=1, day=1))


def pick(span_us: int, width_px: int) -> Resolution:
    """The finest resolution whose candles over `span_us` still get at least three pixels each."""
    for resolution in RESOLUTIONS:
        if span_us // resolution.width_us <= max(1, width_px // 3):
            return resolution
    return RESOLUTIONS[-1]
