"""The order of rows in every file: by ticker, scorer and time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def ranks(columns: Sequence[pa.ChunkedArray]) -> list[NDArray[np.int64]]:
    """For the texts of several columns numbers below their count of distinct texts that compare as the texts do."""
    encoded = [column.combine_chunks().dictionary_encode() for column in columns]
    texts = sorted({text for each in encoded for text in each.dictionary.to_pylist()})
    rank = {text: number for number, text in enumerate(texts)}
    found = []
    for each in encoded:
        own = np.asarray([rank[text] for text in each.dictionary.to_pylist()], dtype=np.int64)
        found.append(own[each.indices.to_numpy()])
    return found


def in_order(rows: pa.Table, moment: str = "start_us") -> pa.Table:
    """Rows by ticker, scorer and the column that holds their time; equal ones stay in the order they are in."""
    (tickers,), (scorers,) = ranks([rows.column("ticker")]), ranks([rows.column("scorer")])
    order = np.lexsort((rows.column(moment).to_numpy(), scorers, tickers))
    return rows.combine_chunks().take(pa.array(order))
