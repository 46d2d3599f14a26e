"""Real stores for tests: made, filled, and read back as the plain dicts of the oracle."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import settings

from dashapp.config import Settings
from dashapp.model.resolution import RESOLUTIONS, Resolution
from dashapp.model.score import Score, ScoreE6
from dashapp.model.time import MAX_US, MIN_US, EpochUs
from dashapp.model.variant import ALL, Variant
from dashapp.query.series import SeriesReader
from dashapp.rollup import job as job_module
from dashapp.rollup.verify import Verification, verify
from dashapp.store import buckets as buckets_module
from dashapp.store import fold as fold_module
from dashapp.store import merge as merge_module
from dashapp.store import reader as reader_module
from dashapp.store import runs as runs_module
from dashapp.store import scan as scan_module
from dashapp.store import scores as scores_module
from dashapp.store.candles import Candles
from dashapp.store.reader import Reader
from dashapp.store.schema import BUCKET_ROW_SCHEMA, SOURCE_SEPARATOR
from dashapp.store.scores import scores_to_arrow
from dashapp.store.store import Store
from dashapp.store.tables import NewFile
from tests import oracle

FIELDS = (
    "high_e6", "low_e6", "count", "sum_e6", "positive", "neutral", "negative", "first_position", "last_position",
)  # fmt: skip


MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US


def examples(per_hundred: int) -> settings:
    """Hypothesis settings for a test whose examples are dear: so many of each hundred that the profile asks for."""
    return settings(max_examples=max(1, settings.default.max_examples * per_hundred // 100))


@contextmanager
def nothing_is_few() -> Iterator[None]:
    """The ways of the product that are meant for many rows, for few rows, too: both must come to the same."""
    with (
        mock.patch.object(scores_module, "_FEW_ROWS", 0),
        mock.patch.object(merge_module, "_FEW_ROWS", 0),
        mock.patch.object(job_module, "_FEW_SCORES", 0),
        mock.patch.object(job_module, "_PORTION_ROWS", 3),
        mock.patch.object(job_module, "_BATCH_ROWS", 3),
        mock.patch.dict(buckets_module._PIECE_ROWS, {"day": 3, "month": 3, "year": 3}),
        mock.patch.object(fold_module, "_FEW_SOURCES", 2),
        mock.patch.object(fold_module, "_FEW_SQUARES", 1),
        mock.patch.object(runs_module, "_LONG", 2),
        mock.patch.object(reader_module, "TAIL_ROWS_IN_MEMORY", 0),
        mock.patch.object(reader_module, "_FEW_FILES", 0),
        mock.patch.object(scan_module, "_FEW_RUNS", 0),
        mock.patch.object(scan_module, "_FEW_ROWS", 0),
    ):
        yield


def path_of(descriptor: int) -> Path:
    """The path an open file was opened by."""
    return Path(f"/proc/self/fd/{descriptor}").readlink()


def candles_of(columns: dict[str, list[Any]], sources: list[list[str]]) -> Candles:
    """Candles out of lists: all columns but that of the sources, and those of each bucket."""
    floats = ("open", "high", "low", "close", "sum", "avg")
    arrays = {name: np.array(values, "f8" if name in floats else "i8") for name, values in columns.items()}
    return Candles(**arrays, source_set=np.arange(len(sources)), source_sets=sources)


def open_store(folder: Path) -> Store:
    """The store in a folder, made when it is missing."""
    return Store(Settings(data_dir=folder), create=True)


def score(
    item_id: str,
    published_us: int,
    score_e6: int,
    *,
    ticker: str = "AAPL",
    scorer: str = "test@1",
    source: str = "wire",
    relevance: float | None = None,
    story_id: str | None = None,
) -> Score:
    """A score, short to write."""
    marks: Any = {"relevance": relevance, "story_id": story_id}
    return Score(item_id, ticker, scorer, EpochUs(published_us), ScoreE6(score_e6), source, **marks)


def same_day_scores(count: int, *, start: int = 0, day_us: int = 0) -> list[Score]:
    """Scores with the ids i{start}, i{start + 1}, ... over three tickers, two scorers and a day, all different."""
    return [
        score(
            f"i{number}",
            day_us + number * 7_919_000_017 % DAY_US,
            number * 123_457 % 2_000_001 - 1_000_000,
            ticker=("AAPL", "BRK-A", "MSFT")[number % 3],
            scorer="other@2" if number % 5 == 0 else "test@1",
            source=("wire", "posts")[number % 2],
        )
        for number in range(start, start + count)
    ]


def append(store: Store, scores: list[Score], accepted_us: int = 0) -> list[bool]:
    """Append scores and tell which were duplicates."""
    return [bool(known) for known in store.scores.append(scores_to_arrow(scores), accepted_us=accepted_us).duplicate]


def stored_scores(store: Store) -> list[dict[str, Any]]:
    """Every raw score the store holds."""
    reader = Reader(store, timeout_ms=60_000)
    rows: list[dict[str, Any]] = reader.scores(reader.view(), MIN_US, MAX_US + 1).to_pylist()
    return rows


def shown_buckets(
    store: Store, resolutions: Sequence[Resolution] = RESOLUTIONS, variant: Variant = ALL
) -> dict[oracle.Key, dict[str, Any]]:
    """Every bucket a reader is shown at these resolutions, in the form of the oracle's."""
    reader = Reader(store, timeout_ms=60_000)
    view = reader.view()
    shown = {}
    for resolution in resolutions:
        for row in reader.audit(view, resolution, MIN_US, MAX_US + 1, variant).to_pylist():
            key = (row["ticker"], row["scorer"], resolution.name, row["start_us"])
            assert key not in shown, f"{key} is shown twice"
            shown[key] = {
                **{name: row[name] for name in FIELDS},
                "open": (row["open_us"], row["open_item_id"], row["open_e6"]),
                "close": (row["close_us"], row["close_item_id"], row["close_e6"]),
                "sumsq_e12": row["sumsq_high"] * 1_000_000 + row["sumsq_low"],
                "sources": tuple(row["sources"].split(SOURCE_SEPARATOR)),
            }
    return shown


def without_tail(store: Store) -> dict[Any, Any]:
    """What is shown, once it is certain that all of it is stored."""
    assert store.buckets.seen == store.scores.table.refresh()
    return shown_buckets(store)


def expected_buckets(
    store: Store, resolutions: Sequence[Resolution] = RESOLUTIONS, variant: Variant = ALL
) -> dict[oracle.Key, dict[str, Any]]:
    """What the oracle makes of the raw scores of the store, the same fields."""
    names = (*FIELDS, "open", "close", "sumsq_e12", "sources")
    buckets = oracle.buckets(oracle.counted(stored_scores(store), variant.name), [each.name for each in resolutions])
    return {key: {name: bucket[name] for name in names} for key, bucket in buckets.items()}


def verification(store: Store) -> Verification:
    """What `tickertone verify` finds."""
    return verify(Reader(store, timeout_ms=60_000))


def series_reader(store: Store, *, max_buckets: int = 50_000, default_scorer: str = "") -> SeriesReader:
    """A reader of series as the command line makes it, with test@1 as the preferred scorer."""
    return SeriesReader(
        Reader(store, timeout_ms=60_000),
        max_buckets=max_buckets,
        default_scorer=default_scorer,
        preferred_scorer="test@1",
    )


def plant(store: Store, resolution: str, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    """Commit a change to the stored buckets of the first partition of a resolution, as no rollup ever would."""
    store.buckets.table.refresh()
    files = [file for file in store.buckets.table.files() if file.partition["resolution"] == resolution]
    partition = min(file.partition["period"] for file in files)
    old = [file for file in files if file.partition["period"] == partition]
    rows = [row for file in old for row in pq.read_table(file.path, partitioning=None).to_pylist()]
    changed = pa.Table.from_pylist(change(rows), schema=BUCKET_ROW_SCHEMA)
    new = [NewFile(old[0].partition, changed)] if changed.num_rows else []
    store.buckets.commit(store.buckets.table.write(new), old, seen=store.buckets.seen)
