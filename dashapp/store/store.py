"""A store: the two tables of one data folder, and the DuckDB session that computes over them."""

from __future__ import annotations

from pathlib import Path

from dashapp.config import Settings
from dashapp.store.buckets import BucketsTable
from dashapp.store.disk import Disk
from dashapp.store.duck import Duck
from dashapp.store.scores import ScoresTable


class Store:
    """The open store of one thread of work; open another for another thread, they meet in the tables.

    Raises StoreMissing where there is none and `create` is False.
    """

    def __init__(self, settings: Settings, *, create: bool = False) -> None:
        self.data_dir: Path = settings.data_dir.absolute()
        self._simulated_mark = self.data_dir / "SIMULATED"
        self.duck = Duck(
            threads=settings.duckdb_threads,
            memory_bytes=settings.duckdb_memory_bytes,
            spill_dir=self.data_dir / "spill",
        )
        self.scores = ScoresTable(Disk(self.data_dir / "scores"), self.data_dir, self.duck, create=create)
        # Buckets are derived: where only the scores exist, a writer was killed between the two, and all is well.
        self.buckets = BucketsTable(Disk(self.data_dir / "buckets"), create=True)

    @property
    def is_simulated(self) -> bool:
        """Whether the scores here come from the simulated feed of the demo."""
        return self._simulated_mark.exists()

    @property
    def is_empty(self) -> bool:
        """Whether no score was ever accepted here."""
        return self.scores.table.refresh() == 0

    def mark_simulated(self) -> None:
        """Say for good that the scores here are simulated, so every page over them can say so."""
        self._simulated_mark.touch()

    def close(self) -> None:
        """End the DuckDB session."""
        self.duck.close()
