"""Locks between processes on one machine: a file each, held by the kernel, gone with the process that held it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dashapp.errors import StoreNotWritable
from dashapp.store.remedies import remedy


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file alone, waiting for whoever holds it; kill -9 frees it.

    It spares writers of one machine the work of losing a race. What makes commits correct is not this lock but the
    version each commit insists on, which holds between machines too.
    """
    with opened(path) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


@contextmanager
def attempt(path: Path) -> Iterator[bool]:
    """Hold the lock file alone if nobody else does; yields whether it is held."""
    with opened(path) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_held = True
        except BlockingIOError:
            is_held = False
        yield is_held


@contextmanager
def opened(path: Path) -> Iterator[int]:
    """The descriptor of a lock file, which is made where there is none; raises StoreNotWritable."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StoreNotWritable(f"{path} cannot be opened for writing: {error.strerror}.{remedy(error)}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)
