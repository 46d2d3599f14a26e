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
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from dashapp.errors import CommitConflict, UsageError
from dashapp.store.buckets import Written
from dashapp.store.fold import Delta, Fold, by_period, fold_few
from dashapp.store.locks import exclusive
from dashapp.store.store import Store
from dashapp.store.tables import DataFile, NewFile

_ATTEMPTS = 5
# Partitions are merged and written while DuckDB folds the next; more threads than two gain nothing on two cores, and
# each holds a partition in memory.
_WORKERS = 2
_PORTION_ROWS = 50_000
# Up to here one query for all resolutions is faster than one after the other.
_FEW_SCORES = 20_000


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
    """Roll up, wait, and again until `stop` is set.

    Raises UsageError for a pause that is none, or longer than can be waited, and what a rollup raises.
    """
    if not 0 < seconds <= threading.TIMEOUT_MAX:
        raise UsageError(f"The pause between rollups is {seconds:g} s; it must be longer than 0 and finite.")
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
    changed = 0
    writes: list[Future[Written]] = []
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="rollup") as pool:
        for delta in _deltas(store, files, after):
            changed += delta.rows.num_rows
            for partitions in _portions(by_period(delta)):
                writes.append(  # noqa: PERF401 - the list is long, its parts are waited for below
                    pool.submit(store.buckets.write, store.duck, delta.resolution, partitions, merge=not full)
                )
        written = [write.result() for write in writes]
    adds = [action for each in written for action in each.actions]
    replaced += [file for each in written for file in each.replaced]
    store.buckets.commit(adds, replaced, seen=head)
    return changed


def _deltas(store: Store, files: Collection[DataFile], after: int) -> Iterator[Delta]:
    """The new buckets at all resolutions, month by month, and year by year the coarsest."""
    if not files:
        return
    if sum(file.rows for file in files) <= _FEW_SCORES:
        with store.duck.cursor() as cursor:
            yield from fold_few(cursor, list(files), after_version=after)
        return
    by_month = itertools.groupby(
        sorted(files, key=lambda file: file.partition["date"]), lambda file: file.partition["date"][:7]
    )
    with store.duck.cursor() as cursor:
        fold = Fold(cursor, list(files), after_version=after)
        for _, months in itertools.groupby(by_month, lambda month: month[0][:4]):
            for _, month in months:
                yield from fold.month(list(month))
            yield from fold.end_year()


def _portions(partitions: list[NewFile]) -> Iterator[list[NewFile]]:
    """Partitions to be written together: large ones alone, small ones in company, since each portion costs some
    flushes."""
    portion: list[NewFile] = []
    rows = 0
    for partition in partitions:
        portion.append(partition)
        rows += partition.rows.num_rows
        if rows >= _PORTION_ROWS:
            yield portion
            portion, rows = [], 0
    if portion:
        yield portion
