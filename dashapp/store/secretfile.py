"""A small JSON file for this service's eyes only: replaced as a whole, under a lock, and durable."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, TypeVar

from dashapp.errors import StoreDamaged, StoreNotWritable
from dashapp.store import durable
from dashapp.store.locks import exclusive

T = TypeVar("T")

# What sessions are signed with, a file of bytes beside those of JSON.
SESSION_SECRET = "session_secret"  # noqa: S105  # the name of the file, not the secret

# Looking more often would cost a busy server a third of a millisecond for each request, most of it waiting for the
# interpreter to come back.
LOOK_EVERY_S = 0.5


class SecretFile(Generic[T]):
    """Records by their id, in a file of mode 0600; safe for use by several threads and processes.

    `parse` makes the records of the document the file holds, `document` the other way round; `remedy` is what to do
    about a file that cannot be read.
    """

    def __init__(
        self,
        path: Path,
        *,
        parse: Callable[[Any], dict[str, T]],
        document: Callable[[dict[str, T]], Any],
        remedy: str,
    ) -> None:
        self._path = path
        self._lock_path = path.parent / "locks" / f"{path.stem}.lock"
        self._parse = parse
        self._document = document
        self._remedy = remedy
        # What the file said when it was read last, and the marks by which another file is told from it.
        self._held: tuple[tuple[int, int, int] | None, dict[str, T]] = (None, {})
        self._looked_s = -LOOK_EVERY_S

    def find(self, record_id: str) -> T | None:
        """A record, as the file had it half a second ago at most; one that is new is found at once. 5 µs."""
        found = self._held[1].get(record_id)
        if found is None or time.monotonic() > self._looked_s + LOOK_EVERY_S:
            found = self.current().get(record_id)
        return found

    def known(self, record_id: str) -> T | None:
        """A record as of half a second ago, a new one too: for records that are mostly not there. 1 µs."""
        if time.monotonic() > self._looked_s + LOOK_EVERY_S:
            self.current()
        return self._held[1].get(record_id)

    def current(self) -> dict[str, T]:
        """All records as they are now; raises StoreDamaged."""
        self._looked_s = time.monotonic()
        try:
            status = self._path.stat()
            marks = (status.st_ino, status.st_mtime_ns, status.st_size)
            held, records = self._held
            if marks == held:
                return records
            records = self._parse(json.loads(self._path.read_text("utf-8")))
        except FileNotFoundError:
            self._held = (None, {})
            return {}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StoreDamaged(f"{self._path} cannot be read: {error}. {self._remedy}") from error
        self._held = (marks, records)
        return records

    @contextmanager
    def changing(self) -> Iterator[dict[str, T]]:
        """A copy of the records, to be changed under the lock; it is the file's new content afterwards.

        Raises StoreDamaged, StoreNotWritable.
        """
        with exclusive(self._lock_path):
            records = dict(self.current())
            yield records
            self._write(records)

    def _write(self, records: dict[str, T]) -> None:
        text = json.dumps(self._document(records), indent=1)
        # Under the lock, so what bears this name is of a process that was killed.
        partial = self._path.with_suffix(".partial")
        try:
            partial.unlink(missing_ok=True)
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text + "\n")
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self._path)
            durable.sync_folder(self._path.parent)
        except OSError as error:
            raise StoreNotWritable(f"{self._path} cannot be written: {error.strerror}.") from error
