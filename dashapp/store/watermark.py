"""The newest version of a table that this machine knows of, and when one of its processes last asked for a newer.

Asking a store far away costs money and time, so the processes of a machine ask for news once in a while for all of
them. What one of them has committed or learned the others know at once.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from dashapp.errors import StoreNotWritable

_DIGITS = 20


class Watermark:
    """A file of one line; safe for use by several threads and processes."""

    def __init__(self, path: Path, *, every_s: float) -> None:
        self._path = path
        self._every_s = every_s
        self._descriptor: int | None = None

    def knows(self, version: int) -> bool:
        """Whether a version is known to be there; 5 µs."""
        known = os.pread(self._open(), _DIGITS, 0)
        return bool(known) and int(known) >= version

    def is_due(self) -> bool:
        """Whether nobody has asked for so long."""
        age_s = time.time() - os.fstat(self._open()).st_mtime
        return not 0 <= age_s < self._every_s  # a clock that was put back asks too often for a while

    def is_there(self, version: int) -> None:
        """A version is there, and more may be."""
        descriptor = self._open()
        # Two at once may leave the lower number; it only means to ask a little later.
        if not self.knows(version):
            os.pwrite(descriptor, b"%0*d" % (_DIGITS, version), 0)
        os.utime(descriptor, (0, 0))

    def is_not_there(self) -> None:
        """Somebody has asked for the next version, and it is not there."""
        os.utime(self._open())

    def _open(self) -> int:
        if self._descriptor is None:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise StoreNotWritable(f"{self._path} cannot be opened for writing: {error.strerror}.") from error
        return self._descriptor

    def __del__(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
