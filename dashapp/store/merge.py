"""Merging new buckets into the stored ones of one partition: only what both have is merged, the rest is carried over.

A refresh spends its time here: a day of 1m buckets of 100 tickers is 130,000 rows, of which 1,000 new scores touch
fewer than 1,000. Sorting the rows anew in SQL costs twice what keys of one integer and NumPy do, and merging pairs of
rows in SQL 15 ms for each resolution, most of it to plan the query.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dashapp.model.bucket import fold
from dashapp.model.resolution import Resolution
from dashapp.store import wide
from dashapp.store.duck import ORD, Duck, fold_sql
from dashapp.store.order import ranks
from dashapp.store.rows import rows_of, scores_of
from dashapp.store.schema import BUCKET_ROW_SCHEMA, SOURCE_SEPARATOR

# Bits of a key that number the bucket within the table of stored and new rows; the bits above number ticker and scorer.
# 34 bits hold every minute of the years 1 to 9999.
_BUCKET_BITS = 34

# Up to here the model's own fold (15 us a row) is done before DuckDB has planned its query (8 ms).
_FEW_ROWS = 400


def merge_partition(stored: pa.Table, new: pa.Table, resolution: Resolution) -> pa.Table:
    """The buckets of both, of the schema of `stored`, by ticker, scorer and start; those in both are merged, so no
    score may be in both. Each of the two has a bucket at most once, in any order; `new` is of BUCKET_ROW_SCHEMA,
    `stored` of that or of ENCODED_BUCKET_ROW_SCHEMA."""
    # Before anything is taken out of it: taking from chunks gathers them first, each time.
    stored = stored.unify_dictionaries().combine_chunks()
    stored_keys, new_keys = _keys(stored, new, resolution)
    keys = np.concatenate([stored_keys, new_keys])
    order = np.argsort(keys, kind="stable")  # of equal ones the stored comes first
    again = np.flatnonzero(keys[order][1:] == keys[order][:-1])
    parts = [stored, new]
    if len(again):
        held = stored.take(pa.array(order[again])).cast(BUCKET_ROW_SCHEMA)
        parts.append(_merged(held, new.take(pa.array(order[again + 1] - len(stored_keys)))))
        order[again] = len(keys) + np.arange(len(again))
        order = np.delete(order, again + 1)
    rows = pa.concat_tables([part.cast(stored.schema) for part in parts])
    return rows.unify_dictionaries().combine_chunks().take(pa.array(order))


def fold_rows(duck: Duck, scores: pa.Table, resolution: Resolution) -> pa.Table:
    """The buckets of rows of the scores table, of BUCKET_ROW_SCHEMA, unordered; there must be at least one row."""
    if scores.num_rows <= _FEW_ROWS:
        return rows_of(fold(scores_of(scores), resolution).values())
    with duck.cursor() as cursor:
        cursor.register("scores", scores)
        rows = cursor.table(fold_sql(f"SELECT *, {ORD} FROM scores", resolution))
    return rows.select(BUCKET_ROW_SCHEMA.names).cast(BUCKET_ROW_SCHEMA)


def _merged(a: pa.Table, b: pa.Table) -> pa.Table:
    """Row by row the merge of two buckets with the same key: `dashapp.model.bucket.merge` for columns."""
    one = {name: (a.column(name), b.column(name)) for name in BUCKET_ROW_SCHEMA.names}
    columns = {name: pair[0] for name, pair in one.items()}
    for edge, is_before in (("open", pc.less), ("close", pc.greater)):
        (a_us, b_us), (a_id, b_id) = one[f"{edge}_us"], one[f"{edge}_item_id"]
        decides_b = pc.or_(is_before(b_us, a_us), pc.and_(pc.equal(b_us, a_us), is_before(b_id, a_id)))
        for name in (f"{edge}_us", f"{edge}_item_id", f"{edge}_e6"):
            columns[name] = pc.if_else(decides_b, one[name][1], one[name][0])
    for name in ("high_e6", "last_position"):
        columns[name] = pc.max_element_wise(*one[name])
    for name in ("low_e6", "first_position"):
        columns[name] = pc.min_element_wise(*one[name])
    for name in ("count", "sum_e6", "positive", "neutral", "negative"):
        columns[name] = pc.add(*one[name])
    columns["sumsq_e12"] = wide.column_of(wide.add(*map(wide.words_of, one["sumsq_e12"])))
    columns["sources"] = _unions(*one["sources"])
    return pa.table([columns[name] for name in BUCKET_ROW_SCHEMA.names], schema=BUCKET_ROW_SCHEMA)


def _unions(a: pa.ChunkedArray, b: pa.ChunkedArray) -> pa.Array:
    """Row by row the union of two sorted lists of sources. There are few different ones, so each pair is made once."""
    one, other = (pc.binary_join(each, SOURCE_SEPARATOR).combine_chunks().dictionary_encode() for each in (a, b))
    pairs = one.indices.to_numpy().astype(np.int64) * len(other.dictionary) + other.indices.to_numpy()
    distinct, which = np.unique(pairs, return_inverse=True)
    lists = [[text.split(SOURCE_SEPARATOR) for text in each.dictionary.to_pylist()] for each in (one, other)]
    unions = [sorted({*lists[0][pair // len(lists[1])], *lists[1][pair % len(lists[1])]}) for pair in distinct.tolist()]
    return pa.array(unions, BUCKET_ROW_SCHEMA.field("sources").type).take(pa.array(which))


def _keys(a: pa.Table, b: pa.Table, resolution: Resolution) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For the rows of two tables integers that compare as (ticker, scorer, start) does."""
    groups = [np.zeros(table.num_rows, dtype=np.int64) for table in (a, b)]
    for name in ("ticker", "scorer"):
        columns = [table.column(name) for table in (a, b)]
        ranked = ranks(columns)
        texts = 1 + max(int(each.max()) for each in ranked if len(each))
        groups = [group * texts + each for group, each in zip(groups, ranked, strict=True)]
    numbers = [np.floor_divide(table.column("start_us").to_numpy(), resolution.width_us) for table in (a, b)]
    first = min(int(each.min()) for each in numbers if len(each))
    keys = [(group << _BUCKET_BITS) + (number - first) for group, number in zip(groups, numbers, strict=True)]
    return keys[0], keys[1]
