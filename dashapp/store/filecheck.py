"""Checking data files: each is read whole and compared with what the log and its own footer say of it.

A flipped bit within a page is found by the page's checksum. The footer has none, and readers choose row groups by it:
so its bounds are compared with the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dashapp.errors import StoreDamaged
from dashapp.model.resolution import parse_resolution, period_of
from dashapp.model.score import revision_of
from dashapp.model.time import date_of, to_iso
from dashapp.store.durable import CHECKED
from dashapp.store.findings import Finding, Mend, Severity
from dashapp.store.logcheck import Log, Named
from dashapp.store.schema import BUCKET_ROW_SCHEMA, SCORE_TABLE_SCHEMA
from dashapp.store.storage import Storage, cause

_SCORE_SCHEMA = SCORE_TABLE_SCHEMA.remove(SCORE_TABLE_SCHEMA.get_field_index("date"))


@dataclass(frozen=True, slots=True)
class Damaged:
    """A data file that cannot be used, and why, as the end of a sentence."""

    name: str
    named: Named
    reason: str


def check_files(
    storage: Storage, table: str, named: Mapping[str, Named], progress: Callable[[str], None]
) -> Iterator[Damaged]:
    """The damaged ones among the data files of a table, `scores` or `buckets`; about a million rows a second."""
    # Of objects the copies on this disk are read; that they are there themselves the storage tells.
    there = None if storage.options is None else {found.name: found.size_bytes for found in storage.data_files()}
    for name, file in sorted(named.items()):
        progress(name)
        reason = _problem(storage, table, name, file)
        if there is not None and not reason:
            reason = _of_size(there.get(name), file.size_bytes)
        if reason:
            yield Damaged(name, file, reason)


def scores_damaged(storage: Storage, damaged: Damaged, *, seen: int) -> Finding:
    """What a damaged file of scores means, where the buckets count up to version `seen`."""
    file = damaged.named
    first_us, last_us = file.bounds["published_us"]
    first, last = (revision_of(position) for position in file.bounds["position"])
    counted = (
        "Their candles were counted before and stay as they are; the texts behind them, variants of that time and "
        "`verify` fail, and so does an ingest that brings one of them again."
        if last <= seen
        else "No candle counts all of them yet, and the rollup fails until it can."
    )
    return Finding(
        "scores_damaged",
        Severity.DAMAGE,
        f"{storage.name}/{damaged.name}",
        f"A file of scores cannot be used: {damaged.reason}.",
        f"{file.rows:,} scores published {to_iso(first_us)} to {to_iso(last_us)}, accepted as revisions {first} to "
        f"{last}, cannot be read. {counted}",
        "Scores cannot be made up. Put the file back from a backup, which changes nothing else: `tickertone doctor "
        "--repair --from BACKUP`; or `tickertone restore` all of it. Without a backup `tickertone doctor --repair "
        "--accept-loss` goes on without them: they can be ingested again from where they came.",
        Mend.BACKUP,
        f"scores/{damaged.name}",
        file.rows,
    )


def buckets_damaged(storage: Storage, damaged: Damaged, *, sealed_us: int) -> Finding:
    """What a damaged file of buckets means, where buckets that start before `sealed_us` have no scores any more."""
    file = damaged.named
    first_us, last_us = file.bounds["start_us"]
    is_sealed = first_us < sealed_us
    return Finding(
        "buckets_damaged",
        Severity.DAMAGE,
        f"{storage.name}/{damaged.name}",
        f"A file of buckets cannot be used: {damaged.reason}.",
        f"{file.rows:,} buckets of {file.partition.get('resolution')} that start {to_iso(first_us)} to "
        f"{to_iso(last_us)} cannot be shown.",
        f"Those before {to_iso(sealed_us)} are sealed: their scores were dropped, so only a backup has them: "
        "`tickertone doctor --repair --from BACKUP`."
        if is_sealed
        else "`tickertone doctor --repair` makes them anew from the scores.",
        Mend.BACKUP if is_sealed else Mend.REBUILD,
        f"buckets/{damaged.name}",
        file.rows,
    )


def orphans(storage: Storage, table: str, log: Log, *, now_s: float, kept_s: float) -> Iterator[Finding]:
    """Files that no version of the log names; not those of a writer who may be about to commit."""
    found = [
        file
        for file in storage.data_files()
        if file.name not in log.named and not file.name.startswith("_") and now_s - file.modified_s > kept_s
    ]
    if found:
        size_bytes = sum(file.size_bytes for file in found)
        yield Finding(
            "orphans",
            Severity.NOTE,
            storage.name,
            f"{len(found):,} files ({size_bytes / 1e6:,.1f} MB) belong to no version of the {table}, such as "
            f"{found[0].name}.",
            "They are what killed processes left, or what was replaced long ago. Nobody reads them: they are harmless.",
            "`tickertone maintain vacuum` deletes them.",
        )


def _problem(storage: Storage, table: str, name: str, named: Named) -> str:
    """Why a file cannot be used; empty where it can."""
    try:
        (path,) = storage.local([name])
        size_bytes = Path(path).stat().st_size
    except FileNotFoundError:
        return "it is not there"
    except StoreDamaged as error:
        return str(error)
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    try:
        return _of_size(size_bytes, named.size_bytes) or _compare(path, table, named)
    except (pa.ArrowException, OSError, KeyError, ValueError, OverflowError) as error:
        return f"it is damaged ({cause(error)})"


def _of_size(size_bytes: int | None, named_bytes: int) -> str:
    if size_bytes is None:
        return "it is not there"
    if size_bytes == named_bytes:
        return ""
    how = "was cut short: it has" if size_bytes < named_bytes else "has grown to"
    return f"it {how} {size_bytes:,} of {named_bytes:,} bytes"


def _compare(path: str, table: str, named: Named) -> str:
    """Read a file, and say where it is not what the log or its footer says."""
    schema = _SCORE_SCHEMA if table == "scores" else BUCKET_ROW_SCHEMA
    moment = "published_us" if table == "scores" else "start_us"
    bounds: dict[str, tuple[int, int]] = {}
    with pq.ParquetFile(path, **CHECKED) as file:
        if file.metadata.num_rows != named.rows:
            return f"it has {file.metadata.num_rows:,} rows, the log says {named.rows:,}"
        for number in range(file.metadata.num_row_groups):
            rows = file.read_row_group(number, columns=schema.names).select(schema.names).cast(schema)
            rows.validate(full=True)
            told = file.metadata.row_group(number)
            if rows.num_rows != told.num_rows:
                return f"its row group {number} has {rows.num_rows:,} rows, its footer says {told.num_rows:,}"
            for name in _wrong_bounds(rows, told):
                return f"its footer tells other bounds of {name} than the rows have"
            for name in {*named.bounds, moment}:
                _widen(bounds, name, _bounds(rows, name))
    for name, told_bounds in named.bounds.items():
        if bounds.get(name, told_bounds) != told_bounds:
            return f"its {name} lies in {list(bounds[name])}, the log says {list(told_bounds)}"
    if moment in bounds and not _is_of(named.partition, table, bounds[moment]):
        return f"it holds rows of another period than {'/'.join(named.partition.values())}"
    return ""


def _wrong_bounds(rows: pa.Table, told: pq.RowGroupMetaData) -> Iterator[str]:
    """The columns whose bounds the footer has wrong, so that readers would pass over rows."""
    for number in range(told.num_columns):
        column = told.column(number)
        statistics = column.statistics
        if column.path_in_schema not in rows.column_names or statistics is None or not statistics.has_min_max:
            continue
        if (statistics.min, statistics.max) != _bounds(rows, column.path_in_schema):
            yield column.path_in_schema


def _bounds(rows: pa.Table, name: str) -> tuple[Any, Any]:
    found = pc.min_max(rows.column(name)).as_py()
    return found["min"], found["max"]


def _widen(bounds: dict[str, tuple[int, int]], name: str, more: tuple[int, int]) -> None:
    low, high = bounds.get(name, more)
    bounds[name] = (min(low, more[0]), max(high, more[1]))


def _is_of(partition: Mapping[str, str], table: str, moments: tuple[int, int]) -> bool:
    """Whether moments, the first and the last, lie in a partition."""
    if table == "scores":
        return {date_of(moment) for moment in moments} == {partition["date"]}
    resolution = parse_resolution(partition["resolution"])
    return {period_of(moment, resolution) for moment in moments} == {partition["period"]}
