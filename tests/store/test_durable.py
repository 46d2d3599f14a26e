"""Files: what is handed on to be written and what is written of it."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashapp.store import durable

ROWS = 20_000


@pytest.mark.parametrize("tickers", [1, 20, 1_000, ROWS])
def test_a_row_group_holds_few_texts_but_those_of_its_own_rows(tickers: int) -> None:
    texts = pa.array([f"T{row * tickers // ROWS:06d}" for row in range(ROWS)])
    sizes = {}
    for kind, column in {"plain": texts, "encoded": texts.dictionary_encode()}.items():
        file = io.BytesIO()
        schema = pa.schema([pa.field("ticker", column.type, nullable=False)])
        durable.encode(pa.table([column], schema=schema), file, compression="snappy", row_group_rows=1_024)
        read = pq.ParquetFile(file)
        assert read.read().column("ticker").to_pylist() == texts.to_pylist()
        assert not read.schema_arrow.field("ticker").nullable
        groups = [read.metadata.row_group(number) for number in range(read.num_row_groups)]
        sizes[kind] = sum(group.column(0).total_compressed_size for group in groups)
    assert sizes["encoded"] - sizes["plain"] <= ROWS  # a byte for each row
