"""Storage on a local disk, where durable means flushed: first the file, then the folders that hold its name."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

from dashapp.errors import StoreDamaged, StoreNotWritable, StoreUnreachable
from dashapp.store import durable
from dashapp.store.faults import recovered
from dashapp.store.remedies import remedy
from dashapp.store.storage import LAST_CHECKPOINT, LOG, Found, Unwritten, checkpoint_name, entry_name

# Small files are written and flushed a few at a time: flushing is waiting, not work.
_WRITE_THREADS = 4


class Disk:
    """A table's folder."""

    options = None

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self.name = self.url = str(self._root)
        # What this process knows to be on the disk: the names that lead to the log, and the folders of data by name.
        self._is_log_flushed = False
        self._flushed_folders: set[Path] = set()
        self._flusher = ThreadPoolExecutor(_WRITE_THREADS, thread_name_prefix="flush")
        self._flushes: dict[
            str, Future[None]
        ] = {}  # by the name of the file: those that are not known to have succeeded
        self._flushing = threading.Lock()

    @property
    def missing(self) -> str:
        """Where there is no store, and what to do."""
        try:
            (self._root / LOG).stat()
        except PermissionError as error:  # for all anybody knows there is one
            return f"{error.filename} cannot be read: {error.strerror}.{remedy(error)}"
        except OSError:
            pass
        return f"There is no store at {self._root.parent}. Ingest something first, or set TICKERTONE_DATA_DIR."

    def prepare(self) -> None:
        """Make the folder, durable in name."""
        named_in = [folder.parent for folder in (self._root, *self._root.parents) if not folder.exists()]
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            for folder in named_in:
                durable.sync_folder(folder)
        except OSError as error:
            raise StoreNotWritable(f"{self.name} cannot be created: {error.strerror}.") from error

    def mend(self) -> bool:
        """Remove checkpoints that cannot be read, and the hint that names one; returns whether any was removed.

        A power cut can tear them. Nothing is lost with them: a checkpoint that repeats entries which were cleaned away
        was flushed and read before.
        """
        torn = [path for path in (self._root / LOG).glob("*.checkpoint.parquet") if not durable.is_parquet(path)]
        hints = [path for path in [self._root / LAST_CHECKPOINT] if path.exists()]
        try:
            for path in (*torn, *hints):
                path.unlink(missing_ok=True)
        except OSError:  # a disk that cannot be written: the error that led here says more
            return False
        if torn:
            recovered("checkpoint_torn", self._root.parent)
        return bool(torn or hints)

    def has_entry(self, version: int) -> bool:
        """Whether the log has the entry of a version; 10 µs."""
        return self.has(entry_name(version))

    def is_gone(self, version: int) -> bool:
        """Whether the log's entry of a version is not there any more; 10 µs."""
        return not self.has(entry_name(version))

    def entry(self, version: int) -> bytes | None:
        """The log's entry of a version; 0.1 ms."""
        path = self._root / entry_name(version)
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreDamaged(f"{path} cannot be read: {error.strerror}.") from error

    def learn(self, version: int) -> None:
        """Nothing: whoever looks sees what is there."""

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        path = self._root / name
        try:
            path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            raise self._unreadable(path, error) from error
        return True

    def local(self, names: Sequence[str]) -> list[str]:
        """The paths of these files."""
        return [f"{self.name}/{name}" for name in names]

    def write(self, new: Sequence[Unwritten], *, compression: str, settled: bool = True) -> list[int]:
        """Write files and flush them, then the folders that hold them: unless `settled`, beside what the caller does
        next, since flushing is waiting."""

        def write_one(file: Unwritten) -> int:
            return durable.write_parquet(
                self._root / file.name,
                file.rows,
                compression=compression,
                row_group_rows=file.row_group_rows,
                flush=settled,
            )

        folders = {(self._root / file.name).parent for file in new}
        try:
            for folder in folders:
                folder.mkdir(parents=True, exist_ok=True)
            if len(new) == 1:  # what live commits are; a pool would cost a tenth of them
                sizes = [write_one(new[0])]
            else:
                with ThreadPoolExecutor(_WRITE_THREADS) as pool:
                    sizes = list(pool.map(write_one, new))
            if settled:
                self._sync_folders(folders)
        except OSError as error:
            self._refuse(error)
        if not settled:
            with self._flushing:
                # One that has failed is kept: whoever would commit its file is told, each time.
                for name in [name for name, flush in self._flushes.items() if flush.done() and not flush.exception()]:
                    del self._flushes[name]
                for file in new:
                    self._flushes[file.name] = self._flusher.submit(self._flush_file, self._root / file.name)
        return sizes

    def settle(self, names: Iterable[str]) -> None:
        """Wait for the flushes of these files."""
        with self._flushing:
            flushes = [self._flushes[name] for name in names if name in self._flushes]
        try:
            for flush in flushes:
                flush.result()
        except OSError as error:
            self._refuse(error)

    def _flush_file(self, path: Path) -> None:
        durable.sync_file(path)
        self._sync_folders({path.parent})

    def _sync_folders(self, folders: set[Path]) -> None:
        """Flush folders of data, and those above that this process has not flushed yet."""
        # A folder that is there already may be of a process that was killed before it flushed the folder's name.
        unflushed = {parent for folder in folders - self._flushed_folders for parent in self._ancestors(folder)}
        for folder in folders | unflushed:
            durable.sync_folder(folder)
        self._flushed_folders |= folders

    def flush(self, version: int) -> None:
        """Flush the log's entry of a version, its checkpoint if it has one, and their folder."""
        has_checkpoint = self.has(checkpoint_name(version))
        files = [entry_name(version), *([checkpoint_name(version), LAST_CHECKPOINT] if has_checkpoint else [])]
        folders = [self._root / LOG, *([] if self._is_log_flushed else [self._root, self._root.parent])]
        try:
            for name in files:
                durable.sync_file(self._root / name)
            for folder in folders:
                durable.sync_folder(folder)
        except OSError as error:
            self._refuse(error)
        self._is_log_flushed = True

    def mark(self, name: str) -> None:
        """Make an empty file."""
        try:
            (self._root / name).touch()
        except OSError as error:
            self._refuse(error)

    def delete(self, names: Sequence[str]) -> None:
        """Remove files, those that are there."""
        try:
            for name in names:
                (self._root / name).unlink(missing_ok=True)
        except OSError as error:
            self._refuse(error)

    def data_files(self) -> Iterator[Found]:
        """Every Parquet file outside the log."""
        return self._found(path for path in self._root.rglob("*.parquet") if self._root / LOG not in path.parents)

    def log_files(self) -> Iterator[Found]:
        """Every file of the log."""
        return self._found((self._root / LOG).iterdir())

    def _found(self, paths: Iterator[Path]) -> Iterator[Found]:
        try:
            for path in paths:
                with contextlib.suppress(FileNotFoundError):  # a checkpoint that is just being put in its place
                    status = path.stat()
                    yield Found(str(path.relative_to(self._root)), status.st_size, status.st_mtime)
        except OSError as error:
            raise self._unreadable(self._root, error) from error

    def _unreadable(self, path: Path, error: OSError) -> StoreUnreachable:
        return StoreUnreachable(f"{error.filename or path} cannot be read: {error.strerror}.{remedy(error)}")

    def _ancestors(self, folder: Path) -> list[Path]:
        return [parent for parent in folder.parents if parent == self._root or self._root in parent.parents]

    def _refuse(self, error: OSError) -> NoReturn:
        raise StoreNotWritable(
            f"{error.filename or self.name} cannot be written: {error.strerror or error}. Nothing was acknowledged."
            f"{remedy(error)}"
        ) from error
