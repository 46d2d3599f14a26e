"""Files for tests: written, and read back as their rows."""

from __future__ import annotations

import io
import json
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

from dashapp.ingest.columns import RowOptions
from dashapp.ingest.rejects import REASONS, Rejection
from dashapp.ingest.sources.file import read_file
from dashapp.model.item import Item

TS = "2014-01-01T03:59:03Z"
UTC_OPTIONS = RowOptions(zone=ZoneInfo("UTC"))


class Folder:
    """Writes a file and reads it back as its rows."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, name: str, content: bytes | str, **how: object) -> list[Item | Rejection]:
        file = self.path / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return list(read_file(file, **how))

    def brief(self, name: str, content: bytes | str, **how: object) -> list[str]:
        """Each row as its id, or as line:reason."""
        return [brief(row, self.path / name) for row in self(name, content, **how)]


def brief(row: Item | Rejection, file: Path) -> str:
    """Its id, or line:reason."""
    if isinstance(row, Item):
        return row.id
    assert row.place.startswith(f"{file}:")
    assert REASONS[row.reason] in row.message
    for text in (row.place, row.message, row.raw):
        text.encode("utf-8")
    return f"{row.place.removeprefix(str(file))[1:]}:{row.reason}"


def line(number: object, **more: object) -> str:
    return json.dumps({"id": number, "ts": TS, "text": "up", "ticker": "T", **more})


def parquet_bytes(table: pa.Table, **how: object) -> bytes:
    written = io.BytesIO()
    pq.write_table(table, written, **how)
    return written.getvalue()
