"""Presence: that processes of this machine have a store open, so that a repair does not move files under their hands.

Like every lock here the kernel holds it, so it is gone with its holder, of kill -9 as well.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dashapp.errors import StoreInUse
from dashapp.store.locks import opened

_FILE = Path("locks") / "open.lock"


class Presence:
    """Held for as long as a store is open; any number at once. Raises StoreInUse while a repair is under way."""

    def __init__(self, data_dir: Path, *, create: bool) -> None:
        """Only whoever may make a store makes the file: reading leaves no trace, also on a disk that cannot be
        written."""
        path = data_dir / _FILE
        self._descriptor: int | None = None
        try:
            if create:
                path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o644)
        except OSError:  # what comes next says more of a place that cannot be written
            return
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            self.end()
            raise StoreInUse(f"The store at {data_dir} is being repaired. Try again when that is done.") from None

    def end(self) -> None:
        """The store is not open any more."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        self.end()


@contextmanager
def alone(data_dir: Path) -> Iterator[None]:
    """Have a store while no process of this machine has it open; raises StoreInUse, StoreNotWritable."""
    with opened(data_dir / _FILE) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreInUse(
                f"Other processes have the store at {data_dir} open, and this would move files under their hands. Stop "
                "serve, run, feed, ingest and rollup of this store first; nothing was changed."
            ) from None
        yield
