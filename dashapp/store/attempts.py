"""Attempts: what ends in a commit, made again when others, who have no lock of ours, committed first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from dashapp.errors import CommitConflict
from dashapp.store.faults import recovered
from dashapp.store.locks import exclusive

T = TypeVar("T")


def committed(data_dir: Path, lock: str, most: int, attempt: Callable[[], T]) -> T:
    """What an attempt comes to, each made with a lock of the data folder held, `most` at most; raises CommitConflict,
    and what the attempt raises."""
    for number in range(1, most + 1):
        try:
            with exclusive(data_dir / "locks" / lock):
                done = attempt()
        except CommitConflict:
            if number == most:
                raise
        else:
            break
    if number > 1:
        recovered("commit_conflict", data_dir)
    return done
