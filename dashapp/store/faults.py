"""Faults that are recovered from without anybody's help: the one table of their names, and the count of each."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Literal, get_args

from dashapp.store import tally

# docs/api.md says what each is.
Fault = Literal[
    "commit_conflict",
    "checkpoint_torn",
    "job_taken_over",
    "position_unreadable",
    "cache_damaged",
    "redis_away",
    "stream_ended",
]
FAULTS: tuple[Fault, ...] = get_args(Fault)

_KIND = "recovered"
_guard = threading.Lock()
_here: Counter[str] = Counter()


def recovered(fault: Fault, data_dir: Path | None = None) -> None:
    """Count a fault: in the store of this data folder, or else in this process, which alone tells of it then."""
    if data_dir is not None:
        tally.add(data_dir, _KIND, {(fault, ""): 1})
        return
    with _guard:
        _here[fault] += 1


def recoveries(data_dir: Path) -> dict[str, int]:
    """How often each fault was recovered from, as far as this process and the store know; raises OSError."""
    stored = tally.read(data_dir, _KIND)
    with _guard:
        return {fault: stored.get((fault, ""), 0) + _here[fault] for fault in FAULTS}
