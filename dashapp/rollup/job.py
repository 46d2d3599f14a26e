"""The rollup: scores that the buckets have not counted yet, folded and merged into the partitions they touch.

Work goes some dates at a time, so memory is bounded by the new scores of a few dates and a year of the coarsest
buckets, and ends in one commit for all eight resolutions. What has been counted is what that commit says, so a rollup
run twice, beside itself, or killed in the middle changes nothing.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass

from dashapp.model.resolution import FINEST, RESOLUTIONS, parse_resolution
from dashapp.model.time import MIN_US
from dashapp.store import heap
from dashapp.store.attempts import committed
from dashapp.store.buckets import Written
from dashapp.store.duck import Duck
from dashapp.store.fold import Delta, by_period, fold_dates, joined
from dashapp.store.schema import BUCKET_ROW_SCHEMA
from dashapp.store.store import Store
from dashapp.store.tables import DataFile, NewFile

_ATTEMPTS = 5
# As many as the measured machine has cores: none waits for what it writes to be flushed, and a third would take the
# others' caches from them (12 % more processor time). Each holds some dates in memory.
_WORKERS = 2
# Where one partition is most of the work, more would only get in the way of who writes it.
_FEW_WORKERS = 2
# Batches that may be folded before their turn has come to be put together: enough to keep the workers busy while a
# month is written, and no more, since the buckets of each are held in memory until then.
_AHEAD = 2 * _WORKERS
# Dates with few scores are folded together: each fold costs 20 ms.
_BATCH_ROWS = 200_000
_PORTION_ROWS = 50_000
# Up to here what is stored is most of the work, so that all partitions are written beside each other.
_FEW_SCORES = 20_000


@dataclass(frozen=True, slots=True)
class RollupResult:
    """`revision`: the scores version the buckets count up to now; `buckets_changed`: over all eight resolutions."""

    revision: int
    buckets_changed: int
    seconds: float


def rollup(store: Store, *, full: bool = False, engine: Engine | None = None) -> RollupResult:
    """Bring the buckets up to the scores; `full` builds all of them anew from the scores, but for those whose scores
    were dropped, which stay as they are.

    This process does the folds, or an `engine`, which does the same elsewhere. A second rollup on the same machine
    waits for the first and then finds nothing to do. Raises CommitConflict when others, on other machines, kept
    committing first, and what the engine raises.
    """
    started = time.perf_counter()

    def once() -> RollupResult:
        changed = _rollup_once(store, full=full, engine=engine)
        return RollupResult(store.buckets.seen, changed, time.perf_counter() - started)

    return committed(store.data_dir, "rollup.lock", _ATTEMPTS, once)


def _rollup_once(store: Store, *, full: bool, engine: Engine | None) -> int:
    head = store.scores.table.refresh()
    store.buckets.table.refresh()
    sealed_us = store.scores.sealed_us
    if full and sealed_us > MIN_US:
        # Scores that were added to a sealed period are counted like any others, and not counted again.
        job = Job(store, store.buckets.seen, merge=True)
        _count(store, job, head, store.scores.files_after(store.buckets.seen), engine)
        sealed = {file.relative for file in store.scores.expired(sealed_us)}
        files = tuple(file for file in store.scores.table.files() if file.relative not in sealed)
        return _count(store, Job(store, 0, merge=False, sealed_us=sealed_us), head, files, engine)
    after = 0 if full else store.buckets.seen
    return _count(store, Job(store, after, merge=not full), head, store.scores.files_after(after), engine)


def _count(store: Store, job: Job, head: int, files: Sequence[DataFile], engine: Engine | None) -> int:
    """Count the scores of files in one commit; returns how many buckets that made or changed."""
    stored = store.buckets.table.files()
    replaced = [] if job.merge else [file for file in stored if file.bounds["start_us"][1] >= job.sealed_us]
    if not files and not replaced:
        return 0
    if engine is not None:
        written = list(engine(job, files))
    else:
        written = list(job.few(files) if _rows(files) <= _FEW_SCORES else job.many(files))
    written += job.joined(written) if job.merge else job.carried(replaced, written)
    adds = [action for each in written for action in each.actions]
    gone = {file.relative for file in replaced}.union(*(each.replaced for each in written))
    dropped = [file for file in stored if file.relative in gone]
    store.buckets.commit(adds, dropped, seen=head, sealed_us=store.scores.sealed_us)
    return sum(each.buckets for each in written)


@dataclass(frozen=True, slots=True)
class Job:
    """Scores accepted after a version, on their way into files of buckets: merged with those that are stored, or in the
    place of all that start at `sealed_us` or later."""

    store: Store
    after: int
    merge: bool
    sealed_us: int = MIN_US

    def few(self, files: Sequence[DataFile]) -> Iterator[Written]:
        """All at once."""
        with self.store.duck.cursor() as cursor:
            months = [(each.month, fold_dates(cursor, each.files, after_version=self.after)) for each in batches(files)]
        deltas = [
            delta
            for place in range(len(RESOLUTIONS))
            for delta in _whole([(month, of_month[place]) for month, of_month in months])
        ]
        with ThreadPoolExecutor(_FEW_WORKERS, thread_name_prefix="rollup") as pool:
            for written in pool.map(self._write, deltas):
                yield from written

    def many(self, files: Sequence[DataFile]) -> Iterator[Written]:
        """Some dates at a time, on all workers; what is kept by month or year is put together here."""
        pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="rollup")
        duck = self.store.duck.single()
        try:
            with heap.kept():
                for _, of_year in itertools.groupby(self._parts(pool, duck, files), lambda part: part.month[:4]):
                    months = [
                        self.gather("month", list(of_month), pool)
                        for _, of_month in itertools.groupby(of_year, lambda part: part.month)
                    ]
                    yield from self.gather("year", months, pool).written
        finally:
            pool.shutdown(cancel_futures=True)
            duck.close()

    def joined(self, written: Sequence[Written]) -> list[Written]:
        """The files of an earlier day than the newest of these, put together."""
        files = [each for one in written for each in _partitions(one)]
        touched = {str(each["period"]) for each in files if each["resolution"] == FINEST.name}
        return self.store.buckets.joined(max(touched), touched) if touched else []

    def carried(self, replaced: Sequence[DataFile], written: Sequence[Written]) -> list[Written]:
        """The sealed buckets of partitions that are replaced and got no new ones."""
        done = {(each["resolution"], each["period"]) for one in written for each in _partitions(one)}
        begun = {
            (file.partition["resolution"], file.partition["period"])
            for file in replaced
            if file.bounds["start_us"][0] < self.sealed_us
        }
        return [
            self.store.buckets.write(
                parse_resolution(resolution),
                [NewFile({"resolution": resolution, "period": period}, BUCKET_ROW_SCHEMA.empty_table())],
                merge=False,
                sealed_us=self.sealed_us,
            )
            for resolution, period in sorted(begun - done)
        ]

    def fold(self, duck: Duck, batch: Batch) -> Part:
        """Fold some dates of one month and write what is kept by day."""
        with duck.cursor() as cursor:
            deltas = fold_dates(cursor, batch.files, after_version=self.after)
        by_day = [delta for delta in deltas if delta.resolution.period_kind == "day"]
        rest = deltas[len(by_day) :]  # the finest come first
        return Part(batch.month, [written for delta in by_day for written in self._write(delta)], rest)

    def gather(self, period_kind: str, parts: Sequence[Part], pool: Executor | None = None) -> Part:
        """The parts of one period of a kind together, at least one: what is kept by it is written, its resolutions
        side by side where there is a pool."""
        deltas = [delta for part in parts for delta in part.rest]
        own = [
            [delta for delta in deltas if delta.resolution == each]
            for each in RESOLUTIONS
            if each.period_kind == period_kind
        ]
        rest = [delta for delta in deltas if delta.resolution.period_kind != period_kind]
        written = [each for part in parts for each in part.written]
        for of_resolution in (pool.map if pool else map)(self._write_joined, filter(None, own)):
            written += of_resolution
        return Part(parts[0].month, written, rest)

    def _parts(self, pool: ThreadPoolExecutor, duck: Duck, files: Sequence[DataFile]) -> Iterator[Part]:
        """All parts in order, never more than _AHEAD of them at work or waiting to be taken."""
        ahead: deque[Future[Part]] = deque()
        for batch in batches(files):
            if len(ahead) == _AHEAD:
                yield ahead.popleft().result()
            ahead.append(pool.submit(self.fold, duck, batch))
        while ahead:
            yield ahead.popleft().result()

    def _write_joined(self, deltas: Sequence[Delta]) -> list[Written]:
        return self._write(joined(deltas))

    def _write(self, delta: Delta) -> list[Written]:
        return [
            self.store.buckets.write(delta.resolution, portion, merge=self.merge, sealed_us=self.sealed_us)
            for portion in _portions(by_period(delta))
        ]


# What does the work of `Job.many` elsewhere.
Engine = Callable[[Job, Sequence[DataFile]], Iterator[Written]]


def _partitions(written: Written) -> list[Mapping[str, str | None]]:
    return [action.partition_values for action in written.actions]


@dataclass(frozen=True, slots=True)
class Batch:
    """Files of whole dates of one month, to be folded together."""

    month: str  # YYYY-MM
    files: list[DataFile]


@dataclass(frozen=True, slots=True)
class Part:
    """What some dates became: files of what is kept by their period, and the buckets of the coarser resolutions."""

    month: str
    written: list[Written]
    rest: list[Delta]


def batches(files: Sequence[DataFile]) -> Iterator[Batch]:
    """The files of whole dates, of one month, together until they are worth a fold of their own.

    A date that is worth one alone is folded alone: where it is one file, it is in order already.
    """
    for month, of_month in itertools.groupby(sorted(files, key=_date_of), lambda file: _date_of(file)[:7]):
        held: list[DataFile] = []
        for _, of_date in itertools.groupby(of_month, _date_of):
            files_of_date = list(of_date)
            if held and _rows(files_of_date) >= _BATCH_ROWS:
                yield Batch(month, held)
                held = []
            held += files_of_date
            if _rows(held) >= _BATCH_ROWS:
                yield Batch(month, held)
                held = []
        if held:
            yield Batch(month, held)


def _whole(months: Sequence[tuple[str, Delta]]) -> list[Delta]:
    """The buckets of one resolution, month by month, put together as far as its periods reach."""
    period_kind = months[0][1].resolution.period_kind if months else "day"
    if period_kind == "day":
        return [delta for _, delta in months]
    chars = {"month": len("YYYY-MM"), "year": len("YYYY")}[period_kind]
    periods = itertools.groupby(months, lambda each: each[0][:chars])
    return [joined(delta for _, delta in of_period) for _, of_period in periods]


def _rows(files: Sequence[DataFile]) -> int:
    return sum(file.rows for file in files)


def _date_of(file: DataFile) -> str:
    return file.partition["date"]


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
