"""States: a store as it was at one of its revisions, whatever has come, been rolled up or put together since.

Positions tell which commit brought a score, and a bucket keeps the lowest and the highest position among its scores. So
a bucket whose scores all came by a revision was the same then, one whose scores all came later did not exist, and only
those between the two are folded again, of the raw scores that had come.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dashapp.errors import BadRange, RevisionGone
from dashapp.model.resolution import Resolution
from dashapp.model.score import position_of, revision_of
from dashapp.model.time import MIN_US
from dashapp.model.variant import ALL, Variant
from dashapp.store.duck import FOLD_COLUMNS, ORD, bucket_start, fold_sql
from dashapp.store.order import in_order
from dashapp.store.reader import Reader, View
from dashapp.store.schema import BUCKET_ROW_SCHEMA
from dashapp.store.tables import DataFile, paths
from dashapp.store.variants import files_between

_KEYS = ("ticker", "scorer", "start_us")
_AFTER = ("first_position", "last_position")
_COUNT_SQL = "SELECT ticker, count(*) AS count, {start} AS start_us FROM ({rows}) GROUP BY ticker, start_us"


@dataclass(frozen=True, slots=True)
class State:
    """A store at a revision: `revision` is the last commit up to it that brought scores, accepted at `moment_us`.

    Versions that bring no scores, such as compactions, are not told apart: what they hold is the same.
    """

    view: View
    revision: int
    moment_us: int
    is_newest: bool

    @property
    def limit(self) -> int:
        """The first position that came later."""
        return position_of(self.revision + 1, 0)


def state_at(reader: Reader, view: View, revision: int | None = None) -> State:
    """The state of a view's store at a revision, or the newest; raises BadRange for a revision there never was."""
    if revision is not None and not 0 <= revision <= view.revision:
        raise BadRange(
            f"revision {revision} is not one of this store, which is at {view.revision}.",
            revision=revision,
            newest=view.revision,
        )
    limit = position_of((view.revision if revision is None else revision) + 1, 0)
    lasts = [file.bounds["last_position"][1] for files in view.bucket_files.values() for file in files]
    lasts += [file.bounds["position"][1] for file in view.score_files]
    position, moment_us = _last_before(reader, view.score_files, limit)
    # Where its raw scores are gone, buckets still tell of a commit.
    found = max([position, *(last for last in lasts if last < limit)])
    return State(view, revision_of(found), moment_us, max(lasts, default=0) < limit)


def _last_before(reader: Reader, files: Sequence[DataFile], limit: int) -> tuple[int, int]:
    """The highest position below a limit, and when that score was accepted; 0 and the first moment without one."""
    begun = [file for file in files if file.bounds["position"][0] < limit]
    whole = [file for file in begun if file.bounds["position"][1] < limit]
    split = [file for file in begun if file.bounds["position"][1] >= limit]
    newest = max(whole, key=lambda file: file.bounds["position"][1], default=None)
    asked = [*split, *([] if newest is None else [newest])]
    if not asked:
        return 0, MIN_US
    found = reader.table(
        "SELECT max(position) AS position, arg_max(accepted_us, position) AS accepted_us "
        "FROM read_parquet($files) WHERE position < $limit",
        {"files": paths(asked), "limit": limit},
    ).to_pylist()[0]
    return (found["position"], found["accepted_us"]) if found["position"] is not None else (0, MIN_US)


def buckets_at(
    reader: Reader,
    state: State,
    tickers: Collection[str] | None,
    scorer: str,
    resolution: Resolution,
    start_us: int,
    end_us: int,
    columns: Sequence[str],
    variant: Variant = ALL,
) -> pa.Table:
    """The buckets starting in [start_us, end_us) at a state, by ticker and start: `columns` of BUCKET_ROW_SCHEMA.

    Raises RevisionGone where raw scores that are needed for it are not kept any more; whether those of a variant are,
    its caller must have asked.
    """
    if not variant.is_all:
        asked = (tickers, scorer, resolution, start_us, end_us, state.limit)
        return reader.counted_buckets(state.view, variant, *asked).select(columns)
    read = columns if state.is_newest else tuple(dict.fromkeys((*columns, *_KEYS, *_AFTER, "count")))
    rows = reader.buckets(
        state.view, resolution, start_us, end_us, tickers=tickers, scorer=scorer, columns=read
    ).select(read)
    if not state.is_newest:
        first, last = (rows.column(name).to_numpy() for name in _AFTER)
        is_kept = last < state.limit
        is_mixed = (first < state.limit) & ~is_kept
        kept = rows.filter(pa.array(is_kept))
        if is_mixed.any():
            again = _folded(reader, state, rows.filter(pa.array(is_mixed)), scorer, resolution)
            kept = in_order(pa.concat_tables([kept, again.select(read)]))
        rows = kept
    return rows.select(columns)


def _folded(reader: Reader, state: State, mixed: pa.Table, scorer: str, resolution: Resolution) -> pa.Table:
    """What buckets were at a state, of the raw scores that had come by then; rows of BUCKET_ROW_SCHEMA."""
    bounds = pc.min_max(mixed.column("start_us")).as_py()
    begin, stop = bounds["min"], bounds["max"] + resolution.width_us
    files = files_between(state.view, begin, stop)
    params: dict[str, Any] = {
        "files": paths(files),
        "start_us": begin,
        "end_us": stop,
        "scorer": scorer,
        "tickers": mixed.column("ticker").unique().to_pylist(),
    }
    rows = f"""SELECT {", ".join(FOLD_COLUMNS)} FROM read_parquet($files) WHERE scorer = $scorer
        AND published_us >= $start_us AND published_us < $end_us AND list_contains($tickers, ticker)"""
    stored = dict(zip(_keys(mixed), mixed.column("count").to_pylist(), strict=True))
    counted: dict[tuple[str, int], int] = {}
    if files:
        counts = reader.table(_COUNT_SQL.format(start=bucket_start("published_us", resolution), rows=rows), params)
        counted = dict(zip(_keys(counts), counts.column("count").to_pylist(), strict=True))
    if any(counted.get(key) != count for key, count in stored.items()):
        raise RevisionGone(
            f"The store cannot tell any more what it was at revision {state.revision}: raw scores of "
            f"{resolution.name} buckets that have changed since are not kept. Ask for the newest revision.",
            revision=state.revision,
        )
    before = f"SELECT *, {ORD} FROM ({rows}) WHERE position < $limit"
    folded = reader.table(fold_sql(before, resolution), {**params, "limit": state.limit})
    return folded.filter(_is_among(folded, stored.keys())).select(BUCKET_ROW_SCHEMA.names).cast(BUCKET_ROW_SCHEMA)


def _keys(rows: pa.Table) -> list[tuple[str, int]]:
    return list(zip(rows.column("ticker").to_pylist(), rows.column("start_us").to_pylist(), strict=True))


def _is_among(rows: pa.Table, keys: Collection[tuple[str, int]]) -> pa.Array:
    found: NDArray[np.bool_] = np.fromiter((key in keys for key in _keys(rows)), np.bool_, rows.num_rows)
    return pa.array(found)
