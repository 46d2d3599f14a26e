"""Leases and records of jobs: who does one now, so that nobody else begins it, and how it went last.

On one machine the kernel holds the lock, and it is free the moment its holder dies, of kill -9 as well. Where a data
folder is shared by machines the record tells the others: its holder renews it, and one that is not renewed runs out.
A lease saves work that would be done twice; what makes the tables right is that commits are conditional, not this.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from dashapp.errors import JobRunning
from dashapp.model.time import US_PER_SECOND, EpochUs, to_iso
from dashapp.store.faults import recovered
from dashapp.store.locks import attempt

log = logging.getLogger(__name__)

# A holder that has not been heard of for this long is dead, or its machine is.
EXPIRES_AFTER_S = 60
_RENEWED_EVERY_S = 15
_PAUSE_S = 0.2


@dataclass(slots=True)
class JobRecord:
    """How one job of a store is: told by whoever did it last, in this process or another; counts are for all time.

    While it runs `holder` (host:process) has it until `expires_us`, unless that is renewed. `did` is what the last run
    that was not in vain did, `every_s` the pause it is repeated with, None where only somebody's hand begins it.
    """

    name: str
    holder: str | None = None
    started_us: int | None = None
    expires_us: int | None = None
    last_start_us: int | None = None
    last_end_us: int | None = None
    last_success_us: int | None = None
    last_error: str | None = None
    last_error_us: int | None = None
    every_s: float | None = None
    next_run_us: int | None = None
    runs: int = 0
    failures: int = 0
    consecutive_failures: int = 0
    did: dict[str, Any] = field(default_factory=dict)

    def is_running(self, now_us: int) -> bool:
        """Whether somebody does it at this moment, as far as is known."""
        return self.expires_us is not None and now_us < self.expires_us

    def lag_s(self, now_us: int) -> float | None:
        """How long ago it should have begun; 0 while it runs or is not due, None where nothing repeats it."""
        if self.next_run_us is None:
            return None
        return 0.0 if self.is_running(now_us) else max(0.0, (now_us - self.next_run_us) / US_PER_SECOND)

    def told(self, now_us: int) -> dict[str, Any]:
        """What is told of it: times in ISO-8601, the rest as it is."""
        lag_s = self.lag_s(now_us)
        is_running = self.is_running(now_us)
        return {
            "name": self.name,
            "is_running": is_running,
            "holder": self.holder if is_running else None,
            "last_run": _iso(self.last_start_us),
            "last_success": _iso(self.last_success_us),
            "seconds": self.seconds,
            "lag_s": None if lag_s is None else round(lag_s, 3),
            "next_run": _iso(self.next_run_us),
            "did": self.did,
            "last_error": self.last_error,
            "last_error_at": _iso(self.last_error_us),
            "consecutive_errors": self.consecutive_failures,
            "errors": self.failures,
            "runs": self.runs,
        }

    @property
    def seconds(self) -> float | None:
        """How long the last run took."""
        if self.last_start_us is None or self.last_end_us is None:
            return None
        return (self.last_end_us - self.last_start_us) / US_PER_SECOND


def read_record(data_dir: Path, name: str) -> JobRecord:
    """The record of a job; an empty one where it never ran, or a power cut has torn it."""
    try:
        values = json.loads(_file(data_dir, name).read_bytes())
        return JobRecord(**{each.name: values[each.name] for each in fields(JobRecord) if each.name in values})
    except (OSError, ValueError, TypeError):
        return JobRecord(name)


class Lease:
    """A job that is this process's to do; `record` is what will be told of it."""

    def __init__(self, data_dir: Path, record: JobRecord, now_us: Callable[[], EpochUs]) -> None:
        self.record = record
        self._data_dir = data_dir
        self._path = _file(data_dir, record.name)
        self._now_us = now_us
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew, name=f"lease of {record.name}", daemon=True)

    def begin(self, every_s: float | None) -> None:
        """Tell that it runs, and go on telling."""
        record = self.record
        if record.started_us is not None:  # its holder did not come to tell how it ended
            self._failed(f"{record.holder} began at {to_iso(record.started_us)} and was ended before it was done.")
            recovered("job_taken_over", self._data_dir)
        record.holder = holder()
        record.started_us = record.last_start_us = self._now_us()
        record.every_s = every_s
        self._tell()
        self._thread.start()

    def end(self, did: dict[str, Any] | None, error: str | None = None) -> None:
        """Tell how it went: what it did, or the error it ended with."""
        self._over.set()
        record = self.record
        with self._lock:
            record.last_end_us = self._now_us()
            record.runs += 1
            if error is None:
                record.consecutive_failures = 0
                record.last_success_us = record.last_end_us
                record.did = did or {}
            else:
                self._failed(error)
            record.holder = record.started_us = record.expires_us = None
            if record.every_s is not None and record.last_start_us is not None:
                record.next_run_us = record.last_start_us + int(record.every_s * US_PER_SECOND)
            self._write()

    def _failed(self, error: str) -> None:
        self.record.failures += 1
        self.record.consecutive_failures += 1
        self.record.last_error = error
        self.record.last_error_us = self._now_us()

    def _renew(self) -> None:
        while not self._over.wait(_RENEWED_EVERY_S):
            self._tell()

    def _tell(self) -> None:
        with self._lock:
            if self._over.is_set():
                return
            self.record.expires_us = self._now_us() + EXPIRES_AFTER_S * US_PER_SECOND
            self._write()

    def _write(self) -> None:
        partial = self._path.with_suffix(".partial")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps(asdict(self.record)), "utf-8")
            partial.replace(self._path)
        except OSError as error:  # the job matters more than what is told of it
            log.warning("%s cannot be written: %s", self._path, error.strerror)


@contextmanager
def leased(
    data_dir: Path, name: str, now_us: Callable[[], EpochUs], *, wait_until: threading.Event | None
) -> Iterator[Lease]:
    """Have a job of a store alone; kill -9 of this process gives it back.

    Raises JobRunning when somebody else has it, or waits for their end where there is an event to wait until; when that
    is set first, JobRunning is raised as well. Raises StoreNotWritable.
    """
    while True:
        with attempt(data_dir / "locks" / f"job-{name}.lock") as is_held:
            record = read_record(data_dir, name)
            elsewhere = record.holder is not None and record.holder.partition(":")[0] != socket.gethostname()
            if is_held and not (elsewhere and record.is_running(now_us())):
                yield Lease(data_dir, record, now_us)
                return
        if wait_until is None or wait_until.wait(_PAUSE_S):
            since = "" if record.started_us is None else f" since {to_iso(record.started_us)}"
            who = record.holder or "another process"
            raise JobRunning(f"The {name} of the store at {data_dir} is being done by {who}{since}.")


def holder() -> str:
    """This process, as records name it."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _file(data_dir: Path, name: str) -> Path:
    return data_dir / "jobs" / f"{name}.json"


def _iso(moment_us: int | None) -> str | None:
    return None if moment_us is None else to_iso(moment_us)
