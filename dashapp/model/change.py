"""Changes: a bucket as it is after new scores, with its place in the one sequence of all changes.

The changes that a version of the scores table brings are numbered from 1 by (resolution, ticker, scorer, start).
Version and number are the place of a change: it follows from the table alone, so every process gives a change the same
place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from dashapp.model.bucket import Bucket

# Resolution in seconds, ticker, scorer, start_us: what tells a bucket from all others, and the order within a version.
Key = tuple[int, str, str, int]


class Place(NamedTuple):
    """A place in the sequence of all changes: after change `nth` of a version, 0 for before its first."""

    version: int
    nth: int


@dataclass(frozen=True, slots=True)
class Change:
    """A bucket as it is after a change, with the place of that change."""

    place: Place
    bucket: Bucket


def key_of(bucket: Bucket) -> Key:
    """The key of a bucket."""
    return (bucket.resolution.seconds, bucket.ticker, bucket.scorer, bucket.start_us)
