"""Changes of buckets: what commits of scores add to which buckets, at all resolutions, and in which places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dashapp.model.bucket import Bucket, coarsen, fold, merge, merge_all
from dashapp.model.change import Key, Place, key_of
from dashapp.model.resolution import FINEST, RESOLUTIONS
from dashapp.store.follow import Commit


@dataclass(slots=True)
class Additions:
    """What commits add: to each bucket the bucket of the new scores, and the place where it was added to last.

    `head` is the place after all of it, `accepted_us` when those of the commits that brought scores were accepted.
    """

    buckets: dict[Key, Bucket]
    places: dict[Key, Place]
    accepted_us: tuple[int, ...]
    head: Place


def additions(commits: Sequence[Commit], after: Place) -> Additions:
    """What commits, ascending, add to the buckets after a place; about 10 us a score."""
    buckets: dict[Key, Bucket] = {}
    places: dict[Key, Place] = {}
    head = after
    for commit in commits:
        added = _buckets(commit)
        for nth, key in enumerate(sorted(added), start=1):
            held = buckets.get(key)
            buckets[key] = added[key] if held is None else merge(held, added[key])
            places[key] = Place(commit.version, nth)
        head = Place(commit.version, len(added))
    return Additions(buckets, places, tuple(commit.accepted_us for commit in commits if commit.scores), head)


def _buckets(commit: Commit) -> dict[Key, Bucket]:
    """The buckets that the scores of one commit make, at all resolutions."""
    if not commit.scores:
        return {}
    level = fold(commit.scores, FINEST)
    found = {key_of(bucket): bucket for bucket in level.values()}
    # Coarser from finer: a commit of many scores is few buckets already at the finest resolution.
    for resolution in RESOLUTIONS[1:]:
        level = merge_all(coarsen(bucket, resolution) for bucket in level.values())
        found |= {key_of(bucket): bucket for bucket in level.values()}
    return found
