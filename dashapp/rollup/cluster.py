"""The rollup's folds on a Dask cluster: each worker folds some dates, and writes the files of buckets they become.

The graph is that of the local rollup: dates are folded, what became of them is gathered by month and by year. Workers
open the same tables, and what they write is no part of them before the one commit that the rollup makes at the end. So
a worker that is killed leaves files that nobody names, which upkeep deletes, and its dates are folded again elsewhere.
"""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from dashapp.config import Settings
from dashapp.errors import ClusterFailed, CommitConflict, UsageError
from dashapp.rollup.job import Batch, Job, Part, batches
from dashapp.store.buckets import Written
from dashapp.store.store import Store
from dashapp.store.tables import DataFile

_CONNECT_S = 10.0
# A cluster without a worker for so long has none: those of a cluster that grows on demand take some time to begin.
_PATIENCE_S = 60.0
_LOOKED_EVERY_S = 5.0


class Cluster:
    """An engine for `rollup`: the workers of a scheduler, or, without its address, processes of this machine.

    All of them have to reach the store, by the same path or by `store_url`. Use it as a context.

    :raises UsageError: Dask is not installed.
    :raises ClusterFailed: the scheduler does not answer, has no worker, or a worker dies of the same dates every time.
    """

    def __init__(self, settings: Settings, scheduler: str | None = None) -> None:
        try:
            import distributed
        except ImportError:
            raise UsageError(
                "--engine dask needs Dask: install Tickertone with its extra dask (tickertone[dask])."
            ) from None
        self._distributed = distributed
        self._settings = _for_workers(settings)
        self._scheduler = scheduler
        self._local: Any = None

    def __enter__(self) -> Cluster:
        if self._scheduler is None:
            # Whoever reaches a scheduler can run code in its workers: here only who has the key that is made now.
            self._local = self._distributed.LocalCluster(
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",
                security=True,
                threads_per_worker=1,
                memory_limit=None,
            )
        try:
            with self._client():  # to know at once whether it answers
                pass
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._local is not None:
            self._local.close()

    def __call__(self, job: Job, files: Sequence[DataFile]) -> Iterator[Written]:
        """The files that buckets of the scores in `files` become."""
        if not files:
            return
        work = _Work(self._settings, job.store.buckets.table.version, job.after, job.merge, job.sealed_us)
        with self._client() as client:

            def submit(step: Any, *arguments: Any) -> Any:
                return client.submit(step, work, *arguments, pure=False)

            # In the order in which they are gathered, since that is the order in which Dask begins them.
            years = []
            for _, of_year in itertools.groupby(batches(files), lambda batch: batch.month[:4]):
                months = []
                for month, of_month in itertools.groupby(of_year, lambda batch: batch.month):
                    parts = [submit(_fold, month, [_told(file) for file in batch.files]) for batch in of_month]
                    months.append(submit(_gather, "month", parts))
                years.append(submit(_gather, "year", months))
            del parts, months  # what was gathered may be forgotten
            for year in years:
                yield from self._result(client, year).written

    def _result(self, client: Any, future: Any) -> Part:
        alone_s = 0.0
        while True:
            try:
                part: Part = future.result(timeout=_LOOKED_EVERY_S)
            except TimeoutError:
                alone_s = 0.0 if client.nthreads() else alone_s + _LOOKED_EVERY_S
                if alone_s >= _PATIENCE_S:
                    raise ClusterFailed(f"{self._name} has no worker any more. Nothing was changed.") from None
            else:
                return part

    @contextmanager
    def _client(self) -> Iterator[Any]:
        """A connection; what becomes of it is told in one line."""
        lost = (OSError, TimeoutError, self._distributed.KilledWorker, self._distributed.CancelledError, ImportError)
        try:
            with self._distributed.Client(
                self._scheduler or self._local, timeout=_CONNECT_S, set_as_default=False
            ) as client:
                client.wait_for_workers(1, timeout=_PATIENCE_S)
                yield client
        except ValueError as error:  # of an address that is none
            raise ClusterFailed(f"{self._name} cannot be reached: {error}.") from error
        except lost as error:
            told = " ".join(str(error).split()) or type(error).__name__
            raise ClusterFailed(f"{self._name} did not do it, and nothing was changed: {told}") from error

    @property
    def _name(self) -> str:
        return f"The Dask cluster at {self._scheduler or '127.0.0.1'}"


@dataclass(frozen=True, slots=True)
class _Work:
    """A rollup's `Job` as it is told to workers: on the buckets of one version."""

    settings: Settings
    version: int
    after: int
    merge: bool
    sealed_us: int

    def job(self) -> Job:
        """It on this worker's store; raises CommitConflict where that has other buckets."""
        store = _opened(self.settings)
        version = store.buckets.table.refresh(known=self.version)
        if version != self.version:
            raise CommitConflict(f"A worker sees version {version} of the buckets, not {self.version}.")
        return Job(store, self.after, self.merge, self.sealed_us)


def _fold(work: _Work, month: str, told: Sequence[Mapping[str, Any]]) -> Part:
    job = work.job()
    storage = job.store.scores.table.storage
    return _settled(job, job.fold(job.store.duck, Batch(month, [DataFile(storage, **file) for file in told])))


def _gather(work: _Work, period_kind: str, parts: Sequence[Part]) -> Part:
    job = work.job()
    return _settled(job, job.gather(period_kind, parts))


def _settled(job: Job, part: Part) -> Part:
    """A part whose files are durable, whatever becomes of this process."""
    job.store.buckets.table.storage.settle(action.path for written in part.written for action in written.actions)
    return part


def _told(file: DataFile) -> dict[str, Any]:
    """What another process has to be told of a file."""
    return {name: getattr(file, name) for name in ("relative", "partition", "rows", "size_bytes", "bounds")}


def _for_workers(settings: Settings) -> Settings:
    """The settings that workers need to reach the store, and no others: some are secrets."""
    names = ("store_url", "store_endpoint", "store_region", "store_poll_ms", "file_cache_bytes", "duckdb_memory_bytes")
    return Settings(
        data_dir=settings.data_dir.absolute(),
        duckdb_threads=1,  # each thread of a worker folds dates of its own
        **{name: getattr(settings, name) for name in names},
    )


# A store is one thread's, and worth to be kept open for the next task.
_kept = threading.local()


def _opened(settings: Settings) -> Store:
    if settings.store_url:
        from distributed import get_worker

        # Only copies lie in the data folder then: each worker has its own, which goes with it.
        settings = replace(settings, data_dir=Path(get_worker().local_directory) / "tickertone")
    held: tuple[Settings, Store] | None = getattr(_kept, "store", None)
    if held is not None and held[0] == settings:
        return held[1]
    if held is not None:
        held[1].close()
    _kept.store = (settings, Store(settings))
    store: Store = _kept.store[1]
    return store
