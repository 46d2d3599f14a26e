"""Live: follows the scores table and tells which buckets changed, each with its whole new state.

The table is the bus: whoever follows it learns the same changes in the same places, in this process as in any other.
Buckets that have changed lately are held and merged with what is new; any other is read from the store.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dashapp.errors import StoreError
from dashapp.model.bucket import Bucket, BucketKey, merge
from dashapp.model.change import Change, Key, Place, key_of
from dashapp.model.resolution import RESOLUTIONS, floor_us
from dashapp.model.time import EpochUs
from dashapp.rollup.changes import Additions, additions
from dashapp.store.follow import Follower, Watch
from dashapp.store.reader import View

log = logging.getLogger(__name__)

# Scores that are followed one by one (a quarter of a second of work). More at once, as a big ingest brings them, or
# such that change more buckets than are held, are skipped: whoever listens is told to begin anew, which costs less.
MOST_FOLLOWED_ROWS = 20_000
# How long to leave the store alone after such a skip, and after a failure: a big ingest has many such commits.
_PAUSE_S = 2.0
# How long an end waits for a step under way, which may wait for a query.
_PATIENCE_S = 2.0
# About 1 kB each. A day of 1m buckets of 13 tickers is 18,720.
_HELD_BUCKETS = 20_000
# Watched buckets that one replay may hold; beyond that a reload is the shorter way.
_MOST_REPLAYED = 20_000

_BY_SECONDS = {resolution.seconds: resolution for resolution in RESOLUTIONS}


@dataclass(frozen=True, slots=True)
class Step:
    """What was learned at once: the last change of each bucket that changed, ascending, up to and including `head`.

    `anew` tells that changes before this step may be missing; `changes` then are the buckets that are open or in the
    future. `scorers` are those met for the first time, `accepted_us` when the commits were accepted.
    """

    head: Place
    changes: tuple[Change, ...]
    accepted_us: tuple[int, ...]
    scorers: frozenset[str]
    anew: bool


@dataclass(frozen=True, slots=True)
class Replay:
    """What somebody missed: buckets whose interval ended unchanged, then the last change of each changed one,
    ascending, up to `head`."""

    head: Place
    closed: tuple[Bucket, ...]
    changes: tuple[Change, ...]


class Live:
    """Follows the table of one store in a thread; `wake` and `replay` may be called from any thread."""

    def __init__(
        self, follower: Follower, now_us: Callable[[], EpochUs], *, poll_ms: int, replay_max_rows: int
    ) -> None:
        self._follower = follower
        self._now_us = now_us
        self._poll_s = poll_ms / 1_000
        self._replay_max_rows = replay_max_rows
        self._publish: Callable[[Step], None] = lambda step: None
        self._lock = threading.Lock()  # over all that follows
        self._head: Place | None = None  # None: nothing is known yet
        self._held: OrderedDict[Key, Bucket] = OrderedDict()
        # By resolution in seconds: a bucket that starts here or later and is not held does not exist.
        self._complete_from_us: dict[int, int] = {}
        self._scorers: frozenset[str] = frozenset()
        self._news = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, publish: Callable[[Step], None]) -> None:
        """Begin to follow; `publish` is called in the thread that follows, first with a step that is `anew`."""
        self._publish = publish
        self._thread = threading.Thread(target=self._follow, name="live", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End following; waits for the step under way, within reason."""
        self._stop.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE_S)

    def wake(self) -> None:
        """There is something new: look now and not at the end of the pause."""
        self._news.set()

    def replay(self, place: Place, closed_after_us: int, closed_up_to_us: int, watch: Watch) -> Replay | None:
        """What a listener missed that has all changes up to a place and all endings up to a time.

        None when it is too far back, or ahead of the table. All changes up to the replay's head have been published
        before this returns. 20 ms and more; raises StoreError.
        """
        view = self._follower.view()
        with self._lock:
            if self._head is not None and self._head.version < view.revision:
                self._step()
            head = self._head
        if head is None or head.version != view.revision:  # it is ahead, or failing
            head = Place(view.revision, self._follower.last_nth(view))
        if place.version > view.revision:
            return None
        places = self._follower.touched(view, place, watch, most_rows=self._replay_max_rows, most=_MOST_REPLAYED)
        closed = self._follower.closed(
            view, watch, closed_after_us, closed_up_to_us, before_version=place.version + 1, most=_MOST_REPLAYED
        )
        if places is None or closed is None:
            return None
        buckets = self._read(view, places)
        return Replay(
            head=max(place, head),
            closed=tuple(bucket for bucket in closed if key_of(bucket) not in places),
            changes=tuple(Change(place, buckets[key]) for key, place in places.items()),
        )

    def _follow(self) -> None:
        failing = False
        while not self._stop.is_set():
            self._news.clear()
            try:
                with self._lock:
                    is_calm = self._begin() if self._head is None else self._step()
                failing = False
            except StoreError:
                if not failing and not self._stop.is_set():
                    log.exception("following the store failed; it is tried again every %g s", _PAUSE_S)
                failing, is_calm = True, False
                self._head = None  # what failed may be for good, as a file that is gone; what can be read is begun with
            if is_calm:
                self._news.wait(self._poll_s)
            else:
                self._stop.wait(_PAUSE_S)

    def _begin(self) -> bool:
        """Take the present as the beginning: the open buckets are read, and all others forgotten."""
        view, now_us = self._follower.view(), self._now_us()
        starts_us: dict[int, int] = {resolution.seconds: floor_us(now_us, resolution) for resolution in RESOLUTIONS}
        buckets = [
            bucket
            for resolution in RESOLUTIONS
            for bucket in self._follower.from_now_on(view, resolution, starts_us[resolution.seconds])
        ]
        self._held = OrderedDict((key_of(bucket), bucket) for bucket in buckets)
        self._complete_from_us = starts_us
        self._forget_oldest()
        self._head = Place(view.revision, self._follower.last_nth(view))
        # Where within their versions these changed is not known, and not needed: it was before the head.
        self._tell([Change(Place(bucket.revision, 0), bucket) for bucket in buckets], (), anew=True)
        return True

    def _step(self) -> bool:
        """Learn what is new; False when that was too much, and the present was begun with instead."""
        learned = self._learn()
        if learned is None:
            self._begin()
            return False
        added, read = learned
        if added.head == self._head:
            return True
        changes = []
        for key, place in added.places.items():
            if not self._follower.keeps(key):
                continue
            bucket = read.get(key)
            if bucket is None:
                held = self._held.get(key)
                bucket = added.buckets[key] if held is None else merge(held, added.buckets[key])
            changes.append(Change(place, bucket))
        changes.sort(key=lambda change: change.place)
        for change in changes:
            key = key_of(change.bucket)
            self._held[key] = change.bucket
            self._held.move_to_end(key)
        self._forget_oldest()
        self._head = added.head
        self._tell(changes, added.accepted_us, anew=False)
        return True

    def _learn(self) -> tuple[Additions, dict[Key, Bucket]] | None:
        """What was added since the head, and those of the buckets added to that had to be read, as they are after it.

        None when it is too much.
        """
        assert self._head is not None
        commits = self._follower.commits(self._head.version, None, most_rows=MOST_FOLLOWED_ROWS)
        if commits is None:
            return None
        added = additions(commits, self._head)
        if len(added.buckets) > _HELD_BUCKETS:
            return None
        if not self._missing(added):
            return added, {}
        view = self._follower.view()
        # What is read counts everything up to the view, so the step has to reach as far.
        more = self._follower.commits(added.head.version, view.revision, most_rows=MOST_FOLLOWED_ROWS)
        if more is None:
            return None
        added = additions([*commits, *more], self._head)
        if len(added.buckets) > _HELD_BUCKETS:
            return None
        return added, self._read(view, self._missing(added))

    def _missing(self, added: Additions) -> list[Key]:
        """The buckets that are added to and may exist in the store, but are not held."""
        return [key for key in added.buckets if key not in self._held and key[3] < self._complete_from_us[key[0]]]

    def _read(self, view: View, keys: Iterable[Key]) -> dict[Key, Bucket]:
        found: dict[Key, Bucket] = {}
        by_resolution: dict[int, set[BucketKey]] = {}
        for seconds, ticker, scorer, start_us in keys:
            by_resolution.setdefault(seconds, set()).add((ticker, scorer, start_us))
        for seconds, wanted in by_resolution.items():
            buckets = self._follower.buckets(view, _BY_SECONDS[seconds], wanted)
            found |= {key_of(bucket): bucket for bucket in buckets}
        return found

    def _forget_oldest(self) -> None:
        while len(self._held) > _HELD_BUCKETS:
            (seconds, _, _, start_us), _ = self._held.popitem(last=False)
            self._complete_from_us[seconds] = max(self._complete_from_us[seconds], start_us + 1)

    def _tell(self, changes: list[Change], accepted_us: tuple[int, ...], *, anew: bool) -> None:
        assert self._head is not None
        scorers = frozenset(change.bucket.scorer for change in changes)
        self._publish(Step(self._head, tuple(changes), accepted_us, scorers - self._scorers, anew))
        self._scorers |= scorers
