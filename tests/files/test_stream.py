"""Bytes as they come: in pieces, packed, cut short or damaged, in flat memory and with progress."""

from __future__ import annotations

import gzip
import io
import json
import sys
import tracemalloc

import pyarrow as pa
import pytest

from dashapp.ingest.rejects import Rejection
from dashapp.ingest.sources.file import read_file
from dashapp.model.item import Item
from tests.files.rows import TS, Folder, line, parquet_bytes


class Pieces(io.BytesIO):
    """Standard input that hands out a few bytes at a time, as a pipe may."""

    size_bytes = 1

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read(min(self.size_bytes, size or self.size_bytes))


@pytest.mark.parametrize("size_bytes", [1, 2, 3, 7, 64])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("form", ["jsonl", "document", "csv", "parquet"])
def test_standard_input_may_come_in_pieces_of_any_size(
    monkeypatch: pytest.MonkeyPatch, form: str, packed: bool, size_bytes: int
) -> None:
    texts = ['say "hi"\\', "über\nzwei", "[{,}]"]
    rows = [{"id": str(number), "ts": TS, "text": text, "ticker": "T"} for number, text in enumerate(texts)]
    content = {
        "jsonl": "\ufeff" + "\r\n".join(json.dumps(row) for row in rows),
        "document": '\ufeff{"a": {"news": [1]}, "news" : ' + json.dumps(rows) + "}",
        "csv": "\ufeffid,ts,text,ticker\n"
        + "".join(f'{row["id"]},{TS},"{row["text"].replace(chr(34), chr(34) * 2)}",T\r\n' for row in rows),
        "parquet": parquet_bytes(pa.Table.from_pylist(rows)),
    }[form]
    data = content.encode() if isinstance(content, str) else content
    pieces = Pieces(gzip.compress(data) if packed else data)
    pieces.size_bytes = size_bytes
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(pieces))
    read = list(read_file("-"))
    assert [row.text if isinstance(row, Item) else row for row in read] == texts
    assert {row.source for row in read if isinstance(row, Item)} == {"stdin"}


def test_gzip_may_have_several_members_and_padding(folder: Folder) -> None:
    members = gzip.compress((line(1) + "\n").encode()) + gzip.compress(b"", mtime=0) + gzip.compress(line(2).encode())
    assert folder.brief("a.jsonl.gz", members + b"\0" * 100) == ["1", "2"]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.json.gz", "a.csv.gz"])
def test_gzip_that_ends_early_gives_its_whole_rows_and_says_so(folder: Folder, name: str) -> None:
    numbers = range(5_000)
    content = {
        "a.jsonl.gz": "\n".join(map(line, numbers)),
        "a.json.gz": "[" + ",".join(map(line, numbers)) + "]",
        "a.csv.gz": "id,ts,text\n" + "\n".join(f"{number},{TS},$T" for number in numbers),
    }[name]
    packed = gzip.compress(content.encode())
    for cut, least in ((len(packed) // 2, 1_000), (len(packed) - 1, 4_999)):
        *rows, last = folder.brief(name, packed[:cut])
        assert last.endswith(":file_damaged")
        assert len(rows) >= least
        assert rows == list(map(str, range(len(rows))))


def test_damaged_gzip_says_that_rows_before_may_be_wrong(folder: Folder) -> None:
    packed = bytearray(gzip.compress("\n".join(map(line, range(5_000))).encode()))
    packed[len(packed) // 2] ^= 0xFF
    *rows, last = folder("a.jsonl.gz", bytes(packed))
    assert len(rows) > 1_000
    assert isinstance(last, Rejection)
    assert last.reason == "file_damaged"
    assert "may be wrong" in last.message


def test_a_little_gzip_that_unpacks_to_much_is_read_in_flat_memory(folder: Folder) -> None:
    (folder.path / "a.jsonl").write_bytes(gzip.compress(b"x" * (200 << 20)))
    tracemalloc.start()
    try:
        rows = list(read_file(folder.path / "a.jsonl"))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [row.reason for row in rows if isinstance(row, Rejection)] == ["row_too_long"]
    assert peak_bytes < 20 << 20


@pytest.mark.parametrize("form", ["jsonl", "document", "csv"])
def test_memory_does_not_grow_with_the_file(folder: Folder, form: str) -> None:
    def peak_bytes(count: int) -> int:
        file = folder.path / f"{count}.{'json' if form == 'document' else form}"
        with file.open("w") as out:
            out.write({"jsonl": "", "document": "[", "csv": "id,ts,text\n"}[form])
            for number in range(count):
                text = "$T " + "x" * 200
                out.write(f"{number},{TS},{text}\n" if form == "csv" else line(number, text=text))
                out.write("" if form == "csv" else "\n" if form == "jsonl" else "," if number < count - 1 else "]")
        tracemalloc.start()
        try:
            assert sum(isinstance(row, Item) for row in read_file(file)) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small, large = peak_bytes(3_000), peak_bytes(9_000)
    assert large < 1.2 * small + 500_000


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.json", "a.csv", "a.parquet"])
def test_progress_rises_to_the_size_of_the_file(folder: Folder, name: str) -> None:
    numbers = range(10_000)
    lines = "\n".join(map(line, numbers))
    content = {
        "a.jsonl": lines.encode(),
        "a.jsonl.gz": gzip.compress(lines.encode()),
        "a.json": ("[" + lines.replace("\n", ",") + "]").encode(),
        "a.csv": ("id,ts,text\n" + "\n".join(f"{number},{TS},$T" for number in numbers)).encode(),
        "a.parquet": parquet_bytes(pa.table({"ts": [TS] * 10_000, "text": ["$T"] * 10_000})),
    }[name]
    seen: list[tuple[int, int | None]] = []
    rows = folder(name, content, progress=lambda done, total: seen.append((done, total)))
    assert len(rows) == 10_000
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (len(content), len(content))
    assert {total for _, total in seen} == {len(content)}


def test_progress_of_a_pipe_has_no_total(monkeypatch: pytest.MonkeyPatch) -> None:
    data = line(1).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    seen: list[tuple[int, int | None]] = []
    assert len(list(read_file("-", progress=lambda done, total: seen.append((done, total))))) == 1
    assert seen == [(len(data), None)]
