"""Compaction: many small score files of a date become one, with the same rows in the order every file has.

Ingest makes a file for each commit and date. Reading 300 tiny files costs 60 ms where one costs 2 ms, and every commit
and refresh of the table pays for the files it has to name.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from dashapp.errors import StoreDamaged
from dashapp.store.attempts import committed
from dashapp.store.duck import Cursor
from dashapp.store.schema import SCORE_TABLE_SCHEMA
from dashapp.store.store import Store
from dashapp.store.tables import DataFile, NewFile, paths

# A date with fewer small files than this is left alone: rewriting costs more than it saves.
FEWEST_FILES = 8
# A file of more rows than this is not small; and so many are put together at once, which bounds memory (about 0.5 kB
# each).
MOST_ROWS = 1_000_000
MUCH_LARGER = 4
_COMMIT_ATTEMPTS = 20

_SCORE_SCHEMA = SCORE_TABLE_SCHEMA.remove(SCORE_TABLE_SCHEMA.get_field_index("date"))
_COLUMNS = ", ".join(_SCORE_SCHEMA.names)
# Sums of hashes over whole rows do not depend on their order; two that differ in anything differ here.
_PROOF_SQL = f"SELECT count(*), sum(hash({_COLUMNS})), sum(position), min(position), max(position) FROM "


@dataclass(frozen=True, slots=True)
class Compacted:
    """How many files became how many, and the rows in them."""

    files_before: int
    files_after: int
    rows: int


def compact(store: Store) -> Compacted:
    """Put the small score files of each date together; readers and writers go on beside it.

    Every new file is read back and compared with those it replaces before it takes their place. Raises StoreDamaged
    when they differ, StoreNotWritable, and CommitConflict when others, on other machines, kept committing first.
    """
    store.scores.table.refresh()
    before = after = rows = 0
    for date, files in list(_groups(store.scores.table.files())):
        _replace(store, date, files)
        before, after, rows = before + len(files), after + 1, rows + sum(file.rows for file in files)
    return Compacted(before, after, rows)


def _groups(files: Sequence[DataFile]) -> Iterator[tuple[str, list[DataFile]]]:
    """The files to be put together, with their date."""
    by_date: dict[str, list[DataFile]] = defaultdict(list)
    for file in files:
        if file.rows < MOST_ROWS:
            by_date[file.partition["date"]].append(file)
    for date, small in sorted(by_date.items()):
        group: list[DataFile] = []
        for file in _worthwhile(small):
            if group and sum(each.rows for each in group) + file.rows > MOST_ROWS:
                if len(group) >= FEWEST_FILES:
                    yield date, group
                group = []
            group.append(file)
        if len(group) >= FEWEST_FILES:
            yield date, group


def _worthwhile(files: Sequence[DataFile]) -> list[DataFile]:
    """The files without those that are much larger than all smaller ones together; by size.

    So a day's rows are rewritten a few times as it grows, not each time anything is put together, and the files that
    are left alone are few: each is MUCH_LARGER times what comes before it.
    """
    ordered = sorted(files, key=lambda file: (file.rows, file.bounds["position"]))
    rows = list(itertools.accumulate((file.rows for file in ordered), initial=0))
    for count, file in enumerate(ordered):
        if count >= FEWEST_FILES and file.rows > MUCH_LARGER * rows[count]:
            return ordered[:count]
    return ordered


def _replace(store: Store, date: str, files: Sequence[DataFile]) -> None:
    table = store.scores.table
    old = paths(files)
    with store.duck.cursor() as cursor:
        rows = cursor.table(
            f"SELECT {_COLUMNS} FROM read_parquet($files) ORDER BY ticker, scorer, published_us, item_id",
            {"files": old},
        ).cast(_SCORE_SCHEMA)
        written = table.write([NewFile({"date": date}, rows)], is_news=False)
        new = table.storage.local([written[0].path])
        if _proof(cursor, old) != _proof(cursor, new):
            raise StoreDamaged(
                f"{new[0]} does not hold the rows of the {len(files)} files it was made from; it was not put in "
                "their place. Check the disk and the memory of this machine."
            )

    def put() -> None:
        table.refresh()
        if {file.relative for file in files} <= {file.relative for file in table.files()}:
            table.commit(written, files, is_news=False, metadata={"compacted": len(files)})
        # Else another compaction was first; the file written here is swept away by the next vacuum.

    committed(store.data_dir, "scores.lock", _COMMIT_ATTEMPTS, put)


def _proof(cursor: Cursor, files: Sequence[str]) -> tuple[Any, ...]:
    (found,) = cursor.rows(f"{_PROOF_SQL} read_parquet($files)", {"files": list(files)})
    return found
