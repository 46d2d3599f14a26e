"""The rollup: scores that the buckets have not counted yet, folded and merged into the partitions they touch.

Work goes month by month, so memory is bounded by one month of new scores, and ends in one commit for all eight
resolutions. What has been counted is what that commit says, so a rollup run twice, beside itself, or killed in the
middle changes nothing.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from dashapp.errors import CommitConflict
from dashapp.store.fold import Change, Fold
from dashapp.store.locks import exclusive
from dashapp.store.store import Store
from dashapp.store.tables import DataFile

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class RollupResult:
    """`revision`: the scores version the buckets count up to now; `buckets_changed`: over all eight resolutions."""

    revision: int
    buckets_changed: int
    seconds: float


def rollup(store: Store, *, full: bool = False) -> RollupResult:
    """Bring the buckets up to the scores; `full` builds all of them anew from the scores.

    A second rollup on the same machine waits for the first and then finds nothing to do. Raises CommitConflict when
    others, on other machines, kept committing first.
    """
    started = time.perf_counter()
    for _ in range(_ATTEMPTS):
        with exclusive(store.data_dir / "locks" / "rollup.lock"):
            try:
                changed = _rollup_once(store, full=full)
            except CommitConflict as error:
                conflict = error
                continue
            return RollupResult(store.buckets.seen, changed, time.perf_counter() - started)
    raise conflict


def rollup_every(store: Store, seconds: float, stop: threading.Event, report: Callable[[RollupResult], None]) -> None:
    """Roll up, wait, and again until `stop` is set; raises what a rollup raises."""
    while not stop.is_set():
        report(rollup(store))
        stop.wait(seconds)


def _rollup_once(store: Store, *, full: bool) -> int:
    head = store.scores.table.refresh()
    store.buckets.table.refresh()
    after = 0 if full else store.buckets.seen
    files = store.scores.files_after(after)
    replaced: list[DataFile] = list(store.buckets.table.files()) if full else []
    if not files and not replaced:
        return 0
    written, changed = [], 0
    for change in _changes(store, files, after, merge_stored=not full):
        written += store.buckets.table.write(change.new)
        replaced += change.old
        changed += change.buckets
    store.buckets.commit(written, replaced, seen=head)
    return changed


def _changes(store: Store, files: Collection[DataFile], after: int, *, merge_stored: bool) -> Iterator[Change]:
    by_month = itertools.groupby(
        sorted(files, key=lambda file: file.partition["date"]), lambda file: file.partition["date"][:7]
    )
    buckets = store.buckets if merge_stored else None
    with store.duck.cursor() as cursor:
        fold = Fold(cursor, list(files), after_version=after)
        for _, months in itertools.groupby(by_month, lambda month: month[0][:4]):
            for _, month in months:
                yield from fold.month(list(month), buckets)
            yield from fold.end_year(buckets)
