"""Reading exports back: the rows of a file as they were written, and where they differ from others."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dashapp.errors import BadExport


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, EOFError, ValueError) as error:
        raise BadExport(f"{path} cannot be read: {error}.", path=str(path)) from error


def tables_in(path: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """The rows of a Parquet or Arrow file that has just these columns, a row group or batch at a time.

    Raises BadExport.
    """
    for table in _tables(path):
        if table.column_names != list(columns):
            raise BadExport(f"{path} has other columns than this version of the software writes.", path=str(path))
        yield table


def _tables(path: Path) -> Iterator[pa.Table]:
    with _reading(path), path.open("rb") as file:
        magic = file.read(6)
        file.seek(0)
        if magic[:4] == b"PAR1":
            with pq.ParquetFile(file, page_checksum_verification=True) as parquet:
                for number in range(parquet.num_row_groups):
                    yield parquet.read_row_group(number)
        elif magic == b"ARROW1":
            with pa.ipc.open_file(file) as arrow:
                for number in range(arrow.num_record_batches):
                    yield pa.Table.from_batches([arrow.get_batch(number)])
        else:
            with pa.ipc.open_stream(file) as stream:
                for batch in stream:
                    yield pa.Table.from_batches([batch])


@contextmanager
def text_of(path: Path, *, packed: bool) -> Iterator[gzip.GzipFile | BufferedReader]:
    """A file of texts, unpacked while it is read; raises BadExport."""
    with _reading(path), gzip.open(path) if packed else path.open("rb") as file:
        yield file


def differences(rows: pa.Table, expected: pa.Table) -> Iterator[str]:
    """What is not as expected in rows, as many and in the same order, a text for each row that differs."""
    unequal: dict[str, NDArray[np.bool_]] = {}
    for name in expected.column_names:
        shown, right = rows.column(name), expected.column(name)
        if not shown.equals(right):
            unequal[name] = _unequal(shown, right)
    if not unequal:
        return
    for row in np.flatnonzero(np.logical_or.reduce(list(unequal.values()))).tolist():
        fields = (
            f"{name} is {_shown(rows, name, row)}, the store says {_shown(expected, name, row)}"
            for name, differs in unequal.items()
            if differs[row]
        )
        yield f"{_place(expected, row)}: {'; '.join(fields)}"


def _unequal(shown: pa.ChunkedArray, right: pa.ChunkedArray) -> NDArray[np.bool_]:
    if shown.type != right.type or pa.types.is_list(right.type):
        pairs = zip(shown.to_pylist(), right.to_pylist(), strict=True)
        return np.fromiter((one != other for one, other in pairs), np.bool_, len(right))
    same = pc.fill_null(pc.equal(shown, right), False)
    both_null = pc.and_(pc.is_null(shown), pc.is_null(right))
    differs: NDArray[np.bool_] = pc.invert(pc.or_(same, both_null)).to_numpy()
    return differs


def _shown(rows: pa.Table, name: str, row: int) -> Any:
    value = rows.column(name)[row].as_py()
    return value.isoformat() if hasattr(value, "isoformat") else value


def _place(rows: pa.Table, row: int) -> str:
    names = [name for name in ("ticker", "resolution", "timestamp", "published", "id") if name in rows.column_names]
    return " ".join(str(_shown(rows, name, row)) for name in names)
