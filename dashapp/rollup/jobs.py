"""The jobs of a store: what has to be done again and again, by one at a time, with a record of how it went.

Each can be done once, as cron and Airflow have it, or again and again, in the web server's process or in one of its
own. Wherever it is done, the record in the store tells everybody when it was, and so when it is due.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dashapp.config import Settings
from dashapp.errors import BucketsDiffer, JobRunning, TickertoneError, UsageError
from dashapp.model.time import US_PER_SECOND, EpochUs
from dashapp.rollup.job import rollup
from dashapp.rollup.retention import retain, rules_of
from dashapp.rollup.verify import sample, verify
from dashapp.store.compact import compact
from dashapp.store.lease import JobRecord, leased, read_record
from dashapp.store.reader import PATIENT_MS, Reader
from dashapp.store.store import Store

log = logging.getLogger(__name__)

# When to try again to get a job that somebody else is doing.
_BUSY_PAUSE_S = 5.0

# What a run did, as it is printed and kept.
Did = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Job:
    """One kind of work: what it does in words, the setting with its pause, and the work."""

    name: str
    about: str
    every: str
    work: Callable[[Store, Settings, EpochUs], Did]

    def every_s(self, settings: Settings) -> float:
        """The pause between two runs."""
        return float(getattr(settings, self.every))


def _rollup(store: Store, settings: Settings, now_us: EpochUs) -> Did:
    return asdict(rollup(store))


def _compaction(store: Store, settings: Settings, now_us: EpochUs) -> Did:
    return asdict(compact(store))


def _retention(store: Store, settings: Settings, now_us: EpochUs) -> Did:
    return asdict(retain(store, rules_of(settings), now_us))


def _vacuum(store: Store, settings: Settings, now_us: EpochUs) -> Did:
    tables = (store.scores.table, store.buckets.table)
    each = [table.vacuum(kept_s=settings.vacuum_after_s, now_s=now_us / US_PER_SECOND) for table in tables]
    return {
        "files_deleted": sum(one.files for one in each),
        "freed_bytes": sum(one.freed_bytes for one in each),
    }


def _logs(store: Store, settings: Settings, now_us: EpochUs) -> Did:
    # The vacuum reads in the log which files were given up lately.
    kept_s = max(settings.log_kept_s, settings.vacuum_after_s)
    tables = (store.scores.table, store.buckets.table)
    return {"entries_deleted": sum(each.clean_log(kept_s=kept_s, now_s=now_us / US_PER_SECOND) for each in tables)}


def _verify(store: Store, settings: Settings, now_us: EpochUs) -> Did:
    chance = random.Random()  # noqa: S311 - chooses days, guards nothing
    reader = Reader(store, timeout_ms=PATIENT_MS)
    found = verify(reader, spans=sample(settings.verify_sample_days, chance))
    if found.differ:
        raise BucketsDiffer(
            f"{found.differ:,} of {found.checked:,} buckets differ from their scores, such as {found.worst[0]}. "
            "`tickertone rollup --full` builds all buckets anew from the scores."
        )
    return {"checked": found.checked, "differ": found.differ, "sealed": found.sealed}


JOBS: Mapping[str, Job] = {
    job.name: job
    for job in (
        Job("rollup", "fold new scores into buckets", "rollup_every_s", _rollup),
        Job("compaction", "put small files of scores together", "compact_every_s", _compaction),
        Job("retention", "drop what is older than the settings allow", "retention_every_s", _retention),
        Job("vacuum", "delete data files that nobody needs any more", "upkeep_every_s", _vacuum),
        Job("logs", "delete log entries that nobody needs any more", "upkeep_every_s", _logs),
        Job("verify", "check the buckets of some days against their scores", "verify_every_s", _verify),
    )
}
# What is done together where nobody says otherwise: verify reads much, and the rollup has a command of its own.
UPKEEP = ("compaction", "retention", "vacuum", "logs")
# Which jobs wait for each other where all are done: those that may take long have a thread of their own.
TOGETHER = (("rollup",), ("compaction", "vacuum", "logs"), ("retention",), ("verify",))


def run_job(
    store: Store,
    settings: Settings,
    job: Job,
    now_us: Callable[[], EpochUs],
    *,
    wait_until: threading.Event | None,
    every_s: float | None = None,
) -> Did:
    """Do a job once and keep a record of it; raises what it raises, and JobRunning as `leased` does."""
    with leased(store.data_dir, job.name, now_us, wait_until=wait_until) as lease:
        # A run by hand between two of a schedule does not end the schedule.
        lease.begin(every_s if every_s is not None else lease.record.every_s)
        try:
            did = job.work(store, settings, now_us())
        except BaseException as error:
            lease.end(None, str(error) or type(error).__name__)
            raise
        lease.end(did)
        return did


def keep_up(
    settings: Settings,
    names: Sequence[str],
    stop: threading.Event,
    now_us: Callable[[], EpochUs],
    *,
    every_s: float | None = None,
    report: Callable[[str, Did], None] = lambda name, did: None,
    jobs: Mapping[str, Job] = JOBS,
) -> None:
    """Do jobs whenever they are due until `stop` is set, with the pauses of the settings or all with the same.

    What fails is logged, and tried again at its next turn: a disk that is full now need not be so then. Another process
    may do the same jobs; whichever comes first does them. Raises UsageError for a pause that is none or cannot be
    waited.
    """
    pauses_s = {name: jobs[name].every_s(settings) if every_s is None else every_s for name in names}
    for seconds in pauses_s.values():
        if not 0 < seconds <= threading.TIMEOUT_MAX:
            raise UsageError(f"The pause between runs is {seconds:g} s; it must be longer than 0 and finite.")
    store = Store(settings, create=True)
    try:
        due_us = {name: _due_us(store.data_dir, name, seconds, now_us()) for name, seconds in pauses_s.items()}
        while not stop.is_set():
            for name, seconds in pauses_s.items():
                if _left_s(due_us[name], now_us(), seconds) == 0 and not stop.is_set():
                    due_us[name] = _turn(store, settings, jobs[name], now_us, seconds, report)
            stop.wait(min(_left_s(due_us[name], now_us(), seconds) for name, seconds in pauses_s.items()))
    finally:
        store.close()


def records(data_dir: Path) -> Iterable[JobRecord]:
    """The records of all jobs."""
    return [read_record(data_dir, name) for name in JOBS]


def _left_s(due_us: int, now_us: int, every_s: float) -> float:
    """How long until a job is due; what is due later than a pause from now was planned before the clock was set back,
    and is due at once."""
    left_s = (due_us - now_us) / US_PER_SECOND
    return left_s if 0 < left_s <= every_s else 0.0


def _due_us(data_dir: Path, name: str, every_s: float, now_us: int) -> int:
    """When a job is due, by whoever did it last."""
    last_us = read_record(data_dir, name).last_start_us
    if last_us is None or last_us > now_us:  # the clock has been set back
        return 0
    return last_us + int(every_s * US_PER_SECOND)


def _turn(
    store: Store,
    settings: Settings,
    job: Job,
    now_us: Callable[[], EpochUs],
    every_s: float,
    report: Callable[[str, Did], None],
) -> int:
    """Do a job that is due, unless somebody else does; returns when it is due again."""
    began_us = now_us()
    due_us = _due_us(store.data_dir, job.name, every_s, began_us)
    if due_us > began_us:
        return due_us
    try:
        report(job.name, run_job(store, settings, job, now_us, wait_until=None, every_s=every_s))
    except JobRunning:
        return began_us + int(min(every_s, _BUSY_PAUSE_S) * US_PER_SECOND)
    except TickertoneError as error:
        log.error("The %s failed and is tried again in %g s: %s", job.name, every_s, error)
    return began_us + int(every_s * US_PER_SECOND)
