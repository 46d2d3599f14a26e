"""Output files: there as a whole under their name, or not at all.

A file is written under another name beside its place, flushed, and only then renamed. What a killed process left under
that name is written over by the next one; two at a time are kept apart by a lock that the kernel frees.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dashapp.errors import OutputNotWritable
from dashapp.store.durable import sync_folder


@dataclass(frozen=True, slots=True)
class Written:
    """What was written: rows, bytes, and the SHA-256 of these."""

    rows: int
    bytes: int
    sha256: str


def part_of(path: Path) -> Path:
    """Where a file or folder is until it is whole; readers of folders skip what begins with a dot."""
    return path.with_name(f".{path.name}.part")


@contextmanager
def refusing(path: Path) -> Iterator[None]:
    """Turns what the disk refuses into OutputNotWritable."""
    try:
        yield
    except OSError as error:
        raise OutputNotWritable(
            f"{error.filename or path} cannot be written: {error.strerror or error}. Nothing is left of it."
        ) from error


@contextmanager
def claimed(path: Path) -> Iterator[Path]:
    """An empty folder to make what is to stand at `path`, of this process alone; gone at the end unless it was renamed.

    Raises OutputNotWritable, also where another process is making the same.
    """
    part = part_of(path)
    with refusing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir(exist_ok=True)
        descriptor = os.open(part, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise OutputNotWritable(f"Another process is writing {path} at this moment.") from None
        with refusing(path):
            for left in part.iterdir():
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        try:
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)
    finally:
        os.close(descriptor)


def write_durable(path: Path, pieces: Iterable[tuple[bytes, int]]) -> Written:
    """Write pieces, each with the rows that it brings, and flush them; folders are made, names are not flushed."""
    rows = size_bytes = 0
    digest = hashlib.sha256()
    with refusing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("wb")
    with file:
        for piece, more in pieces:
            digest.update(piece)
            with refusing(path):
                file.write(piece)
            rows, size_bytes = rows + more, size_bytes + len(piece)
        with refusing(path):
            file.flush()
            os.fsync(file.fileno())
    return Written(rows, size_bytes, digest.hexdigest())


def put(source: Path, target: Path) -> None:
    """Rename a written file into its place, in one step, the folders and the name durable on return."""
    with refusing(target):
        made = [folder for folder in (target.parent, *target.parent.parents) if not folder.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)
        for folder in {target.parent, *(folder.parent for folder in made)}:
            sync_folder(folder)


def put_text(path: Path, text: str) -> None:
    """Write a small file as a whole, durable on return."""
    part = part_of(path)
    try:
        write_durable(part, [(text.encode(), 0)])
        put(part, path)
    except OutputNotWritable:
        part.unlink(missing_ok=True)
        raise


def put_folder(source: Path, target: Path) -> None:
    """Rename a folder into its place; one that stands there is moved aside before and deleted after."""
    aside = target.with_name(f".{target.name}.old")
    with refusing(target):
        for folder in sorted((each for each in source.rglob("*") if each.is_dir()), reverse=True):
            sync_folder(folder)
        sync_folder(source)
        shutil.rmtree(aside, ignore_errors=True)
        if target.exists():
            target.rename(aside)
        source.rename(target)
        sync_folder(target.parent)
        shutil.rmtree(aside, ignore_errors=True)
