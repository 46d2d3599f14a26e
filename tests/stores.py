"""Real stores for tests: made, filled, and read back as the plain dicts of the oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dashapp.config import Settings
from dashapp.model.resolution import RESOLUTIONS
from dashapp.model.score import Score, ScoreE6
from dashapp.model.time import MAX_US, MIN_US, EpochUs
from dashapp.store.reader import SOURCE_SEPARATOR, Reader
from dashapp.store.scores import scores_to_arrow
from dashapp.store.store import Store
from tests import oracle

FIELDS = (
    "high_e6", "low_e6", "count", "sum_e6", "positive", "neutral", "negative", "first_position", "last_position",
)  # fmt: skip


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
) -> Score:
    """A score, short to write."""
    return Score(item_id, ticker, scorer, EpochUs(published_us), ScoreE6(score_e6), source)


def append(store: Store, scores: list[Score], accepted_us: int = 0) -> list[bool]:
    """Append scores and tell which were duplicates."""
    return [bool(known) for known in store.scores.append(scores_to_arrow(scores), accepted_us=accepted_us).duplicate]


def stored_scores(store: Store) -> list[dict[str, Any]]:
    """Every raw score the store holds."""
    reader = Reader(store, timeout_ms=60_000)
    rows: list[dict[str, Any]] = reader.scores(reader.view(), MIN_US, MAX_US + 1).to_pylist()
    return rows


def shown_buckets(store: Store) -> dict[oracle.Key, dict[str, Any]]:
    """Every bucket a reader is shown at all resolutions, in the form of the oracle's."""
    reader = Reader(store, timeout_ms=60_000)
    view = reader.view()
    shown = {}
    for resolution in RESOLUTIONS:
        for row in reader.buckets(view, resolution, MIN_US, MAX_US + 1).to_pylist():
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


def expected_buckets(store: Store) -> dict[oracle.Key, dict[str, Any]]:
    """What the oracle makes of the raw scores of the store, the same fields."""
    names = (*FIELDS, "open", "close", "sumsq_e12", "sources")
    return {key: {name: bucket[name] for name in names} for key, bucket in oracle.buckets(stored_scores(store)).items()}
