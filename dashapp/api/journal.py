"""The journal of the live stream: what changed lately, what is open and what has ended, kept once for all listeners.

A listener is a place in the order of changes and a time. So listeners cost nothing while they are slow, what they miss
meanwhile is merged, and all that ask for the same from the same place are given the same bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import NamedTuple

from dashapp.api.events import bucket_event, id_line
from dashapp.model.bucket import Bucket
from dashapp.model.change import Change, Key, Place, key_of
from dashapp.model.resolution import RESOLUTIONS, end_us, progress_pct
from dashapp.model.time import US_PER_SECOND, EpochUs
from dashapp.rollup.live import Step
from dashapp.store.follow import Watch

# Changes kept for listeners that are behind; beyond these they are told from the store. The follower holds the buckets
# anyway, so each costs about 300 bytes.
RECENT_CHANGES = 20_000
# How long ended buckets are kept for listeners that are behind.
_ENDED_KEPT_MS = 600_000
# Events that are sent in one piece: about 250 kB, the most that a slow listener makes the server hold.
EVENTS_AT_ONCE = 500

_US_PER_MS = 1_000
_RESOLUTION = {resolution.seconds: resolution for resolution in RESOLUTIONS}


class Told(NamedTuple):
    """What a listener is to be sent, and up to which change and which time it has been told then; `is_all` when that is
    as far as the journal goes."""

    payload: bytes
    place: Place
    ms: int
    is_all: bool


class Journal:
    """The recent past of the buckets of one store, for one thread."""

    def __init__(self) -> None:
        self.head = Place(0, 0)
        self.moment_us = EpochUs(0)
        # The last changes by bucket, in the order of change: all after `_floor` are here.
        self._recent: OrderedDict[Key, Bucket] = OrderedDict()
        self._places: dict[Key, Place] = {}
        self._floor = Place(0, 0)
        # Buckets whose interval is not over, by (seconds, start); and those that ended, in the order of their ends: all
        # that ended after `_ended_floor_ms` are here.
        self._open: dict[tuple[int, int], dict[Key, Bucket]] = {}
        self._ended: OrderedDict[Key, Bucket] = OrderedDict()
        self._ended_floor_ms = 0
        # The whole second of the moment, and the buckets whose progress then showed another number than when told last.
        self.second = 0
        self._progress: dict[tuple[int, int], float] = {}
        self._progressed: list[tuple[int, int]] = []
        self._encoded: dict[Key, bytes] = {}

    @property
    def ms(self) -> int:
        """The journal's moment in milliseconds: all that ended up to it is in."""
        return self.moment_us // _US_PER_MS

    def learn(self, step: Step, now_us: int) -> None:
        """Take in what the store's follower tells."""
        if step.anew:
            # What ended before now may not be among what is open: it is for the store to tell.
            self.advance(now_us)
            self._recent.clear()
            self._places.clear()
            self._open.clear()
            self._progress.clear()
            self._ended.clear()
            self._floor = step.head
            self._ended_floor_ms = self.ms
        for change in step.changes:
            self._take(change, is_new=not step.anew)
        while len(self._recent) > RECENT_CHANGES:
            key, _ = self._recent.popitem(last=False)
            self._floor = self._places.pop(key)
        self.head = step.head

    def advance(self, now_us: int) -> None:
        """Move on to a moment: what ended since has ended, and what is open has progressed, once a second."""
        self.moment_us = EpochUs(max(self.moment_us, now_us))
        self._encoded.clear()
        over = [group for group in self._open if _end_us(group) <= self.moment_us]
        for group in sorted(over, key=_end_us):
            self._ended |= self._open.pop(group)
            del self._progress[group]
        while self._ended and _end_ms(next(iter(self._ended))) < self.ms - _ENDED_KEPT_MS:
            key, _ = self._ended.popitem(last=False)
            self._ended_floor_ms = _end_ms(key)
        second = self.moment_us // US_PER_SECOND
        if second > self.second:
            self.second = second
            self._progressed = [group for group in self._open if group[1] <= self.moment_us and self._moved(group)]

    def covers(self, place: Place, ms: int) -> bool:
        """Whether what came after a place and a time is all here."""
        return self._floor <= place and place.version <= self.head.version and ms >= self._ended_floor_ms

    def tell(self, watch: Watch, place: Place, ms: int, second: int) -> Told:
        """What comes after a place and a time, for a listener that was told of the progress at `second`.

        First what has ended, then what has changed, then what has progressed; at most about EVENTS_AT_ONCE at once.
        """
        changed = self._changed_after(place, watch)
        ended = [key for key in self._ended_after(ms, watch) if self._places.get(key, place) <= place]
        # Who is cut off between two endings is told them all again: only the last carries the new time.
        parts = self._events(ended[:-1], self._ended, place, ms) + self._events(ended[-1:], self._ended, place, self.ms)
        for key in changed[:EVENTS_AT_ONCE]:
            parts += self._events([key], self._recent, self._places[key], self.ms)
        if len(changed) > EVENTS_AT_ONCE:
            return Told(b"".join(parts), self._places[changed[EVENTS_AT_ONCE - 1]], self.ms, False)
        place = max(place, self.head)
        if second < self.second:
            just_told = set(changed)
            for group in self._progressed:
                keys = [key for key in self._open.get(group, ()) if watch.wants(key) and key not in just_told]
                parts += self._events(keys, self._open.get(group, {}), place, self.ms)
        return Told(b"".join(parts), place, self.ms, True)

    def present(self, watch: Watch, place: Place) -> bytes:
        """The watched buckets that are open now."""
        parts: list[bytes] = []
        for group, buckets in self._open.items():
            if group[1] <= self.moment_us:
                parts += self._events([key for key in buckets if watch.wants(key)], buckets, place, self.ms)
        return b"".join(parts)

    def _take(self, change: Change, *, is_new: bool) -> None:
        key, bucket = key_of(change.bucket), change.bucket
        self._encoded.pop(key, None)
        if is_new:
            self._recent[key] = bucket
            self._recent.move_to_end(key)
            self._places[key] = change.place
        group = (key[0], key[3])
        if key in self._ended:
            self._ended[key] = bucket
        elif _end_us(group) > self.moment_us:
            if group not in self._open:
                self._progress[group] = self._progress_of(group)
                self._open[group] = {}
            self._open[group][key] = bucket

    def _moved(self, group: tuple[int, int]) -> bool:
        before, self._progress[group] = self._progress[group], self._progress_of(group)
        return self._progress[group] != before

    def _progress_of(self, group: tuple[int, int]) -> float:
        return progress_pct(group[1], _RESOLUTION[group[0]], self.moment_us)

    def _changed_after(self, place: Place, watch: Watch) -> list[Key]:
        after = takewhile(lambda key: self._places[key] > place, reversed(self._recent))
        changed = [key for key in after if watch.wants(key)]
        changed.reverse()
        return changed

    def _ended_after(self, ms: int, watch: Watch) -> Iterator[Key]:
        after = list(takewhile(lambda key: _end_ms(key) > ms, reversed(self._ended)))
        return (key for key in reversed(after) if watch.wants(key))

    def _events(self, keys: Iterable[Key], buckets: dict[Key, Bucket], place: Place, ms: int) -> list[bytes]:
        parts: list[bytes] = []
        first_line = id_line(place, ms)
        for key in keys:
            body = self._encoded.get(key)
            if body is None:
                body = self._encoded[key] = bucket_event(buckets[key], self.moment_us)
            parts += (first_line, body)
        return parts


def _end_us(group: tuple[int, int]) -> int:
    return end_us(group[1], _RESOLUTION[group[0]])


def _end_ms(key: Key) -> int:
    return _end_us((key[0], key[3])) // _US_PER_MS
