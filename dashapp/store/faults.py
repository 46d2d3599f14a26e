"""Faults that are recovered from without anybody's help: the one table of their names, and the count of each."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

from dashapp.store import tally

FAULTS: dict[str, str] = {
    # counted in the store, whichever process met them
    "commit_conflict": "Another writer committed first, and the commit was made again.",
    "checkpoint_torn": "A checkpoint of a log could not be read and was removed; the log says the same.",
    "job_taken_over": "A job was begun whose holder had died in the middle of it.",
    "position_unreadable": "Where a source was read up to could not be read; it is read from its beginning.",
    # counted by the process that met them
    "cache_damaged": "The cache was damaged and began again.",
    "redis_away": "Redis failed, and the cache on the disk serves.",
    "stream_ended": "A live stream ended since what it missed could not be read; its reader comes back.",
}

_KIND = "recovered"
_guard = threading.Lock()
_here: Counter[str] = Counter()


def recovered(fault: str, data_dir: Path | None = None) -> None:
    """Count a fault of the table: in the store of this data folder, or else in this process."""
    if data_dir is not None:
        tally.add(data_dir, _KIND, {(fault, ""): 1})
        return
    with _guard:
        _here[fault] += 1


def recoveries(data_dir: Path) -> dict[str, int]:
    """How often each fault of the table was recovered from, as far as this process and the store know."""
    stored = tally.read(data_dir, _KIND)
    with _guard:
        return {fault: stored.get((fault, ""), 0) + _here[fault] for fault in FAULTS}
