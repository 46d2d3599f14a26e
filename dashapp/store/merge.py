"""Merging new buckets into the stored ones of one partition: only what both have is merged, the rest is carried over.

A refresh spends its time here: a day of 1m buckets of 100 tickers is 130,000 rows, of which 1,000 new scores touch
fewer than 1,000. Sorting the rows anew in SQL costs twice what keys of one integer and NumPy do.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dashapp.model.bucket import fold, merge_all
from dashapp.model.resolution import Resolution
from dashapp.store.duck import ORD, SOURCES, Duck, fold_sql, merge_sql
from dashapp.store.rows import buckets_of, rows_of, scores_of
from dashapp.store.schema import BUCKET_ROW_SCHEMA

# Bits of a key that number the bucket within the table of stored and new rows; the bits above number ticker and scorer.
# 34 bits hold every minute of the years 1 to 9999.
_BUCKET_BITS = 34

# Up to here the model's own fold and merge (15 us a row) are done before DuckDB has planned its query (8 ms).
_FEW_ROWS = 400

_COLUMNS = ", ".join(BUCKET_ROW_SCHEMA.names)


def merge_partition(duck: Duck, stored: pa.Table, new: pa.Table, resolution: Resolution) -> pa.Table:
    """The buckets of both, of BUCKET_ROW_SCHEMA, by ticker, scorer and start; those in both are merged, so no score
    may be in both."""
    stored_keys, new_keys = _keys(stored, new, resolution)
    touched = np.isin(stored_keys, new_keys)
    if touched.any():
        merged = _merged(duck, stored.filter(pa.array(touched)), new, resolution)
        kept = stored.filter(pa.array(~touched))
    else:
        merged, kept = new, stored
    kept_keys, merged_keys = _keys(kept, merged, resolution)
    order = np.argsort(np.concatenate([kept_keys, merged_keys]), kind="stable")
    return pa.concat_tables([kept, merged]).combine_chunks().take(pa.array(order))


def fold_rows(duck: Duck, scores: pa.Table, resolution: Resolution) -> pa.Table:
    """The buckets of rows of the scores table, of BUCKET_ROW_SCHEMA, unordered; there must be at least one row."""
    if scores.num_rows <= _FEW_ROWS:
        return rows_of(fold(scores_of(scores), resolution).values())
    with duck.cursor() as cursor:
        cursor.register("scores", scores)
        rows = cursor.table(fold_sql(f"SELECT *, {ORD} FROM scores", resolution, SOURCES))
    return rows.select(BUCKET_ROW_SCHEMA.names).cast(BUCKET_ROW_SCHEMA)


def _merged(duck: Duck, a: pa.Table, b: pa.Table, resolution: Resolution) -> pa.Table:
    if a.num_rows + b.num_rows <= _FEW_ROWS:
        return rows_of(merge_all([*buckets_of(a, resolution), *buckets_of(b, resolution)]).values())
    with duck.cursor() as cursor:
        cursor.register("a", a)
        cursor.register("b", b)
        rows = cursor.table(merge_sql(f"SELECT {_COLUMNS} FROM a UNION ALL SELECT {_COLUMNS} FROM b"))
    return rows.select(BUCKET_ROW_SCHEMA.names).cast(BUCKET_ROW_SCHEMA)


def _keys(a: pa.Table, b: pa.Table, resolution: Resolution) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For the rows of two tables integers that compare as (ticker, scorer, start) does."""
    groups = [np.zeros(table.num_rows, dtype=np.int64) for table in (a, b)]
    for name in ("ticker", "scorer"):
        encoded = [table.column(name).combine_chunks().dictionary_encode() for table in (a, b)]
        texts = sorted({text for each in encoded for text in each.dictionary.to_pylist()})
        rank = {text: number for number, text in enumerate(texts)}
        for number, each in enumerate(encoded):
            ranks = np.asarray([rank[text] for text in each.dictionary.to_pylist()], dtype=np.int64)
            groups[number] = groups[number] * len(texts) + ranks[each.indices.to_numpy()]
    numbers = [np.floor_divide(table.column("start_us").to_numpy(), resolution.width_us) for table in (a, b)]
    first = min(int(each.min()) for each in numbers if len(each))
    keys = [(group << _BUCKET_BITS) + (number - first) for group, number in zip(groups, numbers, strict=True)]
    return keys[0], keys[1]
