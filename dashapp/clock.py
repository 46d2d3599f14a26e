"""The clock: the one place that asks what time it is."""

from __future__ import annotations

import time

from dashapp.model.time import EpochUs


def now_us() -> EpochUs:
    """The present, in microseconds since 1970 UTC, by the clock of this machine."""
    return EpochUs(time.time_ns() // 1_000)
