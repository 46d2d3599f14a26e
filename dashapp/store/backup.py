"""Backup: a copy of a store at one moment, taken while it is in use, and the way back.

Data files never change once they are written, so a copy is what two snapshots name: buckets first and then scores, as
readers take them, so no bucket counts a score that is not there. A manifest lists every file with its hash, and is put
in place last: what it does not name is not part of the backup.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dashapp import __version__
from dashapp.errors import BackupDamaged, StoreDamaged, StoreNotWritable, StoreTooNew, UsageError
from dashapp.model.time import EpochUs, to_iso
from dashapp.store import durable
from dashapp.store.apikeys import FILE_NAME as API_KEYS
from dashapp.store.history import names_up_to
from dashapp.store.lease import leased
from dashapp.store.migrations import FORMAT
from dashapp.store.reader import Reader
from dashapp.store.storage import LOG
from dashapp.store.store import SIMULATED, Store
from dashapp.store.tables import Table
from dashapp.store.users import FILE_NAME as USERS

MANIFEST = "manifest.json"
# In a folder that holds a first backup which has not come to its end.
UNFINISHED = ".unfinished"
# The jobs that delete what a snapshot names; they wait until it is copied.
_DELETING = ("vacuum", "logs", "retention")
# Beside the tables: where live sources were read up to, who may push, and what was rejected.
# Keys, cache, locks and records of jobs are made anew.
_OTHERS = ("feed", API_KEYS, USERS, "rejected")
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds: the versions of both tables, its files and their size, and how much of it was copied now."""

    revision: int
    rolled_up_to: int
    files: int
    bytes: int
    copied_files: int
    copied_bytes: int


def back_up(store: Store, destination: Path, now_us: Callable[[], EpochUs]) -> Backup:
    """Copy a store into a folder, durable on return, and go on where an earlier backup of the same store is there.

    Raises UsageError where the folder holds anything else, StoreNotWritable, StoreDamaged.
    """
    destination = destination.absolute()
    before = _earlier(destination, store.scores.table.identity)
    with ExitStack() as held:
        for name in _DELETING:
            # Not begun, so that no record is made of it: to others it is a lease like any other.
            held.enter_context(leased(store.data_dir, name, now_us, wait_until=threading.Event()))
        # Where sources were read up to comes before the scores, so what it says was read is there.
        copy = _Copy(destination, before)
        for name in _others(store.data_dir):
            copy.take(name, store.data_dir / name, is_fixed=False, may_go=True)
        # The buckets of the view count no score that its snapshot of scores has not.
        view = Reader(store, timeout_ms=1_000).view()
        for table, folder in ((store.scores.table, "scores"), (store.buckets.table, "buckets")):
            for name in _names(table):
                # Of checkpoints all but every hundredth come and go with the commits beside this.
                may_go = name.endswith(".checkpoint.parquet")
                copy.take(f"{folder}/{name}", _local(table, name), is_fixed=True, may_go=may_go)
    manifest = {
        "format": FORMAT,
        "version": __version__,
        "taken": to_iso(now_us()),
        "identity": store.scores.table.identity,
        "revision": store.scores.table.version,
        "buckets_version": view.buckets_version,
        "rolled_up_to": view.seen,
        "is_simulated": store.is_simulated,
        "files": copy.files,
    }
    copy.finish(manifest)
    return Backup(
        revision=store.scores.table.version,
        rolled_up_to=view.seen,
        files=len(copy.files),
        bytes=sum(file["bytes"] for file in copy.files.values()),
        copied_files=copy.copied_files,
        copied_bytes=copy.copied_bytes,
    )


def restore(source: Path, data_dir: Path) -> Backup:
    """Make the store of a backup in a folder that is empty or not there; every file is compared with its hash.

    Raises UsageError, BackupDamaged, StoreTooNew, StoreNotWritable; the folder is as it was then.
    """
    source, data_dir = source.absolute(), data_dir.absolute()
    manifest = _manifest(source)
    if manifest is None:
        raise UsageError(f"There is no backup at {source}: it has no {MANIFEST}.")
    if manifest["format"] > FORMAT:
        raise StoreTooNew(
            f"The backup at {source} is of format {manifest['format']}, made by Tickertone {manifest['version']}; this "
            f"is {__version__}, which reads up to {FORMAT}. Install that version or a later one."
        )
    if data_dir.exists() and any(data_dir.iterdir()):
        raise UsageError(f"{data_dir} is not empty. Restore into a new folder, and move it where the old one was.")
    partial = data_dir.with_name(f".{data_dir.name}.restoring")
    try:
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir(parents=True)
        for name, file in manifest["files"].items():
            (partial / name).parent.mkdir(parents=True, exist_ok=True)
            found = _copied(source / name, partial / name)
            if found != (file["bytes"], file["sha256"]):
                shutil.rmtree(partial)
                raise BackupDamaged(f"{source / name} is not what {MANIFEST} says. Nothing was restored.")
            (partial / name).chmod(file["mode"])
        if manifest["is_simulated"]:
            (partial / SIMULATED).touch()
        _sync_folders(partial, manifest["files"])
        partial.replace(data_dir)
        durable.sync_folder(data_dir.parent)
    except OSError as error:
        raise StoreNotWritable(f"{error.filename or data_dir} cannot be written: {error.strerror}.") from error
    size_bytes = sum(file["bytes"] for file in manifest["files"].values())
    count = len(manifest["files"])
    return Backup(manifest["revision"], manifest["rolled_up_to"], count, size_bytes, count, size_bytes)


def put_back(source: Path, data_dir: Path, names: Collection[str], *, aside: Callable[[Path], None]) -> list[str]:
    """Copy single files of a backup to where a store has lost them; returns the names of those the backup has.

    What lies there is handed to `aside` first. Data files and entries of a log never change, so a file of the backup is
    the one that was lost, if it is of the same store and of the same history: every entry of the log that both have
    must be the same. Raises UsageError where it is not, BackupDamaged, StoreNotWritable.
    """
    manifest = _manifest(source)
    if manifest is None:
        raise UsageError(f"There is no backup at {source}: it has no {MANIFEST}.")
    files: dict[str, Any] = manifest["files"]
    shared = 0
    for name, file in files.items():
        here = data_dir / name
        if name in names or not _is_entry(name) or not here.exists():
            continue
        shared += 1
        content = here.read_bytes()
        # An entry that was cut to nothing tells of no other history.
        if content and hashlib.sha256(content).hexdigest() != file["sha256"]:
            raise UsageError(
                f"{source} is not a backup of the store at {data_dir}, or of another course of it: {name} differs. "
                "Nothing was changed."
            )
    if not shared:
        raise UsageError(f"Nothing tells that {source} is a backup of the store at {data_dir}: they share no log.")
    done = [name for name in sorted(names) if name in files]
    try:
        for name in done:
            partial = (data_dir / name).with_name(f".{Path(name).name}.partial")
            partial.parent.mkdir(parents=True, exist_ok=True)
            if _copied(source / name, partial) != (files[name]["bytes"], files[name]["sha256"]):
                partial.unlink()
                raise BackupDamaged(f"{source / name} is not what {MANIFEST} says. It was not put back.")
            partial.chmod(files[name]["mode"])
            aside(data_dir / name)
            partial.replace(data_dir / name)
            durable.sync_folder(partial.parent)
    except OSError as error:
        raise StoreNotWritable(f"{error.filename or data_dir} cannot be written: {error.strerror}.") from error
    return done


def _is_entry(name: str) -> bool:
    return name.endswith(".json") and f"/{LOG}/" in name


class _Copy:
    """Files on their way into a backup."""

    def __init__(self, destination: Path, before: dict[str, Any]) -> None:
        self._destination = destination
        self._before = before
        self.files: dict[str, dict[str, Any]] = {}
        self.copied_files = 0
        self.copied_bytes = 0

    def take(self, name: str, source: Path, *, is_fixed: bool, may_go: bool) -> None:
        """Copy a file: one that is fixed not again where an earlier backup has it, one that may go if it is there."""
        target = self._destination / name
        known = self._before.get(name)
        if known and is_fixed and target.exists() and target.stat().st_size == known["bytes"]:
            self.files[name] = known
            return
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            partial = target.with_name(f".{target.name}.partial")
            mode = source.stat().st_mode & 0o777
            size_bytes, digest = _copied(source, partial)
            partial.chmod(mode)
            partial.replace(target)
        except FileNotFoundError as error:
            if may_go:
                return
            raise StoreDamaged(f"{source} is named by the store but is not there.") from error
        except OSError as error:
            raise StoreNotWritable(f"{error.filename or target} cannot be written: {error.strerror}.") from error
        self.files[name] = {"bytes": size_bytes, "sha256": digest, "mode": mode}
        self.copied_files += 1
        self.copied_bytes += size_bytes

    def finish(self, manifest: dict[str, Any]) -> None:
        """Put the manifest in place, and then delete what only the one before named."""
        try:
            _sync_folders(self._destination, self.files)
            partial = self._destination / f".{MANIFEST}.partial"
            with partial.open("w", encoding="utf-8") as file:
                json.dump(manifest, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._destination / MANIFEST)
            durable.sync_folder(self._destination)
            (self._destination / UNFINISHED).unlink(missing_ok=True)
            for name in self._before.keys() - self.files.keys():
                (self._destination / name).unlink(missing_ok=True)
        except OSError as error:
            raise StoreNotWritable(f"{error.filename} cannot be written: {error.strerror}.") from error


def _names(table: Table) -> list[str]:
    """The files of the snapshot held, of the log up to it, and those kept beside them."""
    beside = [found.name for found in table.storage.data_files() if found.name.startswith("_")]
    return [*(file.relative for file in table.files()), *names_up_to(table.storage, table.version), *beside]


def _local(table: Table, name: str) -> Path:
    """Where to read a file of a table; a path where there is nothing when it is gone."""
    try:
        return Path(table.storage.local([name])[0])
    except StoreDamaged:
        return Path(name)


def _others(data_dir: Path) -> Iterator[str]:
    for name in _OTHERS:
        path = data_dir / name
        if path.is_file():
            yield name
        elif path.is_dir():
            yield from (
                str(each.relative_to(data_dir))
                for each in sorted(path.rglob("*"))
                if each.is_file() and each.suffix != ".partial"
            )


def _copied(source: Path, target: Path) -> tuple[int, str]:
    """Copy a file, flushed to the disk; returns its size in bytes and its SHA-256."""
    digest = hashlib.sha256()
    size_bytes = 0
    with source.open("rb") as reading, target.open("wb") as writing:
        while chunk := reading.read(_CHUNK_BYTES):
            writing.write(chunk)
            digest.update(chunk)
            size_bytes += len(chunk)
        writing.flush()
        os.fsync(writing.fileno())
    return size_bytes, digest.hexdigest()


def _sync_folders(root: Path, names: dict[str, Any]) -> None:
    folders = {parent for name in names for parent in (root / name).parents if parent == root or root in parent.parents}
    for folder in sorted(folders, reverse=True):
        durable.sync_folder(folder)


def _manifest(folder: Path) -> dict[str, Any] | None:
    try:
        read: dict[str, Any] = json.loads((folder / MANIFEST).read_bytes())
        return read if isinstance(read["files"], dict) and isinstance(read["format"], int) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _earlier(destination: Path, identity: str) -> dict[str, Any]:
    """The files of an earlier backup of the same store there; none in a new or empty folder."""
    manifest = _manifest(destination)
    if manifest is not None and manifest["identity"] == identity:
        files: dict[str, Any] = manifest["files"]
        return files
    if manifest is not None:
        raise UsageError(f"{destination} holds the backup of another store. Choose another folder.")
    unfinished = destination / UNFINISHED
    if destination.exists() and any(destination.iterdir()) and not unfinished.exists():
        raise UsageError(f"{destination} is not empty and holds no backup. Choose another folder.")
    try:
        destination.mkdir(parents=True, exist_ok=True)
        unfinished.touch()
    except OSError as error:
        raise StoreNotWritable(f"{error.filename or destination} cannot be written: {error.strerror}.") from error
    return {}
