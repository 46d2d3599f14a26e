"""Copies of data files on this machine's disk, where the files themselves lie elsewhere.

A data file never changes and its name is never used again, so a copy is right for ever. The folder can be deleted at
any time; processes share it.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from dashapp.errors import StoreNotWritable

# Nobody reads for longer than this from a path they were given: a copy used less long ago is left alone, however full
# the folder is.
IN_USE_S = 300.0
# What a killed process was writing, not finished for so long, is nobody's any more.
_ABANDONED_S = 3_600.0
_PARTIAL = ".partial"


class FileCache:
    """A folder of copies, kept under a size by letting go of those not used for longest; safe for use by several
    threads and processes."""

    def __init__(self, folder: Path, *, size_bytes: int) -> None:
        self._folder = folder
        self._size_bytes = size_bytes
        self._lock = threading.Lock()
        self._written_bytes = size_bytes  # since the last sweep; at first nobody knows what lies there

    def held(self, name: str) -> str | None:
        """The path of a copy, None when there is none; 5 µs."""
        path = self._folder / name
        try:
            # When it was read last is kept as such. When it was written stays, since DuckDB knows files by that.
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
        except OSError:
            return None
        return str(path)

    def keep(self, name: str, content: Iterable[bytes | memoryview]) -> str:
        """Write a copy and return its path; raises StoreNotWritable."""
        path = self._folder / name
        partial = path.with_name(f"{name}.{os.getpid()}-{threading.get_ident()}{_PARTIAL}")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                for part in content:
                    file.write(part)
                size_bytes = file.tell()
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise StoreNotWritable(f"{path} cannot be written: {error.strerror or error}.") from error
        with self._lock:
            self._written_bytes += size_bytes
            # Looking at every copy takes a while; the folder may grow by a twentieth between two looks.
            is_due = self._written_bytes * 20 >= self._size_bytes
            if is_due:
                self._written_bytes = 0
        if is_due:
            self._sweep()
        return str(path)

    def _sweep(self) -> None:
        now_s = time.time()
        copies: list[tuple[float, int, str]] = []
        for entry in os.scandir(self._folder):
            try:
                status = entry.stat()
                if not entry.name.endswith(_PARTIAL):
                    copies.append((status.st_atime, status.st_size, entry.path))
                elif now_s - status.st_mtime > _ABANDONED_S:
                    Path(entry.path).unlink(missing_ok=True)
            except OSError:  # another process was faster
                continue
        excess_bytes = sum(size_bytes for _, size_bytes, _ in copies) - self._size_bytes
        for used_s, size_bytes, path in sorted(copies):
            if excess_bytes <= 0 or now_s - used_s < IN_USE_S:
                break
            Path(path).unlink(missing_ok=True)
            excess_bytes -= size_bytes
