"""The bytes of an input, unpacked, in chunks: from a file or standard input, with progress, never all at once."""

from __future__ import annotations

import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import cast

from dashapp.errors import UnreadableInput

STDIN = "-"
CHUNK_BYTES = 1 << 18
# The most one row may take: room for any article, and a bound on what a file without newlines can make us hold.
MAX_ROW_BYTES = 1 << 20

Progress = Callable[[int, int | None], None]

_GZIP = b"\x1f\x8b"
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_MAGIC_BYTES = 8
_UTF8_BOM = b"\xef\xbb\xbf"
_FOREIGN = {
    b"PK\x03\x04": "a zip archive; unpack it",
    **{b"BZh%d1AY&" % level: "compressed by bzip2; unpack it, or use gzip" for level in range(1, 10)},
    b"\xfd7zXZ": "compressed by xz; unpack it, or use gzip",
    b"\x28\xb5\x2f\xfd": "compressed by zstd; unpack it, or use gzip",
    b"\xff\xfe": "UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as UTF-8",
}


class ByteStream:
    """The unpacked bytes of one input, to be iterated once.

    `damage` says afterwards why they ended too early, None when they did not. `name` is how messages call the input.
    `progress` gets the bytes read (packed, as they lie in the file) and their total, None where it is not known.
    """

    def __init__(self, file: BufferedReader, name: str, progress: Progress | None = None) -> None:
        self.name = name
        self.damage: str | None = None
        self._file = file
        self._progress = progress
        self._read_bytes = 0
        self._is_packed = False
        status = os.fstat(file.fileno()) if _has_descriptor(file) else None
        self.total_bytes = status.st_size if status and stat.S_ISREG(status.st_mode) else None
        self._chunks = self._unpacked()
        self._peeked: list[bytes] = []

    def __iter__(self) -> Iterator[bytes]:
        while self._peeked:
            yield self._peeked.pop(0)
        yield from self._chunks

    def peek(self) -> bytes:
        """The first bytes, at least two lines where that is not too much; they are still iterated."""
        head = b"".join(self._peeked)
        while len(head) < CHUNK_BYTES and head.count(b"\n") < 2 and (chunk := next(self._chunks, b"")):
            self._peeked.append(chunk)
            head += chunk
        return head

    def plain_file(self) -> BufferedReader | None:
        """The file itself, to be read at any place, where it is one on disk and not packed; ends the stream."""
        return self._file if self.total_bytes is not None and not self._is_packed else None

    def report(self, done: int, total: int) -> None:
        """Tell the progress when the plain file is read by other means, as a part of its whole."""
        if self._progress is not None and self.total_bytes is not None:
            # What was peeked at has been told already, and progress never falls.
            self._progress(max(self._read_bytes, self.total_bytes * done // max(total, 1)), self.total_bytes)

    def _unpacked(self) -> Iterator[bytes]:
        packed = self._packed()
        head = _first(packed)
        for magic, what in _FOREIGN.items():
            if head.startswith(magic):
                raise UnreadableInput(f"{self.name} is {what}.", place=self.name)
        self._is_packed = head.startswith(_GZIP)
        chunks = self._gunzipped(head, packed) if self._is_packed else _chain(head, packed)
        first = _first(chunks)
        yield from _chain(first.removeprefix(_UTF8_BOM), chunks)

    def _packed(self) -> Iterator[bytes]:
        while True:
            try:
                chunk = self._file.read1(CHUNK_BYTES)  # what a pipe holds now, not what fills the chunk
            except OSError as error:
                raise UnreadableInput(
                    f"{self.name} cannot be read beyond byte {self._read_bytes}: {error.strerror or error}.",
                    place=self.name,
                ) from error
            if not chunk:
                return
            self._read_bytes += len(chunk)
            if self._progress is not None:
                self._progress(self._read_bytes, self.total_bytes)
            yield chunk

    def _gunzipped(self, head: bytes, packed: Iterator[bytes]) -> Iterator[bytes]:
        member = zlib.decompressobj(_GZIP_WINDOW)
        for chunk in _chain(head, packed):
            rest = chunk
            while rest:
                if member.eof:  # another member may follow, or padding with zeros
                    rest = rest.lstrip(b"\0")
                    if not rest:
                        break
                    member = zlib.decompressobj(_GZIP_WINDOW)
                yield from self._inflated(member, rest)
                if self.damage is not None:
                    return
                rest = member.unused_data
        if not member.eof:
            self.damage = "its gzip compression ends early"

    def _inflated(self, member: zlib._Decompress, packed: bytes) -> Iterator[bytes]:
        """What the bytes unpack to, a chunk at a time, however much it is."""
        try:
            while not member.eof and (unpacked := member.decompress(packed, CHUNK_BYTES)):
                yield unpacked
                packed = member.unconsumed_tail
        except zlib.error as error:
            # Only the checksum at the end could tell from where on it is wrong.
            self.damage = f"its gzip compression is damaged, so the rows before may be wrong as well: {error}"


@contextmanager
def opened(path: str | Path, progress: Progress | None = None) -> Iterator[ByteStream]:
    """The bytes of a file, or of standard input for `-`, closed afterwards; raises UnreadableInput."""
    if str(path) == STDIN:
        yield ByteStream(cast("BufferedReader", sys.stdin.buffer), "stdin", progress)
        return
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - the with below closes it
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UnreadableInput(f"{path} cannot be opened: {why}.", place=str(path)) from error
    with file:
        # A file name may be any bytes; what is stored and shown must be Unicode.
        yield ByteStream(file, str(path).encode("utf-8", "backslashreplace").decode("utf-8"), progress)


def lines(stream: ByteStream) -> Iterator[tuple[int, bytes]]:
    """The lines with their numbers from 1, each without its newline.

    A line longer than MAX_ROW_BYTES comes cut to one byte more than that. When the stream ends early, its
    unfinished last line is not among them: `stream.damage` is set then.
    """
    number = 0
    held = bytearray()
    for chunk in stream:
        first, *others = chunk.split(b"\n")
        if len(held) <= MAX_ROW_BYTES:
            held += first
        if not others:
            continue
        number += 1
        yield number, bytes(held[: MAX_ROW_BYTES + 1])
        held = bytearray(others.pop())
        for line in others:
            number += 1
            yield number, line
    if held and stream.damage is None:
        yield number + 1, bytes(held[: MAX_ROW_BYTES + 1])


def is_blank(line: bytes) -> bool:
    """Whether a line holds nothing but blanks."""
    return not line or line.isspace()


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _first(chunks: Iterator[bytes]) -> bytes:
    """The first chunk, long enough to tell what begins here: a pipe may hand out single bytes."""
    head = b""
    while len(head) < _MAGIC_BYTES and (chunk := next(chunks, b"")):
        head += chunk
    return head


def _has_descriptor(file: BufferedReader) -> bool:
    try:
        file.fileno()
    except OSError:  # a file in memory
        return False
    return True
