"""A store: its two tables, the data folder of this machine, and the DuckDB session that computes over them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from dashapp.config import Settings
from dashapp.store.buckets import BucketsTable
from dashapp.store.disk import Disk
from dashapp.store.duck import Duck
from dashapp.store.filecache import FileCache
from dashapp.store.migrations import bring_up_to_date
from dashapp.store.objects import Objects, address_of
from dashapp.store.presence import Presence
from dashapp.store.scores import ScoresTable
from dashapp.store.storage import Storage

SIMULATED = "SIMULATED"


class Store:
    """The open store of one thread of work; open another for another thread, they meet in the tables.

    Raises StoreMissing where there is none and `create` is False, StoreTooNew for one of a newer format, StoreInUse
    while it is being repaired.
    """

    def __init__(self, settings: Settings, *, create: bool = False) -> None:
        self.data_dir: Path = settings.data_dir.absolute()
        self.duck = Duck(
            threads=settings.duckdb_threads,
            memory_bytes=settings.duckdb_memory_bytes,
            spill_dir=self.data_dir / "spill",
        )
        storage = storages(settings, self.data_dir)
        self._root = storage("")
        self.scores = ScoresTable(storage("scores"), self.data_dir, self.duck, create=create)
        # After the first table, so that a place where there is no store is left as it is.
        self._presence = Presence(self.data_dir, create=create)
        # Buckets are derived: where only the scores exist, a writer was killed between the two, and all is well.
        self.buckets = BucketsTable(storage("buckets"), create=True)
        bring_up_to_date(self)

    @property
    def is_simulated(self) -> bool:
        """Whether the scores here come from the simulated feed of the demo."""
        return self._root.has(SIMULATED)

    @property
    def is_empty(self) -> bool:
        """Whether no score was ever accepted here."""
        return self.scores.table.refresh() == 0

    def mark_simulated(self) -> None:
        """Say for good that the scores here are simulated, so every page over them can say so."""
        self._root.mark(SIMULATED)

    def close(self) -> None:
        """End the DuckDB session, and tell that the store is not open here any more."""
        self.duck.close()
        self._presence.end()


def storages(settings: Settings, data_dir: Path) -> Callable[[str], Storage]:
    """What makes the storage of a folder of the store, in the data folder or where `store_url` says."""
    if not settings.store_url:
        return lambda name: Disk(data_dir / name)
    return partial(
        Objects,
        address_of(settings.store_url, endpoint=settings.store_endpoint, region=settings.store_region),
        cache=FileCache(data_dir / "files", size_bytes=settings.file_cache_bytes),
        watermarks=data_dir / "locks",
        poll_s=settings.store_poll_ms / 1_000,
    )
